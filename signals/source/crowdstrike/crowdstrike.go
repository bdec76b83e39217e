// Package crowdstrike is CrowdStrike Falcon: its hosts and, with Zero Trust Assessment, what the sensor finds of them. A
// webhook of a workflow points at hosts, whatever its author wrote into it; each is asked for, and all hosts are listed. The
// README beside this file shows how to connect it.
package crowdstrike

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/mapping"
)

// Options say what a Falcon customer is to us.
type Options struct {
	Name string // the source's name in the settings
	// Secrets are the webhook's HMAC secrets; each of several counts, so that one can be rotated. None: no delivery is taken,
	// and hosts are only listed.
	Secrets []string
	// Signed says what the webhook signs and how it spells it, since receivers of it disagree: SignedBodyTimestamp (base64,
	// the default) or SignedTimestampBody (hex).
	Signed string
	// SignatureHeader and TimestampHeader are where they stand; defaults X-CS-Primary-Signature and X-CS-Delivery-Timestamp.
	SignatureHeader, TimestampHeader string
	Window                           time.Duration // how far the timestamp may be from our clock; default 5 minutes
	// Points are the paths (mapping.Path) at which a workflow's body names hosts; default DefaultPoints.
	Points []string
	// Client's base is the cloud of the customer, such as https://api.us-2.crowdstrike.com.
	Client *source.Client
	// Assessments asks for the Zero Trust Assessment of each host.
	Assessments bool
	// Signals says which signals of an assessment, by signal_id, tell which bool attribute; several, since a signal is of one
	// platform: those that a host has count, and the worst of them. Default DefaultSignals.
	Signals map[string][]string
	// PageSize is how many hosts are listed at once, 1 to 500; default 100.
	PageSize int
	// Unreadable is told of a host whose record does not have Falcon's shape: it is listed, and nothing of it counts. It may
	// be called at once from several goroutines; nil: nobody is told.
	Unreadable func(id string, reason error)
}

// The words of Options.Signed.
const (
	SignedBodyTimestamp = source.SignedBodyTimestamp
	SignedTimestampBody = source.SignedTimestampBody
)

// DefaultPoints are where bodies of workflows and rows of Event Streams have been seen to name a host.
var DefaultPoints = []string{"device_id", "aid", "agent_id", "device.device_id", "data.device_id", "event.AgentId"}

// DefaultSignals are the signals whose meaning is known, all of macOS.
var DefaultSignals = map[string][]string{
	"disk_encryption": {"file_vault_enabled_mac"}, "firewall": {"application_firewall_mac"},
}

const (
	defaultPage = 100
	maxPage     = 500
)

// Adapter is one customer. It is immutable.
type Adapter struct {
	opts   Options
	auth   source.HMAC
	points []mapping.Path
}

var _ source.Inventory = (*Adapter)(nil)

// New makes an adapter; it asks nobody yet. The error names the option that is at fault.
func New(opts Options) (*Adapter, error) {
	if opts.Client == nil {
		return nil, errors.New("a crowdstrike source needs the URL of its cloud and an API client: its webhooks carry no posture")
	}
	if opts.PageSize == 0 {
		opts.PageSize = defaultPage
	}
	if opts.PageSize < 1 || opts.PageSize > maxPage {
		return nil, fmt.Errorf("pageSize is %d; give 1 to %d", opts.PageSize, maxPage)
	}
	if _, err := signals.NewAlias(signals.AliasVendor, opts.Name+"/a1"); err != nil || opts.Name == "" {
		return nil, fmt.Errorf("%q cannot name a source", opts.Name)
	}
	if opts.Signals == nil {
		opts.Signals = DefaultSignals
	}
	for name, ids := range opts.Signals {
		attribute, found := signals.LookupAttribute(name)
		if !found || attribute.Kind != signals.KindBool {
			return nil, fmt.Errorf("signals: %q is no attribute that is true or false, so no signal can tell it", name)
		}
		if len(ids) == 0 || slices.Contains(ids, "") {
			return nil, fmt.Errorf("signals: %s: give the ids of Falcon's signals", name)
		}
	}
	if opts.Unreadable == nil {
		opts.Unreadable = func(string, error) {}
	}
	a := &Adapter{opts: opts}
	return a, a.deliveries()
}

// deliveries reads what is said of the webhook.
func (a *Adapter) deliveries() error {
	points := a.opts.Points
	if len(points) == 0 {
		points = DefaultPoints
	}
	for _, text := range points {
		path, err := mapping.ParsePath(text)
		if err != nil {
			return fmt.Errorf("points: %w", err)
		}
		a.points = append(a.points, path)
	}
	if len(a.opts.Secrets) == 0 {
		return nil
	}
	a.auth = source.HMAC{Header: a.opts.SignatureHeader, TimestampHeader: a.opts.TimestampHeader, Signed: a.opts.Signed,
		Window: a.opts.Window, Secrets: a.opts.Secrets}
	if a.auth.Header == "" {
		a.auth.Header = "X-CS-Primary-Signature"
	}
	if a.auth.TimestampHeader == "" {
		a.auth.TimestampHeader = "X-CS-Delivery-Timestamp"
	}
	switch a.auth.Signed {
	case "", SignedBodyTimestamp:
		a.auth.Signed, a.auth.Encoding = SignedBodyTimestamp, "base64"
	case SignedTimestampBody:
		a.auth.Encoding = "hex"
	default:
		return fmt.Errorf("signed is %q; it is %s or %s", a.opts.Signed, SignedBodyTimestamp, SignedTimestampBody)
	}
	if err := a.auth.Check(); err != nil {
		return fmt.Errorf("the webhook: %w", err)
	}
	return nil
}

// Authenticate implements source.Adapter: an HMAC-SHA256 over body and timestamp, as Options.Signed says. Falcon gives its
// deliveries no id, so it is a digest of the body and of the timestamp, which is signed: a workflow may send the same body
// for another event.
func (a *Adapter) Authenticate(d source.Delivery, at time.Time) (string, error) {
	if len(a.opts.Secrets) == 0 {
		return source.Silent{}.Authenticate(d, at)
	}
	if err := a.auth.Authentic(d, at); err != nil {
		return "", err
	}
	if err := source.CheckJSON(d.Body); err != nil {
		return "", &source.Refusal{Status: http.StatusBadRequest, Reason: err,
			Detail: "The body is not one JSON value that every reader understands alike."}
	}
	signed := d
	signed.Body = slices.Concat(d.Body, []byte("\n"+d.Header.Get(a.auth.TimestampHeader)))
	return source.DigestID(signed, 0), nil
}

// Observe implements source.Adapter. What a workflow writes is its author's, and no word of the sensor's.
func (a *Adapter) Observe(d source.Delivery) ([]signals.Observation, error) {
	_, err := a.Points(d)
	return nil, err
}

// hostID is how Falcon writes a host's id (device_id, aid): 32 hex digits.
var hostID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Points implements source.Inventory: the hosts that the body names at one of the paths.
func (a *Adapter) Points(d source.Delivery) ([]string, error) {
	if err := source.CheckJSON(d.Body); err != nil {
		return nil, err
	}
	var ids []string
	for _, path := range a.points {
		texts, err := path.Texts(d.Body)
		if err != nil {
			return nil, err
		}
		for _, text := range texts {
			if text = strings.ToLower(text); !hostID.MatchString(text) {
				return nil, fmt.Errorf("at %s stands %.60q, which is no id of a host (32 hex digits)", path, text)
			}
			ids = append(ids, text)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("the body names no host at any of %s; write in points where your workflow puts its id",
			strings.Join(a.paths(), ", "))
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

func (a *Adapter) paths() []string {
	var texts []string
	for _, path := range a.points {
		texts = append(texts, path.String())
	}
	return texts
}

// Alias implements source.Inventory. id is Falcon's device_id.
func (a *Adapter) Alias(id string) (signals.Alias, error) {
	if !hostID.MatchString(id) {
		return signals.Alias{}, fmt.Errorf("%.60q is no host of Falcon; its ids have 32 hex digits", id)
	}
	return signals.NewAlias(signals.AliasVendor, a.opts.Name+"/"+id)
}

// noErrors reads the errors member of an answer, which is [] or null where there are none.
func noErrors(raw []byte) error {
	switch text := string(bytes.TrimSpace(raw)); text {
	case "", "null", "[]":
		return nil
	default:
		return fmt.Errorf("falcon answers with errors: %.200s", text)
	}
}
