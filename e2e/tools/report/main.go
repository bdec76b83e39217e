// Report reads the events of `go test -json` from standard input and says in short what happened: the closing line of
// each package, the whole output of every test that failed, and the sum as `N passed, N failed, N skipped`, in which a
// test is a top-level test, fuzz target or example.
//
// It ends with 1 if anything failed, if no test ran at all, or if a test whose package has one of the -noskip prefixes
// was skipped: an end-to-end test that quietly does nothing would let everything behind it rot.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is one line of `go test -json`; see `go doc cmd/test2json`.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output and build-fail
	Test       string
	Output     string
}

func main() {
	name := flag.String("name", "tests", "stands before the sum")
	noskip := flag.String("noskip", "", "comma-separated prefixes of packages in which no test may be skipped")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: go test -json ./... | report [-name WORD] [-noskip PREFIX,...]")
		os.Exit(2)
	}
	sum, err := read(os.Stdin, os.Stdout)
	if err == nil {
		err = sum.judge(strings.FieldsFunc(*noskip, func(r rune) bool { return r == ',' }))
	}
	fmt.Printf("%s: %d passed, %d failed, %d skipped\n", *name, sum.passed, sum.failed, len(sum.skipped))
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

// sum is what a stream of events adds up to.
type sum struct {
	passed, failed int
	skipped        []event  // tests, subtests among them
	broken         []string // packages that failed, or did not build
}

// read follows the events, writes what a person wants to see to out and adds up. Its error says that the stream could
// not be read; a stream that is no JSON is shown as it is, because it is go's own message.
func read(in io.Reader, out io.Writer) (sum, error) {
	var total sum
	held := map[event][]string{} // output of each test (of Package and Test alone) until its fate is known
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Fprint(out, string(line))
			} else {
				total.add(e, held, out)
			}
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		} else if err != nil {
			return total, fmt.Errorf("reading the events of go test: %w", err)
		}
	}
}

// add counts one event and prints what is due.
func (s *sum) add(e event, held map[event][]string, out io.Writer) {
	top := !strings.Contains(e.Test, "/")
	key := event{Package: e.Package, Test: e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(out, e.Output)
	case "build-fail":
		s.broken = append(s.broken, e.ImportPath)
	case "output":
		if e.Test == "" {
			s.packageLine(e, out)
		} else {
			held[key] = append(held[key], e.Output)
		}
	case "pass":
		if e.Test != "" && top {
			s.passed++
		}
		delete(held, key)
	case "skip":
		if e.Test != "" {
			s.skipped = append(s.skipped, e)
		}
		delete(held, key)
	case "fail":
		if e.Test == "" {
			s.broken = append(s.broken, e.Package)
			unfinished(e.Package, held, out)
		} else if top {
			s.failed++
		}
		fmt.Fprint(out, strings.Join(held[key], ""))
		delete(held, key)
	}
}

// unfinished prints the output of the tests that a dying test binary left without a fate.
func unfinished(pkg string, held map[event][]string, out io.Writer) {
	for key, output := range held {
		if key.Package == pkg {
			fmt.Fprintf(out, "%s did not end:\n%s", key.Test, strings.Join(output, ""))
			delete(held, key)
		}
	}
}

// packageLine prints a package's own output: not the bare PASS, and not that it has no tests.
func (s *sum) packageLine(e event, out io.Writer) {
	if e.Output == "PASS\n" || strings.HasSuffix(e.Output, "[no test files]\n") {
		return
	}
	fmt.Fprint(out, e.Output)
}

// judge returns what is wrong with the run, or nil.
func (s *sum) judge(noskip []string) error {
	var wrong []error
	for _, e := range s.skipped {
		if slices.ContainsFunc(noskip, func(prefix string) bool {
			return e.Package == prefix || strings.HasPrefix(e.Package, prefix+"/")
		}) {
			wrong = append(wrong, fmt.Errorf("%s %s was skipped; a test of this package must run or fail", e.Package, e.Test))
		}
	}
	slices.Sort(s.broken)
	if broken := slices.Compact(s.broken); len(broken) > 0 {
		wrong = append(wrong, fmt.Errorf("failed: %s", strings.Join(broken, " ")))
	}
	if s.failed > 0 && len(s.broken) == 0 {
		wrong = append(wrong, fmt.Errorf("%d tests failed", s.failed))
	}
	if s.passed+s.failed == 0 {
		wrong = append(wrong, errors.New("no test ran"))
	}
	return errors.Join(wrong...)
}
