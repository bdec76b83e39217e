package replica

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// TestNothingOlderComesBack: who can delete a device and write an older version of it has not made it forget.
func TestNothingOlderComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.put(posture("a", 5, "A"))
		var told []string
		r := run(t, f, Options{Resync: time.Minute, Events: Events{
			Regressed: func(id signals.DeviceID, held, stored signals.Revision) {
				told = append(told, fmt.Sprintf("%s %d %d", id, held, stored))
			},
			Gone: func(id signals.DeviceID) { told = append(told, "gone "+string(id)) },
		}})
		<-r.Loaded()
		f.forget("a")
		f.notice("a")
		synctest.Wait()
		expect(t, r, "A", 0, signals.ErrNotFound)
		f.put(posture("a", 4, "A"))
		synctest.Wait()
		expect(t, r, "A", 0, signals.ErrNotFound)
		f.put(posture("a", 5, "A")) // the very version, put back
		synctest.Wait()
		expect(t, r, "A", 5, nil)
		if want := []string{"gone a", "a 5 4"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// TestNothingIsForgotten: a newer version that lacks what an earlier one said gets it back, be it that a receiver was shown an
// older one or that it made the device anew; and a device that is gone keeps its names, until it is there again.
func TestNothingIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now().UTC()
		alarm := signals.Fact{Attribute: "compromised", Source: "edr", Value: signals.Bool(true), Observed: at, Received: at}
		news := signals.Fact{Attribute: "firewall", Source: "mdm", Value: signals.Bool(true), Observed: at.Add(1), Received: at.Add(1)}
		of := func(revision signals.Revision, serial string, facts ...signals.Fact) signals.Posture {
			p := posture("a", revision, serial)
			p.Facts = facts
			return p
		}
		f := newFake()
		f.put(of(5, "A", alarm))
		var told []string
		r := run(t, f, Options{Events: Events{
			Forgetful: func(id signals.DeviceID, n int) { told = append(told, fmt.Sprint("forgetful ", id, n)) },
			Contested: func(alias signals.Alias, ids []signals.DeviceID) { told = append(told, fmt.Sprint(alias, ids)) },
		}})
		<-r.Loaded()
		holds := func(revision signals.Revision, facts int) {
			t.Helper()
			synctest.Wait()
			if got := expect(t, r, "A", revision, nil).Posture.Posture().Facts; len(got) != facts || got[0] != alarm {
				t.Errorf("revision %d has %+v", revision, got)
			}
		}
		f.put(of(6, "A", news)) // from a version before the alarm
		holds(6, 2)
		f.put(of(7, "B", news)) // and before it had this name
		holds(7, 2)
		f.forget("a")
		f.notice("a")
		synctest.Wait()
		f.put(posture("b", 1, "A"))
		synctest.Wait()
		expect(t, r, "A", 0, ErrContested)
		if status := r.Status(); status.Devices != 1 {
			t.Errorf("%d devices, and one of two is gone", status.Devices)
		}
		f.put(posture("b", 2))
		f.put(of(8, "A", news)) // made anew
		holds(8, 2)
		worse := alarm
		worse.Observed, worse.Received = at.Add(2), at.Add(2)
		f.put(of(9, "C", worse, news)) // all is there, and newer; it may give up a name
		synctest.Wait()
		expect(t, r, "A", 0, signals.ErrNotFound)
		if got := expect(t, r, "C", 9, nil).Posture.Posture().Facts; got[0] != worse {
			t.Errorf("an alarm that is renewed: %+v", got)
		}
		want := []string{"forgetful a1", "forgetful a1", "serial:A [a b]", "forgetful a1"}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}
