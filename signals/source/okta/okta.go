// Package okta is an Okta organisation's inventory of devices, which Okta Verify fills. Its event hooks say that something
// happened to a device and carry no posture: each device that one names is asked for, and the list of devices is gone through
// for what was never delivered. The README beside this file shows how to connect one.
//
// Facts are dated by lastUpdated, the only instant of a record: when it was changed last, by whomever, and not when the device
// was last heard of.
package okta

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// Options say what an organisation is to us. Name and Client have no default.
type Options struct {
	Name string // of the source; part of its devices' names
	// Hook tells who may deliver events: Okta sends a static header with each. nil: nobody may.
	Hook source.Auth
	// Client's base is https://ORG.okta.com; its credentials are an API token behind the word SSWS (source.Word), or a
	// service app's (source.PrivateKeyJWT).
	Client *source.Client
	// PageSize is how many devices one page of the list has: 1 to 200, default 200.
	PageSize int
	// User says what enrolled_user is: UserLogin (the default) or UserEmail.
	User string
	// Encrypted are the words of diskEncryptionType that mean an encrypted disk; default DefaultEncrypted. NONE never does.
	Encrypted []string
	// Unreadable is told of a device whose record in the list does not have Okta's shape: it is listed, and nothing of it
	// counts. It may be called at once from several goroutines; nil: nobody is told.
	Unreadable func(id string, reason error)
}

// The readings of enrolled_user.
const (
	UserLogin = "login"
	UserEmail = "email"
)

// MaxPageSize is the API's own limit (developer.okta.com, "Devices API", List all devices).
const MaxPageSize = 200

// DefaultEncrypted are the words that mean that what users keep is encrypted: FULL and USER on Android and Apple's, and
// ALL_INTERNAL_VOLUMES. SYSTEM_VOLUME leaves other volumes open.
var DefaultEncrypted = []string{"FULL", "USER", "ALL_INTERNAL_VOLUMES"}

const notEncrypted = "NONE"

// Adapter is one organisation. It is immutable.
type Adapter struct {
	opts Options
}

var (
	_ source.Inventory = (*Adapter)(nil)
	_ source.Greeter   = (*Adapter)(nil)
)

// New makes an adapter; it asks nobody yet. The error names the option that is at fault.
func New(opts Options) (*Adapter, error) {
	opts.PageSize, opts.User = cmp.Or(opts.PageSize, MaxPageSize), cmp.Or(opts.User, UserLogin)
	if len(opts.Encrypted) == 0 {
		opts.Encrypted = DefaultEncrypted
	}
	if _, err := signals.NewAlias(signals.AliasVendor, opts.Name+"/1"); err != nil || opts.Name == "" {
		return nil, fmt.Errorf("%q cannot name a source", opts.Name)
	}
	switch {
	case opts.Client == nil:
		return nil, errors.New("an okta source needs a client: devices are asked for")
	case opts.PageSize < 1 || opts.PageSize > MaxPageSize:
		return nil, fmt.Errorf("pageSize is %d; it is 1 to %d", opts.PageSize, MaxPageSize)
	case opts.User != UserLogin && opts.User != UserEmail:
		return nil, fmt.Errorf("user is %.40q; it is %s or %s", opts.User, UserLogin, UserEmail)
	case slices.Contains(opts.Encrypted, notEncrypted) || slices.Contains(opts.Encrypted, ""):
		return nil, fmt.Errorf("encrypted: %s and the empty word do not mean an encrypted disk", notEncrypted)
	}
	opts.Encrypted = slices.Clone(opts.Encrypted)
	if opts.Unreadable == nil {
		opts.Unreadable = func(string, error) {}
	}
	return &Adapter{opts: opts}, nil
}

// isID knows Okta's ids, of which 20 letters and digits were seen: guo4a5u7YAHhjXrMK0g4.
func isID(id string) bool {
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// Alias implements source.Inventory. id is the device's; its letters have a case.
func (a *Adapter) Alias(id string) (signals.Alias, error) {
	if !isID(id) {
		return signals.Alias{}, fmt.Errorf("%.80q is no device of Okta; its ids are letters and digits", id)
	}
	return signals.NewAlias(signals.AliasVendor, a.opts.Name+"/"+id)
}

// Greet implements source.Greeter: before it delivers, Okta asks once by GET and wants its challenge back
// (developer.okta.com/docs/concepts/event-hooks, "One-time verification request"). The hook's own header comes with it.
func (a *Adapter) Greet(method string, d source.Delivery) (source.Greeting, bool, error) {
	if method != http.MethodGet || a.opts.Hook == nil {
		return source.Greeting{}, false, nil
	}
	if err := a.opts.Hook.Authentic(d, d.Received); err != nil {
		return source.Greeting{}, true, err
	}
	const name, most = "X-Okta-Verification-Challenge", 1024
	challenge := d.Header.Values(name)
	if len(challenge) != 1 || challenge[0] == "" || len(challenge[0]) > most {
		return source.Greeting{}, true, &source.Refusal{Status: http.StatusBadRequest,
			Detail: "Send X-Okta-Verification-Challenge once: a GET is Okta's verification, or nothing."}
	}
	body, err := json.Marshal(map[string]string{"verification": challenge[0]})
	if err != nil {
		return source.Greeting{}, true, &source.Refusal{Status: http.StatusBadRequest, Detail: "The challenge cannot be echoed.", Reason: err}
	}
	return source.Greeting{Status: http.StatusOK, ContentType: "application/json", Body: body}, true, nil
}

// Authenticate implements source.Adapter. Okta signs nothing. The id is that of the bytes: eventId would do as well, but that a
// repetition has the bytes of the first attempt is not documented, and what only points may be dealt with twice.
func (a *Adapter) Authenticate(d source.Delivery, at time.Time) (string, error) {
	if a.opts.Hook == nil {
		return "", &source.Refusal{Status: http.StatusUnauthorized, Challenge: "None",
			Detail: "This source takes no events: its settings name no header that Okta's event hook sends."}
	}
	if err := a.opts.Hook.Authentic(d, at); err != nil {
		return "", err
	}
	if _, err := read(d.Body); err != nil {
		return "", &source.Refusal{Status: http.StatusBadRequest, Reason: err,
			Detail: "The body is not one JSON object that every reader understands alike, as Okta's event hooks send it."}
	}
	return source.DigestID(d, 0), nil
}
