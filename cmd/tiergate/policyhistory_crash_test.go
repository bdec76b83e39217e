package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/config/policyfile"
)

// countdown makes the n-th step end otherwise; what it writes of a file is then half of it.
func countdown(n int, end func() error) historyDisk {
	machine := machineDisk()
	step := func(do func() error) error {
		if n--; n == 0 {
			return end()
		}
		return do()
	}
	return historyDisk{
		mkdir: func(dir string) error { return step(func() error { return machine.mkdir(dir) }) },
		sync:  func(dir string) error { return step(func() error { return machine.sync(dir) }) },
		rename: func(from, to string) error {
			return step(func() error { return machine.rename(from, to) })
		},
		remove: func(path string) error { return step(func() error { return machine.remove(path) }) },
		write: func(file string, content []byte) error {
			if n == 1 {
				_ = machine.write(file, content[:len(content)/2]) // what a full disk, or a crash, leaves
			}
			return step(func() error { return machine.write(file, content) })
		},
	}
}

// wholeOrAbsent opens what an interrupted history left and checks every entry in it; want are those that must be there.
func wholeOrAbsent(t *testing.T, dir, when string, want ...int) *policyKeeper {
	t.Helper()
	k, heard := openKept(t, dir, 2, machineDisk())
	if len(heard.damaged)+len(heard.failed) > 0 {
		t.Errorf("%s: half of something is there: %v", when, *heard)
	}
	got := numbers(k.list(""))
	for _, n := range want {
		if !slices.Contains(got, n) {
			t.Errorf("%s: %d is gone; kept are %v", when, n, got)
		}
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".*-*"))
	if len(left) > 0 {
		t.Errorf("%s: left over are %q", when, left)
	}
	return k
}

// aLife is what the tests of interruptions do: two policies, a pin of the first, a third that makes room, the pin released.
// steps counts what was finished.
func aLife(k *policyKeeper, files []*policyfile.Files, metas []keptMeta, did func()) error {
	pin := &policyPin{PolicyPin: admin.PolicyPin{Digest: metas[0].Digest}}
	for _, do := range []func() error{
		func() error { return k.add(files[0], metas[0]) }, func() error { return k.add(files[1], metas[1]) },
		func() error { return k.setPin(pin) }, func() error { return k.add(files[2], metas[2]) },
		func() error { return k.setPin(nil) },
	} {
		if err := do(); err != nil {
			return err
		}
		did()
	}
	return nil
}

// lives are the entries that must be there after so many of aLife's deeds: all but what may have been pruned.
func lives(deeds int) []int {
	return [][]int{{}, {1}, {1, 2}, {1}, {1, 3}, {1, 3}}[deeds]
}

// TestHistoryOnAFullDisk: whichever step fails, it is an error, and every entry is whole or absent.
func TestHistoryOnAFullDisk(t *testing.T) {
	t.Parallel()
	var files []*policyfile.Files
	var metas []keptMeta
	for n := range 3 {
		f, m := kept0(t, n+1)
		files, metas = append(files, f), append(metas, m)
	}
	for step := 2; ; step++ { // the first makes the directory
		if step > 500 {
			t.Fatal("it never ends")
		}
		dir := t.TempDir() + "/policies"
		k, _ := openKept(t, dir, 2, countdown(step, func() error { return syscall.ENOSPC }))
		deeds := 0
		err := aLife(k, files, metas, func() { deeds++ })
		must(t, k.close())
		again := wholeOrAbsent(t, dir, fmt.Sprint("step ", step), lives(deeds)...)
		if pinned := again.pinned() != nil; pinned != (deeds == 3 || deeds == 4) { // a deed that failed is put back
			t.Errorf("step %d: pinned after %d deeds: %v", step, deeds, pinned)
		}
		if err == nil {
			t.Logf("%d steps", step-1)
			return
		}
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "policy.history.dir") {
			t.Errorf("step %d: %v", step, err)
		}
	}
}

// keepAndDie is the process that TestHistoryOfAKilledProcess kills: DIR STEP.
func keepAndDie() {
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		panic(err)
	}
	step, _ := strconv.Atoi(os.Args[2])
	var files []*policyfile.Files
	var metas []keptMeta
	for n := 1; n <= 3; n++ {
		if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(fmt.Sprint("# ", n)), 0o600); err != nil {
			panic(err)
		}
		f, err := policyfile.Read(dir)
		if err != nil {
			panic(err)
		}
		files = append(files, f)
		metas = append(metas, keptMeta{Digest: fmt.Sprintf("sha256:%064x", n), LoadedAt: statusAt.Add(time.Duration(n) * time.Hour),
			Documents: n, By: byEdit})
	}
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	kill := func() error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) }
	told := (&heardHistory{}).events()
	k, err := openHistory(config.PolicyHistory{Dir: os.Args[1], Keep: 2}, countdown(step, kill), told)
	if err != nil {
		panic(err)
	}
	if err := aLife(k, files, metas, func() { fmt.Print(".") }); err != nil {
		panic(err)
	}
}

// TestHistoryOfAKilledProcess: kill -9 between any two steps leaves every entry whole or absent, and the next start clean.
func TestHistoryOfAKilledProcess(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	must(t, err)
	for step := 1; ; step++ {
		if step > 500 {
			t.Fatal("it never ends")
		}
		dir := t.TempDir() + "/policies"
		child := exec.Command(self)
		child.Args = []string{"keep-and-die", dir, strconv.Itoa(step)}
		out, err := child.Output()
		wholeOrAbsent(t, dir, fmt.Sprint("killed at step ", step), lives(len(out))...)
		if err == nil {
			t.Logf("killed at each of %d steps", step-1)
			return
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("step %d: %v", step, err)
		}
	}
}
