package ingest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals/ingest"
)

var kind = regexp.MustCompile(`(?m)^\s*(?:const )?Kind(?:[A-Z]\w*)?\s+= "([^"]+)"`)

// TestKindsAreAll: a kind that is left out would not be signed when a store is switched on.
func TestKindsAreAll(t *testing.T) {
	var files []string
	for _, dir := range []string{".", "../revocation", "../ssf"} { // whose records receivers write as well
		some, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, some...)
	}
	found := []string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range kind.FindAllStringSubmatch(string(text), -1) {
			found = append(found, match[1])
		}
	}
	slices.Sort(found)
	if listed := slices.Sorted(slices.Values(ingest.Kinds())); len(found) < 4 || !slices.Equal(found, listed) {
		t.Errorf("the package has the kinds %q and lists %q", found, listed)
	}
}
