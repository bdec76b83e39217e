package fleet_test

import (
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals/source/fleet"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

// said is what a host, described by members of its record, says of an attribute: "value (path)" or "".
func said(t *testing.T, members, attribute string, change func(*fleet.Options)) string {
	t.Helper()
	s := newServer(t)
	s.set(hosts+"/1", `{"host":{"id":1,"detail_updated_at":"2026-11-20T07:00:00Z",`+
		`"policy_updated_at":"2026-11-20T07:30:00Z","seen_time":"2026-11-20T08:29:59Z",`+members+`}}`)
	s.set(hosts+"/1/device_mapping", `{"device_mapping":[`+
		`{"email":"ana@acme.example","source":"one"},{"email":"bo@acme.example","source":"two"},`+
		`{"email":"ana@acme.example","source":"same"},{"email":"ana@acme.example","source":"same"},`+
		`{"email":"ana@acme.example","source":"many"},{"email":"bo@acme.example","source":"many"},`+
		`{"email":"","source":"none"},{"email":"ana@acme.example","source":"none"}]}`)
	a, _ := adapter(t, s, change)
	got, err := a.Device(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	found := ""
	for line := range strings.SplitSeq(sourcetest.Text(t, got[0]), "\n") {
		name, rest, _ := strings.Cut(line, " = ")
		if name != attribute {
			continue
		}
		if found != "" {
			t.Errorf("%s: %s is said twice", members, attribute)
		}
		if strings.Contains(line, "08:29:59") {
			t.Errorf("%s is dated by seen_time", line)
		}
		value, rest, _ := strings.Cut(rest, "  (")
		path, _, _ := strings.Cut(rest, ", ")
		found = value + " (" + path + ")"
	}
	return found
}

// The cells of the judgement: the worst of the policies that a host has counts.
func TestPolicies(t *testing.T) {
	const at15, at16 = " (policies[id=15].response)", " (policies[id=16].response)"
	for policies, want := range map[string]string{
		`[]`:                            "",
		`null`:                          "",
		`[{"id":99,"response":"pass"}]`: "",
		`[{"id":15,"response":"pass"}]`: "true" + at15,
		`[{"id":16,"response":"pass"}]`: "true" + at16,
		`[{"id":15,"response":"fail"}]`: "false" + at15,
		`[{"id":15,"response":""}]`:     "unknown" + at15,
		`[{"id":15}]`:                   "unknown" + at15,
		`[{"id":15,"response":null}]`:   "unknown" + at15,
		`[{"id":15,"response":"Pass"}]`: "unknown" + at15,
		`[{"id":15,"response":"pass"},{"id":16,"response":"fail"}]`:                            "false" + at16,
		`[{"id":15,"response":"fail"},{"id":16,"response":"pass"}]`:                            "false" + at15,
		`[{"id":15,"response":""},{"id":16,"response":"fail"}]`:                                "false" + at16,
		`[{"id":15,"response":"pass"},{"id":16,"response":""}]`:                                "unknown" + at16,
		`[{"id":15,"response":"pass"},{"id":15,"response":"fail"}]`:                            "false" + at15,
		`[{"id":15,"response":"pass"},{"id":16,"response":"pass"},{"id":1,"response":"fail"}]`: "true" + at15,
	} {
		if got := said(t, `"policies":`+policies, "screen_lock", nil); got != want {
			t.Errorf("%s: %q, want %q", policies, got, want)
		}
		// The same answer makes what is good by being false.
		turned := strings.NewReplacer("true", "false", "false", "true").Replace(want)
		got := said(t, `"policies":`+policies, "compromised", func(o *fleet.Options) {
			o.Policies = map[string][]int64{"compromised": {15, 16}}
		})
		if got != turned {
			t.Errorf("%s: compromised is %q, want %q", policies, got, turned)
		}
	}
}

func TestCompliance(t *testing.T) {
	const good, open, bad = `{"id":12,"response":"pass"}`, `{"id":15,"response":""}`, `{"id":21,"response":"fail"}`
	const other = `{"id":99,"response":"fail"}`
	all := func(o *fleet.Options) { o.Compliance, o.AllPolicies = nil, true }
	none := func(o *fleet.Options) { o.Compliance = nil }
	for _, tt := range []struct {
		policies string
		change   func(*fleet.Options)
		want     string
	}{
		{good, nil, "compliant"}, {good + "," + open, nil, "pending"}, {good + "," + open + "," + bad, nil, "noncompliant"},
		{good + "," + other, nil, "compliant"}, {other, nil, ""}, {"", nil, ""},
		{good, all, "compliant"}, {good + "," + other, all, "noncompliant"}, {open, all, "pending"}, {"", all, ""},
		{good, none, ""}, {bad, none, ""},
	} {
		got, _, _ := strings.Cut(said(t, `"policies":[`+tt.policies+`]`, "config_compliance", tt.change), " (")
		if got != tt.want {
			t.Errorf("[%s]: %q, want %q", tt.policies, got, tt.want)
		}
	}
}

// The record's own word on the disk is the one that counts; a policy speaks where it has none.
func TestDiskEncryption(t *testing.T) {
	const pass, fail = `"policies":[{"id":13,"response":"pass"}]`, `"policies":[{"id":13,"response":"fail"}]`
	const field, byPolicy = " (disk_encryption_enabled)", " (policies[id=13].response)"
	for members, want := range map[string]string{
		`"disk_encryption_enabled":true,` + fail:    "true" + field,
		`"disk_encryption_enabled":false,` + pass:   "false" + field,
		`"disk_encryption_enabled":"True",` + pass:  "true" + field,
		`"disk_encryption_enabled":"maybe",` + pass: "unknown" + field,
		`"disk_encryption_enabled":1,` + pass:       "unknown" + field,
		`"disk_encryption_enabled":null,` + pass:    "true" + byPolicy,
		`"disk_encryption_enabled":null,` + fail:    "false" + byPolicy,
		pass:                                        "true" + byPolicy,
		`"disk_encryption_enabled":null`:            "",
		`"policies":[]`:                             "",
	} {
		if got := said(t, members, "disk_encryption", nil); got != want {
			t.Errorf("%s: %q, want %q", members, got, want)
		}
	}
}

func TestManaged(t *testing.T) {
	for status, want := range map[string]string{
		`"On (automatic)"`: "true", `"On (manual)"`: "true", `"On (personal)"`: "true",
		`"Off"`: "false", `"Pending"`: "false", `"on (automatic)"`: "unknown", `""`: "unknown", `"On"`: "unknown", `null`: "",
	} {
		got, _, _ := strings.Cut(said(t, `"mdm":{"enrollment_status":`+status+`}`, "mdm_managed", nil), " (")
		if got != want {
			t.Errorf("%s: %q, want %q", status, got, want)
		}
	}
	for _, members := range []string{`"mdm":null`, `"mdm":{}`, `"uuid":""`} {
		if got := said(t, members, "mdm_managed", nil); got != "" {
			t.Errorf("%s: %q; what is absent is not false", members, got)
		}
	}
}

func TestUser(t *testing.T) {
	for users, want := range map[string]string{
		"one": "ana@acme.example (device_mapping[one].email)", "two,one": "bo@acme.example (device_mapping[two].email)",
		"absent,one": "ana@acme.example (device_mapping[one].email)", "same": "ana@acme.example (device_mapping[same].email)",
		"many,one": "unknown (device_mapping[many].email)", "none": "unknown (device_mapping[none].email)",
		"absent": "", "": "",
	} {
		got := said(t, `"uuid":""`, "enrolled_user", func(o *fleet.Options) {
			o.Users = strings.FieldsFunc(users, func(r rune) bool { return r == ',' })
		})
		if got != want {
			t.Errorf("%q: %q, want %q", users, got, want)
		}
	}
}

// What has no instant is not said, and each fact has its own: the details' or the policies'.
func TestInstants(t *testing.T) {
	for _, never := range []string{`null`, `""`, `0`, `"0001-01-01T00:00:00Z"`, `"2000-01-01T00:00:00Z"`, `"yesterday"`,
		`{}`, `"2026-11-20 07:00:00"`} {
		s := newServer(t)
		s.set(hosts+"/1", `{"host":{"id":1,"platform":"darwin","disk_encryption_enabled":true,`+
			`"seen_time":"2026-11-20T08:00:00Z","updated_at":"2026-11-20T08:00:00Z","detail_updated_at":`+never+
			`,"policy_updated_at":"2026-11-20T07:30:00Z","policies":[{"id":12,"response":"pass"}]}}`)
		a, _ := adapter(t, s, func(o *fleet.Options) { o.Users, o.Compliance = nil, nil })
		got, err := a.Device(t.Context(), "1")
		if err != nil {
			t.Fatal(err)
		}
		want := "vendor:fleet/1\nfirewall = true  (policies[id=12].response, 2026-11-20T07:30:00Z)\n"
		if said := sourcetest.Text(t, got[0]); said != want {
			t.Errorf("detail_updated_at %s:\n%s", never, said)
		}
	}
}
