// Package intune is Microsoft Intune. It sends no webhook of a managed device, so Microsoft Graph is asked for all of
// them; Graph's notifications of users, and rows of an Event Hub that somebody passes on, say sooner that something
// happened. The README beside this file shows how to connect one.
package intune

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// Options say what a tenant of Intune is to us.
type Options struct {
	Name string // the source's name in the settings
	// Client's base is https://graph.microsoft.com, or that of a national cloud.
	Client *source.Client
	// Tenant is the tenant's GUID or domain. What says that it is of another GUID does not count.
	Tenant string
	// Beta asks the API's version beta, which alone has managementState, udid and managementCertificateExpirationDate;
	// else v1.0 is asked.
	Beta bool
	// Forwarder tells who may deliver rows of an Event Hub; nil: nobody.
	Forwarder source.Auth
	// ClientStates are the secrets of subscriptions to Graph; each of several counts, so that one can be rotated. None: no
	// notification is taken. InURL, if not nil, must find the URL of a notification right as well.
	ClientStates []string
	InURL        source.Auth
	// Token believes one validation token at an instant (Publisher says what it must show) or says why not; an error that
	// wraps ErrNotNow is no judgement. nil: none can be believed.
	Token func(token string, at time.Time) error
	// Policies says which compliance policies, by id, tell which bool attribute: a device that is compliant with one has
	// it.
	Policies map[string][]string
	// SecureBootOn and SecureBootOff are the words of deviceHealthAttestationState.secureBoot, in any case; Microsoft does
	// not list them. Without any, secure_boot is not said.
	SecureBootOn, SecureBootOff []string
	// Email has enrolled_user come from emailAddress, else it comes from userPrincipalName.
	Email bool
	// Unreadable is told of a device whose record in a list does not have Intune's shape: it is listed, and nothing of it
	// counts. It may be called at once from several goroutines; nil: nobody is told.
	Unreadable func(id string, reason error)
}

// MinClientState and MaxClientState bound a clientState: what can be guessed is none, and Graph takes no more than 128
// characters (learn.microsoft.com/graph/api/resources/subscription).
const (
	MinClientState = 16
	MaxClientState = 128
)

// Adapter is one tenant. It is immutable.
type Adapter struct {
	opts     Options
	policies []policy
	boot     map[string]signals.Value
}

// policy is a compliance policy that tells an attribute.
type policy struct {
	attribute signals.Attribute
	id        string
}

var (
	_ source.Inventory = (*Adapter)(nil)
	_ source.Greeter   = (*Adapter)(nil)
	_ source.Relister  = (*Adapter)(nil)
	_ source.Redactor  = (*Adapter)(nil)
)

// New makes an adapter; it asks nobody yet. The error names the option that is at fault.
func New(opts Options) (*Adapter, error) {
	if opts.Client == nil {
		return nil, errors.New("an intune source needs a client: devices are asked for")
	}
	if _, err := signals.NewAlias(signals.AliasVendor, opts.Name+"/1"); err != nil || opts.Name == "" {
		return nil, fmt.Errorf("%q cannot name a source", opts.Name)
	}
	for i, state := range opts.ClientStates {
		if len(state) < MinClientState || len(state) > MaxClientState {
			return nil, fmt.Errorf("client state %d has %d bytes; make one of %d to %d: openssl rand -hex 32", i, len(state),
				MinClientState, MaxClientState)
		}
	}
	a := &Adapter{opts: opts, boot: map[string]signals.Value{}}
	for _, name := range slices.Sorted(maps.Keys(opts.Policies)) {
		attribute, found := signals.LookupAttribute(name)
		if !found || attribute.Kind != signals.KindBool {
			return nil, fmt.Errorf("policies: %q is no attribute that is true or false, so no policy can tell it", name)
		}
		if len(opts.Policies[name]) == 0 {
			return nil, fmt.Errorf("policies: %s: give the ids of compliance policies", name)
		}
		for _, id := range opts.Policies[name] {
			if !isGUID(id) {
				return nil, fmt.Errorf("policies: %s: %.60q is no id of a policy, which is a GUID", name, id)
			}
			a.policies = append(a.policies, policy{attribute, strings.ToLower(id)})
		}
	}
	for _, word := range opts.SecureBootOn {
		a.boot[strings.ToLower(word)] = signals.Bool(true)
	}
	for _, word := range opts.SecureBootOff { // a word that stands in both is no good one
		a.boot[strings.ToLower(word)] = signals.Bool(false)
	}
	if a.opts.Unreadable == nil {
		a.opts.Unreadable = func(string, error) {}
	}
	return a, nil
}

// userPrefix is before the id of a user, all of whose devices are asked for.
const userPrefix = "user/"

var guid = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

func isGUID(text string) bool { return guid.MatchString(text) }

// Alias implements source.Inventory. id is the GUID of a managed device, in any case; or user/ and a GUID, whose name
// no device carries.
func (a *Adapter) Alias(id string) (signals.Alias, error) {
	if !isGUID(strings.TrimPrefix(id, userPrefix)) {
		return signals.Alias{}, fmt.Errorf("%.80q is no device of Intune; its ids are GUIDs", id)
	}
	return signals.NewAlias(signals.AliasVendor, a.opts.Name+"/"+strings.ToLower(id))
}

// Authenticate implements source.Adapter. Rows must come from the forwarder. Of notifications at least one must carry a
// client state of ours; where none does, the refusal has status 202, because Graph stops sending to whom it finds down
// (learn.microsoft.com/graph/change-notifications-delivery-webhooks, "Processing the change notification").
func (a *Adapter) Authenticate(d source.Delivery, at time.Time) (string, error) {
	forwarded := a.forwarded(d, at)
	b, err := read(d.Body)
	switch {
	case err != nil && forwarded == nil:
		return "", &source.Refusal{Status: http.StatusBadRequest, Reason: err,
			Detail: "The body is not one JSON object that every reader understands alike, as Graph or an Event Hub sends it."}
	case err != nil || b.Value == nil:
		if forwarded != nil {
			return "", forwarded
		}
		return source.DigestID(d, 0), nil
	case len(a.opts.ClientStates) == 0:
		return "", &source.Refusal{Status: http.StatusUnauthorized, Challenge: "None",
			Detail: "This source takes no notifications of Microsoft Graph: its settings name no client state."}
	}
	if a.opts.InURL != nil {
		if err := a.opts.InURL.Authentic(d, at); err != nil {
			return "", err
		}
	}
	if len(a.ours(*b.Value)) == 0 {
		return "", &source.Refusal{Status: http.StatusAccepted, Detail: "Accepted.",
			Reason: errors.New("no notification has a client state of this source, so nothing counts")}
	}
	if err := a.believe(b.Tokens, at); err != nil {
		return "", err
	}
	return source.DigestID(d, again), nil
}

// again is how long equal notifications are one: a user that changes once more is told of in the same bytes.
const again = time.Second

func (a *Adapter) forwarded(d source.Delivery, at time.Time) error {
	if a.opts.Forwarder == nil {
		return &source.Refusal{Status: http.StatusUnauthorized, Challenge: "None",
			Detail: "This source takes no rows of an Event Hub: its settings name nobody who may deliver them."}
	}
	return a.opts.Forwarder.Authentic(d, at)
}

// isState compares with every client state, in a time that tells nothing of them.
func (a *Adapter) isState(given string) bool {
	sum, found := sha256.Sum256([]byte(given)), 0
	for _, state := range a.opts.ClientStates {
		want := sha256.Sum256([]byte(state))
		found |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	return found == 1
}

// maxToken bounds what is echoed to Graph.
const maxToken = 1024

// Greet implements source.Greeter: a subscription is made only after POST ?validationToken=… was answered with that
// token as text/plain (learn.microsoft.com/graph/change-notifications-delivery-webhooks, "notificationUrl validation").
// Anybody may ask; what is echoed is one line of printable ASCII without anything that could begin markup.
func (a *Adapter) Greet(method string, d source.Delivery) (source.Greeting, bool, error) {
	tokens, asked := d.Query["validationToken"]
	if method != http.MethodPost || !asked || len(a.opts.ClientStates) == 0 {
		return source.Greeting{}, false, nil
	}
	if a.opts.InURL != nil {
		if err := a.opts.InURL.Authentic(d, d.Received); err != nil {
			return source.Greeting{}, false, err
		}
	}
	odd := func(r rune) bool { return r < ' ' || r > '~' || r == '<' || r == '>' }
	if len(tokens) != 1 || tokens[0] == "" || len(tokens[0]) > maxToken || strings.ContainsFunc(tokens[0], odd) {
		return source.Greeting{}, false, &source.Refusal{Status: http.StatusBadRequest,
			Detail: fmt.Sprintf("Send one validationToken of 1 to %d printable characters.", maxToken)}
	}
	return source.Greeting{Status: http.StatusOK, ContentType: "text/plain; charset=utf-8",
		Body: []byte(tokens[0])}, true, nil
}
