package policyfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// Entry is one document, or one CODEOWNERS file, as far as it takes to see that it changed and whose it is.
type Entry struct {
	Kind  string // of the document; empty for CODEOWNERS
	Name  string
	Owner string
	File  string // the path in the repository, with slashes
	// digest is equal where the document says the same, however it is laid out.
	digest [sha256.Size]byte
	shown  string               // the file, as messages name it
	doc    *strictyaml.Document // where things stand in it
}

// String names the entry in a message.
func (e Entry) String() string {
	if e.Kind == "" {
		return e.Name
	}
	return fmt.Sprintf("%s %q", e.Kind, e.Name)
}

// Key is equal for the versions of one document. No document's kind holds a slash: see Entries.
func (e Entry) Key() string {
	if e.Kind == "" {
		return "/" + e.Name
	}
	return e.Kind + "/" + e.Name
}

// Light is the entry without the text of its file: enough to compare, and small enough to keep many.
func (e Entry) Light() Entry {
	e.doc = nil
	return e
}

// at is a problem at the field of a document, or at the file where there is none.
func (e Entry) at(field, message, help string) strictyaml.Problem {
	if e.doc == nil {
		return strictyaml.Problem{Position: strictyaml.Position{File: e.shown}, Message: message, Help: help}
	}
	return e.doc.Problem(field, message, help)
}

// Entries are the documents of one policy file. File is its path in the repository and shown what problems call it. A
// document without a kind or a name cannot be told from others, and is a problem here; all else is Compile's to judge.
func Entries(file, shown string, data []byte) ([]Entry, strictyaml.Problems) {
	documents, problems := strictyaml.Parse(shown, data)
	var entries []Entry
	for _, d := range documents {
		e := Entry{
			Kind: d.Text("kind"), Name: d.Text("metadata.name"), Owner: d.Text("metadata.owner"),
			File: file, digest: d.Digest(), shown: shown, doc: d,
		}
		switch {
		case e.Kind == "" || strings.Contains(e.Kind, "/"):
			problems = append(problems,
				d.Problem("kind", "the document has no kind", "write one of "+strings.Join(kindNames, ", ")))
		case e.Name == "":
			problems = append(problems, d.Problem("metadata.name", "the document has no name", "write metadata.name"))
		default:
			entries = append(entries, e)
		}
	}
	return entries, problems
}

// CodeOwnersEntry is a CODEOWNERS file as something that can change. The ends of its lines do not matter.
func CodeOwnersEntry(file, shown string, data []byte) Entry {
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	return Entry{Name: file, File: file, digest: sha256.Sum256(data), shown: shown}
}

// Entries are the documents of all files; dir is the path in the repository of the directory that they were read from.
func (f *Files) Entries(dir string) ([]Entry, strictyaml.Problems) {
	var all []Entry
	var problems strictyaml.Problems
	for _, file := range f.files {
		entries, bad := Entries(path.Join(dir, file.name), filepath.Join(f.dir, filepath.FromSlash(file.name)), file.data)
		all, problems = append(all, entries...), append(problems, bad...)
	}
	return all, problems
}

// Listing is what stood where at one moment.
type Listing struct {
	entries map[string][]Entry // by key; more than one is a fault that Compile names
}

// List makes a listing.
func List(entries []Entry) *Listing {
	l := &Listing{entries: map[string][]Entry{}}
	for _, e := range entries {
		l.entries[e.Key()] = append(l.entries[e.Key()], e)
	}
	return l
}

// State is what one document says and in which file: equal in two listings exactly if nobody changed or moved it. It is
// empty where there is no such document.
func (l *Listing) State(key string) string {
	var states []string
	for _, e := range l.entries[key] {
		states = append(states, hex.EncodeToString(e.digest[:])+" "+e.File)
	}
	slices.Sort(states)
	return strings.Join(states, "\x00")
}

// Changed are the keys of what was added, removed, moved or changed from one listing to the other, sorted.
func Changed(from, to *Listing) []string {
	keys := map[string]bool{}
	for _, l := range []*Listing{from, to} {
		for key := range l.entries {
			if from.State(key) != to.State(key) {
				keys[key] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

// documents yields the entries that are documents, in the order of their keys.
func (l *Listing) documents() []Entry {
	var all []Entry
	for _, key := range slices.Sorted(maps.Keys(l.entries)) {
		for _, e := range l.entries[key] {
			if e.Kind != "" {
				all = append(all, e)
			}
		}
	}
	return all
}

// governance are the teams and the document that says so; ok is false where there is none. What is wrong in it Compile
// has said.
func (l *Listing) governance() (teams map[string]policy.Team, at Entry, ok bool) {
	for _, e := range l.documents() {
		if e.Kind == policy.KindGovernance && e.doc != nil {
			var g policy.Governance
			_ = e.doc.Decode("spec", &g)
			return g.Teams, e, true
		}
	}
	return nil, Entry{}, false
}

// IsPolicy reports whether Read takes a file of this name for policy, if it begins with no dot.
func IsPolicy(name string) bool { return isPolicy(name) }
