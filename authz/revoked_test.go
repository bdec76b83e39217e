package authz

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/revocation"
)

var revokedAt = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// revokedTable ends logins up to revokedAt.
func revokedTable(t *testing.T, all ...revocation.Revocation) *revocation.Table {
	t.Helper()
	var book revocation.Book
	for _, r := range all {
		r.Sort, r.NotBefore, r.Until = revocation.Ended, revokedAt, revokedAt.Add(24*time.Hour)
		r.Reason, r.Event = "session-revoked", "jti-1"
		if !book.Put(r) {
			t.Fatalf("%+v says nothing", r)
		}
	}
	return book.Table()
}

// A login that an identity provider has ended counts no longer, under whatever name: and a later one does.
func TestWhatHasEndedCountsNoLonger(t *testing.T) {
	serial, uuid := signals.Alias{Kind: signals.AliasSerial, Value: "C02"}, signals.Alias{Kind: signals.AliasUUID, Value: "U-1"}
	before, after := revokedAt.Add(-time.Minute), revokedAt.Add(time.Second)
	ana := identity.User{Issuer: "corp", Name: "ana@acme.example", Subject: "u-1", Session: "s1", Email: "Ana@acme.example",
		Issued: before, AuthTime: before}
	later := ana
	later.Issued, later.AuthTime = after, after
	refreshed := ana
	refreshed.Issued, refreshed.AuthTime, refreshed.Moves = after, time.Time{}, identity.MovesOnRefresh
	seen := &identity.FirstSeen{Session: before}
	posture := signals.Posture{Device: "d1", Aliases: []signals.Alias{serial, uuid}}
	packed := signals.Pack(&posture)
	user := revocation.Revocation{Issuer: "corp", User: "u-1"}
	device := revocation.Revocation{Issuer: "corp", Device: uuid.String()}
	for _, tt := range []struct {
		name    string
		r       revocation.Revocation
		subject identity.Subject
		want    bool
	}{
		{"the user", user, identity.Subject{User: &ana}, true},
		{"another user", revocation.Revocation{Issuer: "corp", User: "u-2"}, identity.Subject{User: &ana}, false},
		{"another issuer", revocation.Revocation{Issuer: "partner", User: "u-1"}, identity.Subject{User: &ana}, false},
		{"the user by e-mail", revocation.Revocation{Issuer: "corp", Email: "ana@acme.example"}, identity.Subject{User: &ana}, true},
		{"the session", revocation.Revocation{Issuer: "corp", Session: "s1"}, identity.Subject{User: &ana}, true},
		{"another session", revocation.Revocation{Issuer: "corp", Session: "s2"}, identity.Subject{User: &ana}, false},
		{"a later login", user, identity.Subject{User: &later}, false},
		{"a token that was refreshed", user, identity.Subject{User: &refreshed, FirstSeen: seen}, true},
		{"a refreshed token of a session that nobody remembers", user, identity.Subject{User: &refreshed}, false},
		{"the device by another of its names", device, identity.Subject{User: &ana, Device: serial}, true},
		{"another device", device, identity.Subject{User: &ana, Device: signals.Alias{Kind: signals.AliasSerial, Value: "X"}}, false},
		{"the device, and no user", device, identity.Subject{Device: serial}, false},
	} {
		s := New(Options{Revocations: true})
		s.SetRevocations(revokedTable(t, tt.r))
		in := policy.Input{At: after, Subject: tt.subject}
		if tt.subject.Device == serial {
			in.Device.Packed = packed
		}
		got := s.ended(&in)
		if (got != nil) != tt.want || len(in.Subject.Doubts) != 0 || tt.want && (got.Event != "jti-1" || !got.At.Equal(revokedAt)) {
			t.Errorf("%s: %+v, %+v", tt.name, got, in.Subject.Doubts)
		}
	}
}

// Before it is known what has ended no login is believed, and it is not said to be bad: who can ask again should.
func TestNoLoginIsBelievedBeforeItIsKnownWhatHasEnded(t *testing.T) {
	s := New(Options{Revocations: true})
	in := policy.Input{Subject: identity.Subject{User: &identity.User{Issuer: "corp", Subject: "u-1"}}}
	if s.ended(&in) != nil || len(in.Subject.Doubts) != 1 || in.Subject.Doubts[0].Code != identity.DoubtUnchecked {
		t.Errorf("%+v", in.Subject)
	}
	machine := policy.Input{Subject: identity.Subject{Workload: "spiffe://acme.example/x"}}
	if s.ended(&machine) != nil || machine.Subject.Doubts != nil {
		t.Errorf("%+v", machine.Subject)
	}
	s.SetRevocations(&revocation.Table{})
	in.Subject.Doubts = nil
	if s.ended(&in) != nil || in.Subject.Doubts != nil {
		t.Errorf("%+v", in.Subject)
	}
	if n := testing.AllocsPerRun(100, func() { s.ended(&in) }); n != 0 {
		t.Errorf("%v allocations where nothing has ended", n)
	}
	s.SetRevocations(revokedTable(t, revocation.Revocation{Issuer: "corp", User: "somebody-else"}))
	if n := testing.AllocsPerRun(100, func() { s.ended(&in) }); n != 0 {
		t.Errorf("%v allocations for somebody whose login has not ended", n)
	}
}

// A user whom the provider holds for a risk that the settings refuse is refused with any login, until the provider says less.
func TestRiskRefusesWhateverLogin(t *testing.T) {
	risk := func(at time.Duration, level string, refuses bool) revocation.Revocation {
		return revocation.Revocation{Sort: revocation.Risk, Issuer: "corp", User: "u-1", Level: level, Refuses: refuses, Event: "jti-2",
			Reason: "risk-level-change", NotBefore: revokedAt.Add(at), Until: revokedAt.Add(24 * time.Hour)}
	}
	fresh := identity.Subject{User: &identity.User{Issuer: "corp", Subject: "u-1", Issued: revokedAt.Add(time.Hour),
		AuthTime: revokedAt.Add(time.Hour)}}
	s, book := New(Options{Revocations: true}), revocation.Book{}
	in := policy.Input{At: revokedAt.Add(time.Hour), Subject: fresh}
	if s.risk(&in) != nil {
		t.Error("a risk, and nobody knows anything")
	}
	for _, step := range []struct {
		r    revocation.Revocation
		want bool
	}{{risk(0, "medium", false), false}, {risk(time.Second, "high", true), true}, {risk(2*time.Second, "low", false), false}} {
		book.Put(step.r)
		s.SetRevocations(book.Table())
		got := s.risk(&in)
		if (got != nil) != step.want || got != nil && (got.Level != "high" || got.Event != "jti-2" || !got.At.Equal(step.r.NotBefore)) {
			t.Errorf("%s: %+v", step.r.Level, got)
		}
		if s.ended(&in) != nil || s.risk(&policy.Input{Subject: identity.Subject{Workload: "spiffe://acme.example/x"}}) != nil {
			t.Error("it ends logins, or is about a workload")
		}
		if n := testing.AllocsPerRun(100, func() { s.risk(&in) }); n != 0 && !step.want {
			t.Errorf("%v allocations", n)
		}
	}
}
