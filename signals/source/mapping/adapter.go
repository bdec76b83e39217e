package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// Options are the settings of one source.
type Options struct {
	Name string
	Spec Spec
	Auth source.Auth    // needed for deliveries, and only for them
	API  *source.Client // needed for listing, and only for it
	// CloudEvents: a delivery may come in that envelope; nil: it is refused.
	CloudEvents *source.CloudEvents
	// Unreadable is told of a device of a listing whose record cannot be read: it is listed without facts. It may be called
	// at once by several; nil: nobody is.
	Unreadable func(id string, reason error)
	Now        func() time.Time // default time.Now
}

// Adapter is one vendor by a mapping. It is immutable.
type Adapter struct {
	name     string
	auth     source.Auth
	events   *source.CloudEvents
	delivery *delivery
	doubt    string
}

// delivery is a Delivery that was checked.
type delivery struct {
	ndjson bool
	points Path
	id     Path
	kind   *kind
	record *record // nil: it points
}

var (
	_ source.Adapter   = (*Adapter)(nil)
	_ source.Inventory = (*Asked)(nil)
	_ source.Greeter   = (*Adapter)(nil)
)

// maxLines is how many objects an NDJSON body may have.
const maxLines = 10_000

// New makes an adapter, and a source.Inventory where the vendor is asked. The error begins with the field at fault.
func New(o Options) (source.Adapter, error) {
	if _, err := signals.NewAlias(signals.AliasVendor, o.Name+"/1"); err != nil || o.Name == "" {
		return nil, fmt.Errorf("%q cannot name a source", o.Name)
	}
	s := o.Spec
	switch {
	case s.Delivery == nil && s.List == nil:
		return nil, errors.New("the mapping has neither delivery nor list: nothing would ever come")
	case (s.Delivery != nil) != (o.Auth != nil):
		return nil, errors.New("delivery and webhook go together: one says how a body is read, the other whose it is")
	case (s.List != nil) != (o.API != nil):
		return nil, errors.New("list and api go together: one says what is asked for, the other where")
	case (s.List != nil) != (s.Record != nil):
		return nil, errors.New("list and record go together: one says where the records are, the other what they say")
	case s.Get != nil && s.List == nil:
		return nil, errors.New("get goes with list: what is asked for one by one is listed as well")
	}
	a := &Adapter{name: o.Name, auth: o.Auth, events: o.CloudEvents, doubt: s.Doubt}
	if s.Delivery != nil {
		var err error
		if a.delivery, err = newDelivery(*s.Delivery); err != nil {
			return nil, fmt.Errorf("delivery.%w", err)
		}
		if !a.delivery.points.none() && s.Get == nil {
			return nil, errors.New("delivery.points goes with get: a device that is pointed at is asked for")
		}
		if err := a.replays(s); err != nil {
			return nil, err
		}
	}
	if s.List == nil {
		return a, nil
	}
	return newAsked(a, o)
}

// replays refuses a mapping by which a delivery that somebody captured would be a fresh statement for ever.
func (a *Adapter) replays(s Spec) error {
	signature, signed := a.auth.(source.HMAC)
	if s.Delivery.Record != nil && s.Delivery.Record.Observed.Received && signed && !signature.Timed() {
		return errors.New("delivery.record.observed: received, under a signature without a time: whoever captured one delivery " +
			"could repeat it for ever; name the path of a time, or sign a timestamp")
	}
	return nil
}

func newDelivery(d Delivery) (*delivery, error) {
	made := &delivery{ndjson: d.NDJSON}
	var err error
	if made.points, err = optional("points", d.Points); err != nil {
		return nil, err
	}
	if made.id, err = optional("id", d.ID); err != nil {
		return nil, err
	}
	if made.id.many() {
		return nil, errors.New("id: the path can find several; name one")
	}
	if (d.Points != "") == (d.Record != nil) {
		return nil, errors.New("points or record stands, one of the two")
	}
	if d.Kind != nil {
		if d.Record != nil {
			return nil, errors.New("kind stands in record, where there is one")
		}
		if made.kind, err = newKind(*d.Kind); err != nil {
			return nil, fmt.Errorf("kind: %w", err)
		}
	}
	if d.Record != nil {
		if made.record, err = newRecord(*d.Record); err != nil {
			return nil, fmt.Errorf("record.%w", err)
		}
	}
	return made, nil
}

// Experimental implements source.Experimental.
func (a *Adapter) Experimental() string { return a.doubt }

// Greet implements source.Greeter, for the handshake of CloudEvents.
func (a *Adapter) Greet(method string, d source.Delivery) (source.Greeting, bool, error) {
	if a.events == nil || a.delivery == nil {
		return source.Greeting{}, false, nil
	}
	return a.events.Greet(method, d)
}

// pointsAgain is how long the same bytes that point at a device are one delivery: what was changed a minute ago may have
// changed again.
const pointsAgain = time.Minute

// Authenticate implements source.Adapter.
func (a *Adapter) Authenticate(d source.Delivery, at time.Time) (string, error) {
	if a.delivery == nil {
		return source.Silent{}.Authenticate(d, at)
	}
	if err := a.auth.Authentic(d, at); err != nil {
		return "", err
	}
	values, err := a.values(d.Body)
	if err != nil {
		return "", &source.Refusal{Status: http.StatusBadRequest, Reason: err,
			Detail: "The body is not JSON that every reader understands alike, as this source is set up to read it."}
	}
	if id, ok, err := a.envelope(d); err != nil || ok {
		return id, err
	}
	if signature, ok := a.auth.(source.HMAC); ok {
		if id, named := signature.Named(d.Header); named {
			return id, nil
		}
	}
	if !a.delivery.id.none() && len(values) == 1 {
		if id, err := word(a.delivery.id, values[0]); err == nil && source.ValidID(id) {
			return id, nil
		}
	}
	switch {
	case a.delivery.record == nil:
		return source.DigestID(d, pointsAgain), nil
	case a.delivery.record.observed.received:
		return source.DigestID(d, time.Nanosecond), nil // the same words later are said anew
	}
	return source.DigestID(d, 0), nil
}

// envelope names a delivery that is a CloudEvent, or refuses it.
func (a *Adapter) envelope(d source.Delivery) (id string, ok bool, err error) {
	events := source.CloudEvents{}
	if a.events != nil {
		events = *a.events
	}
	event, structured, ok, err := events.Envelope(d)
	if err != nil || !ok {
		return "", ok, err
	}
	return source.CloudEventID(d, event, structured), true, nil
}

// values are the objects of a body: one, or one per line.
func (a *Adapter) values(body []byte) ([]any, error) {
	parts := [][]byte{body}
	if a.delivery.ndjson {
		parts = nil
		for line := range bytes.SplitSeq(body, []byte("\n")) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				parts = append(parts, line)
			}
		}
		if len(parts) == 0 || len(parts) > maxLines {
			return nil, fmt.Errorf("the body has %d lines; 1 to %d are read", len(parts), maxLines)
		}
	}
	values := make([]any, 0, len(parts))
	for i, part := range parts {
		value, err := parse(part)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		values = append(values, value)
	}
	return values, nil
}

// parse reads one JSON value, an object or an array, with its numbers as they are written.
func parse(raw []byte) (any, error) {
	if err := source.CheckJSON(raw); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("the body cannot be read: %w", err)
	}
	switch value.(type) {
	case map[string]any, []any:
		return value, nil
	}
	return nil, errors.New("the body is neither a JSON object nor an array")
}

// contents are the values that the mapping reads: of a CloudEvent its data.
func (a *Adapter) contents(d source.Delivery) ([]any, error) {
	if a.delivery == nil {
		return nil, errors.New("this source takes no deliveries; drop this one")
	}
	if !source.IsCloudEvent(d.Header.Get("Content-Type")) {
		return a.values(d.Body)
	}
	event, err := source.ReadCloudEvent(d.Body)
	if err != nil {
		return nil, err
	}
	value, err := parse(event.Data)
	return []any{value}, err
}

// Observe implements source.Adapter. One record that cannot be read refuses them all: the sender means them together, and
// the dead letter can be retried when the mapping is corrected.
func (a *Adapter) Observe(d source.Delivery) ([]signals.Observation, error) {
	values, err := a.contents(d)
	if err != nil || a.delivery.record == nil {
		return nil, errors.Join(err, a.legible(values))
	}
	r := a.delivery.record
	var observations []signals.Observation
	for _, value := range values {
		records, err := r.all(value)
		if err != nil {
			return nil, err
		}
		for i, raw := range records {
			wanted, err := r.kind.wants(raw)
			if err == nil && wanted {
				var o signals.Observation
				if o, err = r.observation(a.name, raw, d.Received); err == nil && len(o.Facts) > 0 {
					observations = append(observations, o)
				}
			}
			if err != nil {
				return nil, fmt.Errorf("record %d: %w", i+1, err)
			}
		}
	}
	return observations, nil
}

// legible says why a delivery that only points cannot be read; what it points at is for Points.
func (a *Adapter) legible(values []any) error {
	if a.delivery == nil || values == nil {
		return nil
	}
	_, err := a.pointed(values)
	return err
}

// pointed lists the ids in a delivery that points.
func (a *Adapter) pointed(values []any) ([]string, error) {
	var ids []string
	for _, value := range values {
		wanted, err := a.delivery.kind.wants(value)
		if err != nil {
			return nil, err
		}
		if !wanted {
			continue
		}
		found, err := a.delivery.points.find(value)
		if err != nil {
			return nil, err
		}
		if found == nil {
			return nil, fmt.Errorf("the body has no %s: it names no device", a.delivery.points)
		}
		for _, raw := range found {
			id, said := wordOf(raw)
			if !said || !validID(a.name, id) {
				return nil, fmt.Errorf("at %s stands no id of a device", a.delivery.points)
			}
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// validID wants what can name a device, and go into a URL.
func validID(sourceName, id string) bool {
	_, err := signals.NewAlias(signals.AliasVendor, sourceName+"/"+id)
	return err == nil && source.ValidID(id) && id != "." && id != ".."
}
