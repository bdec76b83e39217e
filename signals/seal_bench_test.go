package signals_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// typical is a device with 20 facts of two sources and three names.
func typical() signals.Posture {
	at := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	p := signals.Posture{Device: "0199c7d2-7c1e-7b1a-9d0e-000000000001", Revision: 1}
	for i := range 3 {
		p.Aliases = append(p.Aliases, signals.Alias{Kind: signals.AliasSerial, Value: fmt.Sprintf("C02%07d", i)})
	}
	for i := range 20 {
		p.Facts = append(p.Facts, signals.Fact{Attribute: fmt.Sprintf("attribute_%02d", i), Source: fmt.Sprint("mdm-", i%2),
			Path: "data.attributes.x", Value: signals.Bool(true), Observed: at, Received: at})
	}
	return p
}

// BenchmarkSeal is what a receiver pays for each posture that it writes; BenchmarkCheck what a sidecar does for each that it
// reads: all of them at its start, later those that change.
func BenchmarkSeal(b *testing.B) {
	sealer, _ := keyPair(b)
	s, p := signals.Sealed(&shelf{}, sealer, sealer.Checker()), typical()
	for b.Loop() {
		_ = s.PutPosture(context.Background(), p, 0)
	}
}

func BenchmarkCheck(b *testing.B) {
	sealer, _ := keyPair(b)
	kept := &shelf{}
	_ = signals.Sealed(kept, sealer, sealer.Checker()).PutPosture(context.Background(), typical(), 0)
	s := signals.CheckedPostures(kept, sealer.Checker())
	for b.Loop() {
		if _, err := s.Posture(context.Background(), "d"); err != nil {
			b.Fatal(err)
		}
	}
}
