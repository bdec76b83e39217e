package standard_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/standard"
)

func posture(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/posture.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestObserve(t *testing.T) {
	got, err := adapter(t, secretA).Observe(source.Delivery{Source: "mdm", Body: []byte(posture(t))})
	if err != nil {
		t.Fatal(err)
	}
	fact := func(attribute string, value signals.Value) signals.Fact {
		return signals.Fact{Attribute: attribute, Value: value, Path: "data.attributes." + attribute, Observed: now}
	}
	want := []signals.Observation{{
		Aliases: []signals.Alias{
			{Kind: signals.AliasCertificate, Value: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
			{Kind: signals.AliasSerial, Value: "C02D91CNPV4M"},
			{Kind: signals.AliasUUID, Value: "564D8F05-7A8B-9C0D-1E2F-3A4B5C6D7E8F"},
			{Kind: signals.AliasVendor, Value: "mdm/17"},
		},
		Facts: []signals.Fact{
			fact("disk_encryption", signals.Bool(false)),
			fact("edr_healthy", signals.Unknown),
			fact("edr_risk_score", signals.Number(12.5)),
			fact("os_version", signals.Text("15.6")),
			fact("threat_level", signals.Text("low")),
		},
	}}
	values := cmp.Comparer(func(a, b signals.Value) bool { return a == b })
	if diff := cmp.Diff(want, got, values); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Each change of the good body, and what the reason must name.
func TestObserveRefuses(t *testing.T) {
	tests := map[string]struct{ old, new, reason string }{
		"another type":             {`device.posture.updated`, `contact.created`, "contact.created"},
		"no type":                  {`"type": "device.posture.updated",`, ``, "type"},
		"no timestamp":             {`"timestamp": "2026-11-20T08:00:01.5Z",`, ``, "timestamp"},
		"null timestamp":           {`"2026-11-20T08:00:01.5Z"`, `null`, "timestamp"},
		"no observed_at":           {`"observed_at": "2026-11-20T09:00:00+01:00",`, ``, "observed_at"},
		"observed_at in seconds":   {`"2026-11-20T09:00:00+01:00"`, `1795161600`, "shape"},
		"observed_at without zone": {`09:00:00+01:00`, `09:00:00`, "shape"},
		"no such day":              {`2026-11-20T09`, `2026-02-30T09`, "shape"},
		"a typo in a member":       {`"observed_at"`, `"observedAt"`, "observedAt"},
		"another case":             {`"serial"`, `"Serial"`, "data.device.Serial"},
		"an unknown name":          {`"serial"`, `"mac"`, "data.device.mac"},
		"a member too many":        {`"data": {`, `"extra": 1, "data": {`, "extra"},
		"an unknown attribute":     {`"disk_encryption"`, `"disk_encrypted"`, "disk_encryption"},
		"an attribute's case":      {`"disk_encryption"`, `"Disk_Encryption"`, "no such attribute"},
		"a text for a bool":        {`"disk_encryption": false`, `"disk_encryption": "false"`, "a bool or null"},
		"a number for a bool":      {`"disk_encryption": false`, `"disk_encryption": 0`, "a bool or null"},
		"an object as a value":     {`"disk_encryption": false`, `"disk_encryption": {}`, "shape"},
		"a list as a value":        {`"disk_encryption": false`, `"disk_encryption": [false]`, "shape"},
		"off the scale":            {`"threat_level": "low"`, `"threat_level": "LOW"`, "none, low, medium, high"},
		"an empty text":            {`"os_version": "15.6"`, `"os_version": ""`, "os_version"},
		"control characters":       {`"os_version": "15.6"`, `"os_version": "15.6\u0007"`, "control"},
		"a line break":             {`"os_version": "15.6"`, `"os_version": "15.6\nx"`, "control"},
		"a right-to-left mark":     {`"os_version": "15.6"`, `"os_version": "15.6\u202e"`, "control"},
		"a long text":              {`"15.6"`, `"` + strings.Repeat("1", 201) + `"`, "200"},
		"a malformed fingerprint":  {`"9F:86:`, `"9F:`, "64 hex digits"},
		"a serial that is none":    {`"c02d91cnpv4m"`, `7`, "shape"},
		"no data":                  {posture(t), `{"type":"device.posture.updated","timestamp":"2026-11-20T08:00:00Z"}`, "observed_at"},
		"not an object":            {posture(t), `[]`, "shape"},
		"not JSON":                 {posture(t), `<event/>`, "JSON"},
		"two readings":             {`"threat_level"`, `"threat_level": "none", "threat_level"`, "more than one reading"},
	}
	for name, tt := range tests {
		body := strings.Replace(posture(t), tt.old, tt.new, 1)
		if body == posture(t) {
			t.Fatalf("%s changes nothing", name)
		}
		got, err := adapter(t, secretA).Observe(source.Delivery{Source: "mdm", Body: []byte(body)})
		if err == nil || !strings.Contains(err.Error(), tt.reason) || got != nil {
			t.Errorf("%s: %+v, %v; the reason must name %q", name, got, err, tt.reason)
		}
	}
}

func TestObserveNames(t *testing.T) {
	observe := func(device, attributes string) ([]signals.Observation, error) {
		body := `{"type":"device.posture.updated","timestamp":"2026-11-20T08:00:00Z","data":{"device":` + device +
			`,"observed_at":"2026-11-20T08:00:00Z","attributes":` + attributes + `}}`
		return adapter(t, secretA).Observe(source.Delivery{Source: "mdm", Body: []byte(body)})
	}
	for _, device := range []string{`{}`, `null`, `{"serial":null}`, `{"serial":""}`, `{"serial":"Default string","id":"0"}`,
		`{"uuid":"00000000-0000-0000-0000-000000000000","serial":"To Be Filled By O.E.M.","id":"unknown"}`} {
		if got, err := observe(device, `{"firewall":true}`); err == nil || !strings.Contains(err.Error(), "no usable name") {
			t.Errorf("%s: %+v, %v", device, got, err)
		}
	}
	got, err := observe(`{"serial":"0","uuid":null,"id":"a/b"}`, `{"firewall":true}`)
	want := []signals.Alias{{Kind: signals.AliasVendor, Value: "mdm/a/b"}}
	if err != nil || !reflect.DeepEqual(got[0].Aliases, want) {
		t.Errorf("%+v, %v: the good name must stay", got, err)
	}
	for _, attributes := range []string{`{}`, `null`} {
		if _, err := observe(`{"serial":"C02"}`, attributes); err == nil || !strings.Contains(err.Error(), "empty") {
			t.Errorf("attributes %s: %v", attributes, err)
		}
	}
}

// The README lists every attribute, and the body that it shows is one.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(readme), "body='")
	shown, _, _ = strings.Cut(shown, "'\n")
	got, err := adapter(t, secretA).Observe(source.Delivery{Source: "mdm", Body: []byte(shown)})
	if err != nil || len(got) != 1 || len(got[0].Facts) != 3 {
		t.Errorf("%q reads as %+v, %v", shown, got, err)
	}
	for _, a := range signals.Attributes() {
		if !strings.Contains(string(readme), "`"+a.Name+"`") {
			t.Errorf("README.md does not name %s", a.Name)
		}
	}
}

// FuzzObserveSaysOnlyWhatIsThere: whatever the body, there is no panic, and every fact of an observation is the member
// of the body that its path names, as encoding/json reads it.
func FuzzObserveSaysOnlyWhatIsThere(f *testing.F) {
	f.Add([]byte(posture(f)))
	f.Add([]byte(`{"type":"device.posture.updated","timestamp":"2026-11-20T08:00:00Z","data":{"device":{"id":"1"},` +
		`"observed_at":"2026-11-20T08:00:00Z","attributes":{"firewall":null}}}`))
	f.Add([]byte(`{"data":{"attributes":{"firewall":true,"Firewall":false}}}`))
	a := adapter(f, secretA)
	f.Fuzz(func(t *testing.T, raw []byte) {
		observations, err := a.Observe(source.Delivery{Source: "mdm", Body: raw})
		if err != nil {
			return
		}
		var body struct {
			Data struct {
				Attributes map[string]any `json:"attributes"`
				ObservedAt time.Time      `json:"observed_at"`
			} `json:"data"`
		}
		if err := json.Unmarshal(raw, &body); err != nil {
			t.Fatal(err)
		}
		if len(observations) != 1 || len(observations[0].Facts) != len(body.Data.Attributes) || len(observations[0].Aliases) == 0 {
			t.Fatalf("%q became %+v", raw, observations)
		}
		for _, fact := range observations[0].Facts {
			attribute, known := signals.LookupAttribute(fact.Attribute)
			member, there := body.Data.Attributes[fact.Attribute]
			value, _ := json.Marshal(fact.Value)
			text, _ := json.Marshal(member)
			if !known || !there || !attribute.Accepts(fact.Value) || string(value) != string(text) ||
				fact.Path != "data.attributes."+fact.Attribute || !fact.Observed.Equal(body.Data.ObservedAt) {
				t.Fatalf("%q became %+v", raw, fact)
			}
		}
	})
}

// FuzzForgeryIsRefused: what this secret did not sign does not pass, whatever the headers say.
func FuzzForgeryIsRefused(f *testing.F) {
	v := signed(f, secretA, "msg_1", now, `{}`)
	f.Add("msg_1", "1795161600", v.Header.Get(standard.HeaderSignature), []byte(`{}`))
	f.Add("", "", "v1,", []byte(nil))
	f.Add("a.b", "1795161600", "v1a,x v1,y v1", []byte(`{"a":1}`))
	a := adapter(f, secretB)
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte) {
		header := map[string][]string{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature}}
		if got, err := a.Authenticate(source.Delivery{Header: header, Body: body}, now); status(err) != 401 {
			t.Fatalf("id %q, %v", got, err)
		}
	})
}
