package main

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/source/standard"
)

// sender is one way in, as a source of its own.
type sender struct {
	kind     string // the type of the source; ssf is a transmitter
	settings string // what else its settings say; SECRET stands for the file of its secret
	// prepare returns where the body goes, and the headers that make it authentic under the secret. nil: the type takes nothing.
	prepare func(secret, body string) (path string, header http.Header)
	body    func(secret string) string // of a delivery that is a dead letter; nil: {"event":"of nobody"}
}

func byHeader(name, before string) func(string, string) (string, http.Header) {
	return func(secret, _ string) (string, http.Header) { return "", http.Header{name: {before + secret}} }
}

func byBasic(user string) func(string, string) (string, http.Header) {
	return func(secret, _ string) (string, http.Header) {
		return "", http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))}}
	}
}

func byHMAC(header string) func(string, string) (string, http.Header) {
	return func(secret, body string) (string, http.Header) {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		return "", http.Header{header: {hex.EncodeToString(mac.Sum(nil))}}
	}
}

const credentialsMapping = ` mapping: {delivery: {kind: {path: kind, read: [device]}, points: id}, record: {device: {id: id, serial: serial},
     observed: {received: true}, facts: {platform: {path: os}}}, list: {path: /devices}, get: {path: "/devices/{id}"}}, `

// senders are all types of sources, and a transmitter.
func senders() []sender {
	byToken := `api: {url: "URL", tokenFile: SECRET}`
	byClient := `api: {url: "URL", clientID: c, clientSecretFile: SECRET, token: {url: "URL/token"}}`
	byPassword := `api: {url: "URL", username: u, passwordFile: SECRET, headerFiles: {aw-tenant-code: SECRET}}`
	return []sender{
		{"standard", `secretFiles: [SECRET]`, func(secret, body string) (string, http.Header) {
			header, _ := standard.Sign(secret, "1", time.Now(), []byte(body)) // a wrong secret is no secret of theirs: nothing is signed
			return "", header
		}, nil},
		{"mapping", `webhook: {hmac: {header: X-Sig, secretFiles: [SECRET]}},` + credentialsMapping + byClient, byHMAC("X-Sig"), nil},
		{"sentinelone", `webhook: {header: {name: X-Key, valueFiles: [SECRET]}}, sentinelone: {points: agentid}, ` + byToken, byHeader("X-Key", ""), nil},
		{"jamf-protect", `webhook: {header: {name: Authorization, valueFiles: [SECRET]}}`, byHeader("Authorization", ""), nil},
		{"verified-access", `webhook: {header: {name: X-Key, valueFiles: [SECRET]}}`, byHeader("X-Key", ""), nil},
		{"jamf", `webhook: {basic: {username: jamf, passwordFiles: [SECRET]}}, ` + byClient, byBasic("jamf"), nil},
		{"fleet", `webhook: {urlSecretFiles: [SECRET]}, ` + byToken, func(secret, _ string) (string, http.Header) {
			return "/" + secret, http.Header{}
		}, nil},
		{"kolide", `secretFiles: [SECRET], ` + byToken, byHMAC("Authorization"), func(string) string {
			return fmt.Sprintf(`{"event":"of.nobody","id":"1","timestamp":%q}`, time.Now().UTC().Format(time.RFC3339))
		}},
		{"workspace-one", `webhook: {basic: {username: uem, passwordFiles: [SECRET]}}, ` + byPassword, byBasic("uem"), nil},
		{"crowdstrike", `secretFiles: [SECRET], ` + byClient, func(secret, body string) (string, http.Header) {
			at := strconv.FormatInt(time.Now().Unix(), 10)
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(body + at))
			return "", http.Header{"X-Cs-Primary-Signature": {base64.StdEncoding.EncodeToString(mac.Sum(nil))}, "X-Cs-Delivery-Timestamp": {at}}
		}, nil},
		{"okta", `webhook: {header: {name: Authorization, valueFiles: [SECRET]}}, ` + byToken, byHeader("Authorization", ""), nil},
		{"intune", `webhook: {header: {name: X-Forwarder, valueFiles: [SECRET]}}, intune: {tenant: acme.example, clientStateFiles: [SECRET]}, ` + byClient,
			byHeader("X-Nothing", ""), func(secret string) string {
				return fmt.Sprintf(`{"value":[{"clientState":%q,"resource":"me/messages"},{"clientState":"PLANTED-of-others","resource":"x"}]}`, secret)
			}},
		{"osquery", `osquery: {enrollSecretFiles: [SECRET], keyFile: SECRET}`, byHeader("X-Nothing", ""), nil},
		{"kandji", byToken, nil, nil}, {"defender", `defender: {tenant: acme.example}, ` + byClient, nil, nil}, {"google", byToken, nil, nil},
	}
}

// secretOf is the secret of a sender's source, as it stands in its file.
func secretOf(kind string) string {
	secret := planted + "-" + kind + "-0123456789abcdef0123456789abcdef"
	if kind == "standard" {
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(secret))
	}
	return secret
}

// credentialSettings are settings with a source of each type, and a transmitter whose key is given.
func credentialSettings(t *testing.T, vendor string, key *rsa.PrivateKey) *config.Settings {
	t.Helper()
	dir := t.TempDir()
	text := "store: {embedded: {file: db}}\nidentity: {issuers: [{name: corp, issuer: \"https://idp.acme.example\", audiences: [apps], jwksFile: jwks}]}\n" +
		"ssf: [{name: ssf, issuer: \"https://idp.acme.example\", audiences: [acme], delivery: push, pushTokenFiles: [ssf], jwksFile: jwks, " +
		"users: {issuer: corp, maxTokenLife: 1h}}]\nsources:\n"
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"ssf": secretOf("ssf"), "jwks": string(keys)}
	for _, s := range senders() {
		files[s.kind] = secretOf(s.kind) + "\n"
		text += fmt.Sprintf("  - {name: %[1]s, type: %[1]s, attests: [platform], %s}\n", s.kind,
			strings.NewReplacer("SECRET", s.kind, "URL", vendor+"/"+s.kind).Replace(s.settings))
	}
	files["settings.yaml"] = text
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settings, err := loadSettings(filepath.Join(dir, "settings.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

// sendSETs sends a SET that is a dead letter, the same under a wrong token, and an access token and the push token in place of one.
func sendSETs(t *testing.T, key *rsa.PrivateKey, send func(what, path string, header http.Header, body string, want int)) {
	t.Helper()
	sign := func(kind string, claims map[string]any) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key},
			(&jose.SignerOptions{}).WithType(jose.ContentType(kind)).WithHeader("kid", "k"))
		if err != nil {
			t.Fatal(err)
		}
		payload, _ := json.Marshal(claims)
		signed, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		compact, _ := signed.CompactSerialize()
		return compact
	}
	claims := map[string]any{"iss": "https://idp.acme.example", "aud": "acme", "iat": time.Now().Unix(), "jti": "1",
		"sub_id": map[string]any{"format": "phone_number", "phone_number": "+15550100"},
		"events": map[string]any{"https://schemas.openid.net/secevent/caep/event-type/session-revoked": map[string]any{}}}
	set, path := sign("secevent+jwt", claims), "/v1/ssf/ssf"
	claims["planted"] = planted
	access := sign("at+jwt", claims)
	bearer := func(token string) http.Header {
		return http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/secevent+jwt"}}
	}
	send("a SET", path+"?access_token="+planted, bearer(secretOf("ssf")), set, http.StatusAccepted)
	send("a SET under a wrong token", path, bearer(planted+"-guess"), set, http.StatusBadRequest)
	send("an access token as a SET", path, bearer(secretOf("ssf")), access, http.StatusBadRequest)
	send("a push token as a SET", path, bearer(secretOf("ssf")), secretOf("ssf"), http.StatusBadRequest)
}
