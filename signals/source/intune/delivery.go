package intune

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// body is what counts of a delivery: notifications of Graph, rows of an Event Hub, or one such row alone; or what Redact leaves
// of notifications.
type body struct {
	Value *[]notification `json:"value"`
	// Tokens are Graph's word, beside notifications with resource data, that it is Graph who speaks; an element can be null
	// (learn.microsoft.com/graph/api/resources/changenotificationcollection).
	Tokens  []*string       `json:"validationTokens"`
	Records *[]row          `json:"records"`
	Kept    *[]notification `json:"kept"`
	row
}

// notification is what counts of a notification of Graph (learn.microsoft.com/graph/api/resources/changenotification).
type notification struct {
	Subscription string `json:"subscriptionId,omitempty"`
	ClientState  string `json:"clientState,omitempty"`
	Tenant       string `json:"tenantId,omitempty"`
	Lifecycle    string `json:"lifecycleEvent,omitempty"`
	Resource     string `json:"resource,omitempty"`
}

// read finds out which of the three a delivery is.
func read(raw []byte) (body, error) {
	b, err := readKept(raw)
	if err == nil && b.Kept != nil {
		err = errors.New(`the body has "kept", which nobody sends`)
	}
	return b, err
}

// readKept takes what Redact leaves as well.
func readKept(raw []byte) (body, error) {
	var b body
	if err := source.CheckJSON(raw); err != nil {
		return b, err
	}
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return b, errors.New("the body is not a JSON object")
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return b, fmt.Errorf("the body has neither Graph's shape nor an Event Hub's: %w", err)
	}
	kinds := 0
	for _, is := range []bool{b.Value != nil, b.Records != nil, b.Category != "", b.Kept != nil} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return b, errors.New(`the body has none of "value" (Graph), "records" and "category" (Event Hub), or several`)
	}
	return b, nil
}

// ours are the notifications with a client state of this source, and of no other tenant.
func (a *Adapter) ours(all []notification) []notification {
	var ours []notification
	for _, n := range all {
		if a.isState(n.ClientState) && a.isTenant(n.Tenant) {
			ours = append(ours, n)
		}
	}
	return ours
}

// isTenant is false for another tenant's GUID. What names no tenant, or in another way than we know it, may be of this
// one.
func (a *Adapter) isTenant(id string) bool {
	return id == "" || !isGUID(a.opts.Tenant) || strings.EqualFold(id, a.opts.Tenant)
}

// said is what a delivery says.
type said struct {
	observed []signals.Observation
	points   []string
	lost     []string
}

// read reads a delivery. One thing in it that is not understood makes it a dead letter as a whole; what it said is
// asked for at the next listing anyway.
func (a *Adapter) read(d source.Delivery) (said, error) {
	var s said
	b, err := readKept(d.Body)
	if err != nil {
		return s, err
	}
	if b.Value != nil {
		return s, errors.New("these notifications still have their secrets, so nobody has believed them")
	}
	if b.Kept != nil {
		for i, n := range *b.Kept {
			if err := s.notified(n); err != nil {
				return said{}, fmt.Errorf("notification %d: %w", i, err)
			}
		}
		return s, nil
	}
	rows := []row{b.row}
	if b.Records != nil {
		rows = *b.Records
	}
	for i := range rows {
		if err := a.row(&s, &rows[i]); err != nil {
			return said{}, fmt.Errorf("row %d: %w", i, err)
		}
	}
	return s, nil
}

// lifecycles are the events of a subscription's own life
// (learn.microsoft.com/graph/change-notifications-lifecycle-events), with what somebody must do. While a subscription
// does not deliver nothing is known to be told of, so all devices are listed.
var lifecycles = map[string]string{
	"missed":                  "Graph did not deliver some notifications",
	"subscriptionRemoved":     "Graph ended the subscription; make it anew, or nothing more is notified",
	"reauthorizationRequired": "Graph stops delivering until the subscription is renewed (PATCH expirationDateTime)",
}

// userResource is a user and nothing below: users/GUID, with the tenant behind an @ or without.
var userResource = regexp.MustCompile(`^/?[Uu]sers/([0-9A-Fa-f-]{36})(@[0-9A-Fa-f-]{36})?/?$`)

func (s *said) notified(n notification) error {
	if n.Lifecycle != "" {
		why, known := lifecycles[n.Lifecycle]
		if !known {
			return fmt.Errorf("%.60q is no lifecycle event that is known here; see what Graph wants of the subscription",
				n.Lifecycle)
		}
		s.lost = append(s.lost, fmt.Sprintf("subscription %.60q: %s", n.Subscription, why))
		return nil
	}
	m := userResource.FindStringSubmatch(n.Resource)
	if m == nil || !isGUID(m[1]) {
		return fmt.Errorf("a change of %.120q says nothing of a device; subscribe to users alone", n.Resource)
	}
	s.points = append(s.points, userPrefix+strings.ToLower(m[1]))
	return nil
}

// Observe implements source.Adapter: rows of the category Devices.
func (a *Adapter) Observe(d source.Delivery) ([]signals.Observation, error) {
	s, err := a.read(d)
	return s.observed, err
}

// Points implements source.Inventory: devices that an operational row names, and users who changed.
func (a *Adapter) Points(d source.Delivery) ([]string, error) {
	s, err := a.read(d)
	return s.points, err
}

// Relist implements source.Relister: Graph's lifecycle events.
func (a *Adapter) Relist(d source.Delivery) (string, error) {
	s, err := a.read(d)
	return strings.Join(s.lost, "; "), err
}
