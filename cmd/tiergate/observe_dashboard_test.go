package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/findings/outlets"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/xds/drift"
)

// dashboard is what these tests read of one.
type dashboard struct {
	Panels []struct {
		Title, Description string
		FieldConfig        struct {
			Defaults struct{ Unit string } `json:"defaults"`
		} `json:"fieldConfig"`
		Targets []struct{ Expr, LegendFormat string } `json:"targets"`
	} `json:"panels"`
}

// exportedNames are the names of metrics that this program has, with what a histogram adds.
func exportedNames(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	name, names := regexp.MustCompile(`^"tiergate_[a-z_]+"$`), map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && name.MatchString(literal.Value) {
				bare := strings.Trim(literal.Value, `"`)
				names[bare] = true
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					if strings.HasSuffix(bare, "_seconds") {
						names[bare+suffix] = true
					}
				}
			}
			return true
		})
	}
	return names
}

func readDashboard(t *testing.T) *dashboard {
	t.Helper()
	raw, err := os.ReadFile("../../examples/dashboards/tiergate.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

// TestDashboard: each query asks for metrics that there are, and each panel says what it shows, in which unit.
func TestDashboard(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	names, metric := exportedNames(t), regexp.MustCompile(`tiergate_[a-z_]+`)
	if len(names) < 50 || len(d.Panels) < 15 {
		t.Fatalf("%d metrics, %d panels", len(names), len(d.Panels))
	}
	titles := map[string]bool{}
	for _, p := range d.Panels {
		if p.Title == "" || titles[p.Title] || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q lacks a title of its own, a description, a unit or a query", p.Title)
		}
		titles[p.Title] = true
		for _, target := range p.Targets {
			asked := metric.FindAllString(target.Expr, -1)
			if len(asked) == 0 || target.LegendFormat == "" {
				t.Errorf("%s: %q asks for nothing of ours, or has no legend", p.Title, target.Expr)
			}
			for _, name := range asked {
				if !names[name] {
					t.Errorf("%s: there is no metric %s", p.Title, name)
				}
			}
			if strings.Count(target.Expr, "(") != strings.Count(target.Expr, ")") {
				t.Errorf("%s: %q is not balanced", p.Title, target.Expr)
			}
		}
	}
}

// exported are the labels of every metric that a dashboard asks for, each with values that it really has.
func exported(t *testing.T) map[string]map[string][]string {
	t.Helper()
	o, err := newObserver(config.Log{Level: "fatal", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	m := newFindingMetrics(o.registry)
	m.set(aReport())
	m.told(&findings.Notice{What: findings.ToldOpened})
	m.remedied.WithLabelValues("endpoint", "drift").Observe(1)
	loaded := make(chan struct{})
	close(loaded)
	o.enforced(loaded)(&signals.Posture{Facts: []signals.Fact{{Observed: time.Now(), Received: time.Now()}}})
	newDriftMetrics(o.registry).set(drift.Report{})
	o.outletStates(func() []outlets.Status { return []outlets.Status{{Name: "siem"}} })
	o.decisions.WithLabelValues("allow", "ok", "internal").Inc()
	o.distrusted.WithLabelValues("posture", "unsigned").Inc()
	all, described := map[string]map[string][]string{}, make(chan *prometheus.Desc)
	go func() {
		o.registry.Describe(described)
		close(described)
	}()
	words := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	for desc := range described {
		found := words.FindStringSubmatch(desc.String())
		if found == nil {
			t.Fatalf("%s", desc)
		}
		all[found[1]] = map[string][]string{}
		for _, label := range strings.Split(found[2], ",") {
			all[found[1]][label] = nil
		}
	}
	gathered, err := o.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range gathered {
		for _, one := range family.GetMetric() {
			for _, pair := range one.GetLabel() {
				all[family.GetName()][pair.GetName()] = append(all[family.GetName()][pair.GetName()], pair.GetValue())
			}
		}
	}
	return all
}

var (
	selected = regexp.MustCompile(`(tiergate_[a-z_]+)(\{[^}]*\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)
	grouped  = regexp.MustCompile(`\b(?:by|without) \(([^)]*)\) `)
	legends  = regexp.MustCompile(`\{\{([^}]*)\}\}`)
)

// TestDashboardLabels: whatever a query groups or chooses by is a label of what it asks for, with a value that there is, and a
// legend names what the query groups by. A wrong one shows an empty panel, which looks like good news.
func TestDashboardLabels(t *testing.T) {
	t.Parallel()
	known, checked := exported(t), map[string]int{}
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			for _, fault := range labelFaults(known, checked, target.Expr, target.LegendFormat) {
				t.Errorf("%s: %s: %s", p.Title, target.Expr, fault)
			}
		}
	}
	if checked["metric"] < 30 || checked["matcher"] < 12 || checked["group"] < 20 || checked["legend"] < 15 {
		t.Errorf("only %v were looked at", checked)
	}
	for query, legend := range map[string]string{ // what this test is there to find
		`sum by (team) (tiergate_findings{overdu="true"})`:                                "{{team}}",
		`sum by (team) (tiergate_findings{overdue="yes"})`:                                "{{team}}",
		`sum by (owner) (tiergate_findings)`:                                              "{{owner}}",
		`sum by (team) (tiergate_findings)`:                                               "{{kind}}",
		`sum(tiergate_finding)`:                                                           "all",
		`sum by (le) (tiergate_findings)`:                                                 "all",
		`sum by (type) (tiergate_identity_states{state=~"unowned|sad"})`:                  "{{type}}",
		`sum by (tier) (tiergate_week_admissions) / (sum by (x) (tiergate_findings) > 0)`: "all",
	} {
		if len(labelFaults(known, checked, query, legend)) == 0 {
			t.Errorf("nothing is wrong with %s, %s", query, legend)
		}
	}
}

// labelFaults are the faults of one query and its legend. checked counts what was looked at.
func labelFaults(known map[string]map[string][]string, checked map[string]int, query, legend string) (faults []string) {
	for _, m := range selected.FindAllStringSubmatch(query, -1) {
		checked["metric"]++
		labels, ok := known[bareName(m[1])]
		if !ok {
			faults = append(faults, m[1]+" is not exported, or is to be named in exported()")
		}
		for _, pair := range matcher.FindAllStringSubmatch(m[2], -1) {
			checked["matcher"]++
			for _, value := range strings.Split(pair[3], "|") {
				if !slices.Contains(labels[pair[1]], value) {
					faults = append(faults, m[1]+" has no "+pair[1]+" "+value+", but "+strings.Join(labels[pair[1]], ", "))
				}
			}
		}
	}
	groups := []string{}
	for _, at := range grouped.FindAllStringSubmatchIndex(query, -1) {
		for _, label := range strings.Split(query[at[2]:at[3]], ", ") {
			groups = append(groups, label)
			for _, m := range selected.FindAllStringSubmatch(parenthesis(query[at[1]:]), -1) {
				checked["group"]++
				if _, ok := known[bareName(m[1])][label]; !ok && (label != "le" || !strings.HasSuffix(m[1], "_bucket")) {
					faults = append(faults, m[1]+" has no label "+label)
				}
			}
		}
	}
	for _, m := range legends.FindAllStringSubmatch(legend, -1) {
		checked["legend"]++
		if !slices.Contains(groups, m[1]) {
			faults = append(faults, "the legend names "+m[1]+", which the query does not group by")
		}
	}
	return faults
}

// bareName is the metric of a series of a histogram.
func bareName(series string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		series = strings.TrimSuffix(series, suffix)
	}
	return series
}

// parenthesis is the text up to the end of the parenthesis that it begins with.
func parenthesis(text string) string {
	depth := 0
	for i, r := range text {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			return text[:i]
		}
	}
	return text
}
