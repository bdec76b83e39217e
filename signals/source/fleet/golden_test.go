package fleet_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

var update = flag.Bool("update", false, "write what is read now as what should be read")

// golden compares with testdata/NAME.txt.
func golden(t *testing.T, file, got string) {
	t.Helper()
	file = strings.TrimSuffix(file, ".json") + ".txt"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("%s (-update writes it), %v; want\n%s\ngot\n%s", file, err, want, got)
	}
}

// glob fails where there is nothing, so that no test passes by looking at no file.
func glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	return files
}

func content(t testing.TB, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The hosts that each webhook points at; none of them says anything itself.
func TestWebhooks(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	for _, file := range glob(t, "testdata/webhook_*.json") {
		d := delivery(content(t, file))
		id, err := a.Authenticate(d, d.Received)
		if err != nil || !source.ValidID(id) {
			t.Errorf("%s: %q, %v", file, id, err)
		}
		ids, err := a.Points(d)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		golden(t, file, strings.Join(append(ids, ""), "\n"))
		if got, err := a.Observe(d); err != nil || got != nil {
			t.Errorf("%s was read as data: %+v, %v", file, got, err)
		}
	}
}

// What each host says, alone.
func TestHosts(t *testing.T) {
	for _, file := range glob(t, "testdata/host_*.json") {
		server := newServer(t)
		id := server.add(t, content(t, file))
		server.set("/api/v1/fleet/hosts/"+id+"/device_mapping", string(content(t, "testdata/device_mapping.json")))
		a, _ := adapter(t, server, nil)
		got, err := a.Device(t.Context(), id)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %+v, %v", file, got, err)
		}
		golden(t, file, text(t, got[0]))
	}
}

// text writes an observation down, and checks it on the way.
func text(t testing.TB, o signals.Observation) string {
	t.Helper()
	var b strings.Builder
	for _, alias := range o.Aliases {
		fmt.Fprintln(&b, alias)
	}
	for _, fact := range o.Facts {
		check(t, fact)
		fmt.Fprintf(&b, "%s = %s  (%s, %s)\n", fact.Attribute, fact.Value, fact.Path, fact.Observed.Format(time.RFC3339Nano))
	}
	return b.String()
}

func check(t testing.TB, fact signals.Fact) {
	t.Helper()
	attribute, known := signals.LookupAttribute(fact.Attribute)
	if !known || !attribute.Accepts(fact.Value) || fact.Path == "" || fact.Observed.IsZero() || fact.Source != "" ||
		!fact.Received.IsZero() {
		t.Errorf("%+v is no fact as a source must give it", fact)
	}
}

// The recorded and published bodies, where the folder with them lies beside the repository.
func TestPublishedSamples(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "..", "shared", "samples", "fleet")
	if _, err := os.Stat(dir); err != nil {
		return
	}
	points := map[string]string{
		"webhook_activity": "1", "webhook_failing_policies_global": "1 2", "webhook_failing_policies_team": "1",
		"webhook_host_status": "", "webhook_vulnerability": "1 2",
	}
	server := newServer(t)
	a, unreadable := adapter(t, server, nil)
	for _, file := range glob(t, filepath.Join(dir, "*.json")) {
		name, body := strings.TrimSuffix(filepath.Base(file), ".json"), content(t, file)
		switch {
		case strings.HasPrefix(name, "webhook_"):
			ids, err := a.Points(delivery(body))
			if want, known := points[name]; err != nil || !known || strings.Join(ids, " ") != want {
				t.Errorf("%s points at %v, %v", name, ids, err)
			}
		case name == "api_host_detail_macos":
			server.add(t, body)
		case name == "api_host_device_mapping":
			server.set("/api/v1/fleet/hosts/1/device_mapping", string(body))
		case name == "api_hosts_list":
			var list struct{ Hosts []json.RawMessage }
			if err := json.Unmarshal(body, &list); err != nil {
				t.Fatal(err)
			}
			server.list = append(server.list, list.Hosts...)
		default:
			t.Errorf("%s: there is no test of such a sample", name)
		}
	}
	server.set("/api/v1/fleet/hosts/2", `{"host":`+string(server.list[1])+`}`)
	page, err := a.Page(t.Context(), "")
	if err != nil || len(page.Observations) != 2 || *unreadable != "" {
		t.Fatalf("%+v, %v, unreadable %s", page, err, *unreadable)
	}
	mac, ubuntu := text(t, page.Observations[0]), text(t, page.Observations[1])
	for _, line := range []string{
		"serial:DEVICESERIAL0\n", "vendor:fleet/1\n", "platform = macos ", "os_version = 13.5 ", "os_build = 22G74 ",
		"disk_encryption = true  (disk_encryption_enabled, 2023-08-23T15:51:09Z)", "mdm_managed = true ",
		"enrolled_user = testuser@testdomain.net ",
	} {
		if !strings.Contains(mac, line) {
			t.Errorf("%q is missing in\n%s", line, mac)
		}
	}
	if !strings.Contains(ubuntu, "os_version = 22.04.2 ") || strings.Contains(ubuntu, "disk_encryption") ||
		strings.Contains(ubuntu, "mdm_managed") {
		t.Errorf("the server without encryption or MDM is\n%s", ubuntu)
	}
}

// The README names each attribute that this source can state by itself, each setting, and each kind of webhook.
func TestREADME(t *testing.T) {
	readme := string(content(t, "README.md"))
	for _, word := range []string{
		"`platform`", "`os_version`", "`os_build`", "`disk_encryption`", "`mdm_managed`", "`lifecycle`",
		"`config_compliance`", "`enrolled_user`", "urlSecretFiles:", "tokenFile:", "policies:",
		"compliance:",
		"allPolicies: true", "users:", "`listOnly: true`", "`perPage`", "activities_webhook", "failing_policies_webhook",
		"vulnerabilities_webhook",
		"host status",
	} {
		if !strings.Contains(readme, word) {
			t.Errorf("README.md does not name %s", word)
		}
	}
	for _, file := range glob(t, "testdata/host_*.txt") {
		for line := range strings.SplitSeq(string(content(t, file)), "\n") {
			if name, _, found := strings.Cut(line, " = "); found && !strings.Contains(readme, "`"+name+"`") {
				t.Errorf("README.md does not name %s", name)
			}
		}
	}
}
