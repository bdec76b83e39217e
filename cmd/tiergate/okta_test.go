package main

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/config"
)

const oktaDevice = "guo1test000000000001"

// oktaServer plays an organisation with one Mac, which stage 1 suspends. It is asked with an API token, or with an assertion that
// the key verifies.
func oktaServer(t *testing.T, stage *atomic.Int32, key *rsa.PublicKey) string {
	t.Helper()
	began := time.Now().Add(-time.Minute)
	record := func() string {
		at := began.Add(time.Duration(stage.Load()) * time.Second).UTC().Format("2006-01-02T15:04:05.000Z")
		return fmt.Sprintf(`{"id":%q,"status":%q,"lastUpdated":%q,"profile":{"platform":"MACOS","serialNumber":"C02OKTA00001"}`,
			oktaDevice, []string{"ACTIVE", "SUSPENDED"}[stage.Load()], at)
	}
	const users = `[{"screenLockType":"PASSCODE","managementStatus":"MANAGED","user":{"id":"00u1","profile":{"login":"ana@acme.example"}}}]`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch authorization := r.Header.Get("Authorization"); {
		case r.URL.Path == "/oauth2/v1/token" && signedBy(r.FormValue("client_assertion"), key) && r.FormValue("client_id") == "" &&
			r.FormValue("scope") == "okta.devices.read okta.users.read":
			fmt.Fprint(w, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`)
		case authorization != "SSWS t0ken" && (authorization != "Bearer t" || key == nil):
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/v1/devices" && r.URL.Query().Get("after") == "":
			w.Header().Set("Link", fmt.Sprintf(`<http://%s/api/v1/devices?expand=user&after=x>; rel="next"`, r.Host))
			fmt.Fprint(w, `[]`)
		case r.URL.Path == "/api/v1/devices":
			fmt.Fprintf(w, `[%s,"_embedded":{"users":%s}}]`, record(), users)
		case r.URL.Path == "/api/v1/devices/"+oktaDevice:
			fmt.Fprint(w, record()+"}")
		case r.URL.Path == "/api/v1/devices/"+oktaDevice+"/users":
			fmt.Fprint(w, users)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// signedBy verifies RS256 over a compact JWS.
func signedBy(jws string, key *rsa.PublicKey) bool {
	parts := strings.Split(jws, ".")
	if len(parts) != 3 || key == nil {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return err == nil && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
}

// TestOktaFromTheSettings: the list becomes a device; Okta's verification is answered to who knows the secret; an event makes us ask.
func TestOktaFromTheSettings(t *testing.T) {
	t.Parallel()
	var stage atomic.Int32
	store, door := receiveFrom(t, &config.Source{Name: "okta", Type: config.SourceOkta,
		Attests: []string{"lifecycle", "screen_lock", "mdm_managed", "enrolled_user"},
		Webhook: &config.Webhook{Header: &config.WebhookHeader{Name: "Authorization", ValueFiles: []string{secretFile(t, "hook-secret")}}},
		API:     &config.API{URL: oktaServer(t, &stage, nil), TokenFile: secretFile(t, "t0ken"), Rate: 1000}})
	for attribute, want := range map[string]string{"lifecycle": "enrolled", "screen_lock": "true", "mdm_managed": "true",
		"enrolled_user": "ana@acme.example"} {
		awaitFact(t, store, "okta", "C02OKTA00001", attribute, want)
	}
	send := func(method, secret, body string) (int, string) {
		return sendTo(t, method, door, http.Header{"Authorization": {secret}, "X-Okta-Verification-Challenge": {"c-1"}}, body)
	}
	if status, answer := send(http.MethodGet, "hook-secret", ""); status != http.StatusOK || answer != `{"verification":"c-1"}` {
		t.Errorf("Okta's verification is answered %d %s", status, answer)
	}
	if status, answer := send(http.MethodGet, "guess", ""); status != http.StatusUnauthorized || strings.Contains(answer, "c-1") {
		t.Errorf("somebody's verification is answered %d %s", status, answer)
	}
	stage.Store(1)
	event := `{"eventType":"com.okta.event_hook","eventId":"b5","data":{"events":[{"eventType":"device.lifecycle.suspend",` +
		`"target":[{"id":"` + oktaDevice + `","type":"Device"}]}]}}`
	if status, _ := send(http.MethodPost, "guess", event); status != http.StatusUnauthorized {
		t.Errorf("an event of somebody is answered %d", status)
	}
	if status, answer := send(http.MethodPost, "hook-secret", event); status != http.StatusAccepted {
		t.Fatalf("an event is answered %d %s", status, answer)
	}
	awaitFact(t, store, "okta", "C02OKTA00001", "lifecycle", "blocked")
}

// TestOktaREADME: the settings that the README shows, with its comments and without, are settings of a source that asks: with a key as
// with a token.
func TestOktaREADME(t *testing.T) {
	t.Parallel()
	var lines, other []string
	for line := range strings.Lines(sourceREADME(t, "okta")) {
		lines = append(lines, line)
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, "api:"):
		case strings.HasPrefix(trimmed, "# "):
			other = append(other, strings.Replace(line, "# ", "", 1))
		default:
			other = append(other, line)
		}
	}
	for _, text := range []string{strings.Join(lines, ""), strings.Join(other, "")} {
		var stage atomic.Int32
		text = strings.ReplaceAll(text, "https://acme.okta.com", oktaServer(t, &stage, &readmeKey().PublicKey))
		settings := readmeSettings(t, text, map[string]string{"okta.hook": "hook-secret", "okta.token": "t0ken"})
		store, _ := receiveFrom(t, &settings.Sources[0])
		awaitFact(t, store, "okta", "C02OKTA00001", "enrolled_user", "ana@acme.example")
	}
}
