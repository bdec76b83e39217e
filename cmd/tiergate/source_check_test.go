package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestSourceCheck asks a vendor as a user does, without a receiver.
func TestSourceCheck(t *testing.T) {
	dir := t.TempDir()
	var hosts atomic.Int32
	hosts.Store(3)
	settings := func(token, attests string) string {
		file := filepath.Join(dir, "settings.yaml")
		for name, text := range map[string]string{
			"token": token, "url": "0123456789abcdef0123456789abcdef", "settings.yaml": fmt.Sprintf(`runtimeDir: run
store: {embedded: {file: tiergate.db}}
sources:
  - {name: fleet, type: fleet, attests: [%s], webhook: {urlSecretFiles: [url]}, api: {url: %q, tokenFile: token}}
`, attests, fleetServer(t, &hosts)),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return file
	}
	verb := func(file string, args ...string) (int, string) {
		var out bytes.Buffer
		status := run(t.Context(), append([]string{"source", "check", "--config", file}, args...), &out, &out)
		return status, out.String()
	}
	status, said := verb(settings("t0ken", "disk_encryption, firewall"), "fleet", "-o", "json")
	var found checkedSource
	if err := json.Unmarshal([]byte(said), &found); err != nil || status != exitFine || found.Page == nil || found.Page.Devices != 3 ||
		found.ClockAhead == nil || len(found.Answers) == 0 {
		t.Fatalf("%d %v %s", status, err, said)
	}
	counts := map[string]int{}
	for _, a := range found.Attributes {
		counts[a.Attribute] = a.Known
	}
	if counts["disk_encryption"] != 3 || counts["firewall"] != 0 || counts["platform"] != 3 {
		t.Errorf("known of the page: %v", counts)
	}
	status, said = verb(settings("wr0ng", "disk_encryption"), "fleet")
	if status != exitNo || !strings.Contains(said, "refuses our credentials") || strings.Contains(said, "wr0ng") {
		t.Errorf("wrong credentials: %d %s", status, said)
	}
	if status, said = verb(settings("t0ken", "disk_encryption"), "jamf"); status == exitFine || !strings.Contains(said, "they have fleet") {
		t.Errorf("no such source: %d %s", status, said)
	}
}

func TestAttributesOf(t *testing.T) {
	got := attributesOf(`device.platform == "macos" ? version(device.os_version) > version("15") : !device.compromised && device.platform != ""`)
	if strings.Join(got, " ") != "compromised os_version platform" {
		t.Error(got)
	}
}
