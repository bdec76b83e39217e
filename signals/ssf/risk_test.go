package ssf_test

import (
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/signals/revocation"
	"github.com/tiergate/tiergate/signals/ssf"
)

// TestRiskRefuses: from the settings' level on a risk refuses later logins too, and nothing else does; the level from which it ends the
// logins so far is another setting.
func TestRiskRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ revokes, refuses, level, want string }{
		{"", "", "HIGH", "ended risk"}, {"", "", "MEDIUM", "risk"}, {"never", "high", "HIGH", "risk!"},
		{"high", "medium", "MEDIUM", "risk!"}, {"high", "medium", "LOW", "risk"}, {"low", "low", "LOW", "ended risk!"},
		{"never", "never", "HIGH", "risk"},
	} {
		s := stream(t, func(o *ssf.Options) { o.Users.RiskRevokes, o.Users.RiskRefuses = c.revokes, c.refuses })
		set := signAs(rsaKey(), jose.RS256, nil, claims(object{"events": object{caepURI + "risk-level-change": object{
			"principal": "USER", "current_level": c.level}}}))
		found, err := s.Effects(delivery(set))
		var said []string
		for _, r := range found {
			word := string(r.Sort)
			if r.Refuses {
				word += "!"
			}
			said = append(said, word)
			if _, err := r.Record(); err != nil || r.Sort == revocation.Risk && r.Level != strings.ToLower(c.level) {
				t.Errorf("%+v: %+v, %v", c, r, err)
			}
		}
		if got := strings.Join(said, " "); err != nil || got != c.want {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
}
