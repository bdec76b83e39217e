package policyfile

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// APIVersion is what every document states.
const APIVersion = "tiergate.dev/v1alpha1"

// maxProblems bounds a report; nobody reads more, and a console keeps it in memory.
const maxProblems = 1000

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// header is what all documents have.
type header struct {
	APIVersion string              `yaml:"apiVersion"`
	Kind       string              `yaml:"kind"`
	Meta       policy.Meta         `yaml:"metadata"`
	Spec       strictyaml.Deferred `yaml:"spec"`
}

// Compile decodes the documents and judges them as a whole. With any problem there is no policy. Problems come sorted by
// place.
//
// As many faults as possible are named in one run, but none that only follows from another: while a document cannot be
// read at all, nothing is said about what refers to it.
func Compile(files *Files, world policy.World) (*policy.Policy, strictyaml.Problems) {
	c := &compiler{dir: files.dir, documents: map[string]*document{}}
	for _, f := range files.files {
		c.file(filepath.Join(files.dir, filepath.FromSlash(f.name)), f.data)
	}
	if c.unread {
		return nil, c.report()
	}
	compiled, faults := policy.New(c.spec, world)
	for _, fault := range faults {
		c.fault(fault)
	}
	if len(c.problems) > 0 {
		return nil, c.report()
	}
	if compiled == nil || len(faults) > 0 {
		// Every fault was held back and yet nothing else is wrong: say so rather than run without a policy.
		for _, fault := range faults {
			c.problems = append(c.problems, c.place(fault))
		}
		return nil, c.report()
	}
	return compiled, nil
}

// document is one that is part of the spec, with the paths that are already known to be wrong.
type document struct {
	yaml  *strictyaml.Document
	wrong []string
}

type compiler struct {
	dir       string
	spec      policy.Spec
	documents map[string]*document // by kind and name
	unread    bool                 // something could not be read that others may refer to
	problems  strictyaml.Problems
}

func (c *compiler) report() strictyaml.Problems {
	sorted := c.problems.Sorted()
	if len(sorted) > maxProblems {
		sorted = append(sorted[:maxProblems], strictyaml.Problem{
			Position: strictyaml.Position{File: c.dir},
			Message:  fmt.Sprintf("more than %d faults", maxProblems),
			Help:     "mend these first",
		})
	}
	return sorted
}

func (c *compiler) file(name string, data []byte) {
	documents, problems := strictyaml.Parse(name, data)
	c.problems = append(c.problems, problems...)
	c.unread = c.unread || len(problems) > 0
	for _, d := range documents {
		c.document(d)
	}
}

func (c *compiler) document(d *strictyaml.Document) {
	d.Title = "the document"
	var h header
	problems := d.Decode("", &h)
	if h.APIVersion != "" && h.APIVersion != APIVersion {
		problems = append(problems,
			d.Problem("apiVersion", fmt.Sprintf("apiVersion is %q", h.APIVersion), "write "+APIVersion))
	}
	doc := &document{yaml: d}
	switch k, known := kinds[h.Kind]; {
	case known:
		problems = append(problems, c.meta(doc, h)...)
		problems = append(problems, c.body(doc, h, k)...)
	default:
		c.unread = true
		if h.Kind != "" {
			problems = append(problems, d.Problem("kind", fmt.Sprintf("%q is no kind of document", h.Kind), kindHelp(h.Kind)))
		}
	}
	for _, p := range problems {
		doc.wrong = append(doc.wrong, p.Path)
	}
	c.problems = append(c.problems, problems...)
}

func kindHelp(kind string) string {
	if near, ok := strictyaml.Nearest(kind, kindNames); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "known are " + strings.Join(kindNames, ", ")
}

// meta checks the document's name and puts it under that name. Owners are judged with the policy as a whole.
func (c *compiler) meta(doc *document, h header) strictyaml.Problems {
	d, name := doc.yaml, h.Meta.Name
	var problems strictyaml.Problems
	if h.Kind == policy.KindGovernance && h.Meta.Owner != "" {
		problems = append(problems,
			d.Problem("metadata.owner", "a Governance document has no owner", "remove it; accountable says who"))
	}
	if name == "" {
		c.unread = true // the decoder has said why
		return problems
	}
	key := h.Kind + "/" + name
	if first, taken := c.documents[key]; taken {
		return append(problems, d.Problem("metadata.name",
			fmt.Sprintf("%s %q is written twice; first at %s", h.Kind, name, first.yaml.At("metadata.name")),
			"rename or remove one of them"))
	}
	c.documents[key] = doc
	if !namePattern.MatchString(name) {
		problems = append(problems, d.Problem("metadata.name", fmt.Sprintf("%q is no name", name),
			"write 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit"))
	}
	return problems
}

// body decodes the spec into the policy, but for a second document of the same name.
func (c *compiler) body(doc *document, h header, k kind) strictyaml.Problems {
	d := doc.yaml
	switch {
	case !d.Has("spec"):
		c.unread = true // the decoder of the header has said so
		return nil
	case d.Empty("spec"):
		c.unread = true
		return strictyaml.Problems{d.Problem("spec", "spec is empty", "state what the "+h.Kind+" is")}
	}
	spec := &c.spec
	if c.documents[h.Kind+"/"+h.Meta.Name] != doc {
		spec = &policy.Spec{}
	}
	d.Title = h.Kind
	problems := k.decode(d, h.Meta, spec)
	if d.Empty("spec.methods") && h.Kind == policy.KindRoute {
		problems = append(problems, d.Problem("spec.methods", "the route lists no method",
			"list some, or remove methods to cover every one"))
	}
	for _, p := range problems {
		// Names that others refer to are lost with these.
		c.unread = c.unread || p.Path == "spec" || h.Kind == policy.KindBaseline && p.Path == "spec.signals" ||
			h.Kind == policy.KindGovernance && p.Path == "spec.teams"
	}
	return problems
}
