package redisstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// many is how many devices TestManyDevices has.
func many(t *testing.T) int {
	t.Helper()
	text := os.Getenv("TIERGATE_STORED")
	if text == "" {
		return 5_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("TIERGATE_STORED=%q: write a number", text)
	}
	return n
}

// common is a laptop of which an MDM has told eight facts; every tenth is compromised.
func common(i int, seen time.Time) signals.Posture {
	p := laptop(fmt.Sprintf("C02%07d", i), 1, i%10 == 0, seen)
	p.Device = signals.DeviceID(fmt.Sprintf("device-%d", i))
	p.Aliases = append(p.Aliases, signals.Alias{Kind: signals.AliasVendor, Value: fmt.Sprintf("mdm/%d", i)})
	for attribute, v := range map[string]signals.Value{
		"firewall": signals.Bool(true), "screen_lock": signals.Bool(true), "mdm_managed": signals.Bool(i%7 != 0),
		"edr_healthy": signals.Bool(true), "platform": signals.Text("macos"), "os_version": signals.Text(fmt.Sprint("15.", i%8)),
	} {
		p.Facts = append(p.Facts, signals.Fact{Attribute: attribute, Value: v, Source: "mdm", Path: "data.attributes." + attribute,
			Observed: seen, Received: seen})
	}
	slices.SortFunc(p.Facts, func(a, b signals.Fact) int { return strings.Compare(a.Attribute, b.Attribute) })
	return p
}

// fill writes devices as a receiver does: each signed, each by the script, with its notice.
func fill(t *testing.T, store signals.Postures, n int) {
	t.Helper()
	seen := time.Now().UTC()
	var next atomic.Int64
	var writers sync.WaitGroup
	for range 64 {
		writers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				p := common(i, seen)
				err := store.PutPosture(t.Context(), p, 0)
				for tries := 0; err != nil && !errors.Is(err, signals.ErrConflict); tries++ { // a conflict: it was stored after all
					if tries == 100 {
						t.Errorf("device %d: %v", i, err)
						return
					}
					time.Sleep(10 * time.Millisecond)
					err = store.PutPosture(t.Context(), p, 0)
				}
			}
		})
	}
	writers.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// held is the heap in use, and what the process has of the machine, in MB.
func held(t *testing.T) (heap, resident float64) {
	t.Helper()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(raw))[1])
	if err != nil {
		t.Fatal(err)
	}
	return float64(m.HeapInuse) / 1e6, float64(pages*os.Getpagesize()) / 1e6
}

// TestManyDevices: a sidecar starts over many signed devices in a real Valkey; how soon, in how much memory, and how quickly
// it then finds a device and decides by it.
func TestManyDevices(t *testing.T) {
	n := many(t)
	live := serve(t, "--appendonly", "no")
	store, err := New(Options{Address: live.socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	sealer := newKey(t)
	began := time.Now()
	fill(t, signals.Sealed(store, sealer, sealer.Checker()), n)
	filled := time.Since(began)
	heap, resident := held(t)
	began = time.Now()
	d := decides(t, signals.CheckedPostures(store, sealer.Checker()))
	loaded := time.Since(began)
	if got := d.copied.Status().Devices; got != n {
		t.Fatalf("%d of %d devices were read", got, n)
	}
	heapWith, residentWith := held(t)
	lookups := sample(min(n, 200_000), func(i int) {
		if _, err := d.copied.Lookup(serialOf(fmt.Sprintf("C02%07d", i%n))); err != nil {
			t.Fatal(err)
		}
	}, n)
	decisions := sample(min(n, 20_000), func(i int) {
		if serial := fmt.Sprintf("C02%07d", i); d.allows(t, serial) != (i%10 != 0) {
			t.Fatalf("%s is not decided by what is stored", serial)
		}
	}, n)
	load, _ := os.ReadFile("/proc/loadavg") // absent on some systems
	t.Logf("%d devices of 8 facts, signed: filled in %.1f s; start-up %.2f s; heap %.0f MB for them (%.0f bytes each), "+
		"resident %.0f -> %.0f MB; Valkey has %s; Lookup %s; decision over gRPC in one process %s; load %.4s", n, filled.Seconds(), loaded.Seconds(),
		heapWith-heap, (heapWith-heap)*1e6/float64(n), resident, residentWith, memoryOf(t, live), lookups, decisions, load)
	if most := 10 * time.Minute; loaded > most {
		t.Errorf("the start took %v", loaded)
	}
}

// sample does something with so many random ones of n, and says how long one took.
func sample(times int, do func(i int), n int) string {
	took := make([]time.Duration, times)
	for at := range took {
		i := rand.N(n)
		began := time.Now()
		do(i)
		took[at] = time.Since(began)
	}
	slices.Sort(took)
	return fmt.Sprintf("p50 %v, p99 %v, max %v", took[times/2], took[times*99/100], took[times-1])
}

func memoryOf(t *testing.T, live *server) string {
	t.Helper()
	info, _ := live.do(t, "INFO", "memory").(string)
	_, after, _ := strings.Cut(info, "used_memory_human:")
	text, _, found := strings.Cut(after, "\r\n")
	if !found {
		t.Fatalf("Valkey says %q of its memory", info)
	}
	return text
}
