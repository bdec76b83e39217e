package google

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// chromebook is what counts of a ChromeOS device (developers.google.com/admin-sdk/directory/reference/rest/v1/chromeosdevices).
type chromebook struct {
	ID       string          `json:"deviceId"`
	Serial   string          `json:"serialNumber"`
	Status   string          `json:"status"`
	LastSync json.RawMessage `json:"lastSync"`
	User     string          `json:"annotatedUser"`
	Version  string          `json:"osVersion"`
	Boot     string          `json:"bootMode"`
}

func (a *Adapter) chromeosPath() string {
	return "/admin/directory/v1/customer/" + a.opts.Customer + "/devices/chromeos"
}

// chromebook asks for one ChromeOS device. An answer about another device is an error.
func (a *Adapter) chromebook(ctx context.Context, id string) (signals.Observation, error) {
	body, err := a.opts.ChromeOS.GetJSON(ctx, a.chromeosPath()+"/"+id, url.Values{"projection": {"FULL"}})
	if err != nil {
		return signals.Observation{}, err
	}
	var c chromebook
	if err := json.Unmarshal(body, &c); err != nil {
		return signals.Observation{}, fmt.Errorf("the answer does not have Google's shape: %w", err)
	}
	if c.ID != id {
		return signals.Observation{}, errors.New("the answer is not about this device; check the URL")
	}
	return a.seen(&c)
}

// chromeosPage asks for one page of the ChromeOS devices, at most 100.
func (a *Adapter) chromeosPage(ctx context.Context, token string) (source.Page, error) {
	query := url.Values{"projection": {"FULL"}, "maxResults": {"100"}}
	if token != "" {
		query.Set("pageToken", token)
	}
	body, err := a.opts.ChromeOS.GetJSON(ctx, a.chromeosPath(), query)
	if err != nil {
		return source.Page{}, err
	}
	var answer struct {
		Kind    string            `json:"kind"`
		Devices []json.RawMessage `json:"chromeosdevices"` // left out where there is none
		Next    string            `json:"nextPageToken"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Kind != "admin#directory#chromeosdevices" {
		return source.Page{}, errors.New("the answer is no list of ChromeOS devices; check the URL")
	}
	page := source.Page{Next: answer.Next}
	for i, raw := range answer.Devices {
		var who struct {
			ID string `json:"deviceId"`
		}
		_ = json.Unmarshal(raw, &who) // what has no id is no object either
		if _, _, err := split(ListChromeOS + "/" + who.ID); err != nil {
			return source.Page{}, fmt.Errorf("entry %d: %w", i, err)
		}
		var c chromebook
		err := json.Unmarshal(raw, &c)
		var o signals.Observation
		if err != nil {
			o, err = a.unread(ListChromeOS+"/"+who.ID, err)
		} else {
			o, err = a.seen(&c)
		}
		if err != nil {
			return source.Page{}, fmt.Errorf("entry %d: %w", i, err)
		}
		page.Observations = append(page.Observations, o)
	}
	return page, nil
}

// fourParts is a version of ChromeOS: 101.0.4951.59.
var fourParts = regexp.MustCompile(`^[0-9]{1,5}(\.[0-9]{1,6}){3}$`)

// seen puts a ChromeOS device into our words. All is dated by lastSync.
func (a *Adapter) seen(c *chromebook) (signals.Observation, error) {
	s, err := a.begin(ListChromeOS+"/"+c.ID, c.Serial, c.LastSync)
	if err != nil {
		return signals.Observation{}, err
	}
	s.say("platform", signals.Text("chromeos"), "kind")
	if fourParts.MatchString(c.Version) {
		s.say("os_version", signals.Text(c.Version), "osVersion")
	}
	// Developer mode is what a verified boot excludes.
	s.word("secure_boot", c.Boot, "bootMode", map[string]signals.Value{
		"Verified": signals.Bool(true), "Dev": signals.Bool(false)})
	s.word("lifecycle", c.Status, "status", map[string]signals.Value{
		"ACTIVE": signals.Text("enrolled"), "DEPROVISIONED": signals.Text("removed"), "DISABLED": signals.Text("blocked"),
		"RETURN_REQUESTED": signals.Text("retiring"), "RETURN_APPROVED": signals.Text("retiring"),
		"RETURN_ARRIVED": signals.Text("retiring"), "SHIPPED": signals.Text("retiring"), "PRE_PROVISIONED": signals.Unknown})
	s.word("mdm_managed", c.Status, "status", map[string]signals.Value{
		"ACTIVE": signals.Bool(true), "DISABLED": signals.Bool(true), "DEPROVISIONED": signals.Bool(false)})
	if c.User != "" {
		s.say("enrolled_user", source.Text(c.User), "annotatedUser")
	}
	return s.o, nil
}
