package revocation_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/revocation"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ended(change func(*revocation.Revocation)) revocation.Revocation {
	r := revocation.Revocation{Sort: revocation.Ended, Issuer: "corp", NotBefore: now, Until: now.Add(24 * time.Hour),
		Event: "j1"}
	change(&r)
	return r
}

func table(all ...revocation.Revocation) *revocation.Table {
	var book revocation.Book
	for _, r := range all {
		book.Put(r)
	}
	return book.Table()
}

// TestRevokedCells: every sort of subject against every thing that can be known of a login.
func TestRevokedCells(t *testing.T) {
	type who struct{ issuer, user, session, device string }
	user := ended(func(r *revocation.Revocation) { r.User = "ana" })
	session := ended(func(r *revocation.Revocation) { r.Session = "s1" })
	both := ended(func(r *revocation.Revocation) { r.User, r.Session = "ana", "s1" })
	device := ended(func(r *revocation.Revocation) { r.Device = "serial:C02" })
	anywhere := ended(func(r *revocation.Revocation) { r.Issuer, r.Device = "", "serial:C02" })
	there := ended(func(r *revocation.Revocation) { r.User, r.Device = "ana", "serial:C02" })
	all := ended(func(r *revocation.Revocation) { r.User, r.Session, r.Device = "ana", "s1", "serial:C02" })
	for _, c := range []struct {
		name string
		r    revocation.Revocation
		who  who
		want bool
	}{
		{"user", user, who{"corp", "ana", "s9", "serial:X"}, true}, {"user, bare", user, who{"corp", "ana", "", ""}, true},
		{"another user", user, who{"corp", "ben", "s9", ""}, false}, {"another issuer", user, who{"partner", "ana", "", ""},
			false},
		{"no user", user, who{"corp", "", "s1", "serial:C02"}, false},
		{"session", session, who{"corp", "ana", "s1", ""}, true}, {"another session", session, who{"corp", "ana", "s2", ""},
			false},
		{"session not known", session, who{"corp", "ana", "", ""}, false},
		{"session of another issuer", session, who{"partner", "ana", "s1", ""}, false},
		{"user and session", both, who{"corp", "ana", "s1", ""}, true}, {"user, another session", both, who{"corp", "ana",
			"s2", ""}, false},
		{"user, session not known", both, who{"corp", "ana", "", "serial:X"}, true},
		{"another user, session not known", both, who{"corp", "ben", "", ""}, false},
		{"session alone of both", both, who{"corp", "", "s1", ""}, true},
		{"device", device, who{"corp", "ben", "", "serial:C02"}, true}, {"another device", device, who{"corp", "ben", "",
			"serial:X"}, false},
		{"device not known", device, who{"corp", "ben", "", ""}, false}, {"device, another issuer", device, who{"partner",
			"ben", "", "serial:C02"}, false},
		{"device of any issuer", anywhere, who{"partner", "ben", "s", "serial:C02"}, true},
		{"user on device", there, who{"corp", "ana", "s", "serial:C02"}, true}, {"user elsewhere", there, who{"corp", "ana",
			"", "serial:X"}, false},
		{"user, device not known", there, who{"corp", "ana", "s", ""}, true}, {"another on device", there, who{"corp", "ben",
			"", "serial:C02"}, false},
		{"all three", all, who{"corp", "ana", "s1", "serial:C02"}, true}, {"all but session", all, who{"corp", "ana", "s2",
			"serial:C02"}, false},
		{"all, nothing known", all, who{"corp", "ana", "", ""}, true},
	} {
		_, got := table(c.r).Revoked(c.who.issuer, c.who.user, c.who.session, c.who.device, now.Add(-time.Minute), time.Time{})
		if got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		if _, late := table(c.r).Revoked(c.who.issuer, c.who.user, c.who.session, c.who.device, now.Add(time.Second),
			time.Time{}); late {
			t.Errorf("%s: a later login is void", c.name)
		}
	}
}

// TestInstants: at or before the instant is void, by issue or by login, and nothing later is.
func TestInstants(t *testing.T) {
	tab := table(ended(func(r *revocation.Revocation) { r.User = "ana" }))
	for _, c := range []struct {
		issued, login time.Duration
		unknown       bool
		want          bool
	}{
		{0, 0, true, true}, {1, 0, true, false}, {-1, 0, true, true},
		{time.Hour, 0, false, true}, {time.Hour, 1, false, false}, {time.Hour, -1, false, true}, {0, time.Hour, false, true},
	} {
		login := now.Add(c.login)
		if c.unknown {
			login = time.Time{}
		}
		if _, got := tab.Revoked("corp", "ana", "", "", now.Add(c.issued), login); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if _, got := tab.Revoked("corp", "ana", "", "", time.Time{}, time.Time{}); !got {
		t.Error("a token of no time counts")
	}
	if _, got := tab.RevokedEmail("corp", "ana", "", "", now, now); got {
		t.Error("a sub is no email")
	}
	tab = table(ended(func(r *revocation.Revocation) { r.Email = "ana@acme.example" }))
	if _, got := tab.RevokedEmail("corp", "Ana@ACME.example", "", "", now, now); !got {
		t.Error("the letters of an email count")
	}
}

// TestAnyOrder: whatever comes in whatever order and however often, the end is the same, and the newest instant is in it.
func TestAnyOrder(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var all []revocation.Revocation
		newest := time.Time{}
		for range 12 {
			at := now.Add(time.Duration(dice.IntN(5)) * time.Second)
			r := revocation.Revocation{Sort: revocation.Risk, Issuer: "corp", User: "ana", NotBefore: at,
				Level: revocation.Levels[dice.IntN(3)], Refuses: dice.IntN(2) == 0,
				Until: at.Add(time.Duration(1+dice.IntN(5)) * time.Hour), Event: string(rune('a' + dice.IntN(3)))}
			all = append(all, r)
			if at.After(newest) {
				newest = at
			}
		}
		first, _ := table(all...).Risk("corp", "ana", "", "")
		dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		second, found := table(append(all, all[:4]...)...).Risk("corp", "ana", "", "")
		if first != second || !found || !first.NotBefore.Equal(newest) {
			t.Fatalf("%+v and %+v", first, second)
		}
		a, b, c := all[0], all[1], all[2]
		if revocation.Join(revocation.Join(a, b), c) != revocation.Join(a, revocation.Join(c, b)) || revocation.Join(a, a) != a {
			t.Fatalf("Join is not what it says for %+v", all[:3])
		}
	}
}

// TestBookForgetsNothing: an older version that somebody put back, or a record that is gone, takes nothing back.
func TestBookForgetsNothing(t *testing.T) {
	var book revocation.Book
	newer := ended(func(r *revocation.Revocation) { r.User, r.NotBefore = "ana", now.Add(time.Hour) })
	if !book.Put(newer) || book.Put(newer) || book.Put(ended(func(r *revocation.Revocation) { r.User = "ana" })) {
		t.Error("what changed was not told")
	}
	if r, _ := book.Table().Revoked("corp", "ana", "", "", now, now); !r.NotBefore.Equal(newer.NotBefore) {
		t.Errorf("%+v", r)
	}
	if book.Put(revocation.Revocation{Sort: revocation.Ended, Issuer: "corp"}) {
		t.Error("nobody was revoked")
	}
	if n := book.Expire(newer.Until.Add(-1)); n != 0 || book.Len() != 1 {
		t.Errorf("%d ended early", n)
	}
	if n := book.Expire(newer.Until); n != 1 || book.Table().Len() != 0 {
		t.Errorf("%d ended", n)
	}
}

func TestRecord(t *testing.T) {
	r := ended(func(r *revocation.Revocation) { r.User, r.Reason = "ana", "session-revoked" })
	record, err := r.Record()
	if err != nil || !record.Expires.Equal(r.Until) || record.Kind != "revocation" {
		t.Fatal(record, err)
	}
	if got, err := revocation.Read(record); err != nil || got != r {
		t.Errorf("%+v, %v", got, err)
	}
	beside := record
	beside.Key += "~2"
	if _, err := revocation.Read(beside); err != nil {
		t.Error(err)
	}
	moved, empty, other := record, record, record
	moved.Key = ended(func(r *revocation.Revocation) { r.User = "ben" }).Key()
	empty.Value = nil // as a sealed store gives what nobody of ours has signed
	other.Kind = "inbox"
	for _, bad := range []signals.Record{moved, empty, other} {
		if _, err := revocation.Read(bad); !errors.Is(err, signals.ErrCorrupt) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for name, change := range map[string]func(*revocation.Revocation){
		"nobody": func(r *revocation.Revocation) { r.User = "" }, "no issuer": func(r *revocation.Revocation) { r.Issuer = "" },
		"no instant": func(r *revocation.Revocation) { r.NotBefore = time.Time{} },
		"no end":     func(r *revocation.Revocation) { r.Until = now },
		"two users":  func(r *revocation.Revocation) { r.Email = "a@b" },
		"NUL":        func(r *revocation.Revocation) { r.Session = "\x00session" },
		"sort":       func(r *revocation.Revocation) { r.Sort = "healthy" },
		"long":       func(r *revocation.Revocation) { r.User = strings.Repeat("x", 2000) },
		"level":      func(r *revocation.Revocation) { r.Sort = revocation.Risk },
		"refuses":    func(r *revocation.Revocation) { r.Refuses = true },
		"Email":      func(r *revocation.Revocation) { r.User, r.Email = "", "A@b" },
	} {
		bad := r
		change(&bad)
		if _, err := bad.Record(); err == nil {
			t.Errorf("%s: %+v", name, bad)
		}
	}
}

// TestRisk: the worst of the names that fit; the newest word of each, also a better one.
func TestRisk(t *testing.T) {
	risk := func(level string, at time.Duration, change func(*revocation.Revocation)) revocation.Revocation {
		return ended(func(r *revocation.Revocation) {
			r.Sort, r.Level, r.NotBefore = revocation.Risk, level, now.Add(at)
			change(r)
		})
	}
	ana := func(r *revocation.Revocation) { r.User = "ana" }
	tab := table(risk("high", 0, ana), risk("low", time.Second, ana), risk("medium", 0,
		func(r *revocation.Revocation) { r.Session = "s1" }))
	for _, c := range []struct{ user, session, want string }{{"ana", "", "low"}, {"ana", "s1", "medium"}, {"ben", "", ""},
		{"ben", "s1", "medium"}} {
		if r, _ := tab.Risk("corp", c.user, "", c.session); r.Level != c.want {
			t.Errorf("%+v: %+v", c, r)
		}
	}
	if _, found := tab.Revoked("corp", "ana", "s1", "", now, now); found {
		t.Error("a risk alone voids nothing")
	}
}

// TestRiskRefuses: what refuses is worse than what only warns; of two sessions of a user the riskier counts for a login that does not
// say which it is of; on which device the user was seen takes nothing away.
func TestRiskRefuses(t *testing.T) {
	risk := func(level string, at time.Duration, refuses bool, change func(*revocation.Revocation)) revocation.Revocation {
		return ended(func(r *revocation.Revocation) {
			r.Sort, r.Level, r.NotBefore, r.Refuses, r.User = revocation.Risk, level, now.Add(at), refuses, "ana"
			change(r)
		})
	}
	session := func(id string) func(*revocation.Revocation) { return func(r *revocation.Revocation) { r.Session = id } }
	sessions := []revocation.Revocation{risk("high", 0, true, session("s1")), risk("low", time.Second, false, session("s2"))}
	byEmail := risk("low", 0, true, func(r *revocation.Revocation) { r.User, r.Email = "", "ana@acme.example" })
	for name, c := range map[string]struct {
		all            []revocation.Revocation
		email, sid     string
		refuses, knows bool
	}{
		"the session":                     {sessions, "", "s1", true, true},
		"another session":                 {sessions, "", "s2", false, true},
		"a session of which nobody spoke": {sessions, "", "s3", false, false},
		"a login that does not say which": {sessions, "", "", true, true},
		"on a device": {[]revocation.Revocation{risk("high", 0, true, func(r *revocation.Revocation) { r.Device = "serial:X" })}, "", "s1",
			true, true},
		"a lower line by e-mail": {[]revocation.Revocation{risk("high", 0, false, func(*revocation.Revocation) {}), byEmail},
			"Ana@acme.example", "", true, true},
		"the newer word of the same name": {[]revocation.Revocation{risk("high", 0, true, func(*revocation.Revocation) {}),
			risk("low", time.Second, false, func(*revocation.Revocation) {})}, "", "s1", false, true},
	} {
		if r, found := table(c.all...).Risk("corp", "ana", c.email, c.sid); found != c.knows || r.Refuses != c.refuses {
			t.Errorf("%s: %+v, %v", name, r, found)
		}
		slices.Reverse(c.all)
		if r, found := table(c.all...).Risk("corp", "ana", c.email, c.sid); found != c.knows || r.Refuses != c.refuses {
			t.Errorf("%s, the other way round: %+v, %v", name, r, found)
		}
	}
}

// TestFree: a question allocates nothing.
func TestFree(t *testing.T) {
	var all []revocation.Revocation
	for i := range 1000 {
		all = append(all, ended(func(r *revocation.Revocation) {
			r.User, r.Session = strings.Repeat("u", i%90+1), strings.Repeat("s", i+1)
		}))
	}
	for name, tab := range map[string]*revocation.Table{"empty": table(), "nil": nil, "full": table(all...)} {
		if n := testing.AllocsPerRun(100, func() {
			tab.Revoked("corp", "ana", "s1", "serial:C02", now, now)
			tab.RevokedEmail("corp", "ana@acme.example", "s1", "serial:C02", now, now)
			tab.Risk("corp", "ana", "ana@acme.example", "s1")
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkRevoked(b *testing.B) {
	var book revocation.Book
	for i := range 10000 {
		book.Put(ended(func(r *revocation.Revocation) { r.User = now.Add(time.Duration(i)).String() }))
	}
	for name, tab := range map[string]*revocation.Table{"empty": table(), "10000": book.Table()} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				tab.Revoked("corp", "ana", "s1", "serial:C02", now, now)
			}
		})
	}
}
