package google

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// endpoint is what counts of a device of Cloud Identity (cloud.google.com/identity/docs/reference/rest/v1/devices).
type endpoint struct {
	Name        string          `json:"name"` // devices/ID, the ID with its padding percent-encoded
	Serial      string          `json:"serialNumber"`
	LastSync    json.RawMessage `json:"lastSyncTime"`
	Patched     json.RawMessage `json:"securityPatchTime"` // 1970: not known
	OwnerType   string          `json:"ownerType"`
	OSVersion   string          `json:"osVersion"` // "macOS 10.15.7", "Linux"
	Build       string          `json:"buildNumber"`
	DeviceType  string          `json:"deviceType"`
	Encryption  string          `json:"encryptionState"`
	Compromised string          `json:"compromisedState"`
	Management  string          `json:"managementState"`
}

// user is what counts of a deviceUser: one person's use of a device.
type user struct {
	Name        string          `json:"name"` // devices/ID/deviceUsers/ID
	Email       string          `json:"userEmail"`
	Compromised string          `json:"compromisedState"`
	Management  string          `json:"managementState"`
	Password    string          `json:"passwordState"`
	LastSync    json.RawMessage `json:"lastSyncTime"`
}

// ownID takes Google's id out of a resource name. Padding is percent-encoded there; once decoded there are no two
// spellings of one device.
func ownID(name string) (string, error) {
	raw, ok := strings.CutPrefix(name, "devices/")
	id, err := url.PathUnescape(raw)
	if err == nil {
		_, _, err = split(ListDevices + "/" + id)
	}
	if !ok || err != nil {
		return "", fmt.Errorf("%.80q is no name of a device", name)
	}
	return id, nil
}

func (a *Adapter) customer() url.Values {
	return url.Values{"customer": {"customers/" + a.opts.Customer}}
}

// endpoint asks for one device of Cloud Identity. An answer about another device is an error.
func (a *Adapter) endpoint(ctx context.Context, id string) (signals.Observation, error) {
	body, err := a.opts.Devices.GetJSON(ctx, "/v1/devices/"+id, a.customer())
	if err != nil {
		return signals.Observation{}, err
	}
	var e endpoint
	if err := json.Unmarshal(body, &e); err != nil {
		return signals.Observation{}, fmt.Errorf("the answer does not have Google's shape: %w", err)
	}
	if got, err := ownID(e.Name); err != nil || got != id {
		return signals.Observation{}, errors.New("the answer is not about this device; check api.url")
	}
	return a.observed(ctx, id, &e)
}

// devicesPage asks for one page of Cloud Identity's devices, at most 100.
func (a *Adapter) devicesPage(ctx context.Context, token string) (source.Page, error) {
	query := a.customer()
	query.Set("pageSize", "100")
	if a.opts.Users {
		query.Set("pageSize", "25") // each device costs a question of its own
	}
	if token != "" {
		query.Set("pageToken", token)
	}
	body, err := a.opts.Devices.GetJSON(ctx, "/v1/devices", query)
	if err != nil {
		return source.Page{}, err
	}
	var answer struct {
		Devices []json.RawMessage `json:"devices"` // left out where there is none
		Next    string            `json:"nextPageToken"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return source.Page{}, fmt.Errorf("the answer does not have Google's shape: %w", err)
	}
	page := source.Page{Next: answer.Next}
	for i, raw := range answer.Devices {
		var who struct {
			Name string `json:"name"`
		}
		_ = json.Unmarshal(raw, &who) // what has no name is no object either
		id, err := ownID(who.Name)
		if err != nil {
			return source.Page{}, fmt.Errorf("entry %d: %w", i, err)
		}
		var e endpoint
		if err := json.Unmarshal(raw, &e); err != nil {
			o, err := a.unread(ListDevices+"/"+id, err)
			if err != nil {
				return source.Page{}, err
			}
			page.Observations = append(page.Observations, o)
			continue
		}
		o, err := a.observed(ctx, id, &e)
		if err != nil {
			return source.Page{}, fmt.Errorf("entry %d: %w", i, err)
		}
		page.Observations = append(page.Observations, o)
	}
	return page, nil
}

// unread is a device that is there, and whose record says nothing that can be read: what was known of it goes on ageing.
func (a *Adapter) unread(id string, reason error) (signals.Observation, error) {
	a.opts.Unreadable(id, fmt.Errorf("the record does not have Google's shape: %w", reason))
	alias, err := a.Alias(id)
	return signals.Observation{Aliases: []signals.Alias{alias}}, err
}

// observed puts a device of Cloud Identity into our words. All is dated by lastSyncTime.
func (a *Adapter) observed(ctx context.Context, id string, e *endpoint) (signals.Observation, error) {
	s, err := a.begin(ListDevices+"/"+id, e.Serial, e.LastSync)
	if err != nil {
		return signals.Observation{}, err
	}
	s.platform(source.Platform(e.DeviceType), e.DeviceType, "deviceType", e.OSVersion)
	if e.Build != "" {
		s.say("os_build", source.Text(e.Build), "buildNumber")
	}
	if patched, err := source.Instant(e.Patched); err != nil {
		return signals.Observation{}, err
	} else if !patched.IsZero() {
		s.say("patch_level", signals.Text(patched.UTC().Format(time.DateOnly)), "securityPatchTime")
	}
	s.word("ownership", e.OwnerType, "ownerType", map[string]signals.Value{
		"BYOD": signals.Text("byod"), "COMPANY": signals.Text("corporate"), "COMPANY_OWNED": signals.Text("corporate")})
	s.word("disk_encryption", e.Encryption, "encryptionState", map[string]signals.Value{
		"ENCRYPTED": signals.Bool(true), "NOT_ENCRYPTED": signals.Bool(false)})
	s.word("compromised", e.Compromised, "compromisedState", compromised)
	s.word("mdm_managed", e.Management, "managementState", managed)
	s.word("lifecycle", e.Management, "managementState", lifecycles)
	if a.opts.Users {
		if err := a.used(ctx, s, id, e); err != nil {
			return signals.Observation{}, err
		}
	}
	return s.o, nil
}

// The words of Google's enumerations. Those that stand for "not said" are unknown.
var (
	compromised = map[string]signals.Value{"COMPROMISED": signals.Bool(true), "UNCOMPROMISED": signals.Bool(false)}
	managed     = map[string]signals.Value{"APPROVED": signals.Bool(true), "BLOCKED": signals.Bool(true),
		"PENDING": signals.Bool(false), "UNPROVISIONED": signals.Bool(false), "WIPING": signals.Bool(false),
		"WIPED": signals.Bool(false)}
	lifecycles = map[string]signals.Value{"APPROVED": signals.Text("enrolled"), "BLOCKED": signals.Text("blocked"),
		"WIPING": signals.Text("retiring"), "WIPED": signals.Text("removed"), "UNPROVISIONED": signals.Text("removed")}
	passworded = map[string]signals.Value{"PASSWORD_SET": signals.Bool(true), "PASSWORD_NOT_SET": signals.Bool(false)}
)

// used asks who uses a device. Of several users the worst word counts; who is the device's user is said only if there is one.
func (a *Adapter) used(ctx context.Context, s *statements, id string, e *endpoint) error {
	query := a.customer()
	query.Set("pageSize", "20")
	body, err := a.opts.Devices.GetJSON(ctx, "/v1/devices/"+id+"/deviceUsers", query)
	if errors.Is(err, source.ErrGone) {
		return errors.New("its users are not there; is the API for users enabled?") // not ErrGone: the device is there
	}
	if err != nil {
		return fmt.Errorf("its users: %w", err)
	}
	var answer struct {
		Users []user `json:"deviceUsers"`
		Next  string `json:"nextPageToken"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("its users: the answer does not have Google's shape: %w", err)
	}
	var locks, states []signals.Value
	emails := map[string]bool{}
	for i := range answer.Users {
		u := &answer.Users[i]
		locks = append(locks, passworded[u.Password])
		states = append(states, compromised[u.Compromised])
		if u.Email != "" {
			emails[strings.ToLower(u.Email)] = true
		}
	}
	locked, broken := worst(locks, signals.Bool(false)), worst(states, signals.Bool(true))
	whole := answer.Next == "" // of more users than a page holds nobody knows the worst
	if len(answer.Users) > 0 {
		if whole || locked == signals.Bool(false) {
			s.say("screen_lock", locked, "deviceUsers[].passwordState")
		}
		if e.Compromised == "" && (whole || broken == signals.Bool(true)) {
			s.say("compromised", broken, "deviceUsers[].compromisedState")
		}
	}
	if whole && len(emails) == 1 {
		s.say("enrolled_user", source.Text(answer.Users[0].Email), "deviceUsers[].userEmail")
	} else if len(emails) > 1 {
		s.say("enrolled_user", signals.Unknown, "deviceUsers[].userEmail")
	}
	return nil
}

// worst joins words of which one is bad: a bad one wins, then one that is unknown.
func worst(words []signals.Value, bad signals.Value) signals.Value {
	joined := signals.Unknown
	for i, word := range words {
		switch {
		case word == bad:
			return bad
		case i == 0:
			joined = word
		case word != joined:
			joined = signals.Unknown
		}
	}
	return joined
}
