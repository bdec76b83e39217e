package fleet_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

// The hosts that each webhook points at; none of them says anything itself.
func TestWebhooks(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	for _, file := range sourcetest.Files(t, "testdata/webhook_*.json") {
		d := delivery(sourcetest.Content(t, file))
		id, err := a.Authenticate(d, d.Received)
		if err != nil || !source.ValidID(id) {
			t.Errorf("%s: %q, %v", file, id, err)
		}
		ids, err := a.Points(d)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		sourcetest.Golden(t, file, strings.Join(append(ids, ""), "\n"))
		if got, err := a.Observe(d); err != nil || got != nil {
			t.Errorf("%s was read as data: %+v, %v", file, got, err)
		}
	}
}

// What each host says, alone.
func TestHosts(t *testing.T) {
	for _, file := range sourcetest.Files(t, "testdata/host_*.json") {
		server := newServer(t)
		id := server.add(t, sourcetest.Content(t, file))
		server.set("/api/v1/fleet/hosts/"+id+"/device_mapping", string(sourcetest.Content(t, "testdata/device_mapping.json")))
		a, _ := adapter(t, server, nil)
		got, err := a.Device(t.Context(), id)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %+v, %v", file, got, err)
		}
		sourcetest.Golden(t, file, sourcetest.Text(t, got[0]))
	}
}

// The recorded and published bodies, where the folder with them lies beside the repository.
func TestPublishedSamples(t *testing.T) {
	files, ok := sourcetest.Samples(t, "fleet")
	if !ok {
		return
	}
	points := map[string]string{
		"webhook_activity": "1", "webhook_failing_policies_global": "1 2", "webhook_failing_policies_team": "1",
		"webhook_host_status": "", "webhook_vulnerability": "1 2",
	}
	server := newServer(t)
	a, unreadable := adapter(t, server, nil)
	for _, file := range files {
		name, body := strings.TrimSuffix(filepath.Base(file), ".json"), sourcetest.Content(t, file)
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
	mac, ubuntu := sourcetest.Text(t, page.Observations[0]), sourcetest.Text(t, page.Observations[1])
	sourcetest.Golden(t, sourcetest.RecordedGolden, mac+"\n"+ubuntu)
	if strings.Contains(ubuntu, "disk_encryption") ||
		strings.Contains(ubuntu, "mdm_managed") {
		t.Errorf("the server without encryption or MDM is\n%s", ubuntu)
	}
}

// The README names each attribute that this source can state by itself, each setting, and each kind of webhook.
func TestREADME(t *testing.T) {
	readme := string(sourcetest.Content(t, "README.md"))
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
	for _, file := range sourcetest.Files(t, "testdata/host_*.txt") {
		for line := range strings.SplitSeq(string(sourcetest.Content(t, file)), "\n") {
			if name, _, found := strings.Cut(line, " = "); found && !strings.Contains(readme, "`"+name+"`") {
				t.Errorf("README.md does not name %s", name)
			}
		}
	}
}
