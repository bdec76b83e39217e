package stage

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
)

const logged = `starting
{"level":"info","msg":"policy in force","digest":"1"}
{"level":"info","msg":"decision","decision":"01-a","outcome":"deny","waived":null,"detail":"as 01-b"}
{"level":"info","msg":"decision","decision":"01-b","outcome":"allow","waived":[{"signal":"disk-encrypted","list":"require",` +
	`"by":"exception","name":"loaner","until":"2026-11-27T18:00:00Z"},{"signal":"edr-healthy","by":"grace","until":"2026-11-27T18:00:00Z"}]}
broken 01-c
`

// TestRecord: a decision is found in the log by its own id, and what nothing is told of is not found.
func TestRecord(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	if _, _, err := s.Record("01-a"); err == nil {
		t.Error("found in a log that is not there")
	}
	if err := os.WriteFile(s.log("serve"), []byte(logged), 0o600); err != nil {
		t.Fatal(err)
	}
	until := time.Date(2026, 11, 27, 18, 0, 0, 0, time.UTC)
	want := Record{Decision: "01-b", Outcome: "allow", Waived: []Waived{
		{Signal: "disk-encrypted", By: "exception", Name: "loaner", Until: until}, {Signal: "edr-healthy", By: "grace", Until: until}}}
	got, found, err := s.Record("01-b")
	if diff := cmp.Diff(want, got); diff != "" || !found || err != nil {
		t.Errorf("found %v, %v: %s", found, err, diff)
	}
	if got.Waived[0].String() != "disk-encrypted by exception loaner" || got.Waived[1].String() != "edr-healthy by grace" {
		t.Errorf("put as %v", got.Waived)
	}
	if got, found, err := s.Record("01-a"); err != nil || !found || got.Outcome != "deny" || got.Waived != nil {
		t.Errorf("the refusal: %+v %v %v", got, found, err)
	}
	if got, found, err := s.Record("01-d"); err != nil || found || got.Decision != "" {
		t.Errorf("a decision that nothing is told of: %+v %v %v", got, found, err)
	}
	for decision, hint := range map[string]string{"01-c": "in no JSON", "": "without a decision"} {
		if _, _, err := s.Record(decision); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%q: %v", decision, err)
		}
	}
}

func TestWritePolicy(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	for _, text := range []string{"# one\n", "# two\n"} {
		if err := s.WritePolicy("access/new.yaml", text); err != nil || read(t, s.Path("policy", "access", "new.yaml")) != text {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := s.WritePolicy("none/new.yaml", "#"); err == nil {
		t.Error("written into a directory that is not there")
	}
	if left, err := os.Stat(s.Path("policy.draft")); err == nil {
		t.Errorf("%s was left behind", left.Name())
	}
}

// TestReportSeen: the instant is the one that was said, also after a later one.
func TestReportSeen(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	var bodies []string
	s.Sender.URL = receiver(t, s.Sender.SecretFile, http.StatusAccepted, &bodies).URL + "/v1/sources/" + SourceName
	seen := time.Now().Add(-10 * time.Hour)
	for _, at := range []time.Time{time.Now(), seen} {
		if _, err := s.ReportSeen(t.Context(), "dora-laptop", at, map[string]any{"firewall": true}); err != nil {
			t.Fatal(err)
		}
	}
	var payload struct {
		Timestamp time.Time
		Data      struct {
			ObservedAt time.Time `json:"observed_at"`
		}
	}
	if err := json.Unmarshal([]byte(bodies[1]), &payload); err != nil || !payload.Data.ObservedAt.Equal(seen) || !payload.Timestamp.Equal(seen) {
		t.Errorf("seen at %s, told %+v: %v", seen, payload, err)
	}
	if _, err := s.ReportSeen(t.Context(), "nobody", seen, nil); err == nil {
		t.Error("a laptop that nobody knows was reported")
	}
}

// TestLogins: who logged in with a key has a token that says so, and when; of the others nothing is said.
func TestLogins(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	for name, age := range map[string]time.Duration{"ana": 0, "ana-key": time.Second, "ana-key-old": time.Hour} {
		token, err := jwt.ParseSigned(s.Cast.Tokens[name], []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		claims := map[string]any{}
		if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
			t.Fatal(err)
		}
		if claims["sub"] != "ana@acme.example" {
			t.Errorf("%s is the token of %v", name, claims["sub"])
		}
		login, said := claims["auth_time"].(float64)
		if _, strongly := claims["acr"]; strongly != (age > 0) || said != (age > 0) {
			t.Errorf("%s: acr %v, auth_time %v", name, claims["acr"], claims["auth_time"])
		}
		if got := time.Since(time.Unix(int64(login), 0)); said && (got < age || got > age+time.Minute) {
			t.Errorf("%s: the login is %s old", name, got)
		}
	}
}
