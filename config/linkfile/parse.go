package linkfile

import (
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/tiergate/tiergate/config/strictyaml"
	"github.com/tiergate/tiergate/signals"
)

const (
	apiVersion = "tiergate.dev/v1alpha1"
	kind       = "DeviceLink"
)

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// text is one document as it is written.
type text struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Meta       struct {
		Name  string `yaml:"name"`
		Owner string `yaml:"owner"`
	} `yaml:"metadata"`
	Spec struct {
		Forbid []string `yaml:"forbid,omitempty"`
		Same   []string `yaml:"same,omitempty"`
		Reason string   `yaml:"reason"`
		Ticket string   `yaml:"ticket"`
	} `yaml:"spec"`
}

// parsed is a document with the places of its names.
type parsed struct {
	signals.DeviceLink
	yaml *strictyaml.Document
	at   map[signals.Alias]string // the path of each name
}

type parser struct {
	documents []*parsed
	names     map[string]strictyaml.Position // of documents
	problems  strictyaml.Problems
}

// Parse reads the documents. The error is strictyaml.Problems, sorted by place.
func (f *Files) Parse() ([]signals.DeviceLink, error) {
	p := &parser{names: map[string]strictyaml.Position{}}
	for _, file := range f.files {
		documents, problems := strictyaml.Parse(filepath.Join(f.dir, file.name), file.data)
		p.problems = append(p.problems, problems...)
		for _, d := range documents {
			p.document(d)
		}
	}
	p.contradictions()
	if len(p.problems) > 0 {
		return nil, p.problems.Sorted()
	}
	links := make([]signals.DeviceLink, 0, len(p.documents))
	for _, d := range p.documents {
		links = append(links, d.DeviceLink)
	}
	return links, nil
}

func (p *parser) fault(d *strictyaml.Document, path, message, help string) {
	p.problems = append(p.problems, d.Problem(path, message, help))
}

func (p *parser) document(d *strictyaml.Document) {
	d.Title = "the DeviceLink"
	var t text
	p.problems = append(p.problems, d.Decode("", &t)...)
	if t.APIVersion != "" && t.APIVersion != apiVersion {
		p.fault(d, "apiVersion", fmt.Sprintf("apiVersion is %q", t.APIVersion), "write "+apiVersion)
	}
	if t.Kind != "" && t.Kind != kind {
		p.fault(d, "kind", fmt.Sprintf("%q is no kind of document here", t.Kind), "write "+kind)
	}
	for path, name := range map[string]string{"metadata.name": t.Meta.Name, "metadata.owner": t.Meta.Owner} {
		if name != "" && !namePattern.MatchString(name) {
			p.fault(d, path, fmt.Sprintf("%q is no name", name),
				"write 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit")
		}
	}
	if first, taken := p.names[t.Meta.Name]; taken && t.Meta.Name != "" {
		p.fault(d, "metadata.name", fmt.Sprintf("the DeviceLink %q stands at %s too", t.Meta.Name, first), "rename one")
	}
	p.names[t.Meta.Name] = d.At("metadata.name")
	doc := &parsed{yaml: d, at: map[signals.Alias]string{}, DeviceLink: signals.DeviceLink{
		Name: t.Meta.Name, Owner: t.Meta.Owner, Reason: t.Spec.Reason, Ticket: t.Spec.Ticket}}
	switch forbid, same := d.Has("spec.forbid"), d.Has("spec.same"); {
	case forbid && same:
		p.fault(d, "spec.same", "both forbid and same", "write one of them; make two documents")
	case !forbid && !same && d.Has("spec"):
		p.fault(d, "spec", "neither forbid nor same", "write forbid: [NAME, NAME] or same: [NAME, NAME]")
	}
	doc.Forbid = p.list(doc, "spec.forbid", t.Spec.Forbid)
	doc.Same = p.list(doc, "spec.same", t.Spec.Same)
	p.documents = append(p.documents, doc)
}

// list reads the names of one list.
func (p *parser) list(doc *parsed, path string, names []string) []signals.Alias {
	if len(names) == 1 {
		p.fault(doc.yaml, path, "one name", "write two or more")
	}
	var aliases []signals.Alias
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", path, i)
		if name == "" {
			continue // the decoder has said so
		}
		alias, err := signals.ParseAlias(name)
		if err != nil {
			p.fault(doc.yaml, at, err.Error(), "write KIND:VALUE with the value that this one device has, such as serial:C02AAAAAAAA1")
			continue
		}
		if first, twice := doc.at[alias]; twice {
			p.fault(doc.yaml, at, fmt.Sprintf("%s is %s too", alias, first), "remove one")
			continue
		}
		doc.at[alias] = at
		aliases = append(aliases, alias)
	}
	return aliases
}

// contradictions are names that documents, over however many, make one device, and that one keeps apart.
func (p *parser) contradictions() {
	group := map[signals.Alias]int{} // names of one number are one device
	members := map[int][]signals.Alias{}
	for i, doc := range p.documents {
		for _, alias := range doc.Same {
			moved, known := group[alias]
			if !known {
				group[alias], members[i] = i, append(members[i], alias)
			} else if moved != i {
				for _, other := range members[moved] {
					group[other] = i
				}
				members[i] = append(members[i], members[moved]...)
				delete(members, moved)
			}
		}
	}
	for _, doc := range p.documents {
		first := map[int]signals.Alias{}
		for _, alias := range doc.Forbid {
			g, known := group[alias]
			if !known {
				continue
			}
			if other, taken := first[g]; taken {
				p.fault(doc.yaml, doc.at[alias], fmt.Sprintf("%s and %s are one device by %s", other, alias, p.because(other, alias)),
					"correct one of the documents")
				continue
			}
			first[g] = alias
		}
	}
}

// because names the document that makes two names one device, or those that begin and end the chain.
func (p *parser) because(a, b signals.Alias) string {
	var from, to *parsed
	for _, doc := range p.documents {
		_, hasA := doc.at[a]
		_, hasB := doc.at[b]
		if len(doc.Same) == 0 {
			continue
		}
		if hasA && hasB {
			return fmt.Sprintf("%q at %s", doc.Name, doc.yaml.At(doc.at[a]))
		}
		if hasA && from == nil {
			from = doc
		}
		if hasB && to == nil {
			to = doc
		}
	}
	return fmt.Sprintf("%q at %s and %q at %s, over names that they share", from.Name, from.yaml.At(from.at[a]), to.Name,
		to.yaml.At(to.at[b]))
}
