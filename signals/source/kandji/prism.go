package kandji

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// row is what counts of a row of the tables of Prism; each has its own part of it.
type row struct {
	ID        string          `json:"device_id"`
	Serial    string          `json:"serial_number"`
	Collected json.RawMessage `json:"last_collected_at"`
	Status    json.RawMessage `json:"status"`            // filevault, application_firewall
	Boot      *string         `json:"secure_boot_level"` // startup_settings
	SIP       json.RawMessage `json:"sip"`
	SSV       json.RawMessage `json:"ssv"`
	Family    string          `json:"device__family"` // device_information
	OSVersion string          `json:"os_version"`
	OSBuild   string          `json:"os_build"`
	Patch     string          `json:"supplemental_build_version"`
}

// bootLevels are the words of secure_boot_level; only "full" was ever seen, the others are Apple's own.
var bootLevels = map[string]signals.Value{
	"full": signals.Bool(true), "medium": signals.Bool(false), "reduced": signals.Bool(false),
	"permissive": signals.Bool(false), "none": signals.Bool(false), "off": signals.Bool(false),
}

// collected puts a row into our words.
func (a *Adapter) collected(table string, r *row) (signals.Observation, error) {
	o, err := a.named(r.ID, r.Serial, "")
	if err != nil {
		return o, err
	}
	at, err := source.Instant(r.Collected)
	if err != nil {
		return o, fmt.Errorf("last_collected_at: %w", err)
	}
	s := &statements{o: &o, at: at, from: "prism." + table + "."}
	switch table {
	case TableFileVault:
		s.truth("disk_encryption", r.Status, "status")
	case TableFirewall:
		s.truth("firewall", r.Status, "status")
	case TableStartup:
		s.startup(r)
	case TableInformation:
		s.system(r.Family, "device__family", r.OSVersion, "os_version")
		s.free("os_build", r.OSBuild, "os_build")
		s.free("patch_level", r.Patch, "supplemental_build_version")
	}
	return o, nil
}

// startup is secure_boot: the level, and of System Integrity Protection and the sealed system volume that none is off.
func (s *statements) startup(r *row) {
	if value, _ := source.Truth(r.SIP); value == signals.Bool(false) {
		s.say("secure_boot", value, "sip")
		return
	}
	if value, _ := source.Truth(r.SSV); value == signals.Bool(false) {
		s.say("secure_boot", value, "ssv")
		return
	}
	if r.Boot != nil && *r.Boot != "" {
		s.say("secure_boot", bootLevels[strings.ToLower(strings.TrimSpace(*r.Boot))], "secure_boot_level")
	}
}

// table is an answer of Prism. Its cursor is always null: pages go by offset.
type table struct {
	Data  *[]json.RawMessage `json:"data"`
	Total *int               `json:"total"` // mostly null
}

// rows asks for one page of a table; next is 0 after the last.
func (a *Adapter) rows(ctx context.Context, name string, query url.Values, offset int) (o []signals.Observation, next int, err error) {
	path := "/api/v1/prism/" + name
	body, err := a.opts.API.GetJSON(ctx, path, query)
	if errors.Is(err, source.ErrGone) {
		return nil, 0, fmt.Errorf("there is no %s; check api.url, or leave this table out of tables", path)
	}
	if err != nil {
		return nil, 0, err
	}
	var answer table
	if err := json.Unmarshal(body, &answer); err != nil || answer.Data == nil {
		return nil, 0, fmt.Errorf(`the answer to %s has no array "data"; check api.url`, path)
	}
	for i, raw := range *answer.Data {
		seen, err := a.row(name, raw)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: row %d: %w", path, offset+i, err)
		}
		o = append(o, seen...)
	}
	next = offset + len(*answer.Data)
	if len(*answer.Data) == 0 || answer.Total != nil && next >= *answer.Total && *answer.Total > 0 {
		return o, 0, nil
	}
	return o, next, nil
}

// row reads one row. What it says is left out where it cannot be read: the device is listed elsewhere.
func (a *Adapter) row(name string, raw json.RawMessage) ([]signals.Observation, error) {
	var who struct {
		ID string `json:"device_id"`
	}
	_ = json.Unmarshal(raw, &who) // what has no id is no object either
	if _, err := a.Alias(who.ID); err != nil {
		return nil, err
	}
	var r row
	var o signals.Observation
	err := json.Unmarshal(raw, &r)
	if err == nil {
		o, err = a.collected(name, &r)
	}
	if err != nil {
		a.opts.Unreadable(who.ID, fmt.Errorf("a row of prism.%s: %w", name, err))
	}
	if err != nil || len(o.Facts) == 0 {
		return nil, nil
	}
	return []signals.Observation{o}, nil
}

// ofDevice asks for the rows of one device.
func (a *Adapter) ofDevice(ctx context.Context, name, id string) ([]signals.Observation, error) {
	filter, err := json.Marshal(map[string]any{"device_id": map[string][]string{"in": {id}}})
	if err != nil {
		return nil, err
	}
	found, _, err := a.rows(ctx, name, url.Values{"filter": {string(filter)}, "limit": {"25"}}, 0)
	if err != nil {
		return nil, err
	}
	want, err := a.Alias(id)
	for _, o := range found {
		if o.Aliases[0] != want {
			return nil, fmt.Errorf("prism.%s: asked for one device it answers with another", name)
		}
	}
	return found, err
}
