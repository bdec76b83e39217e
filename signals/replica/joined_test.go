package replica

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// TestJoinedDevices: a device gives up its names to one that has all it had, whichever of the two is seen first, and to none
// that lacks a fact or a name of it.
func TestJoinedDevices(t *testing.T) {
	at := time.Now().UTC()
	alarm := signals.Fact{Attribute: "compromised", Source: "edr", Value: signals.Bool(true), Observed: at, Received: at}
	of := func(id signals.DeviceID, revision signals.Revision, facts []signals.Fact, names ...string) signals.Posture {
		p := posture(string(id), revision, names...)
		p.Facts = facts
		return p
	}
	all := of("a", 2, []signals.Fact{alarm}, "A", "B", "C")
	empty := signals.Posture{Device: "b", Revision: 2}
	for _, tt := range []struct {
		name  string
		puts  []signals.Posture
		known bool // B is a name of a
	}{
		{"the older one first", []signals.Posture{all, empty}, true},
		{"the younger one first", []signals.Posture{empty, all}, true},
		{"in two steps", []signals.Posture{empty, of("a", 2, nil, "A", "B", "C"), of("a", 3, []signals.Fact{alarm}, "A", "B", "C")}, true},
		{"an alarm is missing", []signals.Posture{of("a", 2, nil, "A", "B", "C"), empty}, false},
		{"a name is missing", []signals.Posture{of("a", 2, []signals.Fact{alarm}, "A", "B"), empty}, false},
		{"nobody has anything", []signals.Posture{empty}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.put(of("a", 1, nil, "A"))
				f.put(of("b", 1, []signals.Fact{alarm}, "B", "C"))
				r := run(t, f, Options{})
				<-r.Loaded()
				for _, p := range tt.puts {
					f.put(p)
					synctest.Wait()
				}
				reading, err := r.Lookup(of("x", 1, nil, "B").Aliases[0])
				if tt.known {
					if err != nil || reading.Posture.Device != "a" || len(r.Contested()) != 0 {
						t.Errorf("%v, %v, contested %v", reading.Posture, err, r.Contested())
					}
					return
				}
				if err == nil && reading.Posture.Device != "b" {
					t.Errorf("the alarm is out of sight: %v", reading.Posture)
				}
				if held, _ := r.Device("b"); len(held.Posture.Posture().Facts) != 1 {
					t.Errorf("the alarm is forgotten: %v", held.Posture)
				}
			})
		})
	}
}

// TestGoneIsSaid: what the store no longer shows is listed as such, until it is there again.
func TestGoneIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.put(posture("a", 1, "A"))
		f.put(posture("b", 1, "B"))
		r := run(t, f, Options{})
		<-r.Loaded()
		show := func(want string) {
			t.Helper()
			synctest.Wait()
			got := ""
			for _, h := range sorted(r.All()) {
				one, ok := r.Device(h.Device)
				got += fmt.Sprint(h.Device, h.Gone, ok && one.Gone == h.Gone, " ")
			}
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		show("afalse true bfalse true ")
		f.forget("b")
		f.notice("b")
		show("afalse true btrue true ")
		f.put(posture("b", 2, "B"))
		show("afalse true bfalse true ")
	})
}
