package authz

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// TestChallengesAreWrittenAsTheRFCsSay compares bytes: clients parse them by the grammar of RFC 9110, section 11.6.1.
func TestChallengesAreWrittenAsTheRFCsSay(t *testing.T) {
	t.Parallel()
	const stepUp = `Bearer realm="tiergate", error="insufficient_user_authentication", ` +
		`error_description="A stronger or fresher sign-in is required"`
	for name, c := range map[string]struct {
		verdict policy.Verdict
		want    string // "": no challenge
		status  int
	}{
		"unchecked": {policy.Verdict{Reason: policy.ReasonIdentityUnchecked}, "", 503},
		"revoked":   {policy.Verdict{Reason: policy.ReasonIdentityRevoked}, "", 403},
		"nobody":    {policy.Verdict{Reason: policy.ReasonIdentityMissing}, `Bearer realm="tiergate"`, 401},
		"doubt":     {policy.Verdict{Reason: policy.ReasonIdentityDoubted}, `Bearer realm="tiergate", error="invalid_token"`, 401},
		"acr and age": {policy.Verdict{Outcome: policy.StepUp, Reason: policy.ReasonStepUp, Challenge: &policy.Challenge{
			ACR: []string{"phr", "phrh"}, MaxAge: 15 * time.Minute}}, stepUp + `, acr_values="phr phrh", max_age="900"`, 401},
		"age alone": {policy.Verdict{Outcome: policy.StepUp, Reason: policy.ReasonStepUp, Challenge: &policy.Challenge{
			MaxAge: 1500 * time.Millisecond}}, stepUp + `, max_age="1"`, 401}, // rounding up would promise too much
		"amr has no parameter": {policy.Verdict{Outcome: policy.StepUp, Reason: policy.ReasonStepUp,
			Challenge: &policy.Challenge{AMR: []string{"hwk"}}}, stepUp, 401},
		"posture":   {policy.Verdict{Reason: policy.ReasonPosture}, "", 403},
		"no record": {policy.Verdict{Reason: policy.ReasonEvidence}, "", 503},
	} {
		response := respond(&Decision{Verdict: c.verdict})
		got := ""
		for _, h := range response.GetDeniedResponse().GetHeaders() {
			if h.GetHeader().GetKey() == "www-authenticate" {
				got = h.GetHeader().GetValue()
			}
		}
		if status := int(response.GetDeniedResponse().GetStatus().GetCode()); got != c.want || status != c.status {
			t.Errorf("%s: %d %s, want %d %s", name, status, got, c.status, c.want)
		}
	}
}
