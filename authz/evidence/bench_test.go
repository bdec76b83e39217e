package evidence

import (
	"testing"

	"github.com/tiergate/tiergate/authz/policy"
)

// BenchmarkRecord is what a decision pays.
func BenchmarkRecord(b *testing.B) {
	r, err := New(Options{File: "/nowhere/decisions.jsonl"})
	if err != nil {
		b.Fatal(err)
	}
	d := sample("0199c7d2-7c1e-7b1a-9d0e-0123456789ab")
	b.ReportAllocs()
	var batch []*entry
	for n := 0; b.Loop(); n++ {
		if !r.Record(d) {
			b.Fatal("no room")
		}
		if n%batchEntries == 0 {
			b.StopTimer()
			batch = r.queue.take(batch, 2*batchEntries)
			for _, e := range batch {
				e.fate = fateWritten
			}
			batch = r.queue.done(batch)
			b.StartTimer()
		}
	}
}

// BenchmarkRecordWhileWritten is the same with the writer at work, on however many cores there are.
func BenchmarkRecordWhileWritten(b *testing.B) {
	g := newRig(b, Options{})
	g.disk.set(hooks{write: func(_ file, p []byte) (int, error) { return len(p), nil }})
	g.run(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		d := sample("0199c7d2-7c1e-7b1a-9d0e-0123456789ab")
		for pb.Next() {
			g.Record(d)
		}
	})
	s := g.Stats()
	b.ReportMetric(float64(s.Dropped)/float64(s.Offered), "dropped/op")
}

// BenchmarkDrop is what a decision pays when there is no room.
func BenchmarkDrop(b *testing.B) {
	r, err := New(Options{File: "/nowhere/decisions.jsonl", Queue: 1})
	if err != nil {
		b.Fatal(err)
	}
	d := sample("0199c7d2-7c1e-7b1a-9d0e-0123456789ab")
	b.ReportAllocs()
	for b.Loop() {
		r.Record(d)
	}
}

// BenchmarkWrite is what the writer pays for one record, without the disk.
func BenchmarkWrite(b *testing.B) {
	d := sample("0199c7d2-7c1e-7b1a-9d0e-0123456789ab")
	var e encoder
	b.ReportAllocs()
	for b.Loop() {
		e.reset()
		if err := e.add(line{V: Version, Record: d}); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(e.buffer.Len()))
}

// BenchmarkRecordDurably is a decision that must be on the disk, alone: the machine's fsync and the way there and back.
func BenchmarkRecordDurably(b *testing.B) {
	g := newRig(b, Options{Within: 10e9})
	g.run(b)
	d := required("0199c7d2-7c1e-7b1a-9d0e-0123456789ab")
	for b.Loop() {
		if g.Settle(d).Outcome != policy.Allow {
			b.Fatal(g.heard())
		}
	}
}

// BenchmarkRecordDurablyTogether is the same with 64 at a time.
func BenchmarkRecordDurablyTogether(b *testing.B) {
	g := newRig(b, Options{Within: 10e9})
	g.run(b)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		d := required("0199c7d2-7c1e-7b1a-9d0e-0123456789ab")
		for pb.Next() {
			if g.Settle(d).Outcome != policy.Allow {
				b.Error(g.heard())
			}
		}
	})
}
