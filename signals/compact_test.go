package signals_test

import (
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/tiergate/tiergate/signals"
)

// TestCompactChangesNothingButMemory: equal postures, and what two of them repeat stands in memory once.
func TestCompactChangesNothingButMemory(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	fresh := func() signals.Posture {
		name := []byte("os_version")
		p, _ := signals.Posture{Device: "d", Revision: 7}.Merge(signals.Observation{
			Aliases: []signals.Alias{{Kind: signals.AliasSerial, Value: "C02X"}},
			Facts: []signals.Fact{{Attribute: string(name), Value: signals.Text("15" + string(name[:0]) + ".6"), Source: "mdm",
				Path: "data." + string(name), Observed: at, Received: at}},
		})
		return p
	}
	one, other := fresh(), fresh()
	if got := one.Compact(); !reflect.DeepEqual(got, one) {
		t.Errorf("compacted %+v, was %+v", got, one)
	}
	a, b := one.Compact().Facts[0].Path, other.Compact().Facts[0].Path
	if unsafe.StringData(a) != unsafe.StringData(b) {
		t.Error("a path that two postures repeat stands in memory twice")
	}
	if empty := (signals.Posture{}).Compact(); len(empty.Facts) != 0 || len(empty.Aliases) != 0 {
		t.Errorf("compacted nothing to %+v", empty)
	}
}
