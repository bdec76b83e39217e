package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/config"
)

// aJamfServer has one computer and one mobile device, and a login.
type aJamfServer struct {
	mu       sync.Mutex
	computer string // the record; empty: there is none
	mobile   string
}

func (j *aJamfServer) set(computer, mobile string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.computer, j.mobile = computer, mobile
}

func (j *aJamfServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := func(record string) {
		total := 1
		if record == "" {
			total = 0
		}
		fmt.Fprintf(w, `{"totalCount":%d,"results":[%s]}`, total, record)
	}
	user, password, basic := r.BasicAuth()
	switch {
	case r.URL.Path == "/jss/api/v1/auth/token" && r.Method == http.MethodPost && basic && user == "reader" &&
		password == "api-secret":
		fmt.Fprintf(w, `{"token":"t","expires":%q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	case r.Header.Get("Authorization") != "Bearer t":
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == "/jss/api/v1/computers-inventory":
		list(j.computer)
	case r.URL.Path == "/jss/api/v1/computers-inventory/41" && j.computer != "":
		fmt.Fprint(w, j.computer)
	case r.URL.Path == "/jss/api/v2/mobile-devices/detail":
		list(j.mobile)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func aMac(at time.Time, fileVault string) string {
	return fmt.Sprintf(`{"id":"41","udid":"5D3C2B1A-0000-4041-8041-000000000041","hardware":{"serialNumber":"F4TESTA041"},
		"general":{"platform":"Mac","reportDate":%q,"remoteManagement":{"managed":true}},
		"diskEncryption":{"bootPartitionEncryptionDetails":{"partitionFileVault2State":%q}}}`,
		at.Format(time.RFC3339), fileVault)
}

// TestJamfFromTheSettings: a source of type jamf as the settings describe it, against a server that speaks Jamf Pro's
// API: what was there before the first webhook is found by listing, a webhook makes us ask, a stranger's does not, and
// what is gone is withdrawn.
func TestJamfFromTheSettings(t *testing.T) {
	t.Parallel()
	jamf := &aJamfServer{}
	began := time.Now().UTC().Truncate(time.Second)
	jamf.set(aMac(began.Add(-time.Hour), "ENCRYPTED"), fmt.Sprintf(`{"mobileDeviceId":"41","deviceType":"iOS",
		"hardware":{"serialNumber":"DMPTESTB41"},"general":{"lastInventoryUpdateDate":%q,"managed":true}}`,
		began.Add(-time.Hour).Format(time.RFC3339)))
	vendor := httptest.NewServer(jamf)
	defer vendor.Close()
	store, door := receiveFrom(t, &config.Source{Name: "jamf", Type: config.SourceJamf, Attests: []string{"disk_encryption", "lifecycle"},
		Webhook: &config.Webhook{Basic: &config.WebhookBasic{Username: "jamf", PasswordFiles: []string{secretFile(t, "hook-secret")}}},
		API:     &config.API{URL: vendor.URL + "/jss", Username: "reader", PasswordFile: secretFile(t, "api-secret"), Rate: 1000}})
	await := func(serial, attribute, want string) { t.Helper(); awaitFact(t, store, "jamf", serial, attribute, want) }
	post := func(password, body string) int {
		status, _ := sendTo(t, http.MethodPost, door, basic("jamf", password), body)
		return status
	}
	await("F4TESTA041", "disk_encryption", "true")
	await("DMPTESTB41", "lifecycle", "enrolled") // the same number, another device

	checkIn := fmt.Sprintf(`{"webhook":{"webhookEvent":"ComputerInventoryCompleted","eventTimestamp":%d},`+
		`"event":{"jssID":41}}`, time.Now().UnixMilli())
	jamf.set(aMac(began, "DECRYPTING"), jamf.mobile)
	if status := post("guessed", checkIn); status != http.StatusUnauthorized {
		t.Errorf("a stranger is answered %d", status)
	}
	if status := post("hook-secret", checkIn); status != http.StatusAccepted {
		t.Fatalf("the webhook is answered %d", status)
	}
	await("F4TESTA041", "disk_encryption", "false")

	unenrolled := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8" ?><JSSEvent><webhook>`+
		`<webhookEvent>MobileDeviceUnEnrolled</webhookEvent><eventTimestamp>%d</eventTimestamp></webhook>`+
		`<event><jssID>41</jssID><serialNumber>DMPTESTB41`+
		`</serialNumber></event></JSSEvent>`, time.Now().UnixMilli())
	if status := post("hook-secret", unenrolled); status != http.StatusAccepted {
		t.Fatalf("the webhook is answered %d", status)
	}
	await("DMPTESTB41", "lifecycle", "removed")

	jamf.set("", jamf.mobile)
	if status := post("hook-secret", strings.Replace(checkIn, "}}", `,"x":1}}`, 1)); status != http.StatusAccepted {
		t.Fatalf("the webhook is answered %d", status)
	}
	await("F4TESTA041", "lifecycle", "removed")
	await("F4TESTA041", "disk_encryption", "false, now unknown")
}
