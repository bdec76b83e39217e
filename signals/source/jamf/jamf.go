// Package jamf reads Jamf Pro (https://developer.jamf.com): its webhooks, which only say that something happened to a
// device, and its API, which says what is known of it. The README beside this file tells how to connect it.
//
// Facts are dated by the inventory that they come from (general.reportDate of a computer,
// general.lastInventoryUpdateDate of a mobile device), never by the webhook or the last contact: a Mac checks in
// every 15 minutes and may have been looked at a week ago.
package jamf

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// API is how the server is asked; *source.Client is one.
type API interface {
	// GetJSON answers with a JSON value that has one reading. It wraps source.ErrGone where there is no such thing, and
	// *source.Busy where it is to be asked later.
	GetJSON(ctx context.Context, path string, query url.Values) ([]byte, error)
}

// The readings of enrolled_user.
const (
	UserEmail           = "email"           // the e-mail address; a record without one names no user
	UserName            = "username"        // the user name
	UserEmailOrUsername = "emailOrUsername" // the address, and where it is empty the user name
)

// Groups are the ids of the groups (as in the URL of the group's page) from whose members config_compliance is
// read. Jamf Pro has no verdict of its own.
type Groups struct {
	// Compliant: a device that is in all of them, and in none of Noncompliant, is compliant; one that is not is
	// noncompliant. Without any, nobody is compliant: of a deleted group of bad devices nobody is a member.
	Compliant []string
	// Noncompliant: a device that is in any of them is noncompliant.
	Noncompliant []string
}

// Options are the settings of one server. Name, Auth and API have no default.
type Options struct {
	Name string // of the source; part of its devices' names
	Auth source.Auth
	API  API

	// ComputersAPI is the version of /api/vN/computers-inventory: v1 (the default), v2, v3 or v4. Jamf retires old ones.
	ComputersAPI string
	// Kinds of devices to ask for: KindComputer, KindMobile; default both.
	Kinds []string
	// PageSize is how many devices one page of a listing has: 1 to 2000, default 200.
	PageSize int
	// User says what enrolled_user is; default UserEmail.
	User string
	// ComputerGroups and MobileGroups: the two have ids of their own.
	ComputerGroups, MobileGroups Groups
	// Ownership says what a word of deviceOwnershipType means (corporate, byod, shared, contractor) where it differs from
	// the README's table. AccountDrivenDeviceEnrollment is unknown unless it is said here.
	Ownership map[string]string
	// Unreadable is told of a device of whose record nothing is known, because the time of its inventory cannot be
	// read; nil: nobody is. It may be called at once by several.
	Unreadable func(id string, reason error)
}

// Adapter is one Jamf Pro server. It is immutable.
type Adapter struct {
	options Options
	groups  map[string]Groups // by kind
}

var _ source.Inventory = (*Adapter)(nil)

const (
	defaultPage = 200
	maxPage     = 2000 // the API's own limit
)

// New makes an adapter. It asks nobody yet.
func New(options Options) (*Adapter, error) {
	options.ComputersAPI = cmp.Or(options.ComputersAPI, "v1")
	options.PageSize = cmp.Or(options.PageSize, defaultPage)
	options.User = cmp.Or(options.User, UserEmail)
	if len(options.Kinds) == 0 {
		options.Kinds = []string{KindComputer, KindMobile}
	}
	switch {
	case options.Name == "" || options.Auth == nil || options.API == nil:
		return nil, errors.New("a jamf source needs a name, a way to authenticate deliveries, and an API to ask")
	case !slices.Contains([]string{"v1", "v2", "v3", "v4"}, options.ComputersAPI):
		return nil, fmt.Errorf("computersAPI is %q; it is v1, v2, v3 or v4", options.ComputersAPI)
	case options.PageSize < 1 || options.PageSize > maxPage:
		return nil, fmt.Errorf("pageSize is %d; it is 1 to %d", options.PageSize, maxPage)
	case !slices.Contains([]string{UserEmail, UserName, UserEmailOrUsername}, options.User):
		return nil, fmt.Errorf("user is %q; it is %s, %s or %s", options.User, UserEmail, UserName, UserEmailOrUsername)
	}
	for i, kind := range options.Kinds {
		if slices.Contains(options.Kinds[:i], kind) {
			return nil, fmt.Errorf("the kind of device %s stands twice", kind)
		}
		if kind != KindComputer && kind != KindMobile {
			return nil, fmt.Errorf("%q is no kind of device; there are %s and %s", kind, KindComputer, KindMobile)
		}
	}
	ownership, _ := signals.LookupAttribute("ownership")
	for word, meaning := range options.Ownership {
		if !slices.Contains(ownership.Scale, meaning) {
			return nil, fmt.Errorf("ownership of %q is %q; it is one of %s", word, meaning,
				strings.Join(ownership.Scale, ", "))
		}
	}
	groups := map[string]Groups{KindComputer: options.ComputerGroups, KindMobile: options.MobileGroups}
	for kind, g := range groups {
		for _, id := range slices.Concat(g.Compliant, g.Noncompliant) {
			if !isID(id) {
				return nil, fmt.Errorf("%q is no id of a %s group; it is the number in the URL of the group's page", id, kind)
			}
		}
	}
	return &Adapter{options: options, groups: groups}, nil
}

// Authenticate implements source.Adapter. Jamf Pro gives its deliveries no id (webhook.id is that of the webhook's
// settings). What carries its time in milliseconds is named by its bytes; what does not, from old servers, is never
// taken for a repetition: to ask once more costs little, and the same bytes mean something new each time.
func (a *Adapter) Authenticate(d source.Delivery, at time.Time) (string, error) {
	if err := a.options.Auth.Authentic(d, at); err != nil {
		return "", err
	}
	if err := oneReading(d.Body); err != nil {
		return "", &source.Refusal{Status: http.StatusBadRequest, Reason: err,
			Detail: "The body is not one JSON object or XML document that every reader understands alike. " +
				"Send what Jamf Pro sends, unchanged."}
	}
	e, err := parseEvent(d.Body)
	if err == nil && !e.at.IsZero() {
		return source.DigestID(d, 0), nil
	}
	return source.DigestID(d, time.Nanosecond), nil
}

// oneReading checks the envelope's bytes. A body that begins with < is XML, whatever Content-Type says: a webhook's
// content type is a setting of its own.
func oneReading(body []byte) error {
	if isXML(body) {
		return source.CheckXML(body, xmlLists...)
	}
	if err := source.CheckJSON(body); err != nil {
		return err
	}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return errors.New("the body is not a JSON object")
	}
	return nil
}

// Observe implements source.Adapter. Of all events only MobileDeviceUnEnrolled is a statement of its own, and one that
// makes nothing healthier: the device is managed no longer. Everything else is asked for.
func (a *Adapter) Observe(d source.Delivery) ([]signals.Observation, error) {
	e, err := parseEvent(d.Body)
	if err != nil {
		return nil, err
	}
	if e.what != unenrolled || e.at.IsZero() {
		return nil, nil
	}
	aliases, err := a.aliases(KindMobile, e.device, textOf(e.body["serialNumber"]), textOf(e.body["udid"]))
	if err != nil {
		return nil, err
	}
	if len(aliases) < 2 {
		return nil, nil // the number alone would make a device that the answer of the API cannot be joined to
	}
	fact := func(attribute string, value signals.Value) signals.Fact {
		return signals.Fact{Attribute: attribute, Value: value, Path: "webhook.webhookEvent", Observed: e.at}
	}
	return []signals.Observation{{Aliases: aliases, Facts: []signals.Fact{
		fact("lifecycle", signals.Text("removed")), fact("mdm_managed", signals.Bool(false)),
	}}}, nil
}

// Points implements source.Inventory. A change of a group points at its devices if config_compliance is read from that
// group; nothing else that is read depends on groups.
func (a *Adapter) Points(d source.Delivery) ([]string, error) {
	e, err := parseEvent(d.Body)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(a.options.Kinds, e.kind) {
		return nil, nil
	}
	switch e.what {
	case nothing:
	case device, unenrolled:
		return []string{vendorID(e.kind, e.device)}, nil
	case group:
		groups := a.groups[e.kind]
		if !slices.Contains(groups.Compliant, e.group) && !slices.Contains(groups.Noncompliant, e.group) {
			return nil, nil
		}
		var ids []string
		for _, member := range e.members {
			ids = append(ids, vendorID(e.kind, member))
		}
		return ids, nil
	}
	return nil, nil
}
