// Package workspaceone is Workspace ONE UEM, formerly AirWatch. Its event notifications only say that something happened to a
// device, not even when they are named Compromised Status Changed; each device that one names is asked for, and the search goes
// through all. The README beside this file shows how to connect one.
//
// Facts are dated by the member of the record that tells when that was looked at: LastComplianceCheckOn,
// LastCompromisedCheckOn, else LastSeen; never by an event.
package workspaceone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// API is how the console is asked; *source.Client is one.
type API interface {
	// GetJSON answers with a JSON value that has one reading, or with nil where the answer is a 204. It wraps source.ErrGone
	// where there is no such thing, and *source.Busy where it is to be asked later.
	GetJSON(ctx context.Context, path string, query url.Values) ([]byte, error)
}

// The readings of enrolled_user.
const (
	UserEmail = "email"    // UserEmailAddress
	UserName  = "username" // UserName
)

// The members of a device's record that may tell whether its disk is encrypted.
const (
	EncryptionYN = "DataEncryptionYN"
	Encryption   = "DataEncrypted"
)

// Options say what a console is to us. Name, Auth and API have no default.
type Options struct {
	Name string // of the source; part of its devices' names
	Auth source.Auth
	// API's base is the API server, https://asNNN.awmdm.com; its headers are aw-tenant-code and an Accept that names the
	// version.
	API API
	// PageSize is how many devices one page of the search has: 1 to 500, default 500.
	PageSize int
	// Group is the number of an organization group (lgid): only it and those below it are listed; empty: all that the account
	// may see.
	Group string
	// User says what enrolled_user is; default UserEmail.
	User string
	// Ownership says what a word of Ownership means (corporate, shared, byod, contractor) where it differs from the README's
	// table, or is not in it.
	Ownership map[string]string
	// Encryption is the member that disk_encryption is read from: EncryptionYN or Encryption; empty: none is. What it is about
	// differs by platform and is nowhere documented.
	Encryption string
	// Unreadable is told of a device whose record in the list cannot be read: it is listed, and nothing of it counts. It may be
	// called at once from several goroutines; nil: nobody is told.
	Unreadable func(id string, reason error)
}

// Adapter is one console. It is immutable.
type Adapter struct {
	opts Options
}

var (
	_ source.Inventory = (*Adapter)(nil)
	_ source.Greeter   = (*Adapter)(nil)
)

const maxPage = 500 // the API's own limit

// ownerships are the words that were seen and whose meaning is plain. Undefined, S and the others are unknown.
var ownerships = map[string]string{
	"C": "corporate", "CORPORATE": "corporate", "CorporateDedicated": "corporate", "E": "byod",
}

// New makes an adapter; it asks nobody yet. The error names the option that is at fault.
func New(opts Options) (*Adapter, error) {
	opts.PageSize = cmp.Or(opts.PageSize, maxPage)
	opts.User = cmp.Or(opts.User, UserEmail)
	if _, err := signals.NewAlias(signals.AliasVendor, opts.Name+"/1"); err != nil || opts.Name == "" {
		return nil, fmt.Errorf("%q cannot name a source", opts.Name)
	}
	switch {
	case opts.Auth == nil || opts.API == nil:
		return nil, errors.New("a workspace-one source needs a way to authenticate events, and an API to ask: events carry no posture")
	case opts.PageSize < 1 || opts.PageSize > maxPage:
		return nil, fmt.Errorf("pageSize is %d; it is 1 to %d", opts.PageSize, maxPage)
	case opts.Group != "" && !isID(opts.Group):
		return nil, fmt.Errorf("organizationGroup is %.40q; it is the number of the group", opts.Group)
	case opts.User != UserEmail && opts.User != UserName:
		return nil, fmt.Errorf("user is %q; it is %s or %s", opts.User, UserEmail, UserName)
	case opts.Encryption != "" && opts.Encryption != EncryptionYN && opts.Encryption != Encryption:
		return nil, fmt.Errorf("encryption is %q; it is %s or %s", opts.Encryption, EncryptionYN, Encryption)
	}
	scale, _ := signals.LookupAttribute("ownership")
	for word, meaning := range opts.Ownership {
		if word == "" || !slices.Contains(scale.Scale, meaning) {
			return nil, fmt.Errorf("ownership of %q is %q; it is one of %s", word, meaning, strings.Join(scale.Scale, ", "))
		}
	}
	if opts.Unreadable == nil {
		opts.Unreadable = func(string, error) {}
	}
	return &Adapter{opts: opts}, nil
}

// Greet implements source.Greeter: the console's Test Connection is a GET with the same credentials, and wants 200.
func (a *Adapter) Greet(method string, d source.Delivery) (source.Greeting, bool, error) {
	if method != http.MethodGet {
		return source.Greeting{}, false, nil
	}
	if err := a.opts.Auth.Authentic(d, d.Received); err != nil {
		return source.Greeting{}, false, err
	}
	return source.Greeting{Status: http.StatusOK}, true, nil
}

// Authenticate implements source.Adapter. An event has no id of its own (EventId is the number of its type), so device, type and
// time are it. One without its time is never taken for a repetition.
func (a *Adapter) Authenticate(d source.Delivery, at time.Time) (string, error) {
	if err := a.opts.Auth.Authentic(d, at); err != nil {
		return "", err
	}
	fields, err := read(d.Body)
	if err != nil {
		return "", &source.Refusal{Status: http.StatusBadRequest, Reason: err,
			Detail: "The body is not one JSON object or <Eventlog> that every reader understands alike. " +
				"Send what Workspace ONE UEM sends, unchanged."}
	}
	e, err := fields.event()
	if err != nil || e.at.IsZero() {
		return source.DigestID(d, time.Nanosecond), nil
	}
	d.Body = fmt.Appendf(nil, "%s\n%s\n%s", e.device, e.kind, e.at.UTC().Format(time.RFC3339Nano))
	return source.DigestID(d, 0), nil
}

// Points implements source.Inventory: the device of the event. Every type of event points, also one that is not known here:
// what it means for the device, the device's record tells.
func (a *Adapter) Points(d source.Delivery) ([]string, error) {
	fields, err := read(d.Body)
	if err != nil {
		return nil, err
	}
	e, err := fields.event()
	if err != nil {
		return nil, err
	}
	return []string{e.device}, nil
}

// Observe implements source.Adapter. An event says that something happened, and nothing of a device's state.
func (a *Adapter) Observe(d source.Delivery) ([]signals.Observation, error) {
	_, err := a.Points(d)
	return nil, err
}

// isID takes the numbers that the console counts by, in their one spelling.
func isID(text string) bool {
	number, err := strconv.ParseInt(text, 10, 64)
	return err == nil && number > 0 && strconv.FormatInt(number, 10) == text
}

// Alias implements source.Inventory. id is the console's number of the device.
func (a *Adapter) Alias(id string) (signals.Alias, error) {
	if !isID(id) {
		return signals.Alias{}, fmt.Errorf("%.40q is no device of Workspace ONE; its ids are numbers from 1 on", id)
	}
	return signals.NewAlias(signals.AliasVendor, a.opts.Name+"/"+id)
}

// udidShape are the shapes of a UDID: 32 hex digits, written as a UUID here, or those of iOS. Old servers write System.Byte[].
var udidShape = regexp.MustCompile(`^([0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}|[0-9A-F]{40}|[0-9A-F]{8}-?[0-9A-F]{16})$`)
