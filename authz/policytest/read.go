package policytest

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tiergate/tiergate/config/strictyaml"
	"github.com/tiergate/tiergate/signals"
)

// Load reads every *.yaml file of a directory. All faults of all files are returned at once.
func Load(dir string) ([]Case, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no *.yaml file with cases", dir)
	}
	var cases []Case
	var problems strictyaml.Problems
	for _, file := range files {
		raw, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			return nil, err
		}
		read, faults := Parse(file, raw)
		cases, problems = append(cases, read...), append(problems, faults...)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return cases, nil
}

// Parse reads the cases of one file; the variants of a case are cases of their own, named "CASE / VARIANT".
func Parse(name string, raw []byte) ([]Case, strictyaml.Problems) {
	documents, problems := strictyaml.Parse(name, raw)
	var cases []Case
	for _, document := range documents {
		document.Title = "a file of cases"
		r := reading{document: document, raw: raw, names: map[string]string{}}
		r.read()
		cases, problems = append(cases, r.cases...), append(problems, r.problems...)
	}
	return cases, problems
}

// help is what most faults of a case come to.
const help = "see the documentation of package policytest"

// reading is one document on its way to cases.
type reading struct {
	document *strictyaml.Document
	raw      []byte
	file     file
	names    map[string]string // name of a case → its path
	cases    []Case
	problems strictyaml.Problems
}

func (r *reading) fault(path, message, help string) {
	r.problems = append(r.problems, r.document.Problem(path, message, help))
}

func (r *reading) read() {
	r.problems = r.document.Decode("", &r.file)
	for _, name := range slices.Sorted(maps.Keys(r.file.Devices)) {
		d, path := r.file.Devices[name], "devices."+name
		if strings.ContainsAny(name, ": ") {
			r.fault(path, fmt.Sprintf("%q is no name of a device: it has a colon or a blank", name), "write another name")
		}
		r.readFacts(d.Facts, path)
		if _, err := signals.ParseAlias(d.Name); d.Name != "" && err != nil {
			r.fault(path+".name", err.Error(), help)
		}
	}
	r.readLayer(&r.file.Defaults, "defaults")
	for _, field := range []string{"name", "each"} {
		if r.document.Has("defaults." + field) {
			r.fault("defaults."+field, field+" stands in a case, not in defaults", "move it")
		}
	}
	for i := range r.file.Cases {
		r.readCase(&r.file.Cases[i], fmt.Sprintf("cases[%d]", i))
	}
}

// readLayer reads what only the attributes themselves say how to read.
func (r *reading) readLayer(c *Case, path string) {
	r.readFacts(c.Facts, path)
	c.values = r.readValues(c.Attributes, path)
	for i, name := range c.Without {
		if _, ok := signals.LookupAttribute(name); !ok {
			r.fault(fmt.Sprintf("%s.without[%d]", path, i), fmt.Sprintf("there is no attribute %q", name), attributesHelp)
		}
	}
}

func (r *reading) readCase(c *Case, path string) {
	r.readLayer(c, path)
	var base Case
	base.overlay(r.document, "defaults", &r.file.Defaults)
	base.overlay(r.document, path, c)
	if !r.named(c, path, "") {
		return
	}
	if len(c.Each) == 0 {
		r.finish(base, path)
		return
	}
	for i := range c.Each {
		at := fmt.Sprintf("%s.each[%d]", path, i)
		r.readLayer(&c.Each[i], at)
		if r.document.Has(at + ".each") {
			r.fault(at+".each", "a variant has no variants", "write another case")
			continue
		}
		variant := base
		variant.overlay(r.document, at, &c.Each[i])
		if r.named(&c.Each[i], at, c.Name+" / ") {
			variant.Name = c.Name + " / " + c.Each[i].Name
			r.finish(variant, at)
		}
	}
}

// named demands a name that no other case of the file has.
func (r *reading) named(c *Case, path, before string) bool {
	if c.Name == "" {
		if !r.document.Has(path + ".name") { // else it has been said what is wrong with it
			r.fault(path+".name", fmt.Sprintf("field %q is missing in %s", "name", path), "write name: TEXT")
		}
		return false
	}
	if first, twice := r.names[before+c.Name]; twice {
		line := r.document.At(first + ".name").Line
		r.fault(path+".name", fmt.Sprintf("another case is called that too, at line %d", line), "give this one a name of its own")
	}
	r.names[before+c.Name] = path
	return true
}

// finish judges a case whose fields are all in place.
func (r *reading) finish(c Case, path string) {
	c.origin = origin{document: r.document, path: path, raw: r.raw}
	if c.Request == (request{}) && !r.document.Has(path+".request") {
		r.fault(path+".request", fmt.Sprintf("field %q is missing in %s", "request", path), "write request: GET app.acme.example/")
	}
	if c.Expect.Outcome == "" {
		if !r.document.Has(path+".expect.outcome") && r.document.Text(path+".expect") == "" { // else it has been said
			r.fault(path+".expect", fmt.Sprintf("field %q is missing in %s", "expect.outcome", path), "write expect: allow")
		}
	} else if err := c.Expect.check(); err != nil {
		r.fault(path+".expect", err.Error(), help)
	}
	if err := c.resolve(&r.file, func(field string) bool { return r.document.Has(path + "." + field) }); err != nil {
		r.fault(path, err.Error(), help)
	} else if _, err := c.input(); err != nil {
		r.fault(path, err.Error(), help)
	}
	r.cases = append(r.cases, c)
}

const attributesHelp = "the attributes are those of the policy language"

// readFacts reads the values of the attributes below a path.
func (r *reading) readFacts(list []facts, path string) {
	for i := range list {
		list[i].values = r.readValues(list[i].Attributes, fmt.Sprintf("%s.facts[%d]", path, i))
	}
}

func (r *reading) readValues(attributes map[string]strictyaml.Deferred, path string) map[string]signals.Value {
	values := map[string]signals.Value{}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		at := path + ".attributes." + name
		value, err := parseValue(name, r.document.Text(at))
		if err != nil {
			r.fault(at, err.Error(), attributesHelp)
		}
		values[name] = value
	}
	return values
}

func parseValue(attribute, s string) (signals.Value, error) {
	a, ok := signals.LookupAttribute(attribute)
	if !ok {
		return signals.Unknown, fmt.Errorf("there is no attribute %q", attribute)
	}
	if s == "unknown" {
		return signals.Unknown, nil
	}
	v := signals.Text(s)
	switch a.Kind {
	case signals.KindBool:
		if s != "true" && s != "false" {
			return v, fmt.Errorf("%s is true, false or unknown, not %q", attribute, s)
		}
		v = signals.Bool(s == "true")
	case signals.KindNumber:
		number, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(number) || math.IsInf(number, 0) {
			return v, fmt.Errorf("%s is a number or unknown, not %q", attribute, s)
		}
		v = signals.Number(number)
	case signals.KindText, signals.KindUnknown:
	}
	if !a.Accepts(v) {
		return v, fmt.Errorf("%s is one of %s or unknown, not %q", attribute, strings.Join(a.Scale, ", "), s)
	}
	return v, nil
}
