package authz

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
)

// memory is Logins as a test wants it.
type memory struct {
	mu            sync.Mutex
	known         *identity.FirstSeen // what Recall tells
	found         *identity.FirstSeen // what Look tells
	err           error
	noted, looked int
}

func (m *memory) Recall(*identity.User, time.Time) *identity.FirstSeen { return m.known }

func (m *memory) Note(*identity.User, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noted++
}

func (m *memory) Look(*identity.User, time.Time) (*identity.FirstSeen, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looked++
	return m.found, m.err
}

// TestOnlyWhoseAgeDecidesWaits: a login of which nothing is known is noted behind every request, and waited for where its
// age decides; where that cannot be found out, so says the answer. What is known, or needs no memory, asks nobody.
func TestOnlyWhoseAgeDecidesWaits(t *testing.T) {
	t.Parallel()
	now := time.Now()
	seen := func(age time.Duration) *identity.FirstSeen {
		return &identity.FirstSeen{Session: now.Add(-age), ACR: now.Add(-age)}
	}
	down := errors.New("down")
	for _, c := range []struct {
		name          string
		moves         identity.AuthTimeMoves
		memory        *memory
		verdict       policy.Verdict
		again         bool
		noted, looked int
	}{
		{"it does not decide", identity.MovesOnRefresh, &memory{}, policy.Verdict{Tier: "t", Reason: policy.ReasonAllowed}, false, 1, 0},
		{"it decides", identity.MovesOnRefresh, &memory{found: seen(0)},
			policy.Verdict{Tier: "t", Reason: policy.ReasonIdentityUnchecked}, true, 0, 1},
		{"it would decide, and is monitored", identity.MovesNever, &memory{found: seen(0)}, policy.Verdict{Tier: "t",
			Reason: policy.ReasonAllowed, Monitored: &policy.Monitored{Reason: policy.ReasonIdentityUnchecked}}, true, 0, 1},
		{"it decides, and nobody knows", identity.MovesOnRefresh, &memory{err: down},
			policy.Verdict{Tier: "t", Reason: policy.ReasonIdentityUnchecked}, false, 0, 1},
		{"a doubt, before any tier", identity.MovesOnRefresh, &memory{}, policy.Verdict{Reason: policy.ReasonIdentityUnchecked}, false, 1, 0},
		{"it is known", identity.MovesOnRefresh, &memory{known: seen(time.Hour)},
			policy.Verdict{Tier: "t", Reason: policy.ReasonStepUp}, false, 0, 0},
		{"its auth_time tells", identity.MovesWithLogin, &memory{known: seen(0), found: seen(0)},
			policy.Verdict{Tier: "t", Reason: policy.ReasonIdentityUnchecked}, false, 0, 0},
	} {
		s := New(Options{Logins: c.memory})
		in := policy.Input{At: now, Subject: identity.Subject{User: &identity.User{Name: "ana", Moves: c.moves}}}
		in.Subject.FirstSeen = s.recalled(in.Subject.User, now)
		if c.moves == identity.MovesWithLogin && in.Subject.FirstSeen != nil {
			t.Errorf("%s: the memory is asked", c.name)
		}
		again := s.remembers(&Call{}, &in, &c.verdict)
		if again != c.again || c.memory.noted != c.noted || c.memory.looked != c.looked || again && in.Subject.FirstSeen == nil {
			t.Errorf("%s: again %t, noted %d, looked %d", c.name, again, c.memory.noted, c.memory.looked)
		}
	}
	for _, s := range []*Server{New(Options{}), New(Options{Logins: &memory{}})} {
		in := policy.Input{At: now}
		if s.recalled(nil, now) != nil || s.remembers(&Call{}, &in, &policy.Verdict{}) {
			t.Error("nobody's login is remembered")
		}
	}
}
