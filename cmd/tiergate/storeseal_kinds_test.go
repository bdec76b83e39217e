package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var declaredKind = regexp.MustCompile(`(?m)^\s*(?:const )?(?:Kind(?:[A-Z]\w*)?|RecordKind|EntryKind|UseKind|importKind)\s+= "([^"]+)"`)

// TestSealedKindsAreAll: a kind of record that is left out would not be signed when a store is switched on. What sidecars write,
// nobody signs.
func TestSealedKindsAreAll(t *testing.T) {
	bySidecars := []string{"dpop-proof", "first-login", "envoy-drift", "sighting", "use", "device-use", "checkpoint"} // the last signs itself
	var found []string
	for _, dir := range []string{".", "../../authz", "../../authz/approvals", "../../authz/findings", "../../authz/findings/engine",
		"../../authz/findings/outlets", "../../authz/inventory", "../../signals/checkpoint", "../../signals/ingest",
		"../../signals/revocation", "../../signals/ssf"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, match := range declaredKind.FindAllStringSubmatch(string(text), -1) {
				if !slices.Contains(bySidecars, match[1]) {
					found = append(found, match[1])
				}
			}
		}
	}
	slices.Sort(found)
	if listed := slices.Sorted(slices.Values(sealedKinds())); len(found) < 20 || !slices.Equal(found, listed) {
		t.Errorf("there are the kinds\n%v\nand these are listed\n%v", found, listed)
	}
}
