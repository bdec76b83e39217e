package stage

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
)

// TestLoginIsLaidOut: with a provider the issuer of the settings is that provider, everybody who has a token can log in, and
// nothing else differs.
func TestLoginIsLaidOut(t *testing.T) {
	s, err := New(Options{Store: StoreEmbedded, Login: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	issuer := loadSettings(t, s).Identity.Issuers[0]
	if issuer.Name != "corp" || issuer.Issuer != "https://"+s.Ports.Login || issuer.JWKSURL != s.Provider.KeysURL() ||
		issuer.JWKSFile != "" || issuer.JWKSCAFile != s.Path("pki", "servers-ca.pem") {
		t.Errorf("the issuer is %+v", issuer)
	}
	restored := read(t, s.Settings())
	for _, sub := range s.settingsSubstitutions() {
		restored = strings.Replace(restored, sub.to, sub.from, 1)
	}
	if example := read(t, s.binaries.Example+"/settings.yaml"); restored != example {
		t.Errorf("the settings differ in more than what is replaced:\n%s", restored)
	}
	file := s.Path("secrets", "login.json")
	var config oidc.Config
	if err := json.Unmarshal([]byte(read(t, file)), &config); err != nil {
		t.Fatal(err)
	}
	for name, person := range people {
		if user, known := config.Users[person.subject]; !known || user.Password == "" {
			t.Errorf("%s (%s) cannot log in", name, person.subject)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("passwords for others to read: %v, %v", info.Mode(), err)
	}
	if _, err := s.SignIn(t.Context(), "deployer", false, oidc.Login{}); err == nil {
		t.Error("a workload signed in")
	}
	if _, err := s.SignIn(t.Context(), "ana", false, oidc.Login{}); err == nil {
		t.Error("somebody signed in while the provider is down")
	}
	if err := s.logIn(t.Context()); err == nil {
		t.Error("everybody signed in while the provider is down")
	}
}

func TestNoLoginWithoutAProvider(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	if _, err := s.SignIn(t.Context(), "ana", false, oidc.Login{}); err == nil || !strings.Contains(err.Error(), "no provider") {
		t.Errorf("signed in at no provider: %v", err)
	}
	if err := s.logIn(t.Context()); err != nil {
		t.Error(err)
	}
	for _, process := range s.processes() {
		if process.Name == "login" {
			t.Error("a provider would be started")
		}
	}
}
