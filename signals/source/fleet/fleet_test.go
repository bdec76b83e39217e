package fleet_test

import (
	"bytes"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/fleet"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

func TestNew(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*fleet.Options)
		reason string
	}{
		"no secret":         {func(o *fleet.Options) { o.Auth = nil }, "secret in the URL"},
		"no server":         {func(o *fleet.Options) { o.Client = nil }, "token"},
		"no name":           {func(o *fleet.Options) { o.Name = "" }, "name a source"},
		"too long a page":   {func(o *fleet.Options) { o.PerPage = 501 }, "1 to 500"},
		"a negative page":   {func(o *fleet.Options) { o.PerPage = -1 }, "1 to 500"},
		"both compliances":  {func(o *fleet.Options) { o.AllPolicies = true }, "not by both"},
		"no such attribute": {func(o *fleet.Options) { o.Policies = map[string][]int64{"firewalls": {1}} }, "firewalls"},
		"not true or false": {func(o *fleet.Options) { o.Policies = map[string][]int64{"os_version": {1}} }, "os_version"},
		"no policy":         {func(o *fleet.Options) { o.Policies = map[string][]int64{"firewall": {}} }, "firewall"},
		"policy 0":          {func(o *fleet.Options) { o.Policies = map[string][]int64{"firewall": {12, 0}} }, "firewall"},
		"a negative id":     {func(o *fleet.Options) { o.Compliance = []int64{-1} }, "compliance"},
	} {
		opts := options(t, newServer(t))
		tt.change(&opts)
		if a, err := fleet.New(opts); err == nil || a != nil || !strings.Contains(err.Error(), tt.reason) {
			t.Errorf("%s: %v, %v; the reason must name %q", name, a, err, tt.reason)
		}
	}
}

func TestAuthenticate(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	dated := sourcetest.Content(t, "testdata/webhook_policy_team.json")
	for name, tt := range map[string]struct {
		change func(*source.Delivery)
		status int
	}{
		"in the path":        {func(*source.Delivery) {}, 0},
		"in the query":       {func(d *source.Delivery) { d.Segment, d.Query = "", url.Values{"secret": {secret}} }, 0},
		"no secret":          {func(d *source.Delivery) { d.Segment = "" }, 401},
		"another secret":     {func(d *source.Delivery) { d.Segment = strings.Repeat("0", 32) }, 401},
		"a header instead":   {func(d *source.Delivery) { d.Segment = ""; d.Header.Set("X-Secret", secret) }, 401},
		"not JSON":           {func(d *source.Delivery) { d.Body = []byte("<event/>") }, 400},
		"not an object":      {func(d *source.Delivery) { d.Body = []byte("[]") }, 400},
		"two readings":       {func(d *source.Delivery) { d.Body = []byte(`{"hosts":[],"Hosts":[{"id":1}]}`) }, 400},
		"no webhook of ours": {func(d *source.Delivery) { d.Body = []byte(`{"timestamp":7,"hosts":{}}`) }, 0},
	} {
		d := delivery(dated)
		tt.change(&d)
		id, err := a.Authenticate(d, now)
		refusal, refused := errors.AsType[*source.Refusal](err)
		switch {
		case tt.status == 0 && (err != nil || !source.ValidID(id)):
			t.Errorf("%s: %q, %v", name, id, err)
		case tt.status != 0 && (!refused || refusal.Status != tt.status || id != ""):
			t.Errorf("%s: %q, %v; want status %d", name, id, err, tt.status)
		case refused && (strings.Contains(refusal.Detail+err.Error(), secret)):
			t.Errorf("%s: the refusal shows the secret: %v", name, err)
		}
	}
}

// What has its time in it is one event for ever; the host status webhook says the same words about another day.
func TestIDs(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	id := func(file string, at time.Time) string {
		d := delivery(sourcetest.Content(t, file))
		d.Received = at
		id, err := a.Authenticate(d, at)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	const dated, undated = "testdata/webhook_policy_team.json", "testdata/webhook_host_status.json"
	later := now.Add(75 * time.Hour)
	if id(dated, now) != id(dated, later) {
		t.Error("a policy's webhook, sent again after 75 h, counts as another event")
	}
	if id(undated, now) != id(undated, now.Add(time.Minute)) || id(undated, now) == id(undated, later) {
		t.Error("the host status of one hour is one event, and of another day another")
	}
	if id(dated, now) == id("testdata/webhook_policy_global.json", now) {
		t.Error("two events have one id")
	}
}

func TestPointsRefuses(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	for body, reason := range map[string]string{
		`{}`:                                          "none of Fleet's webhooks",
		`{"timestamp":"x","hosts":[]}`:                "none of Fleet's webhooks",
		`{"hosts":[{"id":1}]}`:                        "none of Fleet's webhooks",
		`{"policy":{},"hosts":[{}]}`:                  "id 0",
		`{"policy":{},"hosts":[{"id":-4}]}`:           "id -4",
		`{"policy":{},"hosts":[{"id":"1"}]}`:          "shape",
		`{"policy":{},"hosts":[{"id":1.5}]}`:          "shape",
		`{"policy":{},"hosts":{"id":1}}`:              "shape",
		`{"policy":[],"hosts":[]}`:                    "shape",
		`{"type":"x","details":{"host_id":0}}`:        "id 0",
		`{"type":"x","details":{"host_id":"1/../2"}}`: "shape",
		`{"vulnerability":{"hosts_affected":[{"id":99999999999999999999}]}}`: "shape",
		`{"a":1,"A":1}`: "more than one reading",
		`not`:           "JSON",
	} {
		if ids, err := a.Points(delivery([]byte(body))); err == nil || ids != nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s points at %v, %v; the reason must name %q", body, ids, err, reason)
		}
		if got, err := a.Observe(delivery([]byte(body))); err == nil || got != nil {
			t.Errorf("%s: %+v, %v: what nobody understands is a dead letter", body, got, err)
		}
	}
}

func TestAlias(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	if alias, err := a.Alias("17"); err != nil || alias.String() != "vendor:fleet/17" {
		t.Errorf("%v, %v", alias, err)
	}
	for _, id := range []string{"", "0", "-1", "+1", "01", "1.0", "1/../2", "1?x=y", "99999999999999999999", " 1", "all"} {
		if alias, err := a.Alias(id); err == nil {
			t.Errorf("%q is %v", id, alias)
		}
		if got, err := a.Device(t.Context(), id); err == nil {
			t.Errorf("%q was asked for: %+v", id, got)
		}
	}
}

// FuzzWebhookIsNoData: whoever knows the URL can make us ask, and say nothing: no body becomes a fact, and each id is a
// number that Alias takes, once.
func FuzzWebhookIsNoData(f *testing.F) {
	for _, file := range sourcetest.Files(f, "testdata/webhook_*.json") {
		f.Add(sourcetest.Content(f, file))
	}
	a, _ := adapter(f, newServer(f), nil)
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := delivery(bytes.Clone(raw))
		_, _ = a.Authenticate(d, now)
		if got, _ := a.Observe(d); got != nil {
			t.Fatalf("%q was read as %+v", raw, got)
		}
		ids, err := a.Points(d)
		if err != nil && ids != nil || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != len(ids) {
			t.Fatalf("%q points at %v, %v", raw, ids, err)
		}
		for _, id := range ids {
			if _, err := a.Alias(id); err != nil || !bytes.Contains(raw, []byte(id)) {
				t.Fatalf("%q points at %q: %v", raw, id, err)
			}
		}
	})
}
