package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/tiergate/tiergate/authz/policytest"
	"github.com/tiergate/tiergate/config/policyfile"
)

// starterFiles are the files of a starting policy, as templates with << and >> around what is filled in.
//
//go:embed policyinit
var starterFiles embed.FS

const starterRoot = "policyinit"

// What editors know documents and cases by, beside them.
const (
	policySchemaFile = "policy.schema.json"
	casesSchemaFile  = "cases.schema.json"
)

// plainDirs are made for what settings.yaml names; nobody else may look into them.
var plainDirs = []string{"evidence", "history", "pki", "run", "secrets", "store"}

// laidFile is one file of a starting policy.
type laidFile struct {
	name       string // relative, with slashes
	schemaLine string
	text       []byte
}

// render makes all files in memory, so that nothing is written if one cannot be.
func (s starter) render() ([]laidFile, error) {
	var files []laidFile
	functions := template.FuncMap{"y": func(text string) string { return yamlScalar(text) }}
	err := fs.WalkDir(starterFiles, starterRoot, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := starterFiles.ReadFile(name)
		if err != nil {
			return err
		}
		parsed, err := template.New(name).Delims("<<", ">>").Funcs(functions).Option("missingkey=error").Parse(string(raw))
		if err != nil {
			return err
		}
		f := laidFile{name: strings.TrimPrefix(name, starterRoot+"/")}
		var out bytes.Buffer
		if f.schemaLine = schemaLine(f.name); f.schemaLine != "" {
			out.WriteString(f.schemaLine + "\n")
		}
		if err := parsed.Execute(&out, s); err != nil {
			return err
		}
		if f.name == "gitignore" { // embed leaves out names that begin with a dot
			f.name = ".gitignore"
		}
		f.text = out.Bytes()
		files = append(files, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for name, schema := range map[string]func() ([]byte, error){
		policySchemaFile: policyfile.Schema, casesSchemaFile: policytest.Schema,
	} {
		text, err := schema()
		if err != nil {
			return nil, err
		}
		files = append(files, laidFile{name: name, text: text})
	}
	slices.SortFunc(files, func(a, b laidFile) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

// schemaLine is the line by which editors find the schema of a file.
func schemaLine(name string) string {
	var schema string
	switch top, _, _ := strings.Cut(name, "/"); top {
	case "policy":
		schema = policySchemaFile
	case "cases":
		schema = casesSchemaFile
	default:
		return ""
	}
	return "# yaml-language-server: $schema=" + strings.Repeat("../", strings.Count(name, "/")) + schema
}

// shownEntries is how many names of a directory that is not empty are told.
const shownEntries = 5

// layDown writes the files into a directory that is new or empty. If one cannot be written, what was is removed again.
func layDown(dir string, files []laidFile) error {
	if err := vacant(dir); err != nil {
		return err
	}
	// What is above the directory is not ours to remove.
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(dir)), 0o755); err != nil { //nolint:gosec // a policy is for its reviewers to read
		return err
	}
	var l laying
	err := l.all(dir, files)
	if err == nil {
		return nil
	}
	for _, path := range slices.Backward(l.made) {
		err = errors.Join(err, os.Remove(path))
	}
	return fmt.Errorf("%w; nothing is left of what was written", err)
}

// laying remembers what it made, in order.
type laying struct{ made []string }

func (l *laying) all(dir string, files []laidFile) error {
	if err := l.mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, name := range plainDirs {
		if err := l.mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := l.write(dir, f); err != nil {
			return err
		}
	}
	return nil
}

func (l *laying) mkdir(path string, mode fs.FileMode) error {
	switch err := os.Mkdir(path, mode); {
	case err == nil:
		l.made = append(l.made, path)
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	return nil
}

func (l *laying) write(dir string, f laidFile) error {
	path := dir
	for _, above := range strings.Split(f.name, "/")[:strings.Count(f.name, "/")] {
		path = filepath.Join(path, above)
		if err := l.mkdir(path, 0o755); err != nil {
			return err
		}
	}
	path = filepath.Join(dir, filepath.FromSlash(f.name))
	// Never over what is there. Nothing in it is secret, and its reviewers read it.
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // see above
	if err != nil {
		return err
	}
	l.made = append(l.made, path)
	_, err = file.Write(f.text)
	return errors.Join(err, file.Close())
}

// vacant refuses a place that holds something.
func vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0:
		return nil
	case err != nil:
		return usageError{fmt.Errorf("%w: name a new or an empty directory", err)}
	}
	var names []string
	for _, e := range entries[:min(len(entries), shownEntries)] {
		names = append(names, e.Name())
	}
	more := ""
	if n := len(entries) - len(names); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return usageError{fmt.Errorf("%s is not empty: it holds %s%s. Nothing is overwritten: name a new or an empty directory",
		dir, strings.Join(names, ", "), more)}
}
