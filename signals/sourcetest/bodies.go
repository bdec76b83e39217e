package sourcetest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals"
)

// Read reads one body as a source does.
type Read func(body []byte) ([]signals.Observation, error)

// Deliveries reads every body of testdata; what is read, or why nothing is, stands beside it, reviewed by eye.
func Deliveries(t *testing.T, read Read) {
	t.Helper()
	for _, file := range Files(t, "testdata/*.json") {
		var b strings.Builder
		observations, err := read(Content(t, file))
		if err != nil {
			b.WriteString("error: " + err.Error() + "\n")
		}
		for i, o := range observations {
			if i > 0 {
				b.WriteString("\n")
			}
			b.WriteString(Text(t, o))
		}
		Golden(t, file, b.String())
	}
}

// Recorded reads every recorded body of a vendor, where there are any: it gives facts, or a reason. What it gives stands in
// testdata/recorded.txt, reviewed by eye. facts are how many; negative: there are no bodies.
func Recorded(t *testing.T, vendor string, read Read) (facts int) {
	t.Helper()
	files, ok := Samples(t, vendor)
	if !ok {
		return -1
	}
	var all strings.Builder
	for _, file := range files {
		if filepath.Ext(file) != ".json" || strings.HasSuffix(file, ".headers.json") {
			continue
		}
		all.WriteString("== " + filepath.Base(file) + "\n")
		observations, err := read(Content(t, file))
		if err != nil && observations != nil {
			t.Errorf("%s: facts, and yet %v", filepath.Base(file), err)
		}
		if err != nil {
			all.WriteString("error: " + err.Error() + "\n")
		}
		for _, o := range observations {
			facts += len(o.Facts)
			all.WriteString(Text(t, o))
		}
	}
	Golden(t, RecordedGolden, all.String())
	return facts
}

// RecordedGolden is where what a source reads of its vendor's recorded bodies stands.
const RecordedGolden = "testdata/recorded.txt"

// FuzzBodies: whatever is delivered, nothing panics, an error comes without facts, and each fact is one, of a device with a
// name.
func FuzzBodies(f *testing.F, read Read) {
	f.Helper()
	for _, file := range Files(f, "testdata/*.json") {
		f.Add(Content(f, file))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		observations, err := read(body)
		if err != nil && observations != nil {
			t.Fatalf("%v and %v", observations, err)
		}
		for _, o := range observations {
			for i := range o.Facts {
				if err := Check(&o.Facts[i]); err != nil || len(o.Aliases) == 0 {
					t.Fatalf("%q: %v of %v", body, err, o.Aliases)
				}
			}
		}
	})
}
