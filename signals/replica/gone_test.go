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
