package policytest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// Rewrite is one field of one expectation that Update wrote, or could not write.
type Rewrite struct {
	Place strictyaml.Position `json:"place"` // of the case, before
	Name  string              `json:"name"`
	Field string              `json:"field"`
	Was   string              `json:"was"`
	Is    string              `json:"is,omitempty"`
	Fault string              `json:"fault,omitempty"` // why it was left alone
}

// Update puts the answers of a policy in the place of what failing cases expect, in their files; everything else of the
// files stays as it is, byte for byte. Only fields that a case compares are written: in the case or variant itself, also
// where defaults or the case above say them. A file is only written if all its rewritten cases then pass, and if nobody
// has changed it since it was read. The error is of a file; what was done before it stays done and is returned.
func Update(p *policy.Policy, results []Result) ([]Rewrite, error) {
	var all []Rewrite
	for _, file := range failingFiles(results) {
		rewrites, changes := editsOf(results, file)
		if len(changes) > 0 {
			if err := rewriteFile(p, results, file, changes, rewritten(rewrites)); err != nil {
				return all, fmt.Errorf("%s was left as it is: %w", file, err)
			}
		}
		all = append(all, rewrites...)
	}
	return all, nil
}

func failingFiles(results []Result) []string {
	var files []string
	for i := range results {
		if r := &results[i]; len(r.differences) > 0 && !slices.Contains(files, r.Place.File) {
			files = append(files, r.Place.File)
		}
	}
	return files
}

// editsOf finds what is to be changed in a file. A case of which some field cannot be written is left alone as a whole:
// an answer that is half new and half old is no answer.
func editsOf(results []Result, file string) (rewrites []Rewrite, changes []strictyaml.Change) {
	for i := range results {
		r := &results[i]
		if r.Place.File != file || len(r.differences) == 0 {
			continue
		}
		edits, err := r.edits()
		for _, d := range r.differences {
			w := Rewrite{Place: r.Place, Name: r.Case.Name, Field: d.field, Was: d.want, Is: d.got}
			if err != nil {
				w.Is, w.Fault = "", err.Error()
			}
			rewrites = append(rewrites, w)
		}
		if err == nil {
			changes = append(changes, edits...)
		}
	}
	return rewrites, changes
}

// edits are the changes that make one case expect what came of it.
func (r *Result) edits() ([]strictyaml.Change, error) {
	document, path := r.Case.origin.document, r.Case.origin.path+".expect"
	short := document.Text(path) != ""
	var changes []strictyaml.Change
	var added []strictyaml.Field
	for _, d := range r.differences {
		if d.put == nil && d.items == nil {
			return nil, fmt.Errorf("%s is written by people; say there what you want to read", d.field)
		}
		if short || !document.Has(path+"."+d.field) {
			added = append(added, strictyaml.Field{Name: d.field, Value: d.flow()})
			continue
		}
		change, err := d.replace(document, path+"."+d.field)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.field, err)
		}
		changes = append(changes, change)
	}
	if len(added) == 0 {
		return changes, nil
	}
	change, err := r.add(document, path, added, short)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", added[0].Name, err)
	}
	return append(changes, change), nil
}

func (d *difference) replace(document *strictyaml.Document, path string) (strictyaml.Change, error) {
	if d.put != nil {
		return document.Replace(path, *d.put)
	}
	return document.ReplaceList(path, d.items)
}

func (d *difference) flow() string {
	if d.put != nil {
		return *d.put
	}
	return "[" + strings.Join(d.items, ", ") + "]"
}

// add writes fields that the case does not have yet: behind the others, as an expectation of its own, or in place of the
// short form.
func (r *Result) add(
	document *strictyaml.Document, path string, added []strictyaml.Field, short bool,
) (strictyaml.Change, error) {
	if !short && document.Has(path) {
		return document.Add(path, added)
	}
	if short {
		word := func(name, said string) { // what the short form says and stays right
			if said != "" && !slices.ContainsFunc(added, func(f strictyaml.Field) bool { return f.Name == name }) {
				added = append([]strictyaml.Field{{Name: name, Value: said}}, added...)
			}
		}
		word("reason", r.Case.Expect.Reason)
		word("outcome", r.Case.Expect.Outcome)
		if !slices.ContainsFunc(added, func(f strictyaml.Field) bool { return f.Name != "outcome" && f.Name != "reason" }) {
			slices.SortStableFunc(added, func(a, b strictyaml.Field) int { return strings.Compare(a.Name, b.Name) })
			text := added[0].Value
			for _, f := range added[1:] {
				text += " " + f.Value
			}
			return document.Replace(path, text)
		}
	}
	flow := make([]string, 0, len(added))
	for _, f := range added {
		flow = append(flow, f.Name+": "+f.Value)
	}
	value := "{" + strings.Join(flow, ", ") + "}"
	if short {
		return document.Replace(path, value)
	}
	return document.Add(r.Case.origin.path, []strictyaml.Field{{Name: "expect", Value: value}})
}

// rewriteFile makes the changes, sees that the cases then pass, and only then writes.
func rewriteFile(p *policy.Policy, results []Result, name string, changes []strictyaml.Change, rewritten int) error {
	i := slices.IndexFunc(results, func(r Result) bool { return r.Place.File == name })
	raw := results[i].Case.origin.raw
	changed := strictyaml.Apply(raw, changes)
	cases, problems := Parse(name, changed)
	if len(problems) > 0 {
		return fmt.Errorf("the text that would stand there cannot be read; edit it by hand: %w", problems)
	}
	again, err := Run(p, cases)
	if err != nil {
		return err
	}
	if len(again) != inFile(results, name) || failing(again, name) != failing(results, name)-rewritten {
		return errors.New("the cases would not pass with it; edit it by hand")
	}
	if now, err := os.ReadFile(filepath.Clean(name)); err != nil || !bytes.Equal(now, raw) {
		return errors.New("somebody else has changed it meanwhile; run this again")
	}
	return replaceFile(name, changed)
}

// rewritten counts the cases that are written.
func rewritten(rewrites []Rewrite) int {
	names := map[string]bool{}
	for _, w := range rewrites {
		if w.Fault == "" {
			names[w.Place.String()+w.Name] = true
		}
	}
	return len(names)
}

func inFile(results []Result, file string) int {
	n := 0
	for i := range results {
		if results[i].Place.File == file {
			n++
		}
	}
	return n
}

func failing(results []Result, file string) int {
	n := 0
	for i := range results {
		if results[i].Place.File == file && len(results[i].differences) > 0 {
			n++
		}
	}
	return n
}

// replaceFile puts a whole new file in the place of the old one, so that a full disk leaves the old one there.
func replaceFile(name string, data []byte) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	was, err := os.Stat(name)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".cases-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(was.Mode().Perm()), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
