package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/config/policyfile"
)

// heardHistory notes what the history tells.
type heardHistory struct {
	failed, damaged []string
	pinned          []*admin.PolicyPin
}

func (h *heardHistory) events() historyEvents {
	return historyEvents{
		Failed:  func(err error) { h.failed = append(h.failed, err.Error()) },
		Damaged: func(dir string, why error) { h.damaged = append(h.damaged, dir+": "+why.Error()) },
		Pinned:  func(pin *admin.PolicyPin) { h.pinned = append(h.pinned, pin) },
	}
}

func openKept(t *testing.T, dir string, keep int, disk historyDisk) (*policyKeeper, *heardHistory) {
	t.Helper()
	h := &heardHistory{}
	k, err := openHistory(config.PolicyHistory{Dir: dir, Keep: keep}, disk, h.events())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.close() }) // tests close what they open again
	return k, h
}

// kept0 is the n-th policy of a test: its files, two of them in directories, and what is kept of it.
func kept0(t *testing.T, n int) (*policyfile.Files, keptMeta) {
	t.Helper()
	dir := t.TempDir()
	deep := filepath.Join(dir, "access", "more")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, dir, map[string]string{"a.yaml": fmt.Sprint("# ", n), "access/b.yml": "b", "access/more/c.yaml": "c"})
	files, err := policyfile.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return files, keptMeta{Digest: fmt.Sprintf("sha256:%064x", n), LoadedAt: statusAt.Add(time.Duration(n) * time.Hour), Documents: n,
		By: byEdit}
}

func keepAll(t *testing.T, k *policyKeeper, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		files, m := kept0(t, n)
		if err := k.add(files, m); err != nil {
			t.Fatal(err)
		}
	}
}

// numbers are the documents of what is listed, the newest first.
func numbers(list []admin.KeptPolicy) (n []int) {
	for _, p := range list {
		n = append(n, p.Documents)
	}
	return n
}

// TestHistoryKeepsTheNewest, and never removes the one in force nor the pinned one.
func TestHistoryKeepsTheNewest(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "policies")
	k, heard := openKept(t, dir, 3, machineDisk())
	keepAll(t, k, 1, 2)
	if err := k.setPin(&policyPin{PolicyPin: admin.PolicyPin{Digest: fmt.Sprintf("sha256:%064x", 1)}}); err != nil {
		t.Fatal(err)
	}
	keepAll(t, k, 3, 4, 5)
	if got := numbers(k.list("")); !slices.Equal(got, []int{5, 4, 1}) {
		t.Errorf("kept are %v", got)
	}
	if err := k.setPin(nil); err != nil {
		t.Fatal(err)
	}
	files, m := kept0(t, 0) // the clock has gone back: it is the oldest, and in force
	if err := k.add(files, m); err != nil {
		t.Fatal(err)
	}
	list := k.list(m.Digest)
	if got := numbers(list); !slices.Equal(got, []int{5, 4, 0}) {
		t.Errorf("kept are %v", got)
	}
	if last := list[2]; !last.InForce || last.Pinned || !last.Until.Equal(list[1].Since) || list[0].InForce || !list[0].Until.IsZero() {
		t.Errorf("listed are %+v", list)
	}
	if name, err := k.find("sha256:" + strings.Repeat("0", 63)); err == nil || !strings.Contains(err.Error(), "begins the digests of 3") {
		t.Errorf("an ambiguous beginning finds %s (%v)", name, err)
	}
	for digest, want := range map[string]string{"0000000": "is no digest", "sha256:": "is no digest", "../../x000": "is no digest",
		"ffffffff": "no policy that is kept"} {
		if name, err := k.find(digest); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q finds %s (%v)", digest, name, err)
		}
	}
	if len(heard.failed)+len(heard.damaged) > 0 {
		t.Errorf("it told %v", *heard)
	}
	_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if info, errInfo := e.Info(); err != nil || errInfo != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v %v", path, info.Mode(), err, errInfo)
		}
		return nil
	})
}

// TestHistoryOfARestart: what is in force as before stays since when it was; what comes back is the newest, once.
func TestHistoryOfARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/policies"
	k, _ := openKept(t, dir, 5, machineDisk())
	keepAll(t, k, 1, 2)
	files, m := kept0(t, 2)
	m.LoadedAt, m.By = m.LoadedAt.Add(time.Hour), byStart
	if err := k.add(files, m); err != nil {
		t.Fatal(err)
	}
	if list := k.list(""); !list[0].Since.Equal(statusAt.Add(2*time.Hour)) || list[0].By != byEdit {
		t.Errorf("after a restart: %+v", list[0])
	}
	files, m = kept0(t, 1)
	m.LoadedAt, m.By = statusAt.Add(9*time.Hour), byRollback
	if err := k.add(files, m); err != nil {
		t.Fatal(err)
	}
	if list := k.list(""); !slices.Equal(numbers(list), []int{1, 2}) || list[0].By != byRollback || !list[1].Until.Equal(m.LoadedAt) {
		t.Errorf("after a rollback: %+v", list)
	}
	back, read, err := k.read(nameOf(m.Digest))
	if err != nil || read.Digest() != files.Digest() || back.Documents != 1 {
		t.Errorf("what was kept reads %+v (%v)", back, err)
	}
}

// TestDamagedPoliciesAreNotUsed: each way in which an entry can be other than it was written.
func TestDamagedPoliciesAreNotUsed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(entry string) error
		want  string
	}{
		"a byte of a file": {func(e string) error { return os.WriteFile(e+"/policy/access/b.yml", []byte("B"), 0o600) }, "not those that were kept"},
		"a file more":      {func(e string) error { return os.WriteFile(e+"/policy/z.yaml", nil, 0o600) }, "not those that were kept"},
		"a file less":      {func(e string) error { return os.Remove(e + "/policy/a.yaml") }, "not those that were kept"},
		"a file elsewhere": {func(e string) error { return os.Rename(e+"/policy/a.yaml", e+"/policy/b.yaml") }, "not those that were kept"},
		"no files":         {func(e string) error { return os.RemoveAll(e + "/policy") }, "cannot be read"},
		"a link to files":  {func(e string) error { return os.Symlink("/etc/hosts", e+"/policy/l.yaml") }, "leads out of the policy directory"},
		"no meta":          {func(e string) error { return os.Remove(e + "/meta.json") }, "meta.json"},
		"half a meta":      {func(e string) error { return os.Truncate(e+"/meta.json", 40) }, "is damaged"},
		"another's meta": {func(e string) error {
			raw, err := os.ReadFile(e + "/meta.json")
			if err != nil {
				return err
			}
			return os.WriteFile(e+"/meta.json", []byte(strings.Replace(string(raw), "sha256:00", "sha256:10", 1)), 0o600)
		}, "another version or another policy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir() + "/policies"
			k, _ := openKept(t, dir, 5, machineDisk())
			keepAll(t, k, 7)
			entry := nameOf(fmt.Sprintf("sha256:%064x", 7))
			if err := c.spoil(filepath.Join(dir, entry)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := k.read(entry); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it reads with %v, want %q", err, c.want)
			}
			if list := k.list(""); len(list) != 1 || !strings.Contains(list[0].Fault, c.want) {
				t.Errorf("listed is %+v", list)
			}
			if err := k.close(); err != nil {
				t.Fatal(err)
			}
			again, heard := openKept(t, dir, 5, machineDisk())
			if len(heard.damaged) != 1 || !strings.Contains(heard.damaged[0], c.want) {
				t.Errorf("at the start it told %q", heard.damaged)
			}
			keepAll(t, again, 7) // it is in force: whoever wants it back gets it whole
			if _, _, err := again.read(entry); err != nil || len(heard.damaged) != 2 {
				t.Errorf("written anew it reads with %v; told %q", err, heard.damaged)
			}
		})
	}
}

// TestHistoryRefusesToStart where nobody could say what must be in force.
func TestHistoryRefusesToStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"others may write": {func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o770)) }, "has mode 0770, so others may enter it; run chmod 0700"},
		"a link": {func(t *testing.T, dir string) {
			must(t, os.Rename(dir, dir+"2"))
			must(t, os.Symlink(dir+"2", dir))
		}, "is no directory"},
		"others may replace it": {func(t *testing.T, dir string) { must(t, os.Chmod(filepath.Dir(dir), 0o777)) }, "run chmod o-w"},
		"a torn pin":            {func(t *testing.T, dir string) { put(t, dir, map[string]string{pinFile: `{"v":1,`}) }, "remove that file to run the policy directory"},
		"a pin of nothing":      {func(t *testing.T, dir string) { put(t, dir, map[string]string{pinFile: `{"v":1}`}) }, "remove that file"},
		"it is taken": {func(t *testing.T, dir string) {
			claim, err := lockHistory(dir)
			must(t, err)
			t.Cleanup(func() { must(t, claim.Close()) })
		}, "another process keeps its policies there; stop it, or name another directory"},
	} {
		dir := t.TempDir() + "/policies"
		k, _ := openKept(t, dir, 5, machineDisk())
		keepAll(t, k, 1)
		must(t, k.close())
		c.spoil(t, dir)
		if _, err := openHistory(config.PolicyHistory{Dir: dir, Keep: 5}, machineDisk(), (&heardHistory{}).events()); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
