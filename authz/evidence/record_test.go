package evidence

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)

// sample is a plain record: ana, on her laptop, was let in.
func sample(id string) *Record {
	seen := noon.Add(-time.Hour)
	posture := &signals.Posture{Device: "d1", Revision: 7,
		Aliases: []signals.Alias{{Kind: signals.AliasSerial, Value: "C02ANA0001"}},
		Facts: []signals.Fact{
			{Attribute: "disk_encryption", Value: signals.Bool(true), Source: "mdm", Path: "disk.on", Observed: seen, Received: seen},
			{Attribute: "edr_risk_score", Value: signals.Number(1.5), Source: "edr", Observed: seen, Received: noon},
			{Attribute: "os_version", Value: signals.Text("15.6"), Source: "mdm", Observed: seen, Received: seen},
		}}
	window := identity.Validity{NotBefore: seen, NotAfter: noon.Add(time.Hour)}
	return &Record{
		ID: id, Took: 48211, Policy: "sha256:00",
		Input: policy.Input{
			At:      noon,
			Request: policy.Request{Method: "GET", Host: "app.acme.example", Path: "/reports", Chosen: &policy.Chosen{Route: "app"}},
			Subject: identity.Subject{Device: posture.Aliases[0], Certificate: window,
				User: &identity.User{Issuer: "corp", Name: "ana@acme.example", Subject: "7", Groups: []string{"staff"}, Token: window}},
			Device: policy.Device{Packed: signals.Pack(posture), AsOf: noon, Assessment: &policy.Assessment{}},
		},
		Verdict: policy.Verdict{Outcome: policy.Allow, Reason: policy.ReasonAllowed, Route: "app", Tier: "internal", Policy: "sha256:00"},
	}
}

// TestLineIsStable: what other programs read. A change here is a new Version.
func TestLineIsStable(t *testing.T) {
	t.Parallel()
	var e encoder
	if err := e.add(line{V: Version, Record: sample("0199")}); err != nil {
		t.Fatal(err)
	}
	const window = `{"notBefore":"2026-11-22T11:00:00.123456789Z","notAfter":"2026-11-22T13:00:00.123456789Z"}`
	const seen, now = `"2026-11-22T11:00:00.123456789Z"`, `"2026-11-22T12:00:00.123456789Z"`
	const want = `{"v":1,"id":"0199","took":48211,"policy":"sha256:00",` +
		`"input":{"at":` + now + `,"request":{"method":"GET","host":"app.acme.example","path":"/reports","chosen":{"route":"app"}},` +
		`"subject":{"device":"serial:C02ANA0001","certificate":` + window +
		`,"user":{"issuer":"corp","name":"ana@acme.example","subject":"7","groups":["staff"],"token":` + window + `}},` +
		`"device":{"posture":{"device":"d1","revision":7,"aliases":["serial:C02ANA0001"],"facts":[` +
		`{"attribute":"disk_encryption","value":true,"source":"mdm","path":"disk.on","observed":` + seen + `,"received":` + seen + `},` +
		`{"attribute":"edr_risk_score","value":1.5,"source":"edr","observed":` + seen + `,"received":` + now + `},` +
		`{"attribute":"os_version","value":"15.6","source":"mdm","observed":` + seen + `,"received":` + seen + `}]},"asOf":` + now + `}},` +
		`"verdict":{"outcome":"allow","reason":"allowed","route":"app","tier":"internal","policy":"sha256:00"}}` + "\n"
	if diff := cmp.Diff(want, e.buffer.String()); diff != "" {
		t.Error(diff)
	}
	for _, tt := range []struct {
		l    line
		want string
	}{{line{V: Version, Annul: "0199"}, `{"v":1,"annul":"0199"}`}, {line{V: Version, Lost: 17}, `{"v":1,"lost":17}`}} {
		e.reset()
		if err := e.add(tt.l); err != nil || e.buffer.String() != tt.want+"\n" {
			t.Errorf("%q (%v), want %q", e.buffer.String(), err, tt.want)
		}
	}
}

// TestRecordSurvives: every field, with any bytes in every text, comes back as it was.
func TestRecordSurvives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord().Draw(t, "record")
		before := *r
		var e encoder
		if err := e.add(line{V: Version, Record: r}); err != nil {
			t.Fatal(err)
		}
		text := e.buffer.Bytes()
		if !utf8.Valid(text) || strings.Count(string(text), "\n") != 1 {
			t.Fatalf("no line of UTF-8: %q", text)
		}
		l, err := decode(text)
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if !reflect.DeepEqual(l.Record, r) {
			t.Fatalf("came back changed:\n%s", cmp.Diff(r, l.Record, cmp.AllowUnexported(signals.Value{})))
		}
		if !reflect.DeepEqual(&before, r) {
			t.Fatal("writing it changed it")
		}
	})
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "/plain": "/plain", "ü": "ü", `\ufffd`: `\ufffd`,
		"a\xffb": "a\uFFFDffb", "\uFFFD": "\uFFFDef\uFFFDbf\uFFFDbd", "\xc3\x28": "\uFFFDc3(", "\xed\xa0\x80": "\uFFFDed\uFFFDa0\uFFFD80",
	} {
		if got, err := escape(text); err != nil || got != want {
			t.Errorf("%q is written as %q (%v), want %q", text, got, err, want)
		}
	}
	for _, bad := range []string{"\uFFFD", "a\uFFFDf", "\uFFFDfg", "\uFFFD+1", "\uFFFDff\uFFFD"} {
		if got, err := unescape(bad); err == nil {
			t.Errorf("%q was read as %q", bad, got)
		}
	}
}

func FuzzEscapeLosesNothing(f *testing.F) {
	f.Add("/a\xffb\uFFFD")
	f.Fuzz(func(t *testing.T, s string) {
		escaped, _ := escape(s)
		if back, err := unescape(escaped); err != nil || back != s || !utf8.ValidString(escaped) {
			t.Errorf("%q, %q, %q (%v)", s, escaped, back, err)
		}
	})
}

// TestRecordThatCannotBeWritten: nothing of it is left in the lines of others.
func TestRecordThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Record){
		"an instant after the year 9999": func(r *Record) { r.Input.Device.AsOf = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"an outcome without a word":      func(r *Record) { r.Verdict.Outcome = 7 },
		"too long":                       func(r *Record) { r.Input.Request.Path = strings.Repeat("\x00", maxLineBytes/6) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var e encoder
			if err := e.add(line{V: Version, Lost: 1}); err != nil {
				t.Fatal(err)
			}
			r := sample("1")
			spoil(r)
			if err := e.add(line{V: Version, Record: r}); err == nil || e.buffer.String() != `{"v":1,"lost":1}`+"\n" {
				t.Errorf("%v; left %q", err, e.buffer.String())
			}
		})
	}
}
