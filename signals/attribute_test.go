package signals_test

import (
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals"
)

// TestATextHasABound: what an expression may cost is reckoned with it, so no source may let in more.
func TestATextHasABound(t *testing.T) {
	version, _ := signals.LookupAttribute("os_version")
	for length, want := range map[int]bool{0: true, signals.MaxTextBytes: true, signals.MaxTextBytes + 1: false} {
		if got := version.Accepts(signals.Text(strings.Repeat("9", length))); got != want {
			t.Errorf("a text of %d bytes: %t", length, got)
		}
	}
}
