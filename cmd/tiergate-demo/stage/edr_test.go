package stage

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
)

func newEDRStage(t *testing.T) *Stage {
	t.Helper()
	s, err := New(Options{Store: StoreEmbedded, EDR: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestEDRIsASource: the product knows it by its own secret, and the policy compiles with it.
func TestEDRIsASource(t *testing.T) {
	s := newEDRStage(t)
	settings := loadSettings(t, s)
	if len(settings.Sources) != 2 || settings.Sources[1].Name != EDRName || settings.Sources[1].EnrolledUser != nil ||
		settings.Sources[1].SecretFiles[0] != s.EDR.SecretFile || s.EDR.SecretFile == s.Sender.SecretFile {
		t.Errorf("sources %+v", settings.Sources)
	}
	if newStage(t, StoreEmbedded).EDR != nil {
		t.Error("an EDR that nobody asked for")
	}
}

// TestReportBy: the EDR calls a laptop by serial and by an id of its own, and says nothing of users and certificates.
func TestReportBy(t *testing.T) {
	s := newEDRStage(t)
	var body struct {
		Data struct {
			Device     map[string]string
			Attributes map[string]any
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.URL.Path != "/v1/sources/acme-edr" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	if !strings.HasSuffix(s.EDR.URL, "/v1/sources/acme-edr") {
		t.Errorf("it reports to %s", s.EDR.URL)
	}
	s.EDR.URL = server.URL + "/v1/sources/acme-edr"
	receipt, err := s.ReportBy(t.Context(), EDRName, "ana-laptop", map[string]any{"disk_encryption": false})
	if err != nil || receipt.Status != http.StatusAccepted {
		t.Fatalf("%+v: %v", receipt, err)
	}
	if !maps.Equal(body.Data.Device, map[string]string{"serial": "C02ANA0001", "id": "agent-0001"}) ||
		!maps.Equal(body.Data.Attributes, map[string]any{"disk_encryption": false}) {
		t.Errorf("it said %+v", body.Data)
	}
	if sender, err := s.senderOf(SourceName); err != nil || sender != s.Sender {
		t.Errorf("the MDM's sender: %v", err)
	}
	for _, source := range []string{"", "acme-siem"} {
		if _, err := s.ReportBy(t.Context(), source, "ana-laptop", nil); err == nil {
			t.Errorf("reported by %q", source)
		}
	}
	if _, err := newStage(t, StoreEmbedded).ReportBy(t.Context(), EDRName, "ana-laptop", nil); err == nil {
		t.Error("reported by an EDR that is not there")
	}
}

// verbs stands in for tiergate: it writes what the test says, and how it was called.
func verbs(t *testing.T, s *Stage, script string) {
	t.Helper()
	s.binaries.Tiergate = s.Path("verbs")
	if err := os.WriteFile(s.binaries.Tiergate, []byte("#!/bin/sh\necho \"$@\" > "+s.Path("called")+"\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestDevice(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	verbs(t, s, `echo '{"device":"d1","names":[{"name":"serial:A","said":[{"source":"mdm","delivery":"m1","with":["uuid:B"]}]}],`+
		`"facts":[{"attribute":"firewall","value":null,"source":"mdm","path":"p"}],"standing":{"signals":[{"signal":"x","disputed":true}]}}'`)
	known, err := s.Device(t.Context(), "A")
	if err != nil || known.Device != "d1" || known.Names[0].Said[0].With[0] != "uuid:B" || known.Facts[0].Path != "p" ||
		known.Facts[0].Value != nil || !known.Standing.Signals[0].Disputed {
		t.Errorf("%+v: %v", known, err)
	}
	if called := read(t, s.Path("called")); called != "device get A --config "+s.Settings()+" -o json\n" {
		t.Errorf("called with %q", called)
	}
	verbs(t, s, `printf '{"device":"d1","names":["serial:A"],"user":"u"}\n{"device":"d2","failing":["x"]}\n'`)
	list, err := s.Devices(t.Context())
	if err != nil || len(list) != 2 || list[0].Names[0] != "serial:A" || list[0].User != "u" || list[1].Failing[0] != "x" {
		t.Errorf("%+v: %v", list, err)
	}
	for script, hint := range map[string]string{"echo nobody >&2; exit 1": "nobody", "echo '{'": "no JSON"} {
		verbs(t, s, script)
		if _, err := s.Device(t.Context(), "A"); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%s: %v", script, err)
		}
		if _, err := s.Devices(t.Context()); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%s: %v", script, err)
		}
	}
}

// durable is a receiver that outlives the process that the supervisor kills: it answers as `tiergate` would, 503 while that
// process is dead, and remembers what it acknowledged.
type durable struct {
	s *Stage

	mu       sync.Mutex
	status   int
	attempts map[string]int
	bodies   map[string]string
	lives    map[int]bool // the processes in whose time something was acknowledged
}

func (d *durable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	id := r.Header.Get("Webhook-Id")
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attempts[id]++
	pid := d.s.Processes.Pid("serve")
	switch {
	case err != nil || d.bodies[id] != "" && d.bodies[id] != string(body):
		w.WriteHeader(http.StatusConflict)
	case pid == 0:
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		d.bodies[id], d.lives[pid] = string(body), true
		w.WriteHeader(d.status)
	}
}

// answer changes what a delivery is answered; one that its sender gave up may still be under way.
func (d *durable) answer(status int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status = status
}

func newDurable(t *testing.T, s *Stage) *durable {
	t.Helper()
	d := &durable{s: s, status: http.StatusAccepted, attempts: map[string]int{}, bodies: map[string]string{}, lives: map[int]bool{}}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	s.Sender.URL, s.EDR.URL = server.URL, server.URL
	if err := s.Processes.Start(t.Context(), Process{Name: "serve", Path: "/bin/sleep", Args: []string{"60"}, Log: s.log("serve")}); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestFlood: every kill meets deliveries, each is sent under one id until it is acknowledged, and never again.
func TestFlood(t *testing.T) {
	for _, kills := range []int{0, 1, 3} {
		s := newEDRStage(t)
		d := newDurable(t, s)
		first := s.Processes.Pid("serve")
		flood, err := s.Flood(t.Context(), 20, kills)
		if err != nil || flood.Acknowledged != 40 || flood.Deliveries != 40 || flood.Kills != kills || len(flood.Laptops) != 20 {
			t.Fatalf("%+v: %v", flood, err)
		}
		attempts := 0
		for _, n := range d.attempts {
			attempts += n
		}
		if len(d.attempts) != 40 || len(d.bodies) != 40 || attempts != flood.Attempts {
			t.Errorf("%d deliveries, %d acknowledged, %d attempts: %+v", len(d.attempts), len(d.bodies), attempts, flood)
		}
		if len(d.lives) != kills+1 {
			t.Errorf("%d kills: deliveries were acknowledged in %d lives of the receiver", kills, len(d.lives))
		}
		if again := s.Processes.Pid("serve"); again == 0 || (again == first) != (kills == 0) {
			t.Errorf("%d kills: the receiver was process %d and is %d", kills, first, again)
		}
	}
}

// TestFloodGivesUp: an answer that no retry mends, or a receiver that cannot be killed, ends the flood at once.
func TestFloodGivesUp(t *testing.T) {
	s := newEDRStage(t)
	d := newDurable(t, s)
	d.answer(http.StatusBadRequest)
	if _, err := s.Flood(t.Context(), 20, 1); err == nil || !strings.Contains(err.Error(), "answered 400 to a good delivery") {
		t.Errorf("refused: %v", err)
	}
	d.answer(http.StatusAccepted)
	s.Store = StoreRedis // whose receiver is ingest, which does not run
	if _, err := s.Flood(t.Context(), 20, 1); err == nil || !strings.HasPrefix(err.Error(), "ingest is not running") {
		t.Errorf("nothing to kill: %v", err)
	}
	if _, err := newStage(t, StoreEmbedded).Flood(t.Context(), 1, 0); err == nil {
		t.Error("a flood without an EDR")
	}
}
