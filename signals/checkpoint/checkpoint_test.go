package checkpoint

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes a sealed store in a file. The store of the product that is sealed is Redis; redisstore's tests use that.
func open(t testing.TB) (sealed, raw signals.Store) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := signals.NewSealer(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	raw, err = boltstore.Open(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	return signals.Sealed(raw, key, key.Checker()), raw
}

func put(t testing.TB, store signals.Store, device string, revision, before signals.Revision) {
	t.Helper()
	if err := store.PutPosture(t.Context(), signals.Posture{Device: signals.DeviceID(device), Revision: revision}, before); err != nil {
		t.Fatal(err)
	}
}

// words is what a keeper told.
type words struct {
	mu  sync.Mutex
	all []string
}

func (w *words) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, fmt.Sprintf(format, args...))
}

func (w *words) heard(beginning string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.all, func(line string) bool { return strings.HasPrefix(line, beginning) })
}

func (w *words) events() Events {
	return Events{
		Sealed:     func(devices, _ int, _ time.Duration) { w.say("sealed %d", devices) },
		Failed:     func(err error) { w.say("failed %v", err) },
		Distrusted: func(err error) { w.say("distrusted %v", err) },
		Withheld:   func(err error) { w.say("withheld %v", err) },
		RolledBack: func(d signals.DeviceID, known, shown signals.Revision) {
			w.say("rolled back %s %d %d", d, known, shown)
		},
		Repaired: func(d signals.DeviceID) { w.say("repaired %s", d) },
		Lost:     func(n int, some []Mark) { w.say("lost %d %v", n, some) },
	}
}

// run keeps a checkpoint until the returned function is called.
func run(t *testing.T, store signals.Store, name string) (*Keeper, *words, func()) {
	t.Helper()
	w := &words{}
	k := New(store, Options{Name: name, Every: 10 * time.Millisecond, Events: w.events()})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	end := sync.OnceFunc(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return k, w, end
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to be: %s", what)
		}
	}
}

func reaches(t *testing.T, store signals.Store, device string, revision signals.Revision) {
	t.Helper()
	until(t, fmt.Sprintf("%s at %d", device, revision), func() bool {
		c, err := Read(t.Context(), store)
		return err == nil && c.Revision(signals.DeviceID(device)) == revision
	})
}

// TestWhatIsStoredIsStrict: a part that this version would not have written is refused, whoever signed it.
func TestWhatIsStoredIsStrict(t *testing.T) {
	t.Parallel()
	good := []entry{{1 << 58, 5}, {1<<58 | 7, 1}}
	if got, err := decode(1, encode(good)); err != nil || !slices.Equal(got, good) {
		t.Fatalf("%v, %v", got, err)
	}
	for want, b := range map[string][]byte{
		"no multiple":     encode(good)[1:],
		"another part":    encode([]entry{{2 << 58, 5}}),
		"not sorted":      encode([]entry{good[1], good[0]}),
		"has revision 0":  encode([]entry{{1 << 58, 0}}),
		"has revision -1": encode([]entry{{1 << 58, -1}}),
	} {
		if _, err := decode(1, b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := decode(1, encode([]entry{good[0], good[0]})); err == nil {
		t.Error("a device twice")
	}
}

// FuzzPart: whatever is read is written the same.
func FuzzPart(f *testing.F) {
	f.Add(encode([]entry{{5, 5}, {6, 1}}))
	f.Add([]byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if entries, err := decode(0, b); err == nil && !bytes.Equal(encode(entries), b) {
			t.Errorf("%v", entries)
		}
	})
}

// TestJoinKeepsTheNewest against the naive way.
func TestJoinKeepsTheNewest(t *testing.T) {
	t.Parallel()
	for range 200 {
		want := map[Mark]signals.Revision{}
		var lists [2][]entry
		for i := range lists {
			for m := range Mark(20) {
				if mathrand.N(3) == 0 {
					r := signals.Revision(1 + mathrand.N(5))
					lists[i], want[m] = append(lists[i], entry{m, r}), max(want[m], r)
				}
			}
		}
		got := join(lists[0], lists[1])
		for _, e := range got {
			if want[e.mark] != e.revision {
				t.Fatalf("%v and %v: %v", lists[0], lists[1], got)
			}
		}
		if len(got) != len(want) || !slices.IsSortedFunc(got, func(a, b entry) int { return int(a.mark) - int(b.mark) }) {
			t.Fatalf("%v and %v: %v", lists[0], lists[1], got)
		}
	}
}

// TestOneWritesAndAllKnow: of two receivers one writes, also what the other stored; when it ends the other goes on.
func TestOneWritesAndAllKnow(t *testing.T) {
	t.Parallel()
	store, _ := open(t)
	put(t, store, "before", 3, 0)
	one, said, end := run(t, store, "one")
	reaches(t, store, "before", 3)
	until(t, "it is told", func() bool { return said.heard("sealed 1") })
	other, _, _ := run(t, store, "other")
	put(t, one.Guard(), "a", 5, 0)
	put(t, other.Guard(), "b", 6, 0)
	put(t, store, "c", 7, 0) // by a third, which tells nobody but by its notice
	for device, revision := range map[string]signals.Revision{"a": 5, "b": 6, "c": 7} {
		reaches(t, store, device, revision)
	}
	c, err := Read(t.Context(), store)
	if err != nil || c.Devices() != 4 {
		t.Errorf("%+v, %v", c, err)
	}
	put(t, one.Guard(), "a", 8, 5) // just before the end
	end()
	reaches(t, store, "a", 8)
	until(t, "the other knows of the checkpoint", func() bool {
		other.mu.Lock()
		defer other.mu.Unlock()
		return other.trusted
	})
	put(t, other.Guard(), "a", 9, 8)
	reaches(t, store, "a", 9)
	until(t, "the other has sealed it", func() bool { // the head comes after the parts
		next, err := Read(t.Context(), store)
		return err == nil && next.By == "other" && next.Ordinal > c.Ordinal
	})
	if p, err := store.Posture(t.Context(), "a"); err != nil || !p.Checkpointed {
		t.Errorf("it does not say that there is a checkpoint: %+v, %v", p, err)
	}
}

// TestTheEndIsWritten: a receiver that is ended in order leaves a checkpoint of all that it wrote.
func TestTheEndIsWritten(t *testing.T) {
	t.Parallel()
	store, _ := open(t)
	k := New(store, Options{Name: "k", Every: time.Hour})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	until(t, "a first one", func() bool { _, err := Read(t.Context(), store); return err == nil })
	put(t, k.Guard(), "a", 8, 0)
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if c, err := Read(t.Context(), store); err != nil || c.Revision("a") != 8 {
		t.Errorf("what was written last is not in it: %v", err)
	}
}

// TestOnlyChangesAreWritten: one device of many costs a delta, and the whole of a part is written once an eighth has changed.
func TestOnlyChangesAreWritten(t *testing.T) {
	t.Parallel()
	store, _ := open(t)
	const n = 40_000
	k := New(store, Options{Name: "k"})
	for i := range n {
		k.raise(signals.DeviceID(fmt.Sprint("d", i)), 1)
	}
	k.walked = true
	bytesOf := func() (written int) {
		t.Helper()
		k.opts.Events.Sealed = func(_, n int, _ time.Duration) { written = n }
		if err := k.takeTurn(t.Context()); err != nil {
			t.Fatal(err)
		}
		return written
	}
	whole := bytesOf()
	again := bytesOf()
	k.raise("d7", 2)
	one := bytesOf()
	for i := range 400 {
		k.raise(signals.DeviceID(fmt.Sprint("d", i)), 3)
	}
	hundredth := bytesOf()
	for i := range n / 2 {
		k.raise(signals.DeviceID(fmt.Sprint("d", i)), 4)
	}
	half := bytesOf()
	t.Logf("%d devices: %d bytes at first, %d when nothing changed, %d for one device, %d for a hundredth, %d for half of them",
		n, whole, again, one, hundredth, half)
	if whole < n*entryBytes || again > 4000 || one > again+2*entryBytes || hundredth > again+800*entryBytes || half < n*entryBytes {
		t.Error("it is not only what has changed")
	}
	c, err := Read(t.Context(), store)
	if err != nil || c.Devices() != n || c.Revision("d0") != 4 || c.Revision(signals.DeviceID(fmt.Sprint("d", n-1))) != 1 {
		t.Errorf("%v", err)
	}
}

// TestNobodyGoesOnFromLess: a device that is older than it was, or gone, is not built upon.
func TestNobodyGoesOnFromLess(t *testing.T) {
	t.Parallel()
	store, _ := open(t)
	put(t, store, "a", 9, 0)
	k, said, _ := run(t, store, "k")
	until(t, "all is read", func() bool { return said.heard("lost 0") })
	k.raise("a", 10) // this store lets no revision go back; redisstore's tests put old ones there
	k.raise("never", 4)
	for device, want := range map[signals.DeviceID]error{
		"a": signals.ErrCorrupt, "never": signals.ErrCorrupt, "other": signals.ErrNotFound,
	} {
		if _, err := k.Guard().Posture(t.Context(), device); !errors.Is(err, want) {
			t.Errorf("%s: want %v, got %v", device, want, err)
		}
	}
	if !said.heard("rolled back a 10 9") || !said.heard("rolled back never 4 0") {
		t.Errorf("%q", said.all)
	}
}

// TestTheGuardWaits: before the stored checkpoint is known nobody goes on from anything.
func TestTheGuardWaits(t *testing.T) {
	t.Parallel()
	store, _ := open(t)
	put(t, store, "a", 5, 0)
	k := New(store, Options{Name: "k"})
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if _, err := k.Guard().Posture(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it did not wait: %v", err)
	}
	if _, err := k.Guard().Posture(t.Context(), "a"); err == nil || errors.Is(err, signals.ErrCorrupt) {
		t.Errorf("that passes: %v", err)
	}
}
