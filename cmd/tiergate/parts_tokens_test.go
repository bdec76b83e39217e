package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

// mappedIssuer is an issuer with everything that the settings can say of the email and the device.
func mappedIssuer(t *testing.T) (devcaIssuer *devca.Issuer, settings config.Issuer) {
	t.Helper()
	from, err := devca.NewIssuer("https://login.acme.example", "apps")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := from.WriteJWKS(file); err != nil {
		t.Fatal(err)
	}
	return from, config.Issuer{
		Name: "corp", Issuer: from.Name(), Audiences: []string{"apps"}, Algorithms: []string{"ES256"}, JWKSFile: file,
		SenderConstrained: config.ConstrainedOptional, VerifiedBy: config.VerifiedByTiergate,
		Claims: config.Claims{Email: "mail"}, Device: &config.DeviceClaim{Claim: "serial", Names: "serial", Bearer: true},
	}
}

func verifierOf(t *testing.T, issuer config.Issuer) *token.Verifier {
	t.Helper()
	o, err := newObserver(config.Log{Level: "error", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	verifier, _, err := newVerifier(&config.Settings{Identity: config.Identity{Issuers: []config.Issuer{issuer},
		DPoPWindow: time.Minute}}, nil, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// TestEmailAndDeviceAreWhatTheSettingsSay, and bind as the settings say.
func TestEmailAndDeviceAreWhatTheSettingsSay(t *testing.T) {
	t.Parallel()
	from, settings := mappedIssuer(t)
	raw, err := from.Token("u-1", nil, time.Hour, map[string]any{"mail": "ana@acme.example", "serial": "c02x1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, bearer := range []bool{true, false} {
		settings.Device.Bearer = bearer
		proof, err := verifierOf(t, settings).Judge(&token.Credential{Token: raw}, time.Now())
		want := signals.Alias{Kind: signals.AliasSerial, Value: "C02X1"}
		if u := proof.User; err != nil || u.Email != "ana@acme.example" || u.Device != want || u.DeviceBinds != bearer {
			t.Errorf("bearer %t: %+v, %v", bearer, proof.User, err)
		}
	}
}

// TestEnvoysWordIsWhatTheSettingsSay: an issuer that Envoy verifies is Envoy's provider, and without Envoy's word under
// its name no token of it counts, however well it is signed.
func TestEnvoysWordIsWhatTheSettingsSay(t *testing.T) {
	t.Parallel()
	from, settings := mappedIssuer(t)
	settings.VerifiedBy = config.VerifiedByEnvoy
	raw, err := from.Token("u-1", nil, time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	verifier := verifierOf(t, settings)
	if _, err := verifier.Judge(&token.Credential{Token: raw}, time.Now()); err == nil ||
		!strings.Contains(err.Error(), "verifiedBy: envoy") {
		t.Errorf("without a word: %v", err)
	}
	word, err := structpb.NewStruct(map[string]any{"tiergate/corp": map[string]any{"sub": "u-2"}})
	if err != nil {
		t.Fatal(err)
	}
	vouched, err := proto.Marshal(word)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifier.Judge(&token.Credential{Token: raw, Vouched: vouched}, time.Now()); err == nil ||
		!strings.Contains(err.Error(), "other claims") { // found under the name, and compared
		t.Errorf("with a word on another: %v", err)
	}
	other := settings
	other.Name, other.VerifiedBy = "birch", config.VerifiedByTiergate
	all := &config.Settings{Identity: config.Identity{Issuers: []config.Issuer{other, settings}}}
	issuers, err := envoyIssuers(all, nil)
	if err != nil || len(issuers) != 1 || issuers[0].Name != "corp" || issuers[0].Issuer != from.Name() ||
		!strings.Contains(string(issuers[0].JWKS), `"keys"`) || issuers[0].Audiences[0] != "apps" {
		t.Errorf("Envoy is given %+v, %v", issuers, err)
	}
	for text, want := range map[string]string{`{"keys":[]}`: "identity.issuers[1].jwksFile", "-": "no such file"} {
		if text == "-" {
			err = os.Remove(settings.JWKSFile)
		} else {
			err = os.WriteFile(settings.JWKSFile, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := envoyIssuers(all, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
