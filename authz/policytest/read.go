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

// Parse reads the cases of one file.
func Parse(name string, raw []byte) ([]Case, strictyaml.Problems) {
	documents, problems := strictyaml.Parse(name, raw)
	var cases []Case
	for _, document := range documents {
		document.Title = "a file of cases"
		var file struct {
			Cases []Case `yaml:"cases"`
		}
		problems = append(problems, document.Decode("", &file)...)
		for i, c := range file.Cases {
			field := fmt.Sprintf("cases[%d]", i)
			c.place = document.At(field)
			problems = append(problems, c.readFacts(document, field)...)
			const help = "see the documentation of package policytest"
			if _, err := c.input(); err != nil {
				problems = append(problems, document.Problem(field, err.Error(), help))
			}
			if err := c.Expect.check(); err != nil {
				problems = append(problems, document.Problem(field+".expect", err.Error(), help))
			}
			cases = append(cases, c)
		}
	}
	return cases, problems
}

// readFacts reads the values of the attributes, each as its attribute wants it.
func (c *Case) readFacts(document *strictyaml.Document, field string) (problems strictyaml.Problems) {
	for i := range c.Facts {
		f := &c.Facts[i]
		f.values = map[string]signals.Value{}
		for _, name := range slices.Sorted(maps.Keys(f.Attributes)) {
			at := fmt.Sprintf("%s.facts[%d].attributes.%s", field, i, name)
			value, err := parseValue(name, document.Text(at))
			if err != nil {
				problems = append(problems, document.Problem(at, err.Error(), "the attributes are those of the policy language"))
			}
			f.values[name] = value
		}
	}
	return problems
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
