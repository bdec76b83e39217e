package mapping_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/mapping"
)

var received = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

const key = "a secret of the sender's"

func delivery(body []byte) source.Delivery {
	return source.Delivery{Source: "acme", Received: received, Body: body, Header: http.Header{"X-Key": {key},
		"Content-Type": {"application/json"}}}
}

func adapter(t testing.TB, r mapping.Record) source.Adapter {
	t.Helper()
	a, err := mapping.New(options(mapping.Spec{Delivery: &mapping.Delivery{Record: &r}}))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func options(s mapping.Spec) mapping.Options {
	o := mapping.Options{Name: "acme", Spec: s}
	if s.Delivery != nil {
		o.Auth = source.Header{Name: "X-Key", Values: []string{key}}
	}
	return o
}

// say reads {"serial":…,"at":…,"v":value} with one fact at v.
func say(t *testing.T, attribute string, f mapping.Fact, value string) (string, error) {
	t.Helper()
	a := adapter(t, mapping.Record{Serial: "serial", Observed: mapping.Observed{Paths: []string{"at"}},
		Facts: map[string]mapping.Fact{attribute: f}})
	observations, err := a.Observe(delivery([]byte(`{"serial":"C02XG2JHJG5J","at":"2026-11-20T11:00:00Z","v":` + value + `}`)))
	if err != nil || len(observations) == 0 {
		return "nothing", err
	}
	return observations[0].Facts[0].Value.String(), nil
}

func TestValues(t *testing.T) {
	at := func(f mapping.Fact) mapping.Fact { f.Path = "v"; return f }
	onOff := map[string]string{"On": "true", "off": "false", "n/a": "silent"}
	levels := map[string]string{"0": "none", "1": "low", "2": "medium", "3": "high"}
	for _, c := range []struct {
		attribute string
		f         mapping.Fact
		value     string
		want      string
	}{
		{"firewall", at(mapping.Fact{}), "true", "true"},
		{"firewall", at(mapping.Fact{}), `"No"`, "false"},
		{"firewall", at(mapping.Fact{}), "null", "nothing"},
		{"firewall", at(mapping.Fact{}), "1", "unknown"}, // 2 may be worse
		{"firewall", at(mapping.Fact{}), "{}", "unknown"},
		{"firewall", at(mapping.Fact{}), `"unknown"`, "unknown"},
		{"firewall", at(mapping.Fact{Values: onOff}), `" oN "`, "true"},
		{"firewall", at(mapping.Fact{Values: onOff}), `"true"`, "unknown"}, // the table is all there is
		{"firewall", at(mapping.Fact{Values: onOff}), `"N/A"`, "nothing"},
		{"firewall", at(mapping.Fact{Values: onOff, Else: "worst"}), `"paused"`, "false"},
		{"compromised", at(mapping.Fact{Values: map[string]string{"no": "false"}, Else: "worst"}), `"maybe"`, "true"},
		{"firewall", mapping.Fact{Path: "v[*].on"}, `[{"on":true},{"on":true}]`, "true"},
		{"firewall", mapping.Fact{Path: "v[*].on"}, `[{"on":true},{"on":false},{}]`, "false"},
		{"firewall", mapping.Fact{Path: "v[*].on"}, `[{"on":true},{}]`, "unknown"},
		{"firewall", mapping.Fact{Path: "v[*].on"}, `[{"on":true},{"on":null}]`, "unknown"},
		{"firewall", mapping.Fact{Path: "v[*].on"}, `[]`, "nothing"},
		{"firewall", mapping.Fact{Path: "v[*].on"}, `{"on":true}`, "nothing"},
		{"firewall", mapping.Fact{Path: "v[k=fw].on"}, `[{"k":"av","on":true},{"k":"fw","on":false}]`, "false"},
		{"firewall", mapping.Fact{Path: "v[1].on"}, `[{"on":false},{"on":true}]`, "true"},
		{"firewall", mapping.Fact{Path: "v[2].on"}, `[{"on":false}]`, "nothing"},
		{"threat_level", at(mapping.Fact{Values: levels}), "2", "medium"},
		{"threat_level", at(mapping.Fact{Values: levels}), "4", "unknown"},
		{"threat_level", mapping.Fact{Path: "v[*]", Values: levels}, "[1,2,0]", "medium"},
		{"threat_level", mapping.Fact{Path: "v[*]", Values: levels}, "[1,9]", "unknown"},
		{"threat_level", mapping.Fact{Path: "v[*]", Values: levels}, "[3,9]", "high"},
		{"edr_healthy", at(mapping.Fact{As: "count", Values: map[string]string{"0": "true"}, Else: "worst"}), "[]", "true"},
		{"edr_healthy", at(mapping.Fact{As: "count", Values: map[string]string{"0": "true"}, Else: "worst"}), `["x"]`, "false"},
		{"edr_healthy", at(mapping.Fact{As: "count", Values: map[string]string{"0": "true"}, Else: "worst"}), `"x"`, "unknown"},
		{"edr_risk_score", at(mapping.Fact{Factor: -1, Offset: 100}), "19", "81"},
		{"edr_risk_score", at(mapping.Fact{Factor: -1, Offset: 100}), "119", "unknown"},
		{"edr_risk_score", at(mapping.Fact{}), `"19"`, "unknown"},
		{"edr_risk_score", mapping.Fact{Path: "v[*]"}, "[3,70,20]", "70"},
		{"platform", at(mapping.Fact{}), `"MAC_OS_X"`, "macos"},
		{"platform", at(mapping.Fact{}), `"TempleOS"`, "unknown"},
		{"platform", at(mapping.Fact{Values: map[string]string{"Apple": "ios"}}), `"Apple"`, "ios"},
		{"os_version", at(mapping.Fact{}), `"macOS 13.5 (22G74)"`, "13.5"},
		{"os_version", at(mapping.Fact{}), `"Windows 11"`, "unknown"},
		{"os_build", at(mapping.Fact{As: "build"}), `"macOS 13.5 (22G74)"`, "22G74"},
		{"os_build", at(mapping.Fact{}), `22`, "22"},
		{"patch_level", at(mapping.Fact{As: "patch"}), `"13:2023-05-05"`, "2023-05-05"},
		{"lifecycle", mapping.Fact{Always: "enrolled"}, "1", "enrolled"},
		{"edr_healthy", mapping.Fact{All: []mapping.Fact{{Path: "v.a"}, {Path: "v.b"}}}, `{"a":true,"b":true}`, "true"},
		{"edr_healthy", mapping.Fact{All: []mapping.Fact{{Path: "v.a"}, {Path: "v.b"}}}, `{"a":true}`, "unknown"},
		{"edr_healthy", mapping.Fact{All: []mapping.Fact{{Path: "v.a"}, {Path: "v.b"}}}, `{"b":false}`, "false"},
		{"edr_healthy", mapping.Fact{All: []mapping.Fact{{Path: "v.a"}, {Path: "v.b"}}}, `{}`, "nothing"},
	} {
		got, err := say(t, c.attribute, c.f, c.value)
		if err != nil || got != c.want {
			t.Errorf("%s of %s by %+v is %s, %v; want %s", c.attribute, c.value, c.f, got, err, c.want)
		}
	}
	got, err := say(t, "firewall", at(mapping.Fact{Values: onOff, Else: "error"}), `"paused"`)
	if err == nil || !strings.Contains(err.Error(), `"paused"`) {
		t.Errorf("a word that is an error is %s, %v", got, err)
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		o       mapping.Time
		v, want string // want: an instant, "undated" or "error"
	}{
		{mapping.Time{}, `"2026-11-20T11:00:00.5+01:00"`, "2026-11-20T10:00:00.5Z"},
		{mapping.Time{}, `1700566364.184953`, "2023-11-21T11:32:44.184953Z"},
		{mapping.Time{}, `1700566364184`, "2023-11-21T11:32:44.184Z"},
		{mapping.Time{}, `"2026-11-20 11:00:00"`, "error"},
		{mapping.Time{Zone: "UTC"}, `"2026-11-20 11:00:00"`, "2026-11-20T11:00:00Z"},
		{mapping.Time{Zone: "+02:00"}, `"2026-11-20T11:00:00"`, "2026-11-20T09:00:00Z"},
		{mapping.Time{}, `"0001-01-01T00:00:00Z"`, "undated"},
		{mapping.Time{}, `"1970-01-01T00:00:00Z"`, "undated"},
		{mapping.Time{}, `0`, "undated"},
		{mapping.Time{}, `null`, "undated"},
		{mapping.Time{Never: []string{"never"}}, `"never"`, "undated"},
		{mapping.Time{}, `"never"`, "error"},
		{mapping.Time{}, `true`, "error"},
		{mapping.Time{}, `{}`, "error"},
		{mapping.Time{Format: "seconds"}, `"1700566364"`, "2023-11-21T11:32:44Z"},
		{mapping.Time{Format: "seconds"}, `1700566364184`, "error"}, // the year 55859
		{mapping.Time{Format: "seconds"}, `-1`, "error"},
		{mapping.Time{Format: "milliseconds"}, `1700566364184`, "2023-11-21T11:32:44.184Z"},
		{mapping.Time{Format: "milliseconds"}, `"soon"`, "error"},
		{mapping.Time{Format: "rfc3339"}, `"2026-11-20T11:00:00Z"`, "2026-11-20T11:00:00Z"},
		{mapping.Time{Format: "rfc3339"}, `1700566364`, "error"},
		{mapping.Time{Format: "layout", Layout: "02.01.2006 15:04", Zone: "UTC"}, `"20.11.2026 11:00"`, "2026-11-20T11:00:00Z"},
		{mapping.Time{Format: "layout", Layout: "02.01.2006 15:04", Zone: "UTC"}, `"11/20/2026"`, "error"},
	} {
		a := adapter(t, mapping.Record{Serial: "serial", Observed: mapping.Observed{Paths: []string{"at"}, Time: c.o},
			Facts: map[string]mapping.Fact{"lifecycle": {Always: "enrolled"}}})
		observations, err := a.Observe(delivery([]byte(`{"serial":"C02XG2JHJG5J","at":` + c.v + `}`)))
		got := "error"
		switch {
		case err == nil:
			got = observations[0].Facts[0].Observed.Format(time.RFC3339Nano)
		case strings.Contains(err.Error(), "does not say when"):
			got = "undated"
		}
		if got != c.want {
			t.Errorf("%s by %+v is %s (%v), want %s", c.v, c.o, got, err, c.want)
		}
	}
}

// The earliest of several instants counts; a fact with its own time has it, and without one is not said.
func TestObserved(t *testing.T) {
	a := adapter(t, mapping.Record{Serial: "serial", Observed: mapping.Observed{Paths: []string{"a", "b"}},
		Facts: map[string]mapping.Fact{
			"platform": {Path: "os"},
			"firewall": {Path: "fw", Observed: &mapping.Observed{Paths: []string{"fwAt"}}},
		}})
	body := `{"serial":"C02XG2JHJG5J","a":"2026-11-20T11:00:00Z","b":"2026-11-19T11:00:00Z","os":"mac","fw":true,"fwAt":%s}`
	observations, err := a.Observe(delivery(fmt.Appendf(nil, body, `"2026-11-01T00:00:00Z"`)))
	if err != nil || len(observations[0].Facts) != 2 {
		t.Fatal(observations, err)
	}
	for _, f := range observations[0].Facts {
		if want := map[string]int{"platform": 19, "firewall": 1}[f.Attribute]; f.Observed.Day() != want {
			t.Errorf("%s was seen %s, not on the %d.", f.Attribute, f.Observed, want)
		}
	}
	if o, err := a.Observe(delivery(fmt.Appendf(nil, body, "null"))); err != nil || len(o[0].Facts) != 1 {
		t.Errorf("without its time: %v, %v", o, err)
	}
	if o, err := a.Observe(delivery([]byte(`{"serial":"C02XG2JHJG5J","a":"2026-11-20T11:00:00Z","os":"mac"}`))); err == nil {
		t.Errorf("one of two instants is enough: %v", o)
	}
}

func TestNames(t *testing.T) {
	a := adapter(t, mapping.Record{Serial: "s", UUID: "u", Directory: "d", ID: "id", Observed: mapping.Observed{Received: true},
		Facts: map[string]mapping.Fact{"lifecycle": {Always: "enrolled"}}})
	for body, want := range map[string]string{
		`{"s":"c02x","u":"32ec79c526dc535a85f7986f063297e2","d":"E1","id":7}`: "[vendor:acme/7 serial:C02X " +
			"uuid:32EC79C5-26DC-535A-85F7-986F063297E2 directory:E1]",
		`{"s":"Default string","u":"","d":null,"id":"x"}`: "[vendor:acme/x]",
		`{"s":"Default string"}`:                          "error",
		`{"s":true}`:                                      "error",
		`{"s":["C02X"]}`:                                  "error",
		`{}`:                                              "error",
		`[]`:                                              "error",
	} {
		o, err := a.Observe(delivery([]byte(body)))
		got := "error"
		if err == nil {
			got = fmt.Sprint(o[0].Aliases)
		}
		if got != want {
			t.Errorf("%s is %s (%v), want %s", body, got, err, want)
		}
	}
}
