// Package fleet is Fleet (fleetdm.com), osquery's server. Its webhooks are signed by nobody and say only that something
// happened to some hosts, so they are never read as data: each host that one names is asked for. What no webhook tells,
// above all that a host passes a policy again, is found by going through the list of hosts. The README beside this file
// shows how to connect one.
package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// Options say what a Fleet server is to us.
type Options struct {
	Name string      // the source's name in the settings
	Auth source.Auth // Fleet can send nothing but a URL: source.URLSecret
	// Client's base is the server, without /api; its credentials are an API-only user's token (source.Bearer).
	Client *source.Client
	// Policies says which of Fleet's policies, by id, tell which bool attribute. Several, because a policy is usually
	// written for one platform: those that a host has count, and the worst of them.
	Policies map[string][]int64
	// Compliance are the policies that make config_compliance; AllPolicies: each that a host has. Neither: none is stated.
	Compliance  []int64
	AllPolicies bool
	// Users are the sources of a host's device mapping that may name its user, the best first: mdm_idp_accounts, custom,
	// google_chrome_profiles (which whoever uses the browser chooses). Empty: the mapping is not asked for.
	Users []string
	// ListOnly leaves out the question for each host's details when the list is gone through. disk_encryption is then
	// known by a policy, or only of hosts that a webhook named.
	ListOnly bool
	// PerPage is how many hosts are listed at once; default 50, at most 500. Where each of them is asked for, a page is
	// cut so that it costs no more than 50 questions: a page must be had before whoever waits for it gives up.
	PerPage int
	// Unreadable is told of a host whose record in the list does not have Fleet's shape: it is listed, and nothing of it
	// counts. It may be called at once from several goroutines; nil: nobody is told.
	Unreadable func(id string, reason error)
}

const (
	defaultPage = 50
	maxPage     = 500
	maxAsked    = 50
)

// Adapter is one Fleet server. It is immutable.
type Adapter struct {
	opts Options
}

var _ source.Inventory = (*Adapter)(nil)

// New makes an adapter; it asks nobody yet. The error names the option that is at fault.
func New(opts Options) (*Adapter, error) {
	switch {
	case opts.Auth == nil:
		return nil, errors.New("a fleet source needs a secret in the URL that its webhooks are sent to")
	case opts.Client == nil:
		return nil, errors.New("a fleet source needs the server's URL and a token: its webhooks carry no posture")
	case opts.PerPage < 0 || opts.PerPage > maxPage:
		return nil, fmt.Errorf("%d hosts per page; give 1 to %d", opts.PerPage, maxPage)
	case opts.AllPolicies && len(opts.Compliance) > 0:
		return nil, errors.New("compliance is made by all policies or by the listed ones, not by both")
	}
	if opts.PerPage == 0 {
		opts.PerPage = defaultPage
	}
	each := 0 // questions for each host of a page
	if !opts.ListOnly {
		each++
	}
	if len(opts.Users) > 0 {
		each++
	}
	if each > 0 {
		opts.PerPage = min(opts.PerPage, maxAsked/each)
	}
	if opts.Unreadable == nil {
		opts.Unreadable = func(string, error) {}
	}
	for name, ids := range opts.Policies {
		attribute, found := signals.LookupAttribute(name)
		if !found || attribute.Kind != signals.KindBool {
			return nil, fmt.Errorf("policies: %q is no attribute that is true or false, so no policy can tell it", name)
		}
		if err := checkIDs(ids); err != nil || len(ids) == 0 {
			return nil, fmt.Errorf("policies: %s: give the ids of Fleet's policies, numbers from 1 on", name)
		}
	}
	if err := checkIDs(opts.Compliance); err != nil {
		return nil, fmt.Errorf("compliance: %w", err)
	}
	if _, err := signals.NewAlias(signals.AliasVendor, opts.Name+"/1"); err != nil || opts.Name == "" {
		return nil, fmt.Errorf("%q cannot name a source", opts.Name)
	}
	return &Adapter{opts: opts}, nil
}

func checkIDs(ids []int64) error {
	if slices.ContainsFunc(ids, func(id int64) bool { return id <= 0 }) {
		return errors.New("a policy's id is a number from 1 on")
	}
	return nil
}

// repeatable is how long the same bytes without a time in them are one delivery.
const repeatable = time.Hour

// Authenticate implements source.Adapter: the secret is in the URL, and the body is one JSON object with one reading.
// Fleet gives its deliveries no id, so it is a digest of the body.
func (a *Adapter) Authenticate(d source.Delivery, at time.Time) (string, error) {
	if err := a.opts.Auth.Authentic(d, at); err != nil {
		return "", err
	}
	err := source.CheckJSON(d.Body)
	if err == nil && !bytes.HasPrefix(bytes.TrimLeft(d.Body, " \t\r\n"), []byte("{")) {
		err = errors.New("the body is not a JSON object")
	}
	if err != nil {
		return "", &source.Refusal{
			Status: http.StatusBadRequest,
			Detail: "The body is not one JSON object that every reader understands alike, as Fleet sends it.",
			Reason: err,
		}
	}
	if hook, err := read(d.Body); err == nil && hook.dated() {
		return source.DigestID(d, 0), nil
	}
	return source.DigestID(d, repeatable), nil
}

// Alias implements source.Inventory. id is Fleet's number of the host.
func (a *Adapter) Alias(id string) (signals.Alias, error) {
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil || number <= 0 || strconv.FormatInt(number, 10) != id {
		return signals.Alias{}, fmt.Errorf("%.40q is no host of Fleet; its ids are numbers from 1 on", id)
	}
	return signals.NewAlias(signals.AliasVendor, a.opts.Name+"/"+id)
}
