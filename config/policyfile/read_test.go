package policyfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/config/policyfile"
)

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t testing.TB, target, dir, name string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func TestReadTakesPolicyFilesOnly(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"b.yaml", "a.yml", "sub/c.YAML", "sub/deeper/d.yaml", ".hidden.yaml", ".git/e.yaml", "README.md", "a.yaml.bak", "yaml",
	} {
		write(t, dir, name, name)
	}
	link(t, "sub/c.YAML", dir, "linked.yaml")
	link(t, "README.md", dir, "LIESMICH")
	link(t, "/etc/hostname", dir, "elsewhere.md")
	files := read(t, dir)
	want := []string{"a.yml", "b.yaml", "linked.yaml", "sub/c.YAML", "sub/deeper/d.yaml"}
	if diff := cmp.Diff(want, files.Names()); diff != "" {
		t.Error(diff)
	}
	if files.Dir() != dir {
		t.Error("Dir is", files.Dir())
	}
}

func TestDigestSeesEveryChange(t *testing.T) {
	dir := t.TempDir()
	seen := map[string]string{}
	step := func(what string) {
		t.Helper()
		digest := read(t, dir).Digest()
		if earlier, ok := seen[digest]; ok {
			t.Errorf("%s has the digest of %s", what, earlier)
		}
		seen[digest] = what
		if again := read(t, dir).Digest(); again != digest {
			t.Errorf("%s has two digests", what)
		}
	}
	write(t, dir, "a.yaml", "xb.yaml")
	step("one file")
	write(t, dir, "b.yaml", "")
	step("a second, empty file")
	write(t, dir, "a.yaml", "x")
	write(t, dir, "b.yaml", "b.yaml")
	step("bytes moved from one file to the next")
	if err := os.Rename(filepath.Join(dir, "b.yaml"), filepath.Join(dir, "c.yaml")); err != nil {
		t.Fatal(err)
	}
	step("a renamed file")
	write(t, dir, "notes.txt", "x")
	copied := t.TempDir()
	write(t, copied, "a.yaml", "x")
	write(t, copied, "c.yaml", "b.yaml")
	if read(t, copied).Digest() != read(t, dir).Digest() {
		t.Error("equal files elsewhere have another digest")
	}
}

func TestReadConfigMap(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "..2026_11_22/policy.yaml", "old")
	write(t, dir, "..2026_11_23/policy.yaml", "new")
	link(t, "..2026_11_22", dir, "..data")
	link(t, "..data/policy.yaml", dir, "policy.yaml")
	old := read(t, dir)
	if diff := cmp.Diff([]string{"policy.yaml"}, old.Names()); diff != "" {
		t.Error(diff)
	}
	link(t, "..2026_11_23", dir, "..data_tmp")
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if read(t, dir).Digest() == old.Digest() {
		t.Error("the swap was not seen")
	}
	write(t, dir, "extra.yaml", "x")
	_, err := policyfile.Read(dir)
	want := filepath.Join(dir, "extra.yaml") + ": lies beside ..data and not in it, so it would not be read\n" +
		"   move it into the ConfigMap, or remove ..data"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestReadRefuses(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, dir string)
		want string
	}{
		{"empty", func(*testing.T, string) {}, "the policy directory $DIR has no .yaml file: " +
			"write the policy there, or correct policy.dir in the settings"},
		{"link out", func(t *testing.T, dir string) { link(t, "/etc/hostname", dir, "a.yaml") },
			"$DIR/a.yaml: is a link that leads out of the policy directory\n   put the file itself here"},
		{"link up", func(t *testing.T, dir string) { link(t, "../../x", dir, "a.yaml") },
			"$DIR/a.yaml: is a link that leads out of the policy directory\n   put the file itself here"},
		{"link nowhere", func(t *testing.T, dir string) { link(t, "none", dir, "a.yaml") },
			"$DIR/a.yaml: is a link that leads nowhere, or was removed while it was read\n   correct or remove it"},
		{"link to itself", func(t *testing.T, dir string) { link(t, "a.yaml", dir, "a.yaml") }, "$DIR/a.yaml: cannot be "},
		{"link to a directory", func(t *testing.T, dir string) {
			write(t, dir, "sub/a.yaml", "x")
			link(t, "sub", dir, "again")
		}, "$DIR/again: is a link to a directory\n   move the directory here; only links to files are followed"},
		{"link to a directory elsewhere", func(t *testing.T, dir string) { link(t, "/etc", dir, "more") },
			"$DIR/more: is a link that leads nowhere or out of the policy directory\n   remove it"},
		{"pipe", func(t *testing.T, dir string) {
			if err := syscall.Mkfifo(filepath.Join(dir, "a.yaml"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "$DIR/a.yaml: is no regular file\n   remove it"},
		{"1 GB sparse file", func(t *testing.T, dir string) {
			write(t, dir, "a.yaml", "")
			if err := os.Truncate(filepath.Join(dir, "a.yaml"), 1<<30); err != nil {
				t.Fatal(err)
			}
		}, "$DIR/a.yaml: is larger than 1048576 bytes\n   split it into several files"},
		{"files", func(t *testing.T, dir string) {
			for i := range policyfile.MaxFiles + 1 {
				write(t, dir, fmt.Sprintf("%d.yaml", i), "x")
			}
		}, "$DIR: more than 1000 policy files\n   put several documents into one file"},
		{"bytes", func(t *testing.T, dir string) {
			for i := range 33 {
				write(t, dir, fmt.Sprintf("%d.yaml", i), strings.Repeat("#", policyfile.MaxFileBytes))
			}
		}, "$DIR: more than 33554432 bytes in all\n   name the directory that holds the policy alone"},
		{"entries", func(t *testing.T, dir string) {
			for i := range 5_001 {
				link(t, "x.md", dir, fmt.Sprintf("%d.md", i))
			}
		}, "$DIR: more than 5000 entries\n   name the directory that holds the policy alone"},
		{"two at once", func(t *testing.T, dir string) {
			link(t, "none", dir, "a.yaml")
			link(t, "/etc/hostname", dir, "b.yaml")
		}, "$DIR/a.yaml: is a link that leads nowhere, or was removed while it was read\n   correct or remove it\n\n" +
			"$DIR/b.yaml: is a link that leads out of the policy directory\n   put the file itself here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.make(t, dir)
			_, err := policyfile.Read(dir)
			if err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), dir, "$DIR"), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, filepath.Dir(file), "policy.yaml", "x")
	for dir, want := range map[string]string{
		"":             "no policy directory is named: set policy.dir in the settings",
		"testdata/nix": "there is no policy directory testdata/nix: create it, or correct policy.dir in the settings",
		file:           "the policy directory cannot be opened: open " + file + ": not a directory",
	} {
		if _, err := policyfile.Read(dir); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}
