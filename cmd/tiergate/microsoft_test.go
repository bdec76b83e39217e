package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

const (
	entraDevice = "5d3c2b1a-0000-4041-8041-000000000003"
	intunePC    = "11111111-0000-4000-8000-000000000003"
	graphUser   = "5d3c2b1a-0000-4041-8041-00000000000a"
	clientState = "made-for-this-test-only"
)

// aMicrosoft plays Entra's login, Graph and Defender, with one PC that both know.
type aMicrosoft struct {
	mu        sync.Mutex
	seen      time.Time
	encrypted bool
	listed    int // how often Graph's devices were listed
	health    string
}

func (m *aMicrosoft) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *aMicrosoft) lists() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.listed
}

func (m *aMicrosoft) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.seen.Format(time.RFC3339Nano)
	pc := fmt.Sprintf(`{"id":%q,"serialNumber":"PF2TESTW3","azureADDeviceId":%q,"operatingSystem":"Windows","isEncrypted":%v,
		"lastSyncDateTime":%q}`, intunePC, entraDevice, m.encrypted, at)
	machine := fmt.Sprintf(`{"id":"abcdef01","aadDeviceId":%q,"lastSeen":%q,"healthStatus":%q,"onboardingStatus":"Onboarded"}`,
		strings.ToUpper(entraDevice), at, m.health)
	switch authorized := r.Header.Get("Authorization"); {
	case r.URL.Path == "/acme.example/oauth2/v2.0/token" && r.FormValue("client_secret") == "app-secret":
		// The token says for whom it is, so that Graph's is no good at Defender.
		fmt.Fprintf(w, `{"access_token":"for %s","token_type":"Bearer","expires_in":3599}`, r.FormValue("scope"))
	case strings.HasPrefix(r.URL.Path, "/v1.0/") && authorized != "Bearer for http://"+r.Host+"/.default",
		strings.HasPrefix(r.URL.Path, "/api/") && authorized != "Bearer for https://api.securitycenter.microsoft.com/.default":
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == "/v1.0/deviceManagement/managedDevices":
		m.listed++
		fmt.Fprintf(w, `{"value":[%s]}`, pc)
	case r.URL.Path == "/v1.0/deviceManagement/managedDevices/"+intunePC:
		fmt.Fprint(w, pc)
	case r.URL.Path == "/v1.0/users/"+graphUser+"/managedDevices":
		fmt.Fprintf(w, `{"value":[%s]}`, pc)
	case r.URL.Path == "/api/machines" && r.FormValue("$skip") == "0":
		fmt.Fprintf(w, `{"value":[%s]}`, machine)
	case r.URL.Path == "/api/machines":
		fmt.Fprint(w, `{"value":[]}`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// receiveFromMicrosoft runs a receiver on the embedded store, of the sources as a file of settings has them.
func receiveFromMicrosoft(t *testing.T, url string) (store signals.Store, door string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "settings.yaml")
	for name, text := range map[string]string{"app": "app-secret\n", "state": clientState + "\n", "hook": "hook-secret\n",
		"settings.yaml": fmt.Sprintf(`store: {embedded: {file: tiergate.db}}
sources:
  - name: intune
    type: intune
    attests: [platform, disk_encryption, lifecycle]
    webhook: {header: {name: X-Forwarder-Secret, valueFiles: [hook]}}
    api: {url: %[1]q, clientID: app, clientSecretFile: app, rate: 1000, token: {url: "%[1]s/acme.example/oauth2/v2.0/token"}}
    intune: {tenant: acme.example, clientStateFiles: [state]}
  - name: defender
    type: defender
    attests: [edr_healthy]
    api: {url: %[1]q, clientID: app, clientSecretFile: app, rate: 1000, token: {url: "%[1]s/acme.example/oauth2/v2.0/token"}}
    defender: {tenant: acme.example}
`, url)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settings, err := loadSettings(file)
	if err != nil {
		t.Fatal(err)
	}
	store, door = receiveFrom(t, &settings.Sources[0], &settings.Sources[1])
	return store, strings.TrimSuffix(door, "/v1/sources/intune")
}

// send posts to the receiver and returns status and, of a success, the body.
func send(t *testing.T, url, secret, body string) string {
	t.Helper()
	var header http.Header
	if secret != "" {
		header = http.Header{"X-Forwarder-Secret": {secret}}
	}
	status, said := sendTo(t, http.MethodPost, url, header, body)
	if status >= http.StatusBadRequest {
		said = ""
	}
	return fmt.Sprintf("%d %s", status, said)
}

// TestMicrosoftFromTheSettings: the PC that Intune and Defender know is one device; each kind of delivery does what it
// should, and a stranger's does nothing.
func TestMicrosoftFromTheSettings(t *testing.T) {
	t.Parallel()
	m := &aMicrosoft{seen: time.Now().UTC().Add(-3 * time.Hour), encrypted: true, health: "Active"}
	vendor := httptest.NewServer(m)
	defer vendor.Close()
	store, door := receiveFromMicrosoft(t, vendor.URL)
	hook := door + "/v1/sources/intune"
	await := func(want string) {
		t.Helper()
		got := ""
		for range 200 {
			if got = ofThePC(t, store); got == want {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatalf("the PC is\n%s\nnot\n%s", got, want)
	}
	await("1 device: disk_encryption=true edr_healthy=true")

	if got := send(t, hook+"?validationToken=Validation%3A+Testing+1%2B1", "", ""); got != "200 Validation: Testing 1+1" {
		t.Errorf("the handshake is answered %q", got)
	}
	m.set(func() { m.encrypted, m.seen = false, m.seen.Add(time.Hour) })
	changed := `{"value":[{"clientState":%q,"changeType":"updated","resource":"users/` + graphUser + `"}]}`
	if got := send(t, hook, "", fmt.Sprintf(changed, "guessed")); got != "202 " {
		t.Errorf("a stranger is answered %q", got)
	}
	time.Sleep(300 * time.Millisecond)
	if got := ofThePC(t, store); got != "1 device: disk_encryption=true edr_healthy=true" {
		t.Errorf("a stranger had the vendor asked: %s", got)
	}
	if got := send(t, hook, "", fmt.Sprintf(changed, clientState)); got != "202 " {
		t.Errorf("Graph is answered %q", got)
	}
	await("1 device: disk_encryption=false edr_healthy=true")

	row := fmt.Sprintf(`{"time":%q,"category":"Devices","operationName":"Devices","properties":{"DeviceId":%q,"OS":"Windows",
		"LastContact":%q,"EncryptionStatusString":"True"}}`, time.Now().UTC().Format(time.RFC3339Nano), strings.ToUpper(intunePC),
		m.seen.Add(time.Hour).Format("2006-01-02 15:04:05.0000000"))
	if got := send(t, hook, "guessed", row); got != "401 " {
		t.Errorf("a stranger is answered %q", got)
	}
	if got := send(t, hook, "hook-secret", `{"records":[`+row+`]}`); got != "202 " {
		t.Errorf("the forwarder is answered %q", got)
	}
	await("1 device: disk_encryption=true edr_healthy=true")

	m.set(func() { m.encrypted, m.seen = false, m.seen.Add(2*time.Hour) })
	if got := send(t, hook, "hook-secret", `{"category":"OperationalLogs","operationName":"Compliance","properties":{"IntuneDeviceId":"`+
		intunePC+`"}}`); got != "202 " {
		t.Errorf("the forwarder is answered %q", got)
	}
	await("1 device: disk_encryption=false edr_healthy=true")

	before := m.lists()
	if got := send(t, hook, "", `{"value":[{"clientState":"`+clientState+`","lifecycleEvent":"missed"}]}`); got != "202 " {
		t.Errorf("Graph is answered %q", got)
	}
	for range 200 {
		if m.lists() > before {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if m.lists() == before {
		t.Error("notifications were missed, and nobody listed the devices")
	}
	if got := send(t, door+"/v1/sources/defender", "", `{"value":[]}`); got != "401 " {
		t.Errorf("whoever sends in Defender's name is answered %q", got)
	}
}

// ofThePC is what is known of the device with the PC's serial number, and how many devices there are.
func ofThePC(t *testing.T, store signals.Store) string {
	t.Helper()
	count, said := 0, map[string]string{}
	if _, err := store.EachPosture(t.Context(), func(p signals.Posture) error {
		count++
		for source, attribute := range map[string]string{"intune": "disk_encryption", "defender": "edr_healthy"} {
			if fact, known, _ := p.Latest(attribute, source); known {
				said[attribute] = fact.Value.String()
			}
		}
		return nil
	}, nil); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d device: disk_encryption=%s edr_healthy=%s", count, said["disk_encryption"], said["edr_healthy"])
}

// TestIntuneSecrets: a secret that could be guessed, or is not there, is told by its field.
func TestIntuneSecrets(t *testing.T) {
	t.Parallel()
	const asked = `api: {url: "https://graph.example", tokenFile: token}, `
	for field, rest := range map[string]string{
		"client state 0 has 5 bytes":        asked + `intune: {tenant: a.example, clientStateFiles: [short]}`,
		"intune.clientStateFiles[0]":        asked + `intune: {tenant: a.example, clientStateFiles: [empty]}`,
		"webhook.urlSecretFiles[0]":         asked + `intune: {tenant: a.example}, webhook: {urlSecretFiles: [short]}`,
		"api.tokenFile":                     `api: {url: "https://graph.example", tokenFile: empty}, intune: {tenant: a.example}`,
		"policies: \"platform\" is no attr": asked + `intune: {tenant: a.example, policies: {platform: [` + intunePC + `]}}`,
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"short": "short", "token": "t", "empty": "", "settings.yaml": "store: {embedded: " +
			"{file: tiergate.db}}\nsources:\n  - {name: intune, type: intune, attests: [platform], " + rest + "}\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		settings, err := loadSettings(filepath.Join(dir, "settings.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newSources(settings, nil); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestIntuneSourceCheck asks Graph as `tiergate source check` does.
func TestIntuneSourceCheck(t *testing.T) {
	t.Parallel()
	m := &aMicrosoft{seen: time.Now().UTC().Add(-time.Hour), encrypted: true}
	vendor := httptest.NewServer(m)
	defer vendor.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "settings.yaml")
	for name, text := range map[string]string{"app": "app-secret", "settings.yaml": fmt.Sprintf(`runtimeDir: run
store: {embedded: {file: tiergate.db}}
sources:
  - {name: intune, type: intune, attests: [disk_encryption, firewall], intune: {tenant: acme.example},
     api: {url: %[1]q, clientID: app, clientSecretFile: app, token: {url: "%[1]s/acme.example/oauth2/v2.0/token"}}}
`, vendor.URL)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	status := run(t.Context(), []string{"source", "check", "--config", file, "intune", "-o", "json"}, &out, &out)
	var found checkedSource
	if err := json.Unmarshal([]byte(out.String()), &found); err != nil || status != exitFine || found.Page == nil || found.Page.Devices != 1 {
		t.Fatalf("%d %v %s", status, err, out.String())
	}
}
