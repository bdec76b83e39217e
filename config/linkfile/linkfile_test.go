package linkfile_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/config/linkfile"
)

var update = flag.Bool("update", false, "write what is said now as what should be said")

func directory(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func document(name, spec string) string {
	return "---\napiVersion: tiergate.dev/v1alpha1\nkind: DeviceLink\nmetadata: {name: " + name + ", owner: endpoint}\nspec: {" + spec +
		", reason: swapped, ticket: HELP-1}\n"
}

func TestParse(t *testing.T) {
	dir := directory(t, map[string]string{
		"b.yaml": document("two", `forbid: ["serial:a1", "uuid:4c4c4544005135108052b4c04f564433"]`) +
			document("three", `same: ["vendor:mdm/17", "serial:B1", "serial:C1"]`),
		"a.yml": document("one", `same: ["serial:A1", "serial:B1"]`), "c.yaml": "# nothing yet\n", ".d.yaml": "{", "e.txt": "{",
	})
	files, err := linkfile.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	links, err := files.Parse()
	want := "[{one endpoint swapped HELP-1 [] [serial:A1 serial:B1]} " +
		"{two endpoint swapped HELP-1 [serial:A1 uuid:4C4C4544-0051-3510-8052-B4C04F564433] []} " +
		"{three endpoint swapped HELP-1 [] [vendor:mdm/17 serial:B1 serial:C1]}]"
	if got := fmt.Sprint(links); err != nil || got != want {
		t.Errorf("%v\n%s\n%s", err, got, want)
	}
	before := files.Digest()
	if err := os.Rename(filepath.Join(dir, "c.yaml"), filepath.Join(dir, "d.yaml")); err != nil {
		t.Fatal(err)
	}
	if files, err = linkfile.Read(dir); err != nil || files.Digest() == before {
		t.Errorf("%v; another name is another digest", err)
	}
}

// Each file of testdata/bad is a directory of its own; what is said of it stands beside it, word for word.
func TestBadDocuments(t *testing.T) {
	names, _ := filepath.Glob("testdata/bad/*.yaml")
	if len(names) < 4 {
		t.Fatal(names)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		dir := directory(t, map[string]string{"links.yaml": string(text)})
		files, err := linkfile.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		links, err := files.Parse()
		if err == nil || links != nil {
			t.Errorf("%s is taken: %v", name, links)
			continue
		}
		got := strings.ReplaceAll(err.Error(), dir, "$DIR") + "\n"
		golden := strings.TrimSuffix(name, "yaml") + "txt"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if want, _ := os.ReadFile(golden); got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestUnreadableDirectory(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	inTheWay := directory(t, nil)
	if err := os.Mkdir(filepath.Join(inTheWay, "a.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	dangling := directory(t, nil)
	if err := os.Symlink("nowhere", filepath.Join(dangling, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	many := map[string]string{}
	for i := range 1001 {
		many[fmt.Sprint(i, ".yaml")] = ""
	}
	for dir, want := range map[string]string{
		missing: "cannot be listed", directory(t, nil): "has no .yaml file", inTheWay: "no regular file",
		dangling: "no such file", directory(t, many): "more than 1000 files",
	} {
		if _, err := linkfile.Read(dir); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.HasPrefix(err.Error(), "ingest.links: ") {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

// A mounted ConfigMap is read in one version: what is linked from beside its data is not looked at.
func TestConfigMap(t *testing.T) {
	dir := directory(t, nil)
	version := filepath.Join(dir, "..2026")
	if err := os.Mkdir(version, 0o700); err != nil {
		t.Fatal(err)
	}
	text := document("one", `same: ["serial:A1", "serial:B1"]`)
	if err := os.WriteFile(filepath.Join(version, "a.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"..data": "..2026", "a.yaml": "..data/a.yaml", "b.yaml": "..data/b.yaml"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := linkfile.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if links, err := files.Parse(); err != nil || len(links) != 1 {
		t.Errorf("%v, %v", links, err)
	}
}
