package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/config/policyfile"
	"github.com/tiergate/tiergate/signals"
)

// machines is a policy in which one audience of workloads is listed by two routes, with comments that must stay.
const machines = `apiVersion: tiergate.dev/v1alpha1
kind: Governance
metadata: {name: acme}
spec:
  accountable: {name: Head, contact: head@acme.example}
  teams: {iam: {contact: iam@acme.example}}
---
apiVersion: tiergate.dev/v1alpha1
kind: Tier
metadata: {name: machines, owner: iam}
spec: {identify: workload}
---
# who builds
apiVersion: tiergate.dev/v1alpha1
kind: Audience
metadata: {name: builders, owner: iam}
spec:
  workloads:
    - spiffe: "spiffe://acme.example/ci/build" # the build farm
    - spiffe: "spiffe://acme.example/ci/idle"  # nobody knows
---
apiVersion: tiergate.dev/v1alpha1
kind: Audience
metadata: {name: deployers, owner: iam}
spec: {workloads: [{spiffe: "spiffe://acme.example/ci/deploy"}]}
---
apiVersion: tiergate.dev/v1alpha1
kind: Upstream
metadata: {name: up, owner: iam}
spec: {endpoints: ["127.0.0.1:1"], plaintext: true}
---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: artifacts, owner: iam}
spec: {hosts: [ci.acme.example], path: /artifacts, tier: machines, audiences: [builders, deployers], upstream: up}
---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: release, owner: iam}
spec:
  hosts: [ci.acme.example]
  path: /release
  tier: machines
  audiences:
    - builders # for the old pipeline
    - deployers
  upstream: up
---
apiVersion: tiergate.dev/v1alpha1
kind: Identity
metadata: {name: build-farm, owner: iam}
spec: {type: pipeline, spiffeIDs: ["spiffe://acme.example/ci/build"], recordedIn: ci-cd, reviewBy: 2099-01-01, credentials: {maxAge: 12h}}
`

// shelf is a receiver's inventory over a real store, behind an admin socket.
type shelf struct {
	t                     *testing.T
	dir, settings, policy string
	store                 signals.Store
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &shelf{t: t, dir: dir, settings: filepath.Join(dir, "settings.yaml"), policy: filepath.Join(dir, "policy")}
	if err := os.Mkdir(h.policy, 0o700); err != nil {
		t.Fatal(err)
	}
	h.write("policy/all.yaml", machines)
	h.write("settings.yaml", "runtimeDir: run\npolicy: {dir: policy}\nstore: {embedded: {file: store.db}}\n"+
		"identity: {trustDomains: [{name: acme.example, bundleFile: ca.pem}]}\n")
	h.write("ca.pem", "x")
	s, err := loadSettings(h.settings)
	if err != nil {
		t.Fatal(err)
	}
	o, err := newObserver(config.Log{Level: "error", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	if h.store, err = openStore(s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.store.Close() })
	compiled := h.compile()
	verbs, err := withIdentities(http.NotFoundHandler(), s, h.store,
		ground{policy: func() *policy.Policy { return compiled }, missing: func() string { return "" }}, o)
	if err != nil {
		t.Fatal(err)
	}
	serveAdmin(t, filepath.Join(s.RuntimeDir, "admin.sock"), verbs)
	return h
}

func (h *shelf) write(name, text string) string {
	h.t.Helper()
	file := filepath.Join(h.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return file
}

func (h *shelf) compile() *policy.Policy {
	h.t.Helper()
	files, err := policyfile.Read(h.policy)
	if err != nil {
		h.t.Fatal(err)
	}
	p, problems := policyfile.Compile(files, policy.World{})
	if len(problems) > 0 {
		h.t.Fatal(problems)
	}
	return p
}

func (h *shelf) say(status int, args ...string) string {
	h.t.Helper()
	var stdout, stderr bytes.Buffer
	if got := run(h.t.Context(), append(append([]string{"identity"}, args...), "--config", h.settings), &stdout, &stderr); got != status {
		h.t.Errorf("%q: exit %d, want %d: %s%s", args, got, status, &stdout, &stderr)
	}
	return stdout.String() + stderr.String()
}

func (h *shelf) put(kind, key string, value []byte) {
	h.t.Helper()
	if err := h.store.PutRecord(h.t.Context(), signals.Record{Kind: kind, Key: key, Revision: 1, Value: value}, 0); err != nil {
		h.t.Fatal(err)
	}
}

// observe writes what a census would have: the build farm and the deployer used one route each, on all days.
func (h *shelf) observe(days int) {
	h.t.Helper()
	now := time.Now().UTC()
	for i := range days + 1 {
		u := inventory.Use{Day: now.AddDate(0, 0, -i).Format(time.DateOnly), Sidecar: "edge"}
		h.put(inventory.UseKind, u.Key(), u.JSON())
	}
	for id, route := range map[string]string{"spiffe://acme.example/ci/build": "artifacts", "spiffe://acme.example/ci/deploy": "release"} {
		s := inventory.Sighting{ID: id, TrustDomain: "acme.example", First: now.AddDate(0, 0, -100), Last: now,
			Routes: map[string]inventory.RouteUse{route: {First: now.AddDate(0, 0, -100), Last: now, Allowed: 42, LastAllowed: now}}}
		h.put(inventory.RecordKind, id, s.JSON())
	}
}

func (h *shelf) allows(p *policy.Policy, id, path string) bool {
	in := policy.Input{At: time.Now(), Request: policy.Request{Method: "GET", Host: "ci.acme.example", Path: path},
		Subject: identity.Subject{Workload: identity.SPIFFEID("spiffe://acme.example/ci/" + id),
			Certificate: identity.Validity{NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}}}
	v := p.Evaluate(&in)
	return v.Outcome == policy.Allow
}

// TestInventorySaysWhatWasSeen: first and last, how often, from which trust domain, how old the credential is; and by type.
func TestInventorySaysWhatWasSeen(t *testing.T) {
	t.Parallel()
	h := newShelf(t)
	now := time.Now().UTC()
	s := inventory.Sighting{ID: "spiffe://acme.example/ci/build", TrustDomain: "acme.example", First: now.AddDate(0, 0, -100), Last: now,
		Routes: map[string]inventory.RouteUse{"artifacts": {First: now, Last: now, Allowed: 40, Refused: 2, LastAllowed: now},
			inventory.NoRoute: {First: now, Last: now, Refused: 3}},
		CredentialFrom: now.Add(-90 * time.Minute), CredentialUntil: now.Add(time.Hour), CredentialSeen: now}
	h.put(inventory.RecordKind, s.ID, s.JSON())
	h.say(0, "import", "--system", "secret-manager", h.write("k.csv", "id,type,neverExpires,credentialFrom\ndb,key,true,"+
		now.AddDate(0, 0, -400).Format(time.RFC3339)+"\n"))
	said := h.say(0, "list")
	head, rows, _ := strings.Cut(said, "\n")
	if got := strings.Join(strings.Fields(head), " "); got != "IDENTITY OWNER TYPE RECORDED IN FIRST SEEN LAST SEEN CALLS ROUTES USED CREDENTIAL STATE" {
		t.Error(got)
	}
	first, last := orDash(s.First), orDash(s.Last)
	for _, want := range []string{"build-farm iam pipeline ci-cd " + first + " " + last + " 45 1 of 2 1h30m0s",
		"secret-manager/db - key secret-manager - - 0 0 of 0 400d"} {
		if !strings.Contains(strings.Join(strings.Fields(rows), " "), want) {
			t.Errorf("the list does not say %q:\n%s", want, said)
		}
	}
	shown := strings.Join(strings.Fields(h.say(0, "show", "build-farm")), " ")
	for _, want := range []string{"trust domain acme.example", "first seen " + first + " last seen " + last, "calls 45", "; 1h30m0s old"} {
		if !strings.Contains(shown, want) {
			t.Errorf("it does not say %q: %s", want, shown)
		}
	}
	const byType = `TYPE      IDENTITIES  UNOWNED  ACTIVE  STALE  NEVER SEEN  EXCESSIVE  UNREVIEWED  UNRECORDED  NEVER EXPIRES
key       1           1        0       0      1           0          0           0           1
pipeline  1           0        1       0      0           1          0           1           0
`
	if said := h.say(0, "list", "--by-type"); said != byType {
		t.Errorf("%s", said)
	}
	var postures []inventory.Posture
	if err := json.Unmarshal([]byte(h.say(0, "list", "--by-type", "--owner", "iam", "-o", "json")), &postures); err != nil ||
		len(postures) != 1 || postures[0].Type != "pipeline" || postures[0].States[inventory.StateExcessive] != 1 {
		t.Errorf("%+v, %v", postures, err)
	}
	if said := h.say(0, "list", "--by-type", "--owner", "nobody"); said != "no identity\n" {
		t.Error(said)
	}
}

// TestASuggestionIsAPatch: applied by git, used requests still pass and unused ones no longer do; comments, order and layout
// stay; there is nothing more to suggest then.
func TestASuggestionIsAPatch(t *testing.T) {
	t.Parallel()
	h := newShelf(t)
	h.observe(30)
	said := h.say(0, "suggest", "--days", "30")
	for _, want := range []string{"# take spiffe://acme.example/ci/idle out of audience builders:", "# take audience deployers off route artifacts:",
		"# take audience builders off route release:", "#   route release let spiffe://acme.example/ci/build in 0 times, never, and " +
			"refused it 0 times; spiffe://acme.example/ci/build was seen first", "by policy diff (tightens)",
		"was never seen", "-    - spiffe: \"spiffe://acme.example/ci/idle\"  # nobody knows\n", "-    - builders # for the old pipeline\n",
		"+spec: {hosts: [ci.acme.example], path: /artifacts, tier: machines, audiences: [builders], upstream: up}\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	before := h.compile()
	patch := h.write("s.patch", said)
	git := exec.CommandContext(t.Context(), "git", "apply", "--verbose", patch)
	git.Dir = h.policy
	git.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+h.dir)
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, said)
	}
	after := h.compile()
	for _, tt := range []struct {
		id, path string
		was, is  bool
	}{{"build", "/artifacts", true, true}, {"deploy", "/release", true, true}, {"build", "/release", true, false},
		{"deploy", "/artifacts", true, false}, {"idle", "/artifacts", true, false}, {"idle", "/release", true, false}} {
		if h.allows(before, tt.id, tt.path) != tt.was || h.allows(after, tt.id, tt.path) != tt.is {
			t.Errorf("%s %s: was %v, is %v", tt.id, tt.path, h.allows(before, tt.id, tt.path), h.allows(after, tt.id, tt.path))
		}
	}
	text, err := os.ReadFile(filepath.Join(h.policy, "all.yaml"))
	if err != nil || !strings.Contains(string(text), "# who builds") || !strings.Contains(string(text), "# the build farm") {
		t.Errorf("%v\n%s", err, text)
	}
	if again := h.say(0, "suggest", "--days", "30"); !strings.Contains(again, "# there is nothing to suggest") {
		t.Error(again)
	}
}

// TestASuggestionIsFirm: nothing is suggested before it was observed for long enough, nor what may let somebody do more.
func TestASuggestionIsFirm(t *testing.T) {
	t.Parallel()
	h := newShelf(t)
	h.observe(29)
	if said := h.say(1, "suggest", "--days", "30"); !strings.Contains(said, "not observed for long enough") || strings.Contains(said, "---") {
		t.Error(said)
	}
	var s identitySuggestion
	if err := json.Unmarshal([]byte(h.say(0, "suggest", "build-farm", "--days", "29", "-o", "json")), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Cuts) != 1 || s.Cuts[0].Route != "release" || s.Direction != "tightens" || len(s.Effect) != 1 {
		t.Errorf("of one identity: %+v", s)
	}
	edit(t, filepath.Join(h.policy, "all.yaml"), "metadata: {name: builders, owner: iam}\nspec:\n", "metadata: {name: builders, owner: iam}\nspec:\n  isolated: true\n")
	edit(t, filepath.Join(h.policy, "all.yaml"), "audiences: [builders, deployers], upstream: up}", "audiences: [builders, deployers], upstream: up, shared: true, reason: x}")
	edit(t, filepath.Join(h.policy, "all.yaml"), "  upstream: up\n", "  upstream: up\n  shared: true\n  reason: x\n")
	said := h.say(0, "suggest", "--days", "29")
	if !strings.Contains(said, "# left alone: take spiffe://acme.example/ci/idle out of audience builders: it is not sure to be no looser") ||
		strings.Contains(said, "-    - spiffe") {
		t.Error(said)
	}
	h.write("policy/all.yaml", "kind: x\n")
	if said := h.say(1, "suggest", "--days", "29"); !strings.Contains(said, "all.yaml:1") {
		t.Error(said)
	}
}
