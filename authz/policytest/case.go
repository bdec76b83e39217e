package policytest

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
	"github.com/tiergate/tiergate/signals"
)

// Case is one question and the answer that it must get.
type Case struct {
	Name    string    `yaml:"name"`
	At      time.Time `yaml:"at,omitempty"` // RFC 3339; default DefaultAt
	Request request   `yaml:"request"`
	Who     who       `yaml:"who,omitempty"`
	Facts   []facts   `yaml:"facts,omitempty"`
	Gap     string    `yaml:"gap,omitempty"` // unknown, contested or unreachable
	Expect  expect    `yaml:"expect"`

	place strictyaml.Position `yaml:"-"`
}

// DefaultAt is when a case that names no instant is judged. Facts are given by age, so most cases need none.
var DefaultAt = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// request is "METHOD host/path".
type request struct{ method, host, path string }

// UnmarshalText reads a request line.
func (r *request) UnmarshalText(text []byte) error {
	method, target, ok := strings.Cut(string(text), " ")
	host, path, slash := strings.Cut(target, "/")
	if !ok || method == "" || host == "" || !slash {
		return errors.New("a request is METHOD HOST/PATH, for instance GET app.acme.example/reports")
	}
	*r = request{method: method, host: host, path: "/" + path}
	return nil
}

type who struct {
	User     *user  `yaml:"user,omitempty"`
	Workload string `yaml:"workload,omitempty"` // a SPIFFE ID
	Device   string `yaml:"device,omitempty"`   // KIND:VALUE, for instance serial:C02LAPTOP1
	Doubt    string `yaml:"doubt,omitempty"`    // a proof was shown and is not believed: why
}

type user struct {
	Issuer string   `yaml:"issuer"`
	Name   string   `yaml:"name"`
	Groups []string `yaml:"groups,omitempty"`
}

type facts struct {
	Source     string                         `yaml:"source"`
	Age        time.Duration                  `yaml:"age,omitempty"`
	Attributes map[string]strictyaml.Deferred `yaml:"attributes"` // read as each attribute wants its value

	values map[string]signals.Value `yaml:"-"`
}

type expect struct {
	Outcome string   `yaml:"outcome"`
	Reason  string   `yaml:"reason,omitempty"`
	Route   string   `yaml:"route,omitempty"`
	Tier    string   `yaml:"tier,omitempty"`
	Unmet   []string `yaml:"unmet,omitempty"` // in the order of the tier's lists
	Noted   []string `yaml:"noted,omitempty"`
}

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
			if _, err := c.input(); err != nil {
				problems = append(problems, document.Problem(field, err.Error(), "see the documentation of package policytest"))
			}
			cases = append(cases, c)
		}
	}
	return cases, problems
}

// input is the case as the policy sees it.
func (c *Case) input() (policy.Input, error) {
	in := policy.Input{At: c.At, Request: policy.Request{Method: c.Request.method, Host: c.Request.host, Path: c.Request.path}}
	if in.At.IsZero() {
		in.At = DefaultAt
	}
	var err error
	if in.Subject, err = c.Who.subject(in.At); err != nil {
		return in, err
	}
	if !slices.Contains([]string{"", string(policy.GapUnknown), string(policy.GapContested), string(policy.GapUnreachable)}, c.Gap) {
		return in, fmt.Errorf("gap %q: write unknown, contested or unreachable", c.Gap)
	}
	if !slices.Contains([]string{"allow", "deny"}, c.Expect.Outcome) {
		return in, fmt.Errorf("outcome %q: write allow or deny", c.Expect.Outcome)
	}
	in.Device.Gap = policy.Gap(c.Gap)
	if len(c.Facts) == 0 {
		return in, nil
	}
	if c.Gap != "" || c.Who.Device == "" {
		return in, errors.New("facts are of a device that is named under who, and stand beside no gap")
	}
	in.Device.Posture = c.posture(in.At)
	return in, nil
}

func (w *who) subject(at time.Time) (identity.Subject, error) {
	valid := identity.Validity{NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour)}
	var s identity.Subject
	if w.User != nil {
		s.User = &identity.User{Issuer: w.User.Issuer, Name: w.User.Name, Subject: w.User.Name, Groups: w.User.Groups, Token: valid}
	}
	if w.Workload != "" {
		id, err := identity.ParseSPIFFEID(w.Workload)
		if err != nil {
			return s, err
		}
		s.Workload, s.Certificate = id, valid
	}
	if w.Device != "" {
		alias, err := signals.ParseAlias(w.Device)
		if err != nil {
			return s, err
		}
		s.Device, s.Certificate = alias, valid
	}
	if w.Doubt != "" {
		s.Doubts = []identity.Doubt{{Code: identity.DoubtToken, Detail: w.Doubt}}
	}
	return s, nil
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

func (c *Case) posture(at time.Time) *signals.Posture {
	var all []signals.Fact
	for _, f := range c.Facts {
		for name, value := range f.values {
			seen := at.Add(-f.Age)
			all = append(all, signals.Fact{Attribute: name, Value: value, Source: f.Source, Observed: seen, Received: seen})
		}
	}
	p, _ := signals.Posture{Device: "case", Revision: 1}.Merge(signals.Observation{Facts: all})
	return &p
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
