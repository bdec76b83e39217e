package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/config"
)

// TestKandjiFromTheSettings: the list and the tables of Prism become one device; a row of Prism that is left of a device which is
// gone does not keep it; and nobody can deliver in Kandji's name.
func TestKandjiFromTheSettings(t *testing.T) {
	t.Parallel()
	const here, gone = "0a1b2c3d-1111-4111-8111-000000000001", "0a1b2c3d-1111-4111-8111-000000000002"
	seen := time.Now().Add(-time.Minute).UTC().Format("2006-01-02 15:04:05.000000-07:00")
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := r.URL.Query().Get("offset") == "0"
		switch {
		case r.Header.Get("Authorization") != "Bearer t0ken":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/v1/devices" && first:
			fmt.Fprintf(w, `[{"device_id":%q,"serial_number":"KANDJI01","platform":"Mac","os_version":"15.6.1","last_check_in":%q,`+
				`"user":"","mdm_enabled":true,"is_missing":false,"is_removed":false}]`, here, seen)
		case r.URL.Path == "/api/v1/devices":
			fmt.Fprint(w, `[]`)
		case r.URL.Path == "/api/v1/prism/filevault" && first:
			fmt.Fprintf(w, `{"cursor":null,"data":[{"device_id":%q,"serial_number":"KANDJI01","status":true,"last_collected_at":%q},`+
				`{"device_id":%q,"serial_number":"KANDJI02","status":true,"last_collected_at":%q}],"total":null}`, here, seen, gone, seen)
		case strings.HasPrefix(r.URL.Path, "/api/v1/prism/"):
			fmt.Fprint(w, `{"cursor":null,"data":[],"total":null}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer vendor.Close()
	store, door := receiveFrom(t, &config.Source{Name: "iru", Type: config.SourceKandji,
		Attests: []string{"disk_encryption", "lifecycle", "platform"},
		API:     &config.API{URL: vendor.URL, TokenFile: secretFile(t, "t0ken"), Rate: 1000}})
	awaitFact(t, store, "iru", "KANDJI01", "disk_encryption", "true")
	awaitFact(t, store, "iru", "KANDJI01", "platform", "macos")
	awaitFact(t, store, "iru", "KANDJI02", "lifecycle", "removed")
	awaitFact(t, store, "iru", "KANDJI01", "lifecycle", "enrolled")
	if status := sendToUEM(t, http.MethodPost, door, "application/json", `{"device_id":"x"}`); status != http.StatusUnauthorized {
		t.Errorf("a delivery in the name of Kandji is answered %d", status)
	}
}

// sendToUEM sends to the door with the user uem.
func sendToUEM(t *testing.T, method, url, kind, body string) int {
	t.Helper()
	header := basic("uem", "hook-secret")
	header.Set("Content-Type", kind)
	status, _ := sendTo(t, method, url, header, body)
	return status
}

// TestWorkspaceOneFromTheSettings: Test Connection is answered; an event, as JSON and as XML, makes us ask with a token of another
// host; what is gone is withdrawn.
func TestWorkspaceOneFromTheSettings(t *testing.T) {
	t.Parallel()
	var stage atomic.Int32 // 0: well; 1: compromised; 2: gone
	record := func() string {
		at := time.Now().Add(time.Duration(stage.Load())*time.Second - time.Minute).UTC().Format("2006-01-02T15:04:05.000")
		return fmt.Sprintf(`{"Id":{"Value":17},"SerialNumber":"WSONE17","Platform":"AppleOsX","LastSeen":%q,"EnrollmentStatus":"Enrolled",`+
			`"CompromisedStatus":%t,"LastCompromisedCheckOn":%q}`, at, stage.Load() == 1, at)
	}
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("client_secret") != "api-secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"access_token":"t","expires_in":3600}`)
	}))
	defer tokens.Close()
	console := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer t" || r.Header.Get("aw-tenant-code") != "tenant" ||
			r.Header.Get("Accept") != "application/json;version=1":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/mdm/devices/search" && stage.Load() == 2:
			w.WriteHeader(http.StatusNoContent)
		case r.URL.Path == "/api/mdm/devices/search":
			fmt.Fprintf(w, `{"Devices":[%s],"Page":0,"Total":1}`, record())
		case r.URL.Path == "/api/mdm/devices/17" && stage.Load() != 2:
			fmt.Fprint(w, record())
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer console.Close()
	store, door := receiveFrom(t, &config.Source{Name: "uem", Type: config.SourceWorkspaceOne, Attests: []string{"compromised", "lifecycle"},
		Webhook: &config.Webhook{Basic: &config.WebhookBasic{Username: "uem", PasswordFiles: []string{secretFile(t, "hook-secret")}}},
		API: &config.API{URL: console.URL, ClientID: "c", ClientSecretFile: secretFile(t, "api-secret"), Rate: 1000,
			Token:       &config.APIToken{URL: tokens.URL + "/connect/token"},
			HeaderFiles: map[string]string{"aw-tenant-code": secretFile(t, "tenant")}}})
	awaitFact(t, store, "uem", "WSONE17", "compromised", "false")
	if status := sendToUEM(t, http.MethodGet, door, "", ""); status != http.StatusOK {
		t.Errorf("Test Connection is answered %d", status)
	}
	stage.Store(1)
	event := `{"EventId":178,"EventType":"Compromised Status Changed","DeviceId":17,"EventTime":"2026-11-20T08:13:59.5720125Z","CompromisedStatus":""}`
	if status := sendToUEM(t, http.MethodPost, door, "application/json", event); status != http.StatusAccepted {
		t.Fatalf("an event is answered %d", status)
	}
	awaitFact(t, store, "uem", "WSONE17", "compromised", "true")
	stage.Store(2)
	event = `<?xml version="1.0" encoding="utf-8"?><Eventlog xmlns:xsd="http://www.w3.org/2001/XMLSchema"><EventId>39</EventId>` +
		`<EventType>BreakMDMConfirmed</EventType><DeviceId>17</DeviceId><EventTime>2026-11-20T08:14:59.6145834Z</EventTime></Eventlog>`
	if status := sendToUEM(t, http.MethodPost, door, "text/xml", event); status != http.StatusAccepted {
		t.Fatalf("an event is answered %d", status)
	}
	awaitFact(t, store, "uem", "WSONE17", "lifecycle", "removed")
}
