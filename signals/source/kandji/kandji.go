// Package kandji is Kandji, now sold as Iru, which manages Apple devices. It delivers nothing: its list of devices, the tables
// of Prism, and what belongs to one device are asked for. The README beside this file shows how to connect one.
//
// Facts are dated by the instant that Kandji gives to the record that they stand in: last_collected_at in Prism, the check-in
// of agent or MDM elsewhere.
package kandji

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// The tables of Prism that are read. The table certificates is not among them: it has neither fingerprint nor validity.
const (
	TableFileVault   = "filevault"
	TableFirewall    = "application_firewall"
	TableStartup     = "startup_settings"
	TableInformation = "device_information"
)

// Tables are all of them, in the order in which they are asked for.
func Tables() []string {
	return []string{TableFileVault, TableFirewall, TableStartup, TableInformation}
}

// API is how the tenant is asked; *source.Client is one.
type API interface {
	// GetJSON answers with a JSON value that has one reading. It wraps source.ErrGone where there is no such thing, and
	// *source.Busy where it is to be asked later.
	GetJSON(ctx context.Context, path string, query url.Values) ([]byte, error)
}

// Options say what a Kandji tenant is to us. Name and API have no default.
type Options struct {
	Name   string   // of the source; part of its devices' names
	API    API      // its base is https://TENANT.api.kandji.io, or .api.eu.kandji.io
	Tables []string // of Prism; default all that are read
	// Details asks in each listing for every device's details, which alone say the hardware UUID and supervised: a request
	// for each device.
	Details bool
	// Items says which library items and parameters, by their item_id, tell which bool attribute; Compliance which make
	// config_compliance, AllItems that all of a device do. Any of them is a request for each device.
	Items      map[string][]string
	Compliance []string
	AllItems   bool
	// Threats reads threat_level from what Avert found. Quiet: a device of which the list has nothing has the level none, which
	// is so only where Avert runs on every Mac.
	Threats, Quiet bool
	// Released is the level of a device whose threats somebody has let out of quarantine; empty: it is unknown.
	Released string
	// Unreadable is told of a device whose record in the list cannot be read: it is listed, and nothing of it counts. It may be
	// called at once from several goroutines; nil: nobody is told.
	Unreadable func(id string, reason error)
}

// Adapter is one Kandji tenant. It is immutable.
type Adapter struct {
	source.Silent
	opts Options
}

var _ source.Inventory = (*Adapter)(nil)

// New makes an adapter; it asks nobody yet. The error names the option that is at fault.
func New(opts Options) (*Adapter, error) {
	if _, err := signals.NewAlias(signals.AliasVendor, opts.Name+"/a1"); err != nil || opts.Name == "" {
		return nil, fmt.Errorf("%q cannot name a source", opts.Name)
	}
	if opts.API == nil {
		return nil, errors.New("a kandji source needs an API to ask: Kandji delivers nothing")
	}
	if opts.Tables == nil {
		opts.Tables = Tables()
	}
	for i, table := range opts.Tables {
		if !slices.Contains(Tables(), table) || slices.Contains(opts.Tables[:i], table) {
			return nil, fmt.Errorf("tables: %q stands twice or is not read; there are %s", table, strings.Join(Tables(), ", "))
		}
	}
	for name, ids := range opts.Items {
		attribute, found := signals.LookupAttribute(name)
		if !found || attribute.Kind != signals.KindBool || len(ids) == 0 {
			return nil, fmt.Errorf("items: %q is no attribute that is true or false, or has no item", name)
		}
	}
	levels, _ := signals.LookupAttribute("threat_level")
	switch {
	case opts.AllItems && len(opts.Compliance) > 0:
		return nil, errors.New("allItems and compliance exclude each other")
	case !opts.Threats && (opts.Quiet || opts.Released != ""):
		return nil, errors.New("quiet and released say something of threats, which are not read")
	case opts.Released != "" && !slices.Contains(levels.Scale, opts.Released):
		return nil, fmt.Errorf("released is %q; it is one of %s", opts.Released, strings.Join(levels.Scale, ", "))
	}
	if opts.Unreadable == nil {
		opts.Unreadable = func(string, error) {}
	}
	return &Adapter{opts: opts}, nil
}

// idShape is Kandji's id of a device, in its one spelling.
var idShape = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// udidShape are the shapes that Apple gives a UDID: a UUID, 40 hex digits, or 8-16 hex digits.
var udidShape = regexp.MustCompile(`^([0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}|[0-9A-F]{40}|[0-9A-F]{8}-[0-9A-F]{16})$`)

// Alias implements source.Inventory. id is Kandji's device_id.
func (a *Adapter) Alias(id string) (signals.Alias, error) {
	if !idShape.MatchString(id) {
		return signals.Alias{}, fmt.Errorf("%.60q is no device of Kandji; its ids are UUIDs in small letters", id)
	}
	return signals.NewAlias(signals.AliasVendor, a.opts.Name+"/"+id)
}

// named begins an observation with the device's names. Placeholders, and what is malformed, identify nothing.
func (a *Adapter) named(id, serial, udid string) (signals.Observation, error) {
	own, err := a.Alias(id)
	if err != nil {
		return signals.Observation{}, err
	}
	o := signals.Observation{Aliases: []signals.Alias{own}}
	if alias, err := signals.NewAlias(signals.AliasSerial, serial); err == nil {
		o.Aliases = append(o.Aliases, alias)
	}
	if alias, err := signals.NewAlias(signals.AliasUUID, udid); err == nil && udidShape.MatchString(alias.Value) {
		o.Aliases = append(o.Aliases, alias)
	}
	return o, nil
}

// perDevice reports whether a listing asks for each device by itself.
func (a *Adapter) perDevice() bool { return a.opts.Details || a.wantsStatus() }

func (a *Adapter) wantsStatus() bool {
	return len(a.opts.Items) > 0 || len(a.opts.Compliance) > 0 || a.opts.AllItems
}
