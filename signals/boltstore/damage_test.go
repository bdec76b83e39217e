package boltstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// prove is the long form of a proof: `make prove`.
func prove(short, long int) int {
	if os.Getenv("TIERGATE_PROVE") != "" {
		return long
	}
	return short
}

// lived is a store as a busy week leaves it: many versions of each posture lie in pages that are free now, and the write
// before the last one left a device without its alarm. It returns what it holds.
func lived(t *testing.T) (file string, truth map[signals.DeviceID]signals.Posture) {
	t.Helper()
	s := fresh(t)
	truth = map[signals.DeviceID]signals.Posture{}
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for round := range 4 {
		for i := range 60 {
			p := small(fmt.Sprintf("device%02d", i), signals.Revision(round+1))
			seen := at.Add(time.Duration(round) * time.Hour)
			p.Facts = []signals.Fact{{Attribute: "compromised", Source: "edr", Value: signals.Bool(round == 3), Observed: seen,
				Received: seen, Path: "data.attributes.compromised"}}
			r := signals.Record{Kind: "alias", Key: string("serial:" + p.Device), Revision: p.Revision, Value: []byte(p.Device)}
			if err := s.PutRecord(t.Context(), r, signals.Revision(round)); err != nil {
				t.Fatal(err)
			}
			if err := s.PutPosture(t.Context(), p, signals.Revision(round)); err != nil {
				t.Fatal(err)
			}
			truth[p.Device] = p
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return s.file, truth
}

// TestDamagedFile: cut or flipped anywhere, the file is refused with a sentence, or has every posture as it was written
// last. It never shows a device without its alarm, an older version, or no device; a record is the one that was written,
// or none.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	file, truth := lived(t)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	dir, refused, lost, n := t.TempDir(), 0, 0, prove(100, 1000)
	for i := range n {
		bad := slices.Clone(good)
		switch i % 4 {
		case 0:
			bad = bad[:random.IntN(len(bad))]
		case 1: // a head
			bad[random.IntN(2)*os.Getpagesize()+random.IntN(pageHeader+metaBytes)] ^= byte(1 << random.IntN(8))
		case 2:
			bad[random.IntN(len(bad))] ^= byte(1 << random.IntN(8))
		default:
			for range 2 + random.IntN(8) {
				bad[random.IntN(len(bad))] ^= byte(1 << random.IntN(8))
			}
		}
		damaged := filepath.Join(dir, fmt.Sprint(i))
		writeFile(t, damaged, string(bad), 0o600)
		opened, without := survives(t, damaged, truth)
		if lost += without; !opened {
			refused++
		}
		if err := os.Remove(damaged); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("damage %d", i)
		}
	}
	t.Logf("%d damaged files: %d refused, %d opened with every posture as it was; %d of %d records of those cannot be read", n, refused,
		n-refused, lost, 60*(n-refused))
	if refused < n/4 || refused == n {
		t.Errorf("%d of %d damaged files were refused; the test no longer hits what it should", refused, n)
	}
}

// survives opens a damaged file and compares.
func survives(t *testing.T, file string, truth map[signals.DeviceID]signals.Posture) (opened bool, lost int) {
	t.Helper()
	if _, err := Check(file); err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("check: not a sentence: %q", err)
	}
	s, err := Open(file)
	if err != nil {
		if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), file) {
			t.Errorf("not a sentence about the file: %q", err)
		}
		return false, 0
	}
	seen := 0
	_, err = s.EachPosture(t.Context(), func(p signals.Posture) error {
		if seen++; !reflect.DeepEqual(p.Facts, truth[p.Device].Facts) || p.Revision != truth[p.Device].Revision {
			t.Errorf("%+v, written was %+v", p, truth[p.Device])
		}
		return nil
	}, func(d signals.DeviceID, err error) { t.Errorf("%s: %v, in a file whose sum is right", d, err) })
	if err != nil || seen != len(truth) {
		t.Errorf("%d of %d postures, %v", seen, len(truth), err)
	}
	for device := range truth {
		switch r, err := s.Record(t.Context(), "alias", "serial:"+string(device)); {
		case err != nil:
			lost++
		case string(r.Value) != string(device):
			t.Errorf("record of %s: %q", device, r.Value)
		}
	}
	_ = s.PutPosture(t.Context(), small("after", 1), 0) // it may fail; it may not hang or panic
	done := make(chan struct{})
	go func() { _ = s.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("close hangs on a damaged file")
	}
	return true, lost
}

// A file of the layout before this one has no sum: it is taken as it is once, and guarded from then on.
func TestLayoutWithoutSum(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	if err := s.PutPosture(t.Context(), small("a", 1), 0); err != nil {
		t.Fatal(err)
	}
	meta := func(key, value string) {
		t.Helper()
		plantMeta(t, s, key, value)
	}
	meta("schema", layoutSumless)
	meta(string(keyPosturesSum), "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := Check(s.file); err != nil || r.Layout != layoutSumless || r.Postures != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	s = openAt(t, s.file, reach)
	if err := s.PutPosture(t.Context(), small("b", 1), 0); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Check(); err != nil || r.Layout != layout || r.Postures != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	meta(string(keyPosturesSum), strings.Repeat("x", 32))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.file); !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), "an alarm may be lost") {
		t.Errorf("opened with another sum: %v", err)
	}
}
