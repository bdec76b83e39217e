package evidence

import (
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// TestWhatIsExcusedMustBeOnRecord: what rests on an exception or on grace is on the disk before it is answered, or is refused;
// without a recorder, and by a last known state alone, it passes.
func TestWhatIsExcusedMustBeOnRecord(t *testing.T) {
	t.Parallel()
	excused := func(by ...policy.Waiver) *Record {
		r := sample("excused")
		for _, w := range by {
			r.Verdict.Waived = append(r.Verdict.Waived, policy.Waived{By: w})
		}
		return r
	}
	ended := newRig(t, Options{})
	if err := ended.run(t)(); err != nil {
		t.Fatal(err)
	}
	running := newRig(t, Options{Within: 10 * time.Second})
	running.run(t)
	var none *Recorder
	for _, tt := range []struct {
		by   []policy.Waiver
		must bool
	}{{nil, false}, {[]policy.Waiver{policy.WaivedByLastKnown}, false}, {[]policy.Waiver{policy.WaivedByGrace}, true},
		{[]policy.Waiver{policy.WaivedByLastKnown, policy.WaivedByException}, true}} {
		r := excused(tt.by...)
		if Demanded(&r.Verdict) != tt.must {
			t.Errorf("%v: demanded %v", tt.by, !tt.must)
		}
		if v := none.Settle(r); v.Outcome != policy.Allow {
			t.Errorf("%v, with nobody to record it: %+v", tt.by, v)
		}
		v := ended.Settle(r)
		if refused := v.Outcome == policy.Deny && v.Reason == policy.ReasonEvidence && strings.Contains(v.Detail, "rests on an exception or on grace"); refused != tt.must {
			t.Errorf("%v, by one who cannot: %+v", tt.by, v)
		}
		if v := running.Settle(r); v.Outcome != policy.Allow || tt.must && len(records(t, running.file)) == 0 {
			t.Errorf("%v: %+v, not on the disk", tt.by, v)
		}
	}
}
