package engine

import (
	"testing"
	"testing/synctest"
	"time"
)

// A look beside decisions works for a fifth of the time, and one that is alone all the time.
func TestALookMakesWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const work, devices, inSlice = 50 * time.Microsecond, 1000, 4
		for _, beside := range []bool{true, false} {
			b := breath{beside: beside}
			for range 2 { // what one look slept does not count for the next
				b.begin()
				began := time.Now()
				for range devices {
					b.take()
					time.Sleep(work)
				}
				took := time.Since(began)
				want := devices * work
				if beside { // after the first slice, one breath for each of the others
					want += (devices/inSlice - 1) * breathFor
				}
				if took != want || took-b.slept != devices*work {
					t.Errorf("beside %v: took %s of which it slept %s, wanted %s", beside, took, b.slept, want)
				}
			}
		}
	})
}
