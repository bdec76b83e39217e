package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestJamfREADME: the settings that the source's README shows are settings, and a source is made of them.
func TestJamfREADME(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../signals/source/jamf/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, found := strings.Cut(string(readme), "```yaml\n")
	shown, _, closed := strings.Cut(shown, "```")
	if !found || !closed {
		t.Fatal("the README shows no settings")
	}
	dir := t.TempDir()
	for _, name := range []string{"jamf.webhook", "jamf.client"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "settings.yaml")
	text := "store: {embedded: {file: tiergate.db}}" + strings.ReplaceAll("\n"+shown, "\n   ", "\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := loadSettings(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if sources, err := newSources(settings, nil); err != nil || len(sources) != 1 {
		t.Errorf("%v, %v", sources, err)
	}
}
