package main

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/config"
)

// TestIssuersAreWhatTheSettingsSay: every claim is found by the name of the settings, and senderConstrained has its
// way.
func TestIssuersAreWhatTheSettingsSay(t *testing.T) {
	t.Parallel()
	from, err := devca.NewIssuer("https://login.acme.example", "apps")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := from.WriteJWKS(file); err != nil {
		t.Fatal(err)
	}
	login := time.Now().Add(-time.Minute).Truncate(time.Second).UTC()
	raw, err := from.Token("u-1", nil, time.Hour, map[string]any{"upn": "ana", "roles": "staff", "level": "phr",
		"methods":  "hwk",
		"login_at": login.Unix()})
	if err != nil {
		t.Fatal(err)
	}
	for constrained, want := range map[string]bool{config.ConstrainedOptional: true, config.ConstrainedRequired: false} {
		o, err := newObserver(config.Log{Level: "error", Format: "json"})
		if err != nil {
			t.Fatal(err)
		}
		verifier, _, err := newVerifier(&config.Settings{Identity: config.Identity{Issuers: []config.Issuer{{
			Name: "corp", Issuer: from.Name(), Audiences: []string{"apps"}, Algorithms: []string{"ES256"}, JWKSFile: file,
			SenderConstrained: constrained, AuthTime: "login",
			Claims: config.Claims{User: "upn", Groups: "roles", ACR: "level", AMR: "methods", AuthTime: "login_at"},
		}}, DPoPWindow: time.Minute}}, nil, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := verifier.Judge(&token.Credential{Token: raw}, time.Now())
		user := proof.User
		if (err == nil) != want {
			t.Errorf("%s: %v, %v", constrained, user, err)
		}
		if err == nil {
			user.Token, user.Issued = identity.Validity{}, time.Time{}
			if expected := (&identity.User{Issuer: "corp", Name: "ana", Subject: "u-1", Groups: []string{"staff"}, ACR: "phr",
				AMR: []string{"hwk"}, AuthTime: login}); !reflect.DeepEqual(user, expected) {
				t.Errorf("read as %+v", user)
			}
		}
	}
}
