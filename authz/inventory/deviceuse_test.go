package inventory

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var usedAt = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// TestDeviceUseMergesInAnyOrder: and as often as it likes.
func TestDeviceUseMergesInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) DeviceUse {
			u := DeviceUse{Device: "d", Audiences: map[string]time.Time{}}
			for range rapid.IntRange(1, 4).Draw(t, "n") {
				u.Audiences[rapid.SampledFrom([]string{"staff", "executives", "contractors"}).Draw(t, "audience")] =
					usedAt.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "day")) * 24 * time.Hour)
			}
			return u
		}), 1, 5).Draw(t, "uses")
		merged := func(order []DeviceUse) DeviceUse {
			var u DeviceUse
			for i := range order {
				u.Merge(&order[i])
			}
			return u
		}
		want := merged(some)
		got := merged(append(rapid.Permutation(some).Draw(t, "order"), some[0]))
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("%+v, in another order %+v", want, got)
		}
		again, err := ParseDeviceUse("d", want.JSON())
		if err != nil || !reflect.DeepEqual(want.Current(), again.Current()) || len(want.Current()) != len(want.Audiences) {
			t.Fatalf("%+v %+v %v", want, again, err)
		}
	})
}

// TestDeviceUse: what is over, what the store knows already, and what is no such record.
func TestDeviceUse(t *testing.T) {
	t.Parallel()
	u := DeviceUse{Device: "d", Audiences: map[string]time.Time{"executives": usedAt, "staff": usedAt.Add(Recent)}}
	if got := fmt.Sprint(u.Current()); got != "[executives staff]" {
		t.Error(got)
	}
	u.Merge(&DeviceUse{Device: "d", Audiences: map[string]time.Time{"staff": usedAt.Add(Recent + time.Second)}})
	if got := fmt.Sprint(u.Current(), len(u.Audiences)); got != "[staff] 1" {
		t.Error(got)
	}
	late := DeviceUse{Device: "d", Audiences: map[string]time.Time{"staff": usedAt.Add(Recent + time.Hour)}}
	if !u.Tells(&late, time.Hour) || u.Tells(&late, time.Hour-2*time.Second) ||
		u.Tells(&DeviceUse{Audiences: map[string]time.Time{"executives": usedAt}}, time.Hour) {
		t.Error("an hour's news")
	}
	many := DeviceUse{Device: "d", Audiences: map[string]time.Time{}}
	for i := range MaxAudiences + 10 {
		many.Audiences[fmt.Sprint("a", i)] = usedAt.Add(time.Duration(i) * time.Second)
	}
	var bounded DeviceUse
	bounded.Merge(&many)
	if _, oldest := bounded.Audiences["a9"]; oldest || len(bounded.Audiences) != MaxAudiences {
		t.Errorf("%d, the oldest %v", len(bounded.Audiences), oldest)
	}
	for value, want := range map[string]string{`{`: "JSON", `{"device":"x"}`: `that of "x"`, `{"device":"d"}`: "0 audiences",
		string(many.JSON()): "210 audiences"} {
		if _, err := ParseDeviceUse("d", []byte(value)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30s: %v", value, err)
		}
	}
}
