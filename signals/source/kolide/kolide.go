// Package kolide is Kolide, sold as 1Password Device Trust. Its webhooks are signed, but carry no posture: each device that
// one names is asked for, and the list of devices is gone through for what was never delivered. The README beside this file
// shows how to connect one.
package kolide

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// Options say what a Kolide organisation is to us.
type Options struct {
	Name string // the source's name in the settings
	// Secrets are the webhook's signing secrets, as Kolide shows them; each of several counts, so that one can be rotated.
	Secrets []string
	// Window is how old an event may be. The signature covers no header and Kolide does not say how long it tries again, so
	// that this and the receiver's memory of ids are all that ends a replay. Default a day.
	Window time.Duration
	// Client's base is https://api.kolide.com; its credentials are an API key (source.Bearer), its header names a version of
	// the API.
	Client *source.Client
	// Checks says which checks, by id, tell which bool attribute. An open issue of one says that it is not so. Where there
	// is none the attribute is unknown, unless Passing says that the check runs on every device and so has passed.
	Checks  map[string][]string
	Passing bool
	// Users asks who the registered owner is.
	Users bool
	// Unreadable is told of a device whose record in the list does not have Kolide's shape: it is listed, and nothing of it
	// counts. It may be called at once from several goroutines; nil: nobody is told.
	Unreadable func(id string, reason error)
}

// DefaultWindow is the default of Options.Window; MaxWindow its bound: the memory of ids is shorter than any longer one.
const (
	DefaultWindow = 24 * time.Hour
	MaxWindow     = 96 * time.Hour
	ahead         = 5 * time.Minute // how far Kolide's clock may run before ours
)

// Adapter is one Kolide organisation. It is immutable.
type Adapter struct {
	opts Options
	auth source.HMAC
}

var _ source.Inventory = (*Adapter)(nil)

// New makes an adapter; it asks nobody yet. The error names the option that is at fault.
func New(opts Options) (*Adapter, error) {
	if len(opts.Secrets) == 0 || opts.Client == nil {
		return nil, errors.New("a kolide source needs its webhook's signing secret and an API key: its webhooks carry no posture")
	}
	auth := source.HMAC{Header: "Authorization", Secrets: opts.Secrets}
	if err := auth.Check(); err != nil {
		return nil, fmt.Errorf("the webhook: %w", err)
	}
	if opts.Window == 0 {
		opts.Window = DefaultWindow
	}
	if opts.Window < time.Minute || opts.Window > MaxWindow {
		return nil, fmt.Errorf("window is %s; give 1m to %s", opts.Window, MaxWindow)
	}
	for name, ids := range opts.Checks {
		attribute, found := signals.LookupAttribute(name)
		if !found || attribute.Kind != signals.KindBool {
			return nil, fmt.Errorf("checks: %q is no attribute that is true or false, so no check can tell it", name)
		}
		for _, id := range ids {
			if !isID(id) {
				return nil, fmt.Errorf("checks: %s: %.40q is no check's id, which is a number", name, id)
			}
		}
		if len(ids) == 0 {
			return nil, fmt.Errorf("checks: %s: give the ids of Kolide's checks", name)
		}
	}
	if _, err := signals.NewAlias(signals.AliasVendor, opts.Name+"/1"); err != nil || opts.Name == "" {
		return nil, fmt.Errorf("%q cannot name a source", opts.Name)
	}
	if opts.Unreadable == nil {
		opts.Unreadable = func(string, error) {}
	}
	return &Adapter{opts: opts, auth: auth}, nil
}

// Authenticate implements source.Adapter: Authorization is the hex of HMAC-SHA256 over the body, without a scheme
// (kolide.com/docs/developers/webhooks), and the event is no older than the window. The id is Kolide's own, which is signed.
func (a *Adapter) Authenticate(d source.Delivery, at time.Time) (string, error) {
	if err := a.auth.Authentic(d, at); err != nil {
		return "", err
	}
	refuse := func(detail string, reason error) (string, error) {
		return "", &source.Refusal{Status: http.StatusBadRequest, Detail: detail, Reason: reason}
	}
	e, err := read(d.Body)
	if err != nil {
		return refuse("The body is not one JSON object that every reader understands alike, as Kolide sends it.", err)
	}
	if !source.ValidID(e.ID) {
		return refuse("The event has no id.", fmt.Errorf("the event's id is %.60q", e.ID))
	}
	sent, err := source.Instant(e.Timestamp)
	if err != nil || sent.IsZero() {
		return refuse("The event has no timestamp.", fmt.Errorf("the event's timestamp is %.60s", e.Timestamp))
	}
	if age := at.Sub(sent); age > a.opts.Window || age < -ahead {
		return refuse("The event is too old, or from the future.",
			fmt.Errorf("the event is of %s, %s away; the window is %s", sent.Format(time.RFC3339), age.Round(time.Second), a.opts.Window))
	}
	return e.ID, nil
}

// event is what counts of an event's envelope.
type event struct {
	Event     string          `json:"event"`
	ID        string          `json:"id"`
	Timestamp json.RawMessage `json:"timestamp"`
	Data      struct {
		DeviceID json.RawMessage `json:"device_id"`
		Device   *struct {
			ID json.RawMessage `json:"id"`
		} `json:"device"`
	} `json:"data"`
}

func read(body []byte) (event, error) {
	var e event
	if err := source.CheckJSON(body); err != nil {
		return e, err
	}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return e, errors.New("the body is not a JSON object")
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return e, fmt.Errorf("the body does not have Kolide's shape: %w", err)
	}
	return e, nil
}

// pointing are the events that are about a device; silent are those that are not. Any other one is a dead letter: a new
// event may be about a device, and somebody should look.
var (
	pointing = map[string]bool{
		"devices.created": true, "devices.registered": true, "devices.destroyed": true, "devices.reassigned": true,
		"device_trust.status_changed": true, "issues.new": true, "issues.resolved": true, "failures.new": true,
		"failures.resolved": true,
	}
	silent = map[string]bool{
		"webhook.test": true, "auth_logs.success": true, "auth_logs.failure": true, "audit_log.recorded": true,
		"admin_users.created": true, "requests.created": true, "requests.approved": true, "requests.denied": true,
	}
)

// Points implements source.Inventory: the device that the event is about.
func (a *Adapter) Points(d source.Delivery) ([]string, error) {
	e, err := read(d.Body)
	switch {
	case err != nil:
		return nil, err
	case silent[e.Event]:
		return nil, nil
	case !pointing[e.Event]:
		return nil, fmt.Errorf("%.60q is no event of Kolide that is known here; if it is about devices, tell us", e.Event)
	}
	raw := e.Data.DeviceID
	if len(raw) == 0 && e.Data.Device != nil {
		raw = e.Data.Device.ID
	}
	id, err := deviceID(raw)
	if err != nil {
		return nil, fmt.Errorf("the event %s names no device: %w", e.Event, err)
	}
	return []string{id}, nil
}

// Observe implements source.Adapter. An event says that something happened, and nothing of a device's state.
func (a *Adapter) Observe(d source.Delivery) ([]signals.Observation, error) {
	_, err := a.Points(d)
	return nil, err
}

// deviceID reads an id, which is a number in webhooks and a text in the API.
func deviceID(raw json.RawMessage) (string, error) {
	var number int64
	if json.Unmarshal(raw, &number) == nil && number > 0 {
		return strconv.FormatInt(number, 10), nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil && isID(text) {
		return text, nil
	}
	return "", fmt.Errorf("%.40q is no id of Kolide, which is a number from 1 on", string(raw))
}

func isID(text string) bool {
	number, err := strconv.ParseInt(text, 10, 64)
	return err == nil && number > 0 && strconv.FormatInt(number, 10) == text
}

// Alias implements source.Inventory. id is Kolide's number of the device.
func (a *Adapter) Alias(id string) (signals.Alias, error) {
	if !isID(id) {
		return signals.Alias{}, fmt.Errorf("%.40q is no device of Kolide; its ids are numbers from 1 on", id)
	}
	return signals.NewAlias(signals.AliasVendor, a.opts.Name+"/"+id)
}
