package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/config"
)

// fleetServer plays a Fleet server with the hosts 1 to n, whose token is t0ken.
func fleetServer(t *testing.T, n *atomic.Int32) string {
	t.Helper()
	host := func(id int) string {
		at := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
		return fmt.Sprintf(`{"id":%d,"uuid":"","platform":"darwin","os_version":"macOS 15.6","hardware_serial":"C02FLEET%03d",`+
			`"disk_encryption_enabled":true,"detail_updated_at":%q,"policy_updated_at":%q,"seen_time":%q,"mdm":{},"policies":[]}`,
			id, id, at, at, at)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var id int
		switch {
		case req.Header.Get("Authorization") != "Bearer t0ken":
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasSuffix(req.URL.Path, "/hosts"):
			var hosts []string
			for id := 1; id <= int(n.Load()) && (req.FormValue("page") == "" || req.FormValue("page") == "0"); id++ {
				hosts = append(hosts, host(id))
			}
			fmt.Fprintf(w, `{"hosts":[%s]}`, strings.Join(hosts, ","))
		default:
			_, _ = fmt.Sscanf(req.URL.Path, "/api/v1/fleet/hosts/%d", &id)
			if id < 1 || id > int(n.Load()) {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			fmt.Fprintf(w, `{"host":%s}`, host(id))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestSourceVerbs runs the receiver of a settings file and asks it as a user does.
func TestSourceVerbs(t *testing.T) {
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var hosts atomic.Int32
	hosts.Store(3)
	file := filepath.Join(dir, "settings.yaml")
	for name, text := range map[string]string{
		"token": "t0ken\n", "url": "0123456789abcdef0123456789abcdef", "settings.yaml": fmt.Sprintf(`runtimeDir: run
store: {embedded: {file: tiergate.db}}
ingest: {listen: "127.0.0.1:0"}
sources:
  - name: fleet
    type: fleet
    attests: [disk_encryption, lifecycle, os_version, platform]
    webhook: {urlSecretFiles: [url]}
    api: {url: %q, tokenFile: token}
`, fleetServer(t, &hosts)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verb := func(args ...string) (int, string) {
		var out bytes.Buffer
		status := run(t.Context(), append([]string{"source"}, append(args, "--config", file)...), &out, &out)
		return status, out.String()
	}
	if status, said := verb("list"); status != exitNo || !strings.Contains(said, "nothing listens on") {
		t.Errorf("without a receiver: %d %s", status, said)
	}
	serveReceiver(t, file)
	status, said := verb("sync", "fleet")
	if status != exitFine || said != "fleet: 3 devices on 2 pages, 0 withdrawn, 0 faults\n" {
		t.Errorf("sync: %d %q", status, said)
	}
	hosts.Store(1)
	status, said = verb("sync", "fleet")
	if status != exitNo || !strings.Contains(said, "the listing does not count: the list shrank from 3 devices to 1") {
		t.Errorf("a list that shrank: %d %q", status, said)
	}
	if status, said = verb("list"); status != exitNo || !strings.Contains(said, "LAST LISTING") {
		t.Errorf("list: %d %q", status, said)
	}
	status, said = verb("sync", "fleet", "--accept-shrink", "-o", "json")
	if status != exitFine || !strings.Contains(said, `"withdrawn": 2`) {
		t.Errorf("accepted: %d %q", status, said)
	}
	if status, said = verb("list", "-o", "yaml"); status != exitFine || !strings.Contains(said, "type: fleet") {
		t.Errorf("list -o yaml: %d %q", status, said)
	}
	if status, said = verb("sync", "nobody"); status != exitNo || !strings.Contains(said, "see tiergate source list") {
		t.Errorf("a source that is none: %d %q", status, said)
	}
	if status, said = verb("list", "-o", "xml"); status != exitUsage {
		t.Errorf("-o xml: %d %q", status, said)
	}
	if status, said = verb("sync"); status != exitUsage {
		t.Errorf("sync of nothing: %d %q", status, said)
	}
}

// serveReceiver runs what `serve` runs of the receiver with an embedded store.
func serveReceiver(t *testing.T, file string) {
	t.Helper()
	settings, err := loadSettings(file)
	if err != nil {
		t.Fatal(err)
	}
	o, err := newObserver(config.Log{Level: "error", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	store, err := openStore(settings)
	if err != nil {
		t.Fatal(err)
	}
	parts, verbs, _, err := receiverParts(settings, store, o)
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := settings.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	serveAdmin(t, sockets.Admin, verbs, parts...)
}
