package policytest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/policytest"
)

// readme is the worked example of README.md.
func readme(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, opened := strings.Cut(string(raw), "```yaml\n")
	text, _, closed := strings.Cut(rest, "```\n")
	if !opened || !closed {
		t.Fatal("the example is gone")
	}
	return []byte(text)
}

// TestReadme: what the page teaches is true.
func TestReadme(t *testing.T) {
	t.Parallel()
	cases, problems := policytest.Parse("README.md", readme(t))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	results, err := policytest.Run(compile(t, "../../examples/ingress/policy"), cases)
	if err != nil || len(results) != 14 {
		t.Fatalf("%d cases: %v", len(results), err)
	}
	for _, r := range results {
		if len(r.Differences) > 0 {
			t.Errorf("%s %s: %v", r.Place, r.Case.Name, r.Differences)
		}
	}
	if name := cases[1].Name; name != "one thing is wrong with the laptop / no encryption" {
		t.Errorf("a variant is called %q", name)
	}
}

// TestPageNamesEveryGroup of the coverage.
func TestPageNamesEveryGroup(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range policytest.GroupNames() {
		if !strings.Contains(string(raw), "`"+group+"`") {
			t.Errorf("the page does not speak of %s", group)
		}
	}
}
