package boltstore

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tiergate/tiergate/signals"
)

func plantMeta(t *testing.T, s *Store, key, value string) {
	t.Helper()
	err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put([]byte(key), []byte(value)) })
	if err != nil {
		t.Fatal(err)
	}
}

// A backup while writers write is a store of one instant, and replaces nothing.
func TestBackupWhileWriting(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	ctx, cancel := context.WithCancel(t.Context())
	begun, done := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ { // each device's record comes before its posture
			r := signals.Record{Kind: "alias", Key: fmt.Sprint(n), Revision: 1}
			if s.PutRecord(context.Background(), r, 0) != nil || s.PutPosture(context.Background(), small(fmt.Sprint(n), 1), 0) != nil {
				break
			}
			if n == 3 {
				close(begun)
			}
		}
		done <- n
	}()
	select {
	case <-begun:
	case n := <-done:
		t.Fatalf("write %d failed", n)
	}
	to := filepath.Join(t.TempDir(), "backup.db")
	report, err := s.Backup(to)
	cancel()
	written := <-done
	if err != nil {
		t.Fatal(err)
	}
	if report.Postures == 0 || report.Postures > written || report.Records["alias"] < report.Postures ||
		report.Records["alias"] > report.Postures+1 || report.FaultCount != 0 {
		t.Errorf("%+v of %d", report, written)
	}
	if _, err := s.Backup(to); err == nil || !strings.Contains(err.Error(), "not there yet") {
		t.Errorf("it replaced a file: %v", err)
	}
	if _, err := s.Backup("x.db"); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("a path of nobody knows where: %v", err)
	}
	if _, err := s.Backup(filepath.Join(t.TempDir(), "no", "x.db")); err == nil {
		t.Error("it wrote into no directory")
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(to), ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
	if again, err := Check(to); err != nil || again.Postures != report.Postures {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestCheckNamesWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	for i := range 3 {
		r := signals.Record{Kind: "alias", Key: fmt.Sprint(i), Revision: 1, Value: []byte("v")}
		if err := s.PutRecord(t.Context(), r, 0); err != nil {
			t.Fatal(err)
		}
	}
	err := s.db.Update(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(bucketRecords).Bucket([]byte("alias"))
		changed := strings.Replace(string(bucket.Get([]byte("1"))), `"revision":1`, `"revision":3`, 1)
		return bucket.Put([]byte("1"), []byte(changed))
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Check()
	if err != nil || r.FaultCount != 1 || !strings.Contains(fmt.Sprint(r.Faults), `"alias/1"`) || r.Records["alias"] != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := Check(s.file); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("it read under a writer: %v", err)
	}
	if _, err := Check(s.file + ".no"); err == nil || !strings.Contains(err.Error(), "there is no store file") {
		t.Error(err)
	}
}

// Compact keeps everything, gives space back, and wants the file for itself.
func TestCompact(t *testing.T) {
	t.Parallel()
	file, truth := lived(t)
	s := openAt(t, file, reach)
	for i := range 100 {
		r := signals.Record{Kind: "bulk", Key: fmt.Sprint(i), Revision: 1, Value: make([]byte, 10_000)}
		if err := s.PutRecord(t.Context(), r, 0); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		if err := s.DeleteRecord(t.Context(), "bulk", fmt.Sprint(i), 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := Compact(file); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Fatalf("compacted under its owner: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".compact"), "what a crash left", 0o600)
	before, after, err := Compact(file)
	if err != nil || after >= before/2 {
		t.Fatalf("%d bytes, before %d, %v", after, before, err)
	}
	if opened, lost := survives(t, file, truth); !opened || lost > 0 {
		t.Errorf("opened %v, %d records lost", opened, lost)
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

// Who waited for the lock of a file that was replaced meanwhile does not write into the old one.
func TestOpenOfAReplacedFile(t *testing.T) {
	t.Parallel()
	for tries := 1; ; tries++ {
		err := openedWhileReplaced(t)
		if err != nil && strings.Contains(err.Error(), "was replaced while it was opened") {
			return
		}
		// On a busy machine it may be opened only after all that, or have waited long enough before it.
		if slow := err == nil || strings.Contains(err.Error(), "in use by another process"); !slow || tries == 10 {
			t.Fatalf("got %v", err)
		}
	}
}

// openedWhileReplaced replaces a file that somebody waits for, and returns what that one is told.
func openedWhileReplaced(t *testing.T) error {
	t.Helper()
	s := fresh(t)
	opened := make(chan error, 1)
	go func() {
		late, err := Open(s.file)
		if err == nil {
			_ = late.Close()
		}
		opened <- err
	}()
	time.Sleep(200 * time.Millisecond) // it waits for the lock for up to a second
	to := s.file + ".new"
	if _, err := s.Backup(to); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to, s.file); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return <-opened
}

const fullFile = "TIERGATE_TEST_FULL_FILE"

// TestDiskFull: a file that may not grow refuses writes, keeps all that it acknowledged, and goes on answering; with space it
// takes writes again. A limit of the process stands in for the disk: what it forbids fails in the same calls.
func TestDiskFull(t *testing.T) {
	if file := os.Getenv(fullFile); file != "" {
		fillUp(t, file)
		return
	}
	file := filepath.Join(t.TempDir(), "store.db")
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestDiskFull$", "-test.v")
	child.Env = append(os.Environ(), fullFile+"="+file)
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "acknowledged") {
		t.Fatalf("%v\n%s", err, out)
	}
	if r, err := Check(file); err != nil || r.FaultCount > 0 || r.Postures == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func fillUp(t *testing.T, file string) {
	signal.Ignore(syscall.SIGXFSZ) // the write then fails with EFBIG
	limit := syscall.Rlimit{Cur: 1 << 20, Max: syscall.RLIM_INFINITY & (1<<63 - 1)}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	limit.Max = was.Max
	s := openAt(t, file, reach)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	put := func(i int) error {
		p := small(fmt.Sprint(i), 1)
		p.Aliases = []signals.Alias{{Kind: signals.AliasDirectory, Value: strings.Repeat("x", 20_000)}}
		return s.PutPosture(t.Context(), p, 0)
	}
	n := 0
	full := put(n)
	for ; full == nil && n < 1000; full = put(n) {
		n++
	}
	if full == nil || !strings.Contains(full.Error(), "see that its disk has space") {
		t.Fatalf("after %d writes: %v", n, full)
	}
	for i := range n {
		if _, err := s.Posture(t.Context(), signals.DeviceID(fmt.Sprint(i))); err != nil {
			t.Errorf("device %d was acknowledged: %v", i, err)
		}
	}
	if _, err := s.Posture(t.Context(), signals.DeviceID(fmt.Sprint(n))); err == nil {
		t.Error("what was refused is there")
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := put(n); err != nil {
		t.Errorf("with space: %v", err)
	}
	r, err := s.Check()
	if err != nil || r.Postures != n+1 || r.FaultCount > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	fmt.Printf("full after %d acknowledged postures\n", n)
}
