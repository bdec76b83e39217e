package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/tiergate/tiergate/authz/policytest"
)

// table prints a line for each case, what was written, and the coverage.
func (r *policyTested) table(w io.Writer) error {
	for _, c := range r.Cases {
		word := "ok  "
		if !c.Passed {
			word = "FAIL"
		}
		fmt.Fprintf(w, "%s  %s\n", word, c.Name)
		for _, d := range c.Differences {
			fmt.Fprintf(w, "      %s: %s\n", c.Place, d)
		}
	}
	sayWrites(w, r.Wrote)
	fmt.Fprintf(w, "%d passed, %d failed\n", r.Passed, r.Failed)
	fmt.Fprintf(w, "%s for 1,000 cases\n", r.PerThousand)
	if r.Coverage != nil {
		sayCoverage(w, r.Coverage)
	}
	for _, miss := range r.Uncovered {
		fmt.Fprintf(w, "not enough: %s\n", miss)
	}
	return nil
}

func sayWrites(w io.Writer, wrote []policytest.Rewrite) {
	for _, x := range wrote {
		if x.Fault != "" {
			fmt.Fprintf(w, "left alone  %s: %s: %s: %s\n", x.Place, x.Name, x.Field, x.Fault)
		} else {
			fmt.Fprintf(w, "wrote  %s: %s: %s: %s, was %s\n", x.Place, x.Name, x.Field, x.Is, x.Was)
		}
	}
}

// sayCoverage prints how much of each sort is covered, and below it what is not.
func sayCoverage(w io.Writer, c *policytest.Coverage) {
	groups := make([]string, 0, len(c.Groups))
	for _, g := range c.Groups {
		groups = append(groups, fmt.Sprintf("%s %d/%d", g.Group, g.Covered, g.Of))
	}
	fmt.Fprintf(w, "covered: %s\n", strings.Join(groups, ", "))
	if c.Covered == c.Of {
		return
	}
	fmt.Fprintln(w, "no case comes to:")
	for _, g := range c.Groups {
		for _, line := range byName(g.Uncovered) {
			fmt.Fprintf(w, "  %-10s  %s\n", g.Group, line)
		}
	}
}

// byName joins the parts of one name: "portal: allowed", "portal: refused" is "portal: allowed, refused".
func byName(keys []string) []string {
	var lines []string
	last := ""
	for _, key := range keys {
		name, cell, _ := strings.Cut(key, ": ")
		if cell != "" && name == last {
			lines[len(lines)-1] += ", " + cell
		} else {
			lines = append(lines, key)
		}
		last = name
	}
	return lines
}

// The JUnit report, as far as CI systems agree about it: one suite, a failure with its text in each case that fails.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		File    string        `xml:"file,attr,omitempty"`
		Line    int           `xml:"line,attr,omitempty"`
		Failure *junitFailure `xml:"failure,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes the report. Coverage that is not enough is a failure of a case of its own.
func writeJUnit(file, name string, r *policyTested) error {
	suite := junitSuite{Name: name, Tests: len(r.Cases), Failures: r.Failed}
	for _, c := range r.Cases {
		one := junitCase{Class: c.Place.File, Name: c.Name, File: c.Place.File, Line: c.Place.Line}
		if !c.Passed {
			one.Failure = &junitFailure{Message: c.Differences[0], Text: strings.Join(c.Differences, "\n")}
		}
		suite.Cases = append(suite.Cases, one)
	}
	if len(r.Uncovered) > 0 {
		suite.Tests, suite.Failures = suite.Tests+1, suite.Failures+1
		suite.Cases = append(suite.Cases, junitCase{Class: name, Name: "coverage",
			Failure: &junitFailure{Message: r.Uncovered[0], Text: strings.Join(r.Uncovered, "\n")}})
	}
	raw, err := xml.MarshalIndent(junitSuites{Suites: []junitSuite{suite}}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append([]byte(xml.Header), append(raw, '\n')...), 0o600)
}
