package stage

import (
	"strings"
	"testing"
)

// TestNobodyBrowsesWithoutALogin: who is no user, and a stage without a provider, are told apart from a page that fails.
func TestNobodyBrowsesWithoutALogin(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	for as, hint := range map[string]string{"ana": "there is no login application", "eve": `"eve" is not in the cast`} {
		v := s.Browse(t.Context(), Errand{As: as, Host: PortalHost, Path: "/"})
		if v.Answer.Err == nil || !strings.Contains(v.Answer.Err.Error(), hint) {
			t.Errorf("%s: %v", as, v.Answer.Err)
		}
	}
}

// TestLoginApplicationEnds: it listens on loopback, and no longer than the stage is there.
func TestLoginApplicationEnds(t *testing.T) {
	s, err := New(Options{Store: StoreEmbedded, Login: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.startApplication(); err != nil {
		t.Fatal(err)
	}
	address := s.application.address
	if !strings.HasPrefix(address, "127.0.0.1:") {
		t.Errorf("it listens on %s", address)
	}
	b, err := s.browserOf("ana")
	if err != nil {
		t.Fatal(err)
	}
	if response, err := b.client.Get("https://apps.acme.example/step-up?evil"); err != nil || response.StatusCode != 400 {
		t.Errorf("%+v, %v", response, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := b.client.Get("https://apps.acme.example/step-up"); err == nil {
		t.Error("it still answers")
	}
}
