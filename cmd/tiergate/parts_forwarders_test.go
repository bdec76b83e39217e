package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/config"
)

// TestForwardersOneReading: config stands alone, so it has a reading of SPIFFE patterns of its own. It is the same.
func TestForwardersOneReading(t *testing.T) {
	dir := t.TempDir()
	bundle := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(bundle, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := "spiffe://acme.example/" + strings.Repeat("x", 2048-22)
	for _, pattern := range []string{
		"spiffe://acme.example/a", "spiffe://acme.example/a/b", "spiffe://acme.example/*", "spiffe://acme.example/**",
		"spiffe://acme.example/a/*/b/**", "spiffe://acme.example/*/**", "spiffe://acme.example/.a/..b/-_", long, long + "x",
		"spiffe://acme.example", "spiffe://acme.example/", "spiffe://acme.example//a", "spiffe://acme.example/a/",
		"spiffe://acme.example/.", "spiffe://acme.example/a/../b", "spiffe://acme.example/**/a", "spiffe://acme.example/a*",
		"spiffe://acme.example/***", "spiffe://*/a", "spiffe://*.example/a", "SPIFFE://acme.example/a",
		"spiffe://ACME.example/a",
		"spiffe:///a", "spiffe://acme.example/a?b", "spiffe://acme.example/a#b", "spiffe://acme.example:1/a",
		"spiffe://u@acme.example/a", "spiffe://acme.example/%61", "spiffe://acme.example/a b", "https://acme.example/a",
		"a",
		"spiffe://acme.example/ä",
	} {
		file := filepath.Join(dir, "settings.yaml")
		text := fmt.Sprintf("store: {embedded: {file: x.db}}\nidentity:\n  trustDomains: [{name: acme.example, bundleFile: ca.pem}]\n"+
			"  forwarders: [%q]\n", pattern)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, loadErr := config.Load(file, config.Vocabulary{})
		_, parseErr := identity.ParseSPIFFEPattern(pattern)
		if (loadErr == nil) != (parseErr == nil) {
			t.Errorf("%.80q: settings say %v, identities say %v", pattern, loadErr, parseErr)
		}
	}
}

func TestAuthorityOptions(t *testing.T) {
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &config.Settings{Identity: config.Identity{
		Devices:    &config.Devices{BundleFile: bundle, Bind: "serialNumber", IgnoreURINames: []string{"tag:example:"}},
		Forwarders: []string{"spiffe://acme.example/gateway"},
	}}
	options, err := authorityOptions(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(options.IgnoreURINames, []string{"tag:example:"}) || len(options.Forwarders) != 1 ||
		options.Forwarders[0].String() != "spiffe://acme.example/gateway" {
		t.Errorf("%+v", options)
	}
	s.Identity.Forwarders[0] = "gateway"
	if _, err := authorityOptions(s, nil); err == nil || !strings.HasPrefix(err.Error(), "identity.forwarders[0]: ") {
		t.Errorf("%v", err)
	}
}
