package replica

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/tiergate/tiergate/signals"
)

func sorted(all []Held) []Held {
	slices.SortFunc(all, func(a, b Held) int { return cmp.Compare(a.Device, b.Device) })
	return all
}

// What is held can be listed: the unreadable too, and who carries a name.
func TestAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.put(posture("b", 1, "B", "SHARED"))
		f.put(posture("a", 1, "A", "SHARED"))
		f.put(posture("c", 1, "C"))
		r := run(t, f, Options{})
		<-r.Loaded()
		f.spoil("c")
		synctest.Wait()
		var got []string
		for _, h := range sorted(r.All()) {
			got = append(got, fmt.Sprint(h.Device, h.Corrupt != nil, h.Posture != nil))
		}
		if fmt.Sprint(got) != "[afalse true bfalse true ctrue true]" {
			t.Errorf("%v", got)
		}
		shared := posture("x", 1, "SHARED").Aliases[0]
		if got := fmt.Sprint(r.Holders(shared), r.Contested()); got != fmt.Sprintf("[a b] map[%s:[a b]]", shared) {
			t.Error(got)
		}
		if got := r.Holders(signals.Alias{Kind: signals.AliasSerial, Value: "NOBODY"}); len(got) != 0 {
			t.Error(got)
		}
		if h, ok := r.Device("c"); !ok || h.Corrupt == nil {
			t.Errorf("%+v", h)
		}
		if _, ok := r.Device("d"); ok {
			t.Error("d is there")
		}
	})
}
