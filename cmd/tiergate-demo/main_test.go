package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUsage(t *testing.T) {
	for _, row := range []struct {
		args string
		code int
		says string
	}{
		{"-h", exitFine, "-store"},
		{"webhook -h", exitFine, "-device"},
		{"-nonsense", exitUsage, "nonsense"},
		{"surprise", exitUsage, "surprise"},
		{"-store mysql", exitUsage, "mysql"},
		{"webhook", exitUsage, "-stage"},
		{"webhook -stage /nonexistent", exitUsage, "ATTRIBUTE=VALUE"},
		{"webhook -stage /nonexistent disk", exitUsage, `"disk" is no ATTRIBUTE=VALUE`},
		{"webhook -stage /nonexistent a=1 a=2", exitUsage, "a is given twice"},
		{"webhook -stage /nonexistent disk_encryption=false", exitNo, "no stage of a running demo"},
		{"upstream", exitUsage, "-listen"},
		{"upstream -listen 127.0.0.1:0 -admit spiffe://a/b -name x", exitNo, "upstream x"},
	} {
		var out, complaints bytes.Buffer
		code := run(t.Context(), strings.Fields(row.args), &out, &complaints)
		if code != row.code || !strings.Contains(complaints.String(), row.says) {
			t.Errorf("%s: exit %d, %q; want %d and %q", row.args, code, complaints.String(), row.code, row.says)
		}
	}
}

func TestMissingPrograms(t *testing.T) {
	t.Setenv("TIERGATE_TOOLS", t.TempDir())
	var out, complaints bytes.Buffer
	if code := run(t.Context(), []string{"-exit"}, &out, &complaints); code != exitNo {
		t.Errorf("exit %d", code)
	}
	for _, part := range []string{"envoy is not there", "valkey-server is not there", "node is not there", "make tools"} {
		if !strings.Contains(complaints.String(), part) {
			t.Errorf("%q lacks %q", complaints.String(), part)
		}
	}
}

func TestParseAttributes(t *testing.T) {
	got, err := parseAttributes([]string{"disk_encryption=false", "edr_healthy=unknown", "edr_risk_score=12.5",
		"os_version=15.6.1", "platform=macos", "os_build=", "x=null", `y={"a":1}`})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"disk_encryption": false, "edr_healthy": nil, "edr_risk_score": 12.5, "os_version": "15.6.1",
		"platform": "macos", "os_build": "", "x": nil, "y": `{"a":1}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func newStage(t *testing.T) *stage.Stage {
	t.Helper()
	s, err := stage.New(stage.Options{Store: stage.StoreEmbedded})
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

// TestWebhookCommand sends to a receiver that answers yes, then no.
func TestWebhookCommand(t *testing.T) {
	s := newStage(t)
	status := http.StatusAccepted
	listener, err := net.Listen("tcp", s.Ports.Ingest)
	if err != nil {
		t.Fatal(err)
	}
	var attributes any
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Data struct{ Attributes any } }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		attributes = body.Data.Attributes
		w.WriteHeader(status)
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	defer server.Close()
	args := []string{"webhook", "-stage", s.Dir, "-device", "ben-laptop", "disk_encryption=false"}
	var out, complaints bytes.Buffer
	if code := run(t.Context(), args, &out, &complaints); code != exitFine || !strings.HasPrefix(out.String(), "202 msg_") {
		t.Errorf("exit %d, %q, %q", code, out.String(), complaints.String())
	}
	if diff := cmp.Diff(map[string]any{"disk_encryption": false, "enrolled_user": "ben@acme.example"}, attributes); diff != "" {
		t.Error(diff)
	}
	status = http.StatusUnauthorized
	if code := run(t.Context(), args, &out, &complaints); code != exitNo || !strings.Contains(complaints.String(), "401") {
		t.Errorf("exit %d, %q", code, complaints.String())
	}
}

// TestSuggestionsWorkAsPrinted runs every curl line in a shell against a door with the ingress's certificates.
func TestSuggestionsWorkAsPrinted(t *testing.T) {
	s := newStage(t)
	for address, row := range map[string]struct {
		name string
		cas  []*devca.CA
	}{
		s.Ports.Ingress:     {"ingress", []*devca.CA{s.Cast.Devices, s.Cast.Workloads}},
		s.Ports.Contractors: {"contractors", []*devca.CA{s.Cast.ContractorDevices}},
	} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Seen", r.Host+r.URL.Path+" "+r.Header.Get("Authorization"))
		}))
		_ = server.Listener.Close()
		server.Listener, server.EnableHTTP2 = listener, true
		server.TLS = &tls.Config{Certificates: []tls.Certificate{s.Cast.Pairs[row.name].TLS()}, MinVersion: tls.VersionTLS12,
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: devca.Pool(row.cas...)}
		server.StartTLS()
		defer server.Close()
	}
	ran := 0
	for _, line := range suggest(s) {
		if !strings.Contains(line.command, "--cacert") {
			continue
		}
		ran++
		out, err := exec.Command("/bin/sh", "-c", line.command).CombinedOutput()
		if err != nil || !strings.Contains(string(out), " 200") {
			t.Errorf("%s\n%s: %v\n%s", line.about, line.command, err, out)
		}
		if strings.Contains(line.command, "ana.jwt") && !strings.Contains(string(out), "Bearer "+s.Cast.Tokens["ana"]) {
			t.Errorf("the token was not sent:\n%s", out)
		}
	}
	if ran < 8 {
		t.Errorf("only %d lines of curl", ran)
	}
}

// TestSuggestedVerbs: the verbs are those of the tiergate beside this program, with the settings of the stage.
func TestSuggestedVerbs(t *testing.T) {
	s := newStage(t)
	dir, _ := filepath.Split(self())
	found := 0
	for _, line := range suggest(s) {
		if strings.HasPrefix(line.command, dir+"tiergate device ") && strings.HasSuffix(line.command, " --config "+s.Settings()) {
			found++
		}
	}
	if found != 2 {
		t.Errorf("%d verbs on devices, want 2", found)
	}
}

func TestQuote(t *testing.T) {
	for _, word := range []string{"", "plain", "a b", "it's", `$(rm) "x" \`, "https://a/?b=c&d"} {
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+quote(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q became %q, %v", word, out, err)
		}
	}
}

func TestColour(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if newPaper(file).colour {
		t.Error("colour into a file")
	}
	t.Setenv("NO_COLOR", "1")
	t.Setenv("TERM", "xterm")
	if terminal, err := os.OpenFile("/dev/null", os.O_WRONLY, 0); err == nil { // a character device
		defer terminal.Close()
		if newPaper(terminal).colour {
			t.Error("colour in spite of NO_COLOR")
		}
		t.Setenv("NO_COLOR", "")
		if !newPaper(terminal).colour {
			t.Error("no colour on a character device")
		}
	}
}
