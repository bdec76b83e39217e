package ssf_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/signals/ssf"
)

var update = flag.Bool("update", false, "write what is read now as what should be read")

// reading is what comes of the claims of one SET, in lines. iss and aud are taken from the claims, so that every published
// body can be read as it stands.
func reading(t *testing.T, claims []byte, tenant string) string {
	t.Helper()
	var c struct {
		Iss string
		Aud any
	}
	if err := json.Unmarshal(claims, &c); err != nil {
		t.Fatal(err)
	}
	audience, _ := c.Aud.(string)
	if several, ok := c.Aud.([]any); ok {
		audience, _ = several[0].(string)
	}
	var b strings.Builder
	s := stream(t, func(o *ssf.Options) {
		o.Issuer, o.Audiences, o.SubjectInEvent, o.Tenant = c.Iss, []string{audience}, true, tenant
		o.SubjectIssuers = []string{"https://idp.example.com/3456789/",
			"https://idp.example.com/3957ea72-1b66-44d6-a044-d805712b9288/"}
		o.Events.Heard = func(e ssf.Event) {
			e.Stream, e.Received = "", time.Time{}
			line, _ := json.Marshal(e)
			fmt.Fprintf(&b, "event %s\n", line)
		}
	})
	d := delivery(rawSigned(nil, string(claims)))
	id, err := s.Authenticate(d, now)
	if err != nil {
		return "refused: " + err.Error() + "\n"
	}
	d.ID = id
	revocations, err := s.Effects(d)
	if err != nil {
		fmt.Fprintf(&b, "dead letter: %v\n", err)
	}
	for _, r := range revocations {
		if _, err := r.Record(); err != nil {
			t.Errorf("a revocation that cannot be kept: %v", err)
		}
		fmt.Fprintf(&b, "%s user=%s email=%s session=%s device=%s level=%s notBefore=%s until=%s reason=%q\n", r.Sort,
			r.User, r.Email,
			r.Session, r.Device, r.Level, r.NotBefore.Format(time.RFC3339), r.Until.Format(time.RFC3339), r.Reason)
	}
	observations, err := s.Observe(d)
	if err != nil {
		fmt.Fprintf(&b, "dead letter: %v\n", err)
	}
	for _, o := range observations {
		for _, f := range o.Facts {
			fmt.Fprintf(&b, "fact %v %s=%v observed=%s\n", o.Aliases, f.Attribute, f.Value, f.Observed.Format(time.RFC3339))
		}
	}
	return b.String()
}

// TestEvents: every sort of event, also those that must not count, in the shapes that transmitters send.
func TestEvents(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 30 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		claims, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, golden := reading(t, claims, "123"), strings.TrimSuffix(file, ".json")+".txt"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || string(want) != got {
			t.Errorf("%s, %v:\n%swant\n%s", file, err, got, want)
		}
	}
}

// TestPublishedSamples: the published bodies, where the folder with them lies beside the repository. What each must come to is
// the beginning of a line.
func TestPublishedSamples(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "samples")
	if _, err := os.Stat(dir); err != nil {
		return
	}
	want := map[string]string{
		"caep_assurance_level_change_increase": "event ", "caep_credential_change_fido2": "event ",
		"caep_device_compliance_change": "fact [vendor:mdm/e9297990-14d2-42ec-a4a9-4036db86509a] config_compliance=noncompliant",
		"caep_risk_level_change_user":   "risk user=jane.doe@example.com", "caep_session_established": "event ",
		"caep_session_revoked_session":  "ended user= email= session=dMTlD|1600802906337.16|16008.16 device= ",
		"caep_session_revoked_user":     "ended user=99beb27c-c1c2-4955-882a-e0dc4996fcbc email= session=dMTlD|1600802906337.16|16008.16 ",
		"caep_token_claims_change_oidc": "event ", "caep_token_claims_change_saml": "event ",
		"risc_account_credential_change_required": "ended user=7375626A656374 ",
		"risc_account_disabled":                   "ended user=7375626A656374 ",
		"risc_credential_compromise":              "ended user=joe.smith@example.com ",
		"ssf_set_risc_account_enabled":            "event ", "ssf_stream_updated": "event ", "ssf_verification": "event ",
		"ssf_verification_array_aud":      "event ",
		"ssf_set_session_revoked_complex": "ended user=jane.smith@example.com email= session= device=vendor:mdm/e9297990-",
		"set_device_risk_change":          "fact [vendor:mdm/device-identifier-001] threat_level=low",
	}
	for name, begins := range want {
		vendor := "ssf_caep"
		if strings.HasPrefix(name, "set_") {
			vendor = "okta"
		}
		claims, err := os.ReadFile(filepath.Join(dir, vendor, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		got := reading(t, claims, "")
		if !strings.Contains("\n"+got, "\n"+begins) || strings.Contains(got, "refused") {
			t.Errorf("%s: %s", name, got)
		}
	}
	refused(t, dir)
}

// refused are the published SETs that nobody may take: RFC 8935's example is signed with HS256, RFC 8936's with nothing.
func refused(t *testing.T, dir string) {
	t.Helper()
	pushed, err := os.ReadFile(filepath.Join(dir, "ssf_caep", "rfc8935_push_request.jwt"))
	if err != nil {
		t.Fatal(err)
	}
	polled, err := os.ReadFile(filepath.Join(dir, "ssf_caep", "rfc8936_poll_response.json"))
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ SETs map[string]string }
	if err := json.Unmarshal(polled, &answer); err != nil || len(answer.SETs) != 2 {
		t.Fatal(err)
	}
	for _, set := range append([]string{strings.TrimSpace(string(pushed))}, answer.SETs["4d3559ec67504aaba65d40b0363faad8"],
		answer.SETs["3d0c3cf797584bd193bd0fb1bd4e7d30"]) {
		if _, err := stream(t).Authenticate(delivery(set), now); err == nil {
			t.Errorf("taken: %s", set)
		}
	}
}

// TestExamplesShareTheirJTI: the specifications' examples reuse one jti; none of them is lost for that.
func TestExamplesShareTheirJTI(t *testing.T) {
	ids := map[string]bool{}
	files, _ := filepath.Glob("testdata/*.json")
	n := 0
	for _, file := range files {
		claims, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var c object
		if err := json.Unmarshal(claims, &c); err != nil {
			t.Fatal(err)
		}
		c["jti"] = "24c63fb56e5a2d77a6b512616ca9fa24"
		s := stream(t, func(o *ssf.Options) {
			o.Issuer, o.Audiences, o.SubjectInEvent = "https://idp.acme.example/", []string{"acme"}, true
		})
		id, err := s.Authenticate(delivery(signAs(rsaKey(), jose.RS256, nil, c)), now)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		ids[id] = true
		n++
	}
	if len(ids) != n {
		t.Errorf("%d ids of %d events", len(ids), n)
	}
}
