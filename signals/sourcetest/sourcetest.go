// Package sourcetest is what the tests of sources share: golden files of the facts read, the bounds of a fact, and a vendor's
// API that is played on loopback.
package sourcetest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

var update = flag.Bool("update", false, "write what is read now as what should be read")

// Golden compares with what stands beside file, whose ending is replaced by .txt.
func Golden(t testing.TB, file, got string) {
	t.Helper()
	file = strings.TrimSuffix(file, filepath.Ext(file)) + ".txt"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("%s (-update writes it), %v; want\n%s\ngot\n%s", file, err, want, got)
	}
}

// Files fails where there is nothing, so that no test passes by looking at no file.
func Files(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	return files
}

// Samples are the recorded bodies of a vendor. They lie beside the repository, where they are there at all; ok false: not.
func Samples(t testing.TB, vendor string) (files []string, ok bool) {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "..", "shared", "samples", vendor)
	if _, err := os.Stat(dir); err != nil {
		return nil, false
	}
	return Files(t, filepath.Join(dir, "*")), true
}

// Content is the content of a file.
func Content(t testing.TB, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Text writes an observation down, a line for each name and fact, and checks it on the way.
func Text(t testing.TB, o signals.Observation) string {
	t.Helper()
	var b strings.Builder
	for _, alias := range o.Aliases {
		fmt.Fprintln(&b, alias)
	}
	for i := range o.Facts {
		fact := &o.Facts[i]
		if err := Check(fact); err != nil {
			t.Error(err)
		}
		fmt.Fprintf(&b, "%s = %s  (%s, %s)\n", fact.Attribute, fact.Value, fact.Path, fact.Observed.Format(time.RFC3339Nano))
	}
	return b.String()
}

// Check says what keeps a fact of an adapter from being one: it fits the vocabulary, says where it stood and when the vendor
// saw it, and leaves to the receiver what is the receiver's.
func Check(fact *signals.Fact) error {
	attribute, known := signals.LookupAttribute(fact.Attribute)
	switch {
	case !known || !attribute.Accepts(fact.Value):
		return fmt.Errorf("%+v is not of the vocabulary", fact)
	case fact.Path == "":
		return fmt.Errorf("%+v does not say where it stood", fact)
	case fact.Observed.IsZero():
		return fmt.Errorf("%+v has no instant", fact)
	case fact.Source != "" || !fact.Received.IsZero():
		return fmt.Errorf("%+v says what is the receiver's to say", fact)
	}
	return nil
}
