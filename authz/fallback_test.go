package authz

import (
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// TestARefusalNamesTheFallback: an application and a person read where to go and until when, if there is a link and the tier
// tells all; else nobody does.
func TestARefusalNamesTheFallback(t *testing.T) {
	t.Parallel()
	until := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	for form, want := range map[string]string{
		"problem": `"fallback":{"url":"https://help.example/mail/","until":"2027-01-31T00:00:00Z"}`,
		"page":    `<a href="https://help.example/mail/" rel="noreferrer">https://help.example/mail/</a>, open until 2027-01-31`,
	} {
		d := refusedFor(policy.ReasonPosture, callsOf[form], "")
		d.Verdict.Fallback = &policy.FallbackOffer{Route: "route-word", URL: "https://help.example/mail/", Until: until}
		told := tell(d)
		if body := refuse(d, &told).body; !strings.Contains(body, want) || strings.Contains(body, "route-word") {
			t.Errorf("%s: %s", form, body)
		}
		d.Verdict.Tells = policy.TellsReason
		told = tell(d)
		if body := refuse(d, &told).body; strings.Contains(body, "help.example") {
			t.Errorf("%s of a tier that does not tell all: %s", form, body)
		}
		d.Verdict.Tells, d.Verdict.Fallback.URL = "", ""
		told = tell(d)
		if body := refuse(d, &told).body; strings.Contains(body, "fallback") || strings.Contains(body, "route-word") {
			t.Errorf("%s without a link: %s", form, body)
		}
	}
}
