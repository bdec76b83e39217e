package ssf_test

import (
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/signals/ssf"
)

// TestMoreAssuranceEndsNothing: where the settings name assurance-level-change, one that went up ends no login; one that does not say
// which way it went does.
func TestMoreAssuranceEndsNothing(t *testing.T) {
	t.Parallel()
	s := stream(t, func(o *ssf.Options) { o.Users.Revoke = []ssf.Kind{ssf.AssuranceLevelChange} })
	for change, want := range map[string]int{"increase": 0, "decrease": 1, "": 1} {
		event := object{"namespace": "NIST-AAL", "current_level": "nist-aal1"}
		if change != "" {
			event["change_direction"] = change
		}
		set := signAs(rsaKey(), jose.RS256, nil, claims(object{"events": object{caepURI + "assurance-level-change": event}}))
		if found, err := s.Effects(delivery(set)); err != nil || len(found) != want {
			t.Errorf("%q: %+v, %v", change, found, err)
		}
	}
}
