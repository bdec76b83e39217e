package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/inventory"
)

// TestASuggestionNarrowsAWildcard: however the list is written, the patch names those who used it, and they alone get in by
// it then; the rest of the file stays as it is.
func TestASuggestionNarrowsAWildcard(t *testing.T) {
	t.Parallel()
	h := newShelf(t)
	h.observe(30)
	now := time.Now().UTC()
	for _, name := range []string{"build-2", "gone"} {
		s := inventory.Sighting{ID: "spiffe://acme.example/ci/" + name, TrustDomain: "acme.example", First: now.AddDate(0, 0, -100), Last: now}
		if name != "gone" {
			s.Routes = map[string]inventory.RouteUse{"artifacts": {First: s.First, Last: now, Allowed: 3, LastAllowed: now}}
		}
		h.put(inventory.RecordKind, s.ID, s.JSON())
	}
	const list = "spec:\n  workloads:\n    - spiffe: \"spiffe://acme.example/ci/build\" # the build farm\n" +
		"    - spiffe: \"spiffe://acme.example/ci/idle\"  # nobody knows\n"
	for name, tt := range map[string]struct{ written, want, left string }{
		"a block": {written: "spec:\n  workloads:\n    - spiffe: \"spiffe://acme.example/ci/*\" # all\n",
			want: "spec:\n  workloads:\n    - spiffe: \"spiffe://acme.example/ci/build\"\n    - spiffe: \"spiffe://acme.example/ci/build-2\"\n" +
				"    - spiffe: \"spiffe://acme.example/ci/deploy\" # all\n"},
		"without quotes": {written: "spec:\n  members:\n  -  spiffe: spiffe://acme.example/ci/*\n",
			want: "spec:\n  members:\n  -  spiffe: \"spiffe://acme.example/ci/build\"\n  - spiffe: \"spiffe://acme.example/ci/build-2\"\n" +
				"  - spiffe: \"spiffe://acme.example/ci/deploy\"\n"},
		"a mapping in a block": {written: "spec:\n  workloads:\n    - {spiffe: \"spiffe://acme.example/ci/*\"} # all\n",
			want: "spec:\n  workloads:\n    - {spiffe: \"spiffe://acme.example/ci/build\"}\n    - {spiffe: \"spiffe://acme.example/ci/build-2\"}\n" +
				"    - {spiffe: \"spiffe://acme.example/ci/deploy\"} # all\n"},
		"one line": {written: "spec: {workloads: [{spiffe: \"spiffe://acme.example/other\"}, { spiffe: 'spiffe://acme.example/ci/*' }]}\n",
			want: "\"spiffe://acme.example/ci/build\"}, {spiffe: \"spiffe://acme.example/ci/build-2\"}, {spiffe: \"spiffe://acme.example/ci/deploy\" }]}\n"},
		"on a line of its own": {written: "spec:\n  workloads:\n    -\n      spiffe: \"spiffe://acme.example/ci/*\"\n", left: "do it by hand"},
		"an anchor":            {written: "spec:\n  workloads:\n    - spiffe: &all \"spiffe://acme.example/ci/*\"\n", left: "all.yaml"},
	} {
		h.write("policy/all.yaml", strings.Replace(machines, list, tt.written, 1))
		if tt.left != "" {
			if said := h.say(0, "suggest", "spiffe://acme.example/ci/build-2", "--days", "30"); !strings.Contains(said, "# left alone: narrow") ||
				!strings.Contains(said, tt.left) || strings.Contains(said, "\n+") {
				t.Errorf("%s: %s", name, said)
			}
			continue
		}
		before := h.compile()
		said := h.say(0, "suggest", "spiffe://acme.example/ci/build-2", "--days", "30")
		if !strings.Contains(said, "# narrow spiffe://acme.example/ci/* in audience builders to spiffe://acme.example/ci/build,") ||
			!strings.Contains(said, "by policy diff (tightens)") || !strings.Contains(said, "spiffe://acme.example/ci/gone was seen first") {
			t.Errorf("%s: %s", name, said)
		}
		git := exec.CommandContext(t.Context(), "git", "apply", h.write("s.patch", said))
		git.Dir = h.policy
		git.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+h.dir)
		if out, err := git.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s\n%s", name, err, out, said)
		}
		text, err := os.ReadFile(filepath.Join(h.policy, "all.yaml"))
		if err != nil || !strings.Contains(string(text), tt.want) || !strings.Contains(string(text), "# who builds") {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		after := h.compile()
		for _, id := range []string{"build", "build-2", "deploy", "gone", "new"} {
			is := slices.Contains([]string{"build", "build-2", "deploy"}, id)
			if !h.allows(before, id, "/artifacts") || h.allows(after, id, "/artifacts") != is {
				t.Errorf("%s: %s gets in: %v", name, id, !is)
			}
		}
	}
	h.write("policy/all.yaml", strings.Replace(machines, list, "spec:\n  workloads:\n    - spiffe: \"spiffe://acme.example/ci/*\"\n", 1))
	var thin identitySuggestion
	if err := json.Unmarshal([]byte(h.say(0, "suggest", "--days", "29", "-o", "json")), &thin); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(thin.Diff, "ci/*") || !strings.Contains(strings.Join(thin.Notes, "\n"), "30 observed days or more only, not on 29") {
		t.Errorf("on 29 days: %+v", thin)
	}
}
