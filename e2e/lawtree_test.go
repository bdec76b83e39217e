package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tree is a repository as the laws see it: the text of every file that git knows or would add, Go files parsed, and
// what each package links. Planted repositories of a few lines are trees as well.
type tree struct {
	module  string
	text    map[string]string // by slash path from the top
	sources []source          // Go files, in the order of their paths, without those of other modules
	linked  map[string][]string
}

// source is one Go file.
type source struct {
	path, dir string
	test      bool // _test.go
	fset      *token.FileSet
	file      *ast.File
}

// reference is one import of a file.
type reference struct {
	path, name string // name: under which the file knows the package; "." and "_" as they are written
	at         token.Pos
}

// imported yields what the file imports.
func (s source) imported(yield func(reference) bool) {
	for _, spec := range s.file.Imports {
		full, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(full)
		if len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" {
			name = path.Base(path.Dir(full)) // a major version names no package; our Envoy imports all carry a name
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if !yield(reference{full, name, spec.Pos()}) {
			return
		}
	}
}

// names returns the names under which the file knows an import path.
func (s source) names(importPath string) []string {
	var names []string
	for in := range s.imported {
		if in.path == importPath {
			names = append(names, in.name)
		}
	}
	return names
}

// at is path:line of a position.
func (s source) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(pos).Line)
}

// ours returns the directory of an import path of this module.
func (t tree) ours(importPath string) (dir string, ok bool) {
	if importPath == t.module {
		return ".", true
	}
	return strings.CutPrefix(importPath, t.module+"/")
}

// production yields the Go files that are no tests and stand outside e2e.
func (t tree) production(yield func(source) bool) {
	for _, s := range t.sources {
		if !s.test && !within(s.dir, "e2e/...") && !yield(s) {
			return
		}
	}
}

// packages returns the directories that hold Go files other than tests.
func (t tree) packages() []string {
	var dirs []string
	for _, s := range t.sources {
		if !s.test {
			dirs = append(dirs, s.dir)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// newTree parses what is given as text. A file that does not parse is an error: no law could be checked on it.
func newTree(module string, text map[string]string) (tree, error) {
	t := tree{module: module, text: text}
	var foreign []string // directories of other modules
	for name := range text {
		if path.Base(name) == "go.mod" && name != "go.mod" {
			foreign = append(foreign, path.Dir(name)+"/...")
		}
	}
	for name, content := range text {
		dir := path.Dir(name)
		if path.Ext(name) != ".go" || inTestdata(name) ||
			slices.ContainsFunc(foreign, func(pattern string) bool { return within(dir, pattern) }) {
			continue
		}
		s := source{path: name, dir: dir, test: strings.HasSuffix(name, "_test.go"), fset: token.NewFileSet()}
		const mode = parser.ParseComments | parser.SkipObjectResolution
		var err error
		if s.file, err = parser.ParseFile(s.fset, name, content, mode); err != nil {
			return tree{}, err
		}
		t.sources = append(t.sources, s)
	}
	slices.SortFunc(t.sources, func(a, b source) int { return strings.Compare(a.path, b.path) })
	return t, nil
}

func inTestdata(name string) bool { return slices.Contains(strings.Split(name, "/"), "testdata") }

// within reports whether dir fits a pattern: exact, PATH/* (one segment more) or PATH/... (PATH and all below).
func within(dir, pattern string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return dir == prefix || strings.HasPrefix(dir, prefix+"/")
	}
	if prefix, ok := strings.CutSuffix(pattern, "/*"); ok {
		return path.Dir(dir) == prefix
	}
	return dir == pattern
}

// below reports whether an import path is a library or a package of it: "net" has "net/http", not "network"; a major
// version belongs to the library too.
func below(importPath, library string) bool {
	return importPath == library || strings.HasPrefix(importPath, library+"/")
}

// checkout reads the repository around the working directory.
func checkout(t *testing.T) tree {
	t.Helper()
	root, err := filepath.Abs(".")
	for err == nil {
		if _, err = os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		} else if filepath.Dir(root) != root {
			root, err = filepath.Dir(root), nil
		}
	}
	if err != nil {
		t.Fatalf("no go.mod above the working directory: %v", err)
	}
	text := map[string]string{}
	for name := range strings.SplitSeq(command(t, root, "git", "ls-files", "-z", "--cached", "--others",
		"--exclude-standard"), "\x00") {
		content, err := os.ReadFile(filepath.Join(root, name))
		switch {
		case name == "" || errors.Is(err, os.ErrNotExist): // removed, and git not told yet
		case err != nil:
			t.Fatal(err)
		default:
			text[name] = string(content)
		}
	}
	here, err := newTree(strings.TrimSpace(command(t, root, "go", "list", "-m")), text)
	if err != nil {
		t.Fatal(err)
	}
	here.linked = linked(t, root, here)
	return here
}

// linked asks go what each package of ours links, whole. A package that does not load is the compiler's to report (-e).
func linked(t *testing.T, root string, here tree) map[string][]string {
	t.Helper()
	deps := map[string][]string{}
	decoder := json.NewDecoder(strings.NewReader(command(t, root, "go", "list", "-e", "-json=ImportPath,Deps", "./...")))
	for {
		var p struct {
			ImportPath string
			Deps       []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return deps
		} else if err != nil {
			t.Fatal(err)
		}
		if dir, ok := here.ours(p.ImportPath); ok {
			deps[dir] = p.Deps
		}
	}
}

func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, complaint.String())
	}
	return string(out)
}
