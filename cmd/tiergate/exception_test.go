package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

// counter is a desk over a real store, behind an admin socket and behind TLS, with a policy that is followed.
type counter struct {
	t                        *testing.T
	dir, settings, url, mine string
	followed                 *followedPolicy
	store                    signals.Store
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := &counter{t: t, dir: dir, settings: filepath.Join(dir, "settings.yaml"), mine: filepath.Join(dir, "token")}
	if err := os.CopyFS(filepath.Join(dir, "policy"), os.DirFS("../../examples/ingress/policy")); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{c.settings: "runtimeDir: run\npolicy: {dir: policy}\nstore: {embedded: {file: store.db}}\n",
		c.mine: "cho@acme.example\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := loadSettings(c.settings)
	if err != nil {
		t.Fatal(err)
	}
	o, err := newObserver(config.Log{Level: "error", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	if c.store, err = openStore(s); err != nil {
		t.Fatal(err)
	}
	c.followed = followPolicy(s, o)
	c.followed.world = policy.World{}
	c.followed.taken = ""
	c.followed.look(true)
	desk, err := receiverDesk(s, c.store, ground{policy: c.followed.policy, missing: c.followed.missing}, o)
	if err != nil {
		t.Fatal(err)
	}
	c.serve(s, desk)
	return c
}

func (c *counter) serve(s *config.Settings, desk *approvals.Desk) {
	c.t.Cleanup(func() { _ = c.store.Close() })
	serveAdmin(c.t, filepath.Join(s.RuntimeDir, "admin.sock"), withDesk(http.NotFoundHandler(), desk))
	server := httptest.NewTLSServer(approvalsHandler(desk, func(req *http.Request) (approvals.Caller, error) {
		name, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		if !ok || name == "nobody" {
			return approvals.Caller{}, errors.New("the token is not believed")
		}
		return approvals.Caller{Person: approvals.Person{Way: approvals.WayOIDC, Issuer: "corp", Name: name}}, nil
	}))
	c.url = server.URL
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(c.dir, "ca.pem"), ca, 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(server.Close)
}

// here runs a verb over the socket, there over TLS as the person of the token, and both check the exit status.
func (c *counter) here(status int, args ...string) string {
	c.t.Helper()
	return c.say(status, append(args, "--config", c.settings))
}

func (c *counter) there(status int, args ...string) string {
	c.t.Helper()
	return c.say(status, append(args, "--server", c.url, "--ca", filepath.Join(c.dir, "ca.pem"), "--token-file", c.mine))
}

func (c *counter) say(status int, args []string) string {
	c.t.Helper()
	var stdout, stderr bytes.Buffer
	if got := run(c.t.Context(), args, &stdout, &stderr); got != status {
		c.t.Errorf("%q: exit %d, want %d: %s%s", args, got, status, &stdout, &stderr)
	}
	return stdout.String() + stderr.String()
}

func tells(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%q is not in:\n%s", w, got)
		}
	}
}

// TestExceptionVerbs: one asks at the socket, another approves by a token, a third looks, and it is ended.
func TestExceptionVerbs(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	ask := []string{"exception", "request", "--name", "ben-new", "--subject", "corp/ben@acme.example", "--device", "C02NEW00001", "--route",
		"portal", "--signal", "disk-encrypted", "--reason", "new laptop", "--ticket", "IT-5000"}
	tells(t, c.here(exitNo, append(ask, "--for", "400h")...), "tier \"internal\" allows 14d", "(rule bounds)")
	tells(t, c.here(exitFine, append(ask, "--for", "4h")...), "exception ben-new: requested; from ", "once somebody approves it for iam",
		"may approve: cho@acme.example of issuer corp for iam")
	tells(t, c.here(exitNo, append(ask, "--for", "4h")...), "there is an exception \"ben-new\" already")
	tells(t, c.here(exitNo, "exception", "approve", "ben-new"), "all local users count as one", "cho@acme.example of issuer corp for iam",
		"(rule approver-unknown)")
	tells(t, c.here(exitFine, "exception", "list", "--state", "requested"), "ben-new  requested  run time")
	tells(t, c.there(exitFine, "exception", "approve", "ben-new", "--reason", "seen it"), "exception ben-new: approved; it is in force until ")
	tells(t, c.here(exitFine, "exception", "list", "--ending", "24h", "--user", "BEN@acme.example", "--route", "portal", "--device",
		"C02NEW00001"), "ben-new  in force  run time", "corp/ben@acme.example")
	if got := c.here(exitFine, "exception", "list", "--ending", "1h"); strings.Contains(got, "ben-new") {
		t.Error(got)
	}
	tells(t, c.here(exitFine, "exception", "list"), "ana-loaner", "policy")
	tells(t, c.here(exitFine, "exception", "show", "ben-new"), "requested by ", ", a local user; new laptop; IT-5000",
		"approved by cho@acme.example (corp) for iam; seen it", "approver              cho@acme.example")
	var l approvals.Listed
	if err := json.Unmarshal([]byte(c.there(exitFine, "exception", "show", "ben-new", "-o", "json")), &l); err != nil ||
		l.Stands != approvals.StateInForce || len(l.History) != 2 || l.History[1].By.Way != approvals.WayOIDC {
		t.Errorf("%+v, %v", l, err)
	}
	tells(t, c.here(exitFine, "exception", "renew", "ben-new", "--for", "2h", "--reason", "late", "--ticket", "IT-5001", "-o", "yaml"),
		"name: ben-new-r1", "renews: ben-new", "state: requested")
	tells(t, c.there(exitFine, "exception", "refuse", "ben-new-r1", "--reason", "no"), "exception ben-new-r1: refused; it is refused")
	tells(t, c.here(exitFine, "exception", "revoke", "ben-new", "--reason", "found"), "exception ben-new: revoked; it is revoked")
	tells(t, c.here(exitNo, "exception", "revoke", "ben-new", "--reason", "again"), `exception "ben-new" is revoked`)
	tells(t, c.here(exitNo, "exception", "show", "x"), `there is no exception "x"; see tiergate exception list`)
	if err := os.WriteFile(c.mine, []byte("nobody"), 0o600); err != nil {
		t.Fatal(err)
	}
	tells(t, c.there(exitNo, "exception", "list"), "the token is not believed")
}

// TestGraceVerbs: a silent device is listed, renewed by a named person, and ended.
func TestGraceVerbs(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	tells(t, c.here(exitFine, "grace", "list"), "no device is in grace")
	seen := func(device, serial string, age time.Duration) {
		at := time.Now().Add(-age)
		var facts []signals.Fact
		for attribute, v := range map[string]signals.Value{"platform": signals.Text("macos"), "disk_encryption": signals.Bool(true),
			"os_version": signals.Text("26.1"), "edr_healthy": signals.Bool(true), "compromised": signals.Bool(false),
			"firewall": signals.Bool(true)} {
			facts = append(facts, signals.Fact{Attribute: attribute, Value: v, Source: "acme-mdm", Observed: at, Received: at})
		}
		p, _ := signals.Posture{Device: signals.DeviceID(device), Aliases: []signals.Alias{{Kind: signals.AliasSerial, Value: serial}}}.Merge(
			signals.Observation{Facts: facts})
		p.Revision = 1
		if err := c.store.PutPosture(t.Context(), p, 0); err != nil {
			t.Fatal(err)
		}
	}
	seen("quiet", "C02QUIET001", 5*time.Hour)
	seen("loud", "C02LOUD0001", time.Minute)
	tells(t, c.here(exitFine, "grace", "list"), "quiet", "internal", "runs", "0 of 1")
	tells(t, c.here(exitNo, "grace", "renew", "C02QUIET001", "--reason", "at sea", "--ticket", "IT-1"), "(rule approver-unknown)")
	tells(t, c.there(exitNo, "grace", "renew", "C02LOUD0001", "--reason", "at sea", "--ticket", "IT-1"), "is in no grace", "it is not silent")
	tells(t, c.there(exitNo, "grace", "renew", "C02NOBODY01", "--reason", "at sea", "--ticket", "IT-1"), "nobody has reported a device")
	tells(t, c.there(exitFine, "grace", "renew", "C02QUIET001", "--reason", "at sea", "--ticket", "IT-1"), "is renewed", "1 of 1")
	tells(t, c.there(exitNo, "grace", "renew", "quiet", "--reason", "at sea", "--ticket", "IT-1"), "(rule renewals-used)")
	tells(t, c.here(exitFine, "grace", "end", "quiet", "--reason", "stolen"), "is ended", "it was ended at")
	tells(t, c.there(exitNo, "grace", "renew", "quiet", "--reason", "back", "--ticket", "IT-1"), "it was ended at")
	tells(t, c.here(exitFine, "grace", "list", "-o", "json"), `"device": "quiet"`, `"reason": "stolen"`)
}

// TestReceiverFollowsThePolicy: the last good one stays, and without any it is said what to do.
func TestReceiverFollowsThePolicy(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	good, file := c.followed.policy(), filepath.Join(c.dir, "policy", "governance.yaml")
	edit(t, file, "kind: Governance", "kind: Governanc")
	c.followed.look(false)
	if c.followed.fault.Load() != nil {
		t.Error("a directory that is being written was judged")
	}
	c.followed.look(false)
	if c.followed.policy() != good || c.followed.fault.Load() == nil || !strings.Contains(c.followed.missing(), "governance.yaml:3:7") {
		t.Errorf("%s", c.followed.missing())
	}
	tells(t, c.here(exitFine, "exception", "list"), "ana-loaner")
	edit(t, file, "kind: Governanc", "kind: Governance")
	edit(t, file, "cho@acme.example", "dee@acme.example")
	c.followed.look(false)
	c.followed.look(false)
	if p := c.followed.policy(); p == good || p == nil || c.followed.fault.Load() != nil {
		t.Error("the corrected policy is not in force")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	c.followed.inForce.Store(nil)
	c.followed.look(false)
	c.followed.look(false)
	tells(t, c.here(exitNo, "exception", "list"), "correct the policy directory", "(rule no-policy)")
	c.followed.dir = ""
	tells(t, c.here(exitNo, "grace", "list"), "set policy.dir in the settings of this process")
}

// TestServeTakesExceptions: with the embedded store the verbs ask `serve`, and each step is on record beside the decisions.
func TestServeTakesExceptions(t *testing.T) {
	t.Parallel()
	s := aPlace(t)
	file := recording(t, s, 0o700)
	stop := serving(t, s)
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{"exception", "request", "--name", "ben-new", "--subject", "corp/ben@acme.example", "--device",
		"C02NEW00001", "--route", "portal", "--signal", "disk-encrypted", "--reason", "new laptop", "--ticket", "IT-5000", "--for", "4h",
		"--config", s.Settings()}, &stdout, &stderr)
	if status != exitFine {
		t.Fatalf("exit %d: %s", status, &stderr)
	}
	stop()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tells(t, string(raw), `"kind":"exception"`, `"step":"requested"`, `"name":"ben-new"`, `"ticket":"IT-5000"`, "uid ")
}
