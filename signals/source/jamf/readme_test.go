package jamf_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals"
)

// The README names what there is: every attribute that this source can state stands in its settings, each one there
// exists, and each event that it tells to switch on points at a device.
func TestREADME(t *testing.T) {
	raw, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(raw), "attests: [")
	list, _, _ = strings.Cut(list, "]")
	attests := map[string]bool{}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		attests[name] = true
		if _, found := signals.LookupAttribute(name); !found {
			t.Errorf("attests names %q, which is no attribute", name)
		}
	}
	stated := map[string]bool{}
	for _, path := range inputs(t, "testdata/records/*.golden", 15) {
		for _, m := range regexp.MustCompile(`(?m)^([a-z_]+) = `).FindAllStringSubmatch(read(t, path), -1) {
			stated[m[1]] = true
		}
	}
	for name := range stated {
		if !attests[name] {
			t.Errorf("a record states %s, which attests does not name", name)
		}
	}
	for name := range attests {
		if !stated[name] {
			t.Errorf("attests names %s, which no record states", name)
		}
	}
	_, events, _ := strings.Cut(string(raw), "JSON or XML:")
	events, _, _ = strings.Cut(events, "The other events")
	named := regexp.MustCompile("`([A-Z][A-Za-z]+)`").FindAllStringSubmatch(events, -1)
	if len(named) != 10 {
		t.Fatalf("the README names %d events", len(named))
	}
	for _, m := range named {
		group := map[bool]string{true: "12", false: "8"}[strings.Contains(m[1], "Computer")]
		body := `{"webhook":{"webhookEvent":"` + m[1] + `"},"event":{"jssID":7,"groupAddedDevicesIds":[7],"name":"x"}}`
		if strings.Contains(m[1], "Group") {
			body = strings.Replace(body, `"jssID":7`, `"jssid":`+group, 1)
		}
		if points, err := adapter(t, nil).Points(delivery(body)); err != nil || len(points) != 1 {
			t.Errorf("%s points at %v, %v", m[1], points, err)
		}
	}
}
