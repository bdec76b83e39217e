package signals_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/signals"
)

func emptyIsNil(p signals.Posture) signals.Posture {
	if len(p.Aliases) == 0 {
		p.Aliases = nil
	}
	if len(p.Facts) == 0 {
		p.Facts = nil
	}
	if len(p.Clearances) == 0 {
		p.Clearances = nil
	}
	return p
}

// TestPackedIsTheSamePosture: any posture comes back as it was, instants to the nanosecond, odd names and years included.
func TestPackedIsTheSamePosture(t *testing.T) {
	t.Parallel()
	instant := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.IntRange(0, 20).Draw(t, "odd") == 0 {
			return rapid.SampledFrom([]time.Time{{}, time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC),
				time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)}).Draw(t, "far")
		}
		return time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
	})
	value := rapid.Custom(func(t *rapid.T) signals.Value {
		return rapid.SampledFrom([]signals.Value{signals.Unknown, signals.Bool(true), signals.Bool(false), signals.Text(""),
			signals.Text("15.6"), signals.Text(rapid.String().Draw(t, "text")), signals.Number(rapid.Float64().Draw(t, "number"))}).Draw(t, "value")
	})
	used := &signals.Posture{} // by one posture after the other
	rapid.Check(t, func(t *rapid.T) {
		p := signals.Posture{Device: "d", Revision: signals.Revision(rapid.Int64().Draw(t, "revision"))}
		for i := range rapid.IntRange(0, 3).Draw(t, "aliases") {
			p.Aliases = append(p.Aliases, signals.Alias{Kind: signals.AliasSerial, Value: fmt.Sprint(i)})
		}
		for range rapid.IntRange(0, 6).Draw(t, "facts") {
			p.Facts = append(p.Facts, signals.Fact{Attribute: rapid.String().Draw(t, "attribute"), Value: value.Draw(t, "v"),
				Source: rapid.String().Draw(t, "source"), Path: rapid.String().Draw(t, "path"),
				Observed: instant.Draw(t, "observed"), Received: instant.Draw(t, "received")})
		}
		for range rapid.SampledFrom([]int{0, 0, 0, 2}).Draw(t, "clearances") {
			p.Clearances = append(p.Clearances, signals.Clearance{Attribute: rapid.String().Draw(t, "attribute"),
				Source: rapid.String().Draw(t, "source"), Until: instant.Draw(t, "until"), Name: rapid.String().Draw(t, "name")})
		}
		packed := signals.Pack(&p)
		if got := packed.Posture(); !reflect.DeepEqual(*got, p) {
			t.Fatalf("packed %+v\nunpacked %+v", p, *got)
		}
		packed.Unpack(used)
		if over := emptyIsNil(*used); !reflect.DeepEqual(over, p) {
			t.Fatalf("packed %+v\nunpacked over another %+v", p, over)
		}
		first, second := packed.Posture(), packed.Posture()
		if len(first.Facts) > 0 {
			if first.Facts[0].Source = "changed"; second.Facts[0].Source == "changed" || packed.Posture().Facts[0].Source == "changed" {
				t.Fatal("two readers share facts")
			}
		}
		if len(first.Clearances) > 0 {
			if first.Clearances[0].Source = "changed"; packed.Posture().Clearances[0].Source == "changed" {
				t.Fatal("two readers share clearances")
			}
		}
	})
}

// BenchmarkUnpack is what looking at a device costs: each time anew, and over the one before.
func BenchmarkUnpack(b *testing.B) {
	at := time.Now()
	p := signals.Posture{Device: "d", Revision: 7, Aliases: []signals.Alias{{Kind: signals.AliasSerial, Value: "C02XK1"}}}
	for i := range 20 {
		p.Facts = append(p.Facts, signals.Fact{Attribute: fmt.Sprint("attribute_", i), Value: signals.Text("15.6"), Source: "mdm",
			Path: "general.value", Observed: at, Received: at})
	}
	packed := signals.Pack(&p)
	b.Run("anew", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			packed.Posture()
		}
	})
	b.Run("over another", func(b *testing.B) {
		b.ReportAllocs()
		into := &signals.Posture{}
		for b.Loop() {
			packed.Unpack(into)
		}
	})
}
