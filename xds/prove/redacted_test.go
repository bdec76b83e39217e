package prove_test

import (
	"regexp"
	"strings"
	"testing"
)

var routeName = regexp.MustCompile(`(tiergate\.route: )[^\n}]*`)

// TestARunningEnvoyWithholdsNames: the dump of a running Envoy does not say which route asks by which name. Ways are then told
// apart by host and path: what is right is proved, with the same ways, and what is wrong is found all the same.
func TestARunningEnvoyWithholdsNames(t *testing.T) {
	t.Parallel()
	withheld := func(text string) string { return routeName.ReplaceAllString(text, `$1"[redacted]"`) }
	for _, file := range []string{"testdata/right.txtar", "testdata/right-workloads.txtar"} {
		w := worldOf(t, file)
		told, report := w.check(t, w.envoy), w.check(t, withheld(w.envoy))
		for i := range told.Audiences {
			was, is := told.Audiences[i], report.Audiences[i]
			if strings.Join(was.Clusters, " ") != strings.Join(is.Clusters, " ") || len(is.Own) != len(was.Own) || len(is.Listeners) == 0 {
				t.Errorf("%s: %+v, and with names %+v", file, is, was)
			}
		}
		if !report.Isolated {
			t.Errorf("%s: %+v", file, report.Counterexamples)
		}
	}
	for name := range edits {
		w := worldOf(t, "testdata/wrong/"+name+".txtar")
		if w.check(t, withheld(edited(t, name, w.envoy))).Isolated {
			t.Errorf("%s is not found", name)
		}
	}
}
