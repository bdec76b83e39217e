package e2e_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// TestPathCorpus: Envoy's route and ours never differ, whatever a client writes for a path. Named targets and drawn ones
// go over raw connections, HTTP/1.1 and HTTP/2, and what is judged is what reached an upstream. TIERGATE_PATHS is how
// many are drawn; make prove draws more.
func TestPathCorpus(t *testing.T) { //nolint:tparallel // its subtests share one company and take turns
	t.Parallel()
	w := aWitnessedCompany(t, stage.StoreEmbedded)
	t.Run("named", func(t *testing.T) { testNamedPaths(t, w) })
	t.Run("drawn", func(t *testing.T) { testDrawnPaths(t, w) })
}

// knock is one request of a corpus.
type knock struct {
	by     asker
	http1  bool
	target string
}

func (k knock) String() string {
	version := "HTTP/2"
	if k.http1 {
		version = "HTTP/1.1"
	}
	return fmt.Sprintf("%s, %s, %s", k.by.name, version, brief(k.target))
}

// knockAll sends all of them and returns the answers in their order. There are many connections of HTTP/2, because Envoy
// holds one for a second after a request that it does not understand, and says nothing.
func knockAll(t *testing.T, w *witnessed, all []knock) []got {
	t.Helper()
	answers := make([]got, len(all))
	var group sync.WaitGroup
	for http1, workers := range map[bool]int{true: 3, false: 48} {
		queue := make(chan int, len(all))
		for i, k := range all {
			if k.http1 == http1 {
				queue <- i
			}
		}
		close(queue)
		for range workers {
			wires := map[string]*wire{}
			for _, by := range askers {
				wires[by.name] = newWire(t, w.Stage, w.Ports.Ingress, w.Cast.Pairs[by.pair].TLS(), http1)
			}
			group.Go(func() {
				for i := range queue {
					k := all[i]
					answers[i] = wires[k.by.name].ask(sent{method: "GET", target: k.target, host: k.by.host,
						fields: k.by.fields(w.Stage, strconv.Itoa(i))})
				}
			})
		}
	}
	group.Wait()
	return answers
}

// outcome is one word or two for what became of a request.
func outcome(a got, reached map[int]sighting, i int) string {
	seen, arrived := reached[i]
	switch {
	case a.Status == 200 && arrived:
		return "200 " + seen.header("x-tiergate-route")
	case a.Status == 0 && arrived:
		return "reached without an answer"
	case a.Status == 0:
		return "no answer"
	case a.written():
		return strconv.Itoa(a.Status) + " by tiergate"
	}
	return strconv.Itoa(a.Status) + " by Envoy"
}

// judge holds what has reached upstreams to the one law, and returns it by its number in the corpus.
func judge(t *testing.T, w *witnessed, all []knock, answers []got) map[int]sighting {
	t.Helper()
	reached := map[int]sighting{}
	for _, s := range w.seen() {
		number, err := strconv.Atoi(s.header(caseHeader))
		if err != nil || number >= len(all) {
			t.Errorf("a request that nobody sent reached %s: %s %q", s.Upstream, s.Method, s.Path)
			continue
		}
		if fault := admitted(w, all[number].by, s); fault != "" {
			t.Errorf("%s: %s", all[number], fault)
		}
		if _, twice := reached[number]; twice {
			t.Errorf("%s: reached an upstream twice", all[number])
		}
		reached[number] = s
	}
	for i, a := range answers {
		_, arrived := reached[i]
		if a.decided() && !a.written() && !arrived && a.Status != 404 {
			t.Errorf("%s: was admitted, and the upstream did not understand it: %d %s", all[i], a.Status, a.Body)
		}
		if a.Status == 200 && !arrived {
			t.Errorf("%s: somebody answered 200, and no upstream was reached", all[i])
		}
	}
	return reached
}

// mayReach is which routes a caller of the corpus may reach at all.
var mayReach = map[string][]string{"ana": {"portal", "portal-beta", "team", "notes"}, "deployer": {"payroll-admin"}}

// admitted says what is wrong with a request that reached an upstream: it must stand under the route that our own table
// has for what the upstream sees, and under no prefix that the caller may not reach, in any reading.
func admitted(w *witnessed, by asker, s sighting) string {
	match := w.policy.policy.Table().Match(s.Host, s.Path, s.Method)
	route := s.header("x-tiergate-route")
	switch {
	case route == "" || route != match.Route:
		return fmt.Sprintf("reached %q of %s by route %q, our table says %q", s.Path, s.Host, route, match.Route)
	case s.Upstream != match.Upstream:
		return fmt.Sprintf("reached %s, route %s leads to %s", s.Upstream, route, match.Upstream)
	case !slices.Contains(mayReach[by.name], route):
		return fmt.Sprintf("reached route %s", route)
	case s.Host != by.host:
		return fmt.Sprintf("reached host %q", s.Host)
	case s.header("x-tiergate-decision-id") == "":
		return "reached the upstream without a decision"
	}
	return closedReading(s)
}

// closedReading decodes a path as often as it can be, and cleans it: a careless upstream might. (Cases stay: to these
// upstreams /Vault is another path.)
func closedReading(s sighting) string {
	bare, _, _ := strings.Cut(s.Path, "?")
	for range 4 {
		for _, reading := range []string{bare, strings.ReplaceAll(bare, `\`, "/"), strings.ReplaceAll(bare, ";", "/")} {
			clean := path.Clean("/" + reading)
			first, _, _ := strings.Cut(clean[1:], "/")
			if s.Upstream == "payroll" && first != "admin" || first == "vault" || clean == "/team/secret" {
				return fmt.Sprintf("reached %q, which can be read as %s", s.Path, clean)
			}
		}
		decoded, err := url.PathUnescape(bare)
		if err != nil {
			break
		}
		bare = decoded
	}
	return ""
}

func testNamedPaths(t *testing.T, w *witnessed) {
	var all []knock
	targets := namedTargets()
	for _, target := range targets {
		for _, by := range askers {
			all = append(all, knock{by, true, target}, knock{by, false, target})
		}
	}
	answers := knockAll(t, w, all)
	reached := judge(t, w, all, answers)
	var table strings.Builder
	for i := 0; i < len(all); i += 2 * len(askers) {
		fmt.Fprintf(&table, "%s\n   ", brief(all[i].target))
		for j, by := range askers[:2] { // nobody else reaches anything
			one, two := outcome(answers[i+2*j], reached, i+2*j), outcome(answers[i+2*j+1], reached, i+2*j+1)
			fmt.Fprintf(&table, " %s: %s | %s;", by.name, one, two)
		}
		table.WriteString("\n")
	}
	t.Logf("%d targets, %d requests, %d reached an upstream: %s", len(targets), len(all), len(reached), tally(answers, reached))
	if len(targets) < 400 || len(reached) < 100 {
		t.Errorf("%d targets, %d of them reached an upstream: the corpus tells too little", len(targets), len(reached))
	}
	sameTable(t, "testdata/paths.txt", table.String())
}

// sameTable compares with what was written down, and writes it down where UPDATE is set.
func sameTable(t *testing.T, file, table string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(table), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	was, is := strings.Split(string(want), "\n"), strings.Split(table, "\n")
	for i := range max(len(was), len(is)) {
		if i >= len(was) || i >= len(is) || was[i] != is[i] {
			t.Fatalf("%s, line %d differs; judge it, then write it down by UPDATE=1 go test ./e2e -run %s\n%s",
				file, i+1, strings.ReplaceAll(t.Name(), "/", "$/"), strings.Join(is[max(0, i-4):min(len(is), i+4)], "\n"))
		}
	}
}

func tally(answers []got, reached map[int]sighting) string {
	counts := map[string]int{}
	for i, a := range answers {
		counts[outcome(a, reached, i)]++
	}
	var words []string
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%s: %d", word, counts[word]))
	}
	return strings.Join(words, ", ")
}

func testDrawnPaths(t *testing.T, w *witnessed) {
	many := 2000
	if text := os.Getenv("TIERGATE_PATHS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("TIERGATE_PATHS is %q; write how many paths are drawn", text)
		}
		many = n
	}
	const seed = 6
	dice := rand.New(rand.NewPCG(seed, seed))
	bases := []string{"/vault/x", "/team/7", "/team/secret", "/team/7/notes/1", "/beta/x", "/admin/x", "/console/x", "/x?y=/vault",
		"/team/7/../../vault/x", "/admin/a/../../console/x", "/a/b/c"}
	all := make([]knock, many)
	for i := range all {
		all[i] = knock{by: askers[dice.IntN(len(askers))], http1: dice.IntN(2) == 0, target: drawn(dice, bases)}
	}
	answers := knockAll(t, w, all)
	reached := judge(t, w, all, answers)
	t.Logf("seed %d, %d requests, %d reached an upstream: %s", seed, len(all), len(reached), tally(answers, reached))
	if len(reached) < many/50 {
		t.Errorf("only %d of %d reached an upstream: what is drawn tells too little", len(reached), many)
	}
	if answer := w.Ask(soon(t, answerWithin), stage.Request{As: "ana", Host: stage.PortalHost}); answer.Status != 200 {
		t.Errorf("after all that: %d %v", answer.Status, answer.Err)
	}
}
