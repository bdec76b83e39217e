package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policydiff"
	"github.com/tiergate/tiergate/signals"
)

var diffNoon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// exampleBeforeAndAfter are the policy of examples/ingress, and the same with its tier internal asking for the disk no more
// and privileged asking for a newer login.
func exampleBeforeAndAfter(t testing.TB) *policydiff.Judge {
	t.Helper()
	const dir = "../../examples/ingress"
	older, err := compilePolicy(dir+"/policy", "")
	if err != nil {
		t.Fatal(err)
	}
	spec := older.Spec()
	spec.Tiers = append([]policy.Tier{}, spec.Tiers...)
	for i := range spec.Tiers {
		tier := &spec.Tiers[i]
		if tier.Meta.Name == "internal" {
			tier.Require = tier.Require[1:]
		}
	}
	newer, faults := policy.New(spec, policy.World{})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return policydiff.NewJudge(older, newer)
}

// recordedLines are lines of evidence as a sidecar writes them, of so many devices: four sources, 16 facts each.
func recordedLines(t testing.TB, devices int) [][]byte {
	t.Helper()
	lines := make([][]byte, devices)
	for i := range lines {
		alias := signals.Alias{Kind: signals.AliasSerial, Value: "C02" + strconv.Itoa(i)}
		posture := signals.Posture{Device: signals.DeviceID("d" + strconv.Itoa(i)), Revision: signals.Revision(1000 + i)}
		seen := diffNoon.Add(-time.Duration(i%60) * time.Minute)
		o := signals.Observation{Aliases: []signals.Alias{alias}}
		for _, source := range []string{"jamf-prod", "crowdstrike-prod"} {
			for _, fact := range []struct {
				name  string
				value signals.Value
			}{
				{"platform", signals.Text("macos")}, {"ownership", signals.Text("corporate")}, {"os_version", signals.Text("15.6.1")},
				{"disk_encryption", signals.Bool(i%50 != 0)}, {"edr_healthy", signals.Bool(true)}, {"edr_present", signals.Bool(true)},
				{"compromised", signals.Bool(false)}, {"screen_lock", signals.Bool(true)},
			} {
				o.Facts = append(o.Facts, signals.Fact{Attribute: fact.name, Value: fact.value, Source: source, Path: "x." + fact.name,
					Observed: seen, Received: seen.Add(time.Second)})
			}
		}
		posture, _ = posture.Merge(o)
		window := identity.Validity{NotBefore: diffNoon.Add(-time.Hour), NotAfter: diffNoon.Add(time.Hour)}
		in := policy.Input{At: diffNoon, Request: policy.Request{Method: "GET", Host: "app.acme.example", Path: "/reports/2026?q=1"},
			Subject: identity.Subject{Device: alias, Certificate: window, User: &identity.User{Issuer: "corp", Subject: strconv.Itoa(i),
				Name: fmt.Sprintf("user%d@acme.example", i%20_000), Groups: []string{"staff", "finance"}, ACR: "phr", AuthTime: seen, Token: window}},
			Device: policy.Device{Posture: &posture, AsOf: diffNoon, Heard: map[string]time.Time{"jamf-prod": seen, "crowdstrike-prod": seen}}}
		text, err := json.Marshal(struct {
			V int `json:"v"`
			evidence.Record
		}{1, evidence.Record{ID: "ID", Took: 48211, Policy: "sha256:00", Input: in,
			Verdict: policy.Verdict{Outcome: policy.Allow, Reason: policy.ReasonAllowed}}})
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = append(text, '\n')
	}
	return lines
}

// repeated reads lines over and over, each time with an id of its own and as those of so many devices, without ever holding
// them all.
type repeated struct {
	lines   [][]byte
	devices int // 0: those of the lines
	left    int
	n       int
	rest    []byte
}

func (r *repeated) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.left == 0 {
			return 0, io.EOF
		}
		r.left--
		id := fmt.Sprintf("0199c7d2-7c1e-7b1a-9d0e-%012d", r.n)
		device := r.n * 7919 % max(r.devices, len(r.lines))
		r.rest = bytes.Replace(r.lines[device%len(r.lines)], []byte(`"id":"ID"`), []byte(`"id":"`+id+`"`), 1)
		if r.devices > 0 {
			r.rest = bytes.ReplaceAll(r.rest, []byte("C02"), fmt.Appendf(nil, "C%d-", device))
			r.rest = bytes.Replace(r.rest, []byte(`"device":"d`), fmt.Appendf(nil, `"device":"d%d-`, device), 1)
		}
		r.n++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// TestMillionDecisions: 1,000,000 records of 50,000 devices in a minute on two cores, in bounded memory
// (TIERGATE_PROVE=1); 20,000 otherwise.
func TestMillionDecisions(t *testing.T) {
	records, devices, within := 20_000, 2_000, time.Minute
	if os.Getenv("TIERGATE_PROVE") != "" {
		records, devices = 1_000_000, 50_000
	}
	judge := exampleBeforeAndAfter(t)
	from := &repeated{lines: recordedLines(t, 300), devices: devices, left: records}
	debug.FreeOSMemory()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	peak, stop := heapPeak()
	run := &decisionsRun{judge: judge, blast: policydiff.NewBlast(10), stdin: from, bar: newBar(io.Discard)}
	start, busy := time.Now(), processorTime(t)
	if err := run.read(t.Context(), []string{"-"}, nil); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	busy = processorTime(t) - busy
	stop()
	grew := (int64(peak.Load()) - int64(before.HeapAlloc)) >> 20
	r := run.blast.Report()
	t.Logf("%d decisions of %d devices (%d MiB) in %v, %.0f a second, on %d cores (%v of them); the heap grew by %d MiB at most", r.Judged, devices,
		run.bar.read.Load()>>20, took.Round(10*time.Millisecond), float64(r.Judged)/took.Seconds(), runtime.GOMAXPROCS(0), busy.Round(10*time.Millisecond), grew)
	if r.Judged != records || r.Loosened != records/50 || r.Unreadable != 0 {
		t.Errorf("judged %d, loosened %d, unreadable %d; want %d, %d, 0\n%s", r.Judged, r.Loosened, r.Unreadable, records, records/50,
			strings.Join(run.notes, "\n"))
	}
	if grew > 300 {
		t.Errorf("the heap grew by %d MiB", grew)
	}
	// Two cores that nobody else uses would take half of the processor's time.
	if records == 1_000_000 && took > within && busy/2 > within {
		t.Errorf("it took %v, more than %v", took, within)
	}
}

// processorTime is what the process has used so far, on all cores.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// heapPeak watches the heap until it is told to stop.
func heapPeak() (peak *atomic.Uint64, stop func()) {
	peak = &atomic.Uint64{}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapAlloc))
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	return peak, func() { close(done); <-ended }
}

// BenchmarkDiffDecisions is one recorded decision, read and judged under two policies.
func BenchmarkDiffDecisions(b *testing.B) {
	run := &decisionsRun{judge: exampleBeforeAndAfter(b), blast: policydiff.NewBlast(10), bar: newBar(io.Discard)}
	run.stdin = &repeated{lines: recordedLines(b, 2000), left: b.N}
	b.ReportAllocs()
	b.ResetTimer()
	if err := run.read(b.Context(), []string{"-"}, nil); err != nil {
		b.Fatal(err)
	}
}
