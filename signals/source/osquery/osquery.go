// Package osquery is the server of osquery's TLS plugins (osquery.readthedocs.io, "Remotely interfacing osquery"): devices
// enrol, are given a schedule of snapshot queries, and log what these find. All of it is a device's own word on itself. The
// README beside this file shows how to connect one.
//
// Nothing is kept of an enrolment: the node key is the names that the device enrolled with, and our HMAC over them. What it logs
// later is about these names and no others.
package osquery

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// Options say who may enrol. Only Interval has a default.
type Options struct {
	Name string // of the source; it stands in each node key
	// EnrollSecrets are what a device must know to enrol, of MinSecret bytes or more; each of several counts, so that one can be
	// rotated. All devices hold it.
	EnrollSecrets []string
	// Key signs node keys, of MinSecret bytes or more. With another one all devices enrol again.
	Key string
	// Interval is the time between two snapshots of each query, 1m to 24h; default DefaultInterval.
	Interval time.Duration
}

// The bounds of Options.
const (
	MinSecret       = 16
	DefaultInterval = 15 * time.Minute
	MinInterval     = time.Minute
	MaxInterval     = 24 * time.Hour
)

// Adapter is one fleet of devices. It is immutable.
type Adapter struct {
	opts   Options
	config []byte
}

var (
	_ source.Adapter      = (*Adapter)(nil)
	_ source.Responder    = (*Adapter)(nil)
	_ source.Redactor     = (*Adapter)(nil)
	_ source.Experimental = (*Adapter)(nil)
)

// New makes an adapter. The error names the option that is at fault.
func New(opts Options) (*Adapter, error) {
	if opts.Interval == 0 {
		opts.Interval = DefaultInterval
	}
	if _, err := signals.NewAlias(signals.AliasVendor, opts.Name+"/1"); err != nil || opts.Name == "" {
		return nil, fmt.Errorf("%q cannot name a source", opts.Name)
	}
	if len(opts.EnrollSecrets) == 0 {
		return nil, errors.New("enrollSecretFiles: an osquery source needs a secret with which devices enrol")
	}
	for i, secret := range opts.EnrollSecrets {
		if len(secret) < MinSecret {
			return nil, fmt.Errorf("enrollSecretFiles[%d]: the secret has %d bytes; make one of %d or more: openssl rand -hex 32",
				i, len(secret), MinSecret)
		}
	}
	if len(opts.Key) < MinSecret {
		return nil, fmt.Errorf("keyFile: the key has %d bytes; make one of %d or more: openssl rand -hex 32", len(opts.Key), MinSecret)
	}
	if opts.Interval < MinInterval || opts.Interval > MaxInterval {
		return nil, fmt.Errorf("interval: %s is not %s to %s", opts.Interval, MinInterval, MaxInterval)
	}
	config, err := schedule(opts.Interval)
	return &Adapter{opts: opts, config: config}, err
}

// Experimental implements source.Experimental.
func (*Adapter) Experimental() string {
	return "devices speak for themselves, so one that is compromised may lie; never run against a real osqueryd"
}

// request is what counts of osquery's four requests, told apart by their members.
type request struct {
	EnrollSecret *string `json:"enroll_secret"`
	Details      struct {
		System struct {
			UUID   string `json:"uuid"`
			Serial string `json:"hardware_serial"`
		} `json:"system_info"`
	} `json:"host_details"`
	NodeKey string          `json:"node_key"`
	Kept    string          `json:"kept"` // in place of the node key in what Redact leaves
	LogType *string         `json:"log_type"`
	Data    json.RawMessage `json:"data"`
	Queries json.RawMessage `json:"queries"`
}

func read(body []byte) (request, error) {
	var r request
	if err := source.CheckJSON(body); err != nil {
		return r, err
	}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return r, errors.New("the body is not a JSON object")
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return r, fmt.Errorf("the body does not have the shape of osquery's requests: %w", err)
	}
	return r, nil
}

func unreadable(err error) error {
	return &source.Refusal{Status: http.StatusBadRequest, Reason: err,
		Detail: "The body is no request of osquery's TLS plugins that every reader understands alike."}
}

// Respond implements source.Responder: a device that enrols is given a node key, one that asks for its configuration the schedule,
// one with a node key that is not ours the word to enrol again. Logs of results alone are deliveries.
func (a *Adapter) Respond(d source.Delivery) (source.Greeting, bool, error) {
	r, err := read(d.Body)
	if err != nil {
		return source.Greeting{}, true, unreadable(err)
	}
	if r.EnrollSecret != nil {
		key, err := a.enroll(&r)
		return answer(`{"node_key":"` + key + `","node_invalid":false}`), true, err
	}
	if _, err := a.names(nodeKey, r.NodeKey); err != nil {
		return answer(`{"node_invalid":true}`), true, nil
	}
	switch {
	case r.LogType != nil && *r.LogType == "result":
		return source.Greeting{}, false, nil
	case r.LogType != nil: // "status": osquery's own log, which says nothing of a device
		return answer(`{}`), true, nil
	case r.Queries != nil:
		return source.Greeting{}, true, unreadable(errors.New("distributed queries are not asked, so their results are not taken"))
	}
	return answer(string(a.config)), true, nil
}

func answer(body string) source.Greeting {
	return source.Greeting{Status: http.StatusOK, ContentType: "application/json", Body: []byte(body)}
}

// enroll makes a node key of the names in system_info. What the request calls host_identifier is whatever a flag says.
func (a *Adapter) enroll(r *request) (string, error) {
	found := 0
	sum := sha256.Sum256([]byte(*r.EnrollSecret))
	for _, secret := range a.opts.EnrollSecrets {
		want := sha256.Sum256([]byte(secret))
		found |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	if found != 1 {
		return "", &source.Refusal{Status: http.StatusUnauthorized, Challenge: `Secret realm="tiergate"`,
			Detail: "The enroll secret is not this source's."}
	}
	names, err := json.Marshal(aliases(r.Details.System.Serial, r.Details.System.UUID))
	if err != nil || string(names) == "null" {
		return "", unreadable(errors.New("host_details.system_info has neither a hardware_serial nor a uuid that names one device"))
	}
	text := base64.RawURLEncoding.EncodeToString(names)
	return a.sign(nodeKey, text), nil
}

func aliases(serial, uuid string) []signals.Alias {
	var names []signals.Alias
	for _, name := range []signals.Alias{{Kind: signals.AliasSerial, Value: serial}, {Kind: signals.AliasUUID, Value: uuid}} {
		// What is malformed, or what many devices carry, identifies nothing.
		if alias, err := signals.NewAlias(name.Kind, name.Value); err == nil {
			names = append(names, alias)
		}
	}
	return names
}

// use is what a text of ours is good for: a node key lets a device log, a kept one only says whose log it was.
type use string

const (
	nodeKey use = "node key"
	keptKey use = "kept name"
)

func (a *Adapter) sign(good use, text string) string {
	return text + "." + base64.RawURLEncoding.EncodeToString(a.mac(good, text))
}

func (a *Adapter) mac(good use, text string) []byte {
	mac := hmac.New(sha256.New, []byte(a.opts.Key))
	fmt.Fprintf(mac, "tiergate osquery %s\n%s\n%s", good, a.opts.Name, text)
	return mac.Sum(nil)
}

// names are those that a key of ours was made of.
func (a *Adapter) names(good use, key string) ([]signals.Alias, error) {
	refused := fmt.Errorf("the %s is none that this source made", good)
	text, sum, _ := strings.Cut(key, ".")
	mac, err := base64.RawURLEncoding.Strict().DecodeString(sum)
	if err != nil || !hmac.Equal(mac, a.mac(good, text)) {
		return nil, refused
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, refused
	}
	var names []signals.Alias
	if err := json.Unmarshal(raw, &names); err != nil || len(names) == 0 {
		return nil, refused
	}
	return names, nil
}

// Authenticate implements source.Adapter: the node key is in the body.
func (a *Adapter) Authenticate(d source.Delivery, _ time.Time) (string, error) {
	r, err := read(d.Body)
	if err != nil {
		return "", unreadable(err)
	}
	if _, err := a.names(nodeKey, r.NodeKey); err != nil {
		return "", &source.Refusal{Status: http.StatusUnauthorized, Challenge: `NodeKey realm="tiergate"`, Reason: err,
			Detail: "The node key is not this source's; enrol again."}
	}
	return source.DigestID(d, 0), nil
}
