package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestTornLine: what a crash leaves of the last line is set aside, counted and told; the rest stays and is added to.
func TestTornLine(t *testing.T) {
	t.Parallel()
	whole := `{"v":1,"lost":1}` + "\n"
	long := strings.Repeat("x", 200<<10) // longer than what is read at once
	for name, tt := range map[string]struct{ file, aside string }{
		"half a line":          {whole + `{"v":1,"id":"1`, `{"v":1,"id":"1`},
		"a long half":          {whole + long, long},
		"nothing but half":     {`{"v":1,"id"`, `{"v":1,"id"`},
		"no more than begun":   {`{"`, `{"`},
		"zeros, as XFS has it": {whole + "\x00\x00", "\x00\x00"},
		"whole lines":          {whole + whole, ""},
		"an empty file":        {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, Options{})
			if err := os.WriteFile(g.file, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			g.Record(sample("after"))
			if err := g.run(t)(); err != nil {
				t.Fatal(err)
			}
			aside, _ := os.ReadFile(g.file + ".torn")
			mended := slices.Equal(g.heard(), []string{"mended: decisions.jsonl.torn"})
			if torn := tt.aside != ""; g.Stats().Torn == 1 != torn || mended != torn {
				t.Errorf("counted %d, said %q", g.Stats().Torn, g.heard())
			}
			if got := strings.TrimSuffix(string(aside), "\n"); got != tt.aside {
				t.Errorf("set aside %.80q, want %.80q", got, tt.aside)
			}
			all := records(t, g.file)
			if len(all) != strings.Count(tt.file, "\n")+1 || all[len(all)-1].ID != "after" {
				t.Errorf("the file has %d lines", len(all))
			}
		})
	}
}

// TestAsideIsBounded: a process that crashes for ever fills no disk.
func TestAsideIsBounded(t *testing.T) {
	t.Parallel()
	g := newRig(t, Options{})
	if err := os.WriteFile(g.file, []byte(`{"v":1,`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(g.file+".torn", make([]byte, maxLineBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.run(t)(); err != nil {
		t.Fatal(err)
	}
	if aside, _ := os.ReadFile(g.file + ".torn"); string(aside) != `{"v":1,`+"\n" {
		t.Errorf("the file for torn lines has %d bytes", len(aside))
	}
}

// TestRotation: files have their size and number, no line is split or lost between them, and their names sort by time
// although the clock goes back.
func TestRotation(t *testing.T) {
	t.Parallel()
	clock := noon
	g := newRig(t, Options{MaxBytes: 10 << 10, Keep: 3, Within: 10 * time.Second, Now: func() time.Time { clock = clock.Add(-time.Minute); return clock }})
	if err := os.WriteFile(g.file+".notes", []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := g.run(t)
	for i := range 100 {
		if !g.RecordDurably(required(fmt.Sprintf("%03d", i))) {
			t.Fatalf("%d was not kept: %q", i, g.heard())
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(g.file + ".2*")
	if err != nil || len(files) != 3 || !strings.HasSuffix(files[0], "Z") {
		t.Fatalf("older files: %q (%v)", files, err)
	}
	slices.Sort(files)
	next := -1
	for _, file := range append(files, g.file) {
		info, err := os.Stat(file)
		if err != nil || info.Size() > 10<<10 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v (%v)", file, info, err)
		}
		for _, r := range records(t, file) {
			if next < 0 {
				fmt.Sscan(strings.TrimLeft(r.ID, "0"), &next)
			}
			if r.ID != fmt.Sprintf("%03d", next) {
				t.Errorf("%s has %s where %03d should be", file, r.ID, next)
			}
			next++
		}
	}
	if next != 100 {
		t.Errorf("the last record is %d", next-1)
	}
	if _, err := os.Stat(g.file + ".notes"); err != nil {
		t.Error("somebody else's file is gone")
	}
}

// TestAnnulmentStandsInTheFileOfItsRecord: also where that file is full.
func TestAnnulmentStandsInTheFileOfItsRecord(t *testing.T) {
	t.Parallel()
	g := newRig(t, Options{MaxBytes: 100, Within: 2 * time.Second}) // room for the writer to begin with a record before it is late
	gate := make(chan struct{})
	stop := g.run(t)
	eventually(t, "it runs", func() bool { return g.RecordDurably(required("first")) })
	g.disk.set(hooks{sync: func() error { <-gate; return nil }})
	release := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	if g.RecordDurably(required("late")) {
		t.Fatal("kept")
	}
	release()
	for range 2 { // the first may stand behind the annulment
		eventually(t, "another is kept", func() bool { return g.RecordDurably(required("next")) })
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	files, _ := filepath.Glob(g.file + ".2*")
	annulled := 0
	for _, file := range append(files, g.file) {
		for _, r := range records(t, file) {
			if r.ID == "late" && r.Annulled {
				annulled++
			}
		}
	}
	if len(files) == 0 || annulled != 1 {
		t.Errorf("%d older files, annulled %d times", len(files), annulled)
	}
}

// TestRotationThatFails: the file is not written beyond its size, and goes on when it can.
func TestRotationThatFails(t *testing.T) {
	t.Parallel()
	g := newRig(t, Options{MaxBytes: 2 << 10, Keep: 1, Within: time.Second})
	stop := g.run(t)
	g.disk.set(hooks{rename: func() error { return syscall.EACCES }, remove: func() error { return syscall.EPERM }})
	kept := 0
	eventually(t, "it says that the file is full", func() bool {
		if g.RecordDurably(required("x")) {
			kept++
		}
		return len(g.heard()) > 0
	})
	if info, err := os.Stat(g.file); err != nil || info.Size() > 2<<10 || kept == 0 {
		t.Errorf("%d kept, %v (%v)", kept, info, err)
	}
	if said := g.heard(); len(said) != 1 || !strings.Contains(said[0], "is full and cannot be renamed: permission denied") {
		t.Errorf("said %q", said)
	}
	g.disk.set(hooks{remove: func() error { return syscall.EPERM }})
	for range 3 * kept {
		eventually(t, "it is written again", func() bool { return g.RecordDurably(required("x")) })
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if !slices.ContainsFunc(g.heard(), func(s string) bool { return strings.Contains(s, "cannot be removed") }) {
		t.Errorf("said %q", g.heard())
	}
}

// TestDiskIsFull: the kernel's own ENOSPC. The process goes on, what must be recorded is refused within its bound, and
// what waited is written when there is space.
func TestDiskIsFull(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	g := newRig(t, Options{Within: 30 * time.Second})
	stop := g.run(t)
	if !g.RecordDurably(required("before")) {
		t.Fatal("not kept")
	}
	g.opts.Within = 200 * time.Millisecond // those that are refused need not wait for long
	g.disk.set(hooks{write: func(f file, p []byte) (int, error) {
		n, _ := f.Write(p[:len(p)/2])
		_, err := full.Write(p[n:])
		return n, err
	}})
	for i := range 3 {
		start := time.Now()
		if g.RecordDurably(required("during")) {
			t.Error("kept on a full disk")
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("the answer took %v", took)
		}
		g.Record(sample(fmt.Sprint(i)))
	}
	eventually(t, "the file has the one record before again, and no half one", func() bool { // a try may be under way
		text, err := os.ReadFile(g.file)
		return err == nil && bytes.Count(text, []byte("\n")) == 1 && bytes.HasSuffix(text, []byte("\n"))
	})
	g.disk.set(hooks{})
	eventually(t, "all is written", func() bool { return g.Stats().Held == 0 })
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := len(records(t, g.file)); n != 4 {
		t.Errorf("%d records, want 4", n)
	}
	said := g.heard()
	if len(said) != 2 || !strings.HasSuffix(said[0], "no space left on device") || said[1] != "recovered" {
		t.Errorf("said %q", said)
	}
	if s := g.Stats(); s.Withdrawn != 3 || s.Written != 4 || s.Faults == 0 {
		t.Errorf("%+v", s)
	}
}

// TestDiskFailsToTheEnd: Run says how many decisions are in no record.
func TestDiskFailsToTheEnd(t *testing.T) {
	t.Parallel()
	g := newRig(t, Options{Within: time.Minute})
	stop := g.run(t)
	g.disk.set(hooks{write: func(file, []byte) (int, error) { return 0, syscall.EIO }})
	answer := make(chan bool)
	go func() { answer <- g.RecordDurably(required("1")) }()
	g.Record(sample("2"))
	eventually(t, "a fault", func() bool { return g.Stats().Faults > 1 && g.Stats().Held == 2 })
	err := stop()
	if <-answer {
		t.Error("kept")
	}
	if err == nil || !strings.Contains(err.Error(), "input/output error; 2 decisions are in no record, and 0 that were not given") {
		t.Errorf("%v", err)
	}
	if s := g.Stats(); s.Failed != 2 || s.Held != 0 || !slices.Contains(g.heard(), "lost") {
		t.Errorf("%+v, said %q", s, g.heard())
	}
}

// TestSyncInTheBackground: what nobody waits for is synced within a second, and a fault is told.
func TestSyncInTheBackground(t *testing.T) {
	t.Parallel()
	g := newRig(t, Options{})
	g.disk.set(hooks{sync: func() error { return syscall.EIO }})
	stop := g.run(t)
	g.Record(sample("1"))
	eventually(t, "a failed sync is told", func() bool {
		return slices.ContainsFunc(g.heard(), func(s string) bool { return strings.Contains(s, "cannot be synced") })
	})
	g.disk.set(hooks{})
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestRunRefusesToStart: each with what is wrong and what to do.
func TestRunRefusesToStart(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, dir, file string) error
		want    string
	}{
		"no directory":        {func(_ *testing.T, dir, _ string) error { return os.Remove(dir) }, "does not exist; create it (mode 0700)"},
		"others may write it": {func(_ *testing.T, dir, _ string) error { return os.Chmod(dir, 0o777) }, "has mode 0777, so others may replace what is in it; run chmod go-w"},
		"a parent that is a file": {func(_ *testing.T, dir, _ string) error {
			return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600))
		}, "is no directory; set another evidence.file"},
		"a file that others may read": {func(_ *testing.T, _, file string) error { return os.WriteFile(file, nil, 0o644) },
			"has mode 0644, so others may read or change it; run chmod 600"},
		"a directory":     {func(_ *testing.T, _, file string) error { return os.Mkdir(file, 0o700) }, "cannot be opened: "},
		"a symbolic link": {func(_ *testing.T, dir, file string) error { return os.Symlink(filepath.Join(dir, "else"), file) }, "cannot be opened: "},
		"a named pipe":    {func(_ *testing.T, _, file string) error { return syscall.Mkfifo(file, 0o600) }, "is no regular file"},
		"somebody's file": {func(_ *testing.T, _, file string) error { return os.WriteFile(file, []byte("root:x:0:0\n"), 0o600) }, "holds something else than evidence"},
		"an endless line": {func(_ *testing.T, _, file string) error {
			return os.WriteFile(file, append([]byte(`{"v":`), make([]byte, maxLineBytes+128<<10)...), 0o600)
		}, "is longer than any line of evidence"},
		"another process": {func(t *testing.T, _, file string) error {
			claim, err := lock(file)
			t.Cleanup(func() { claim.Close() })
			return err
		}, "another process writes the evidence file"},
		"the lock is a link": {func(_ *testing.T, dir, file string) error { return os.Symlink(dir, file+".lock") }, "cannot be claimed: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "evidence")
			file := filepath.Join(dir, "decisions.jsonl")
			if err := errors.Join(os.Mkdir(dir, 0o700), tt.prepare(t, dir, file)); err != nil {
				t.Fatal(err)
			}
			g := newRig(t, Options{File: file})
			err := g.Run(context.Background())
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%v; want %q", err, tt.want)
			}
			if g.Record(sample("1")) || g.RecordDurably(required("2")) {
				t.Error("a recorder that has ended takes records")
			}
		})
	}
	for _, o := range []Options{{}, {File: "relative"}, {File: "/x", Keep: -1}, {File: "/x", Queue: -1}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

// TestGroupMayRead: a log shipper's group is let in by the operator, and stays.
func TestGroupMayRead(t *testing.T) {
	t.Parallel()
	g := newRig(t, Options{})
	if err := os.WriteFile(g.file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := g.run(t)(); err != nil {
		t.Error(err)
	}
}
