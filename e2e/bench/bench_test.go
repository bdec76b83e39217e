package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
	"github.com/tiergate/tiergate/e2e/bench/load"
	"github.com/tiergate/tiergate/e2e/bench/world"
)

// TestMain lets the test binary be the bench: a fleet starts itself, as servers and drivers.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "on", "drive", "serve", "memory":
			main()
			return
		}
	}
	os.Exit(m.Run())
}

func testFleet(t *testing.T) *fleet {
	t.Helper()
	f, err := newFleet()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// TestTheRealParts: the product and the floor are started, vouched for and measured, directly and through Envoy.
func TestTheRealParts(t *testing.T) {
	f := testFleet(t)
	site, err := f.world.Site(t.Context(), "c", 40, 50)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.addFloorAndProduct(t.Context(), site); err != nil {
		t.Fatal(err)
	}
	if err := f.addOwn(t.Context(), "b", "reader", "reader", site.Request); err != nil {
		t.Fatal(err)
	}
	if err := f.addLookup(t.Context(), 50, site.Request); err != nil {
		t.Fatal(err)
	}
	for _, s := range f.servers {
		if err := f.vouch(t.Context(), s); err != nil {
			t.Error(err)
		}
	}
	measured, asked := samples{}, slices.Clone(shapes[1:4])
	for i := range asked {
		asked[i].turns = 1
	}
	for measure := 250 * time.Millisecond; ; measure *= 4 { // on a loaded machine nobody may be served for as long
		clear(measured)
		err := f.rounds(t.Context(), 2, asked, measure, measured)
		if err == nil && (enough(measured) || measure > time.Second) {
			break
		}
		if err != nil && (measure > time.Second || !strings.Contains(err.Error(), "not one request was answered")) {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	for _, how := range asked {
		f.printShape(&out, how, measured[how.name])
		for _, key := range []string{"a", "b", "c", "e"} {
			for _, one := range measured[how.name][key] {
				if one.Requests < leastRequests || cpuMicros(one) <= 0 || one.resident < 5e6 {
					t.Errorf("(%s) at %s: %+v", key, how.name, one)
				}
			}
		}
	}
	if err := f.throughEnvoy(t.Context(), &out, options{rounds: 1, measure: time.Second}, site); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2×16, closed loop", "(a) AlwaysOK", "(c) tiergate", "no ext_authz", "only the headers it reads"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
	testLies(t, f, site)
}

// leastRequests is of how many something can be told.
const leastRequests = 10

func enough(measured samples) bool {
	for _, servers := range measured {
		for _, all := range servers {
			if slices.ContainsFunc(all, func(one sample) bool { return one.Requests < leastRequests }) {
				return false
			}
		}
	}
	return true
}

// testLies: a server that admits everything cannot stand for one that decides, and one that is gone is an error.
func testLies(t *testing.T, f *fleet, site *world.Site) {
	liar := *f.byKey("a")
	liar.site = site
	if err := f.vouch(t.Context(), &liar); err == nil || !strings.Contains(err.Error(), "should be refused") {
		t.Errorf("AlwaysOK was taken for a decision: %v", err)
	}
	strict := *f.byKey("c")
	strict.request = []byte{}
	if err := f.vouch(t.Context(), &strict); err == nil || !strings.Contains(err.Error(), "should be admitted") {
		t.Errorf("an empty request was admitted: %v", err)
	}
	if err := f.processes.Kill("server-a"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ask(t.Context(), f.byKey("a"), shapes[0], time.Second); err == nil {
		t.Error("a server that is gone was measured")
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"tables"}, {"-rounds", "0"}, {"-rounds", "many"}, {"-seconds", "0.01"}, {"-rounds", "1", "more"},
		{"profile", "-rounds", "0"}, {"serve"}, {"serve", "stock", "s", "more"}, {"serve", "nothing", "s"}, {"on"}, {"on", "x", "y"},
		{"on", "0", "no-such-program"}, {"drive"}} {
		if err := run(t.Context(), args, strings.NewReader("no order"), io.Discard); err == nil {
			t.Errorf("%q was understood", args)
		}
	}
	if o, err := parseOptions([]string{"-rounds", "7", "-seconds", "0.5", "-out", "x"}); err != nil ||
		o != (options{rounds: 7, measure: 500 * time.Millisecond, out: "x"}) {
		t.Errorf("options %+v: %v", o, err)
	}
}

// TestServeFaults: a server that cannot serve says why.
func TestServeFaults(t *testing.T) {
	t.Parallel()
	nowhere := filepath.Join(t.TempDir(), "none", "s")
	for _, args := range [][]string{{"stock", nowhere}, {"profiled", nowhere, nowhere, nowhere}} {
		if err := serve(t.Context(), args); err == nil {
			t.Errorf("%q served", args)
		}
	}
	if _, err := startProfile(nowhere); err == nil {
		t.Error("a profile was written nowhere")
	}
	for want, o := range map[string]order{"a request has 0 bytes": {}, "the client's certificate": {Web: &webClient{CertFile: nowhere}}} {
		if _, err := driveOn(t.Context(), -1, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a driver's complaint is lost, error %v", err)
		}
	}
	if _, err := versionOf(t.Context(), "true"); err == nil {
		t.Error("true(1) has a version")
	}
	if _, err := versionOf(t.Context(), nowhere); err == nil {
		t.Error("what is not there has a version")
	}
}

func TestMachine(t *testing.T) {
	t.Parallel()
	busy, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	later, began := busy, time.Now() // how much of a time this process gets is the machine's to say
	for later-busy < 5*time.Millisecond && time.Since(began) < time.Minute && err == nil {
		for range 1_000_000 {
			_ = math.Sqrt(float64(began.Nanosecond()))
		}
		later, err = cpuTime(os.Getpid())
	}
	most := time.Duration(runtime.NumCPU())*time.Since(began) + time.Second
	if spent := later - busy; err != nil || spent < 5*time.Millisecond || spent > most {
		t.Errorf("some work of %v is %v: %v", time.Since(began), spent, err)
	}
	if all, anonymous, err := resident(os.Getpid()); err != nil || anonymous < 1e6 || all < anonymous {
		t.Errorf("%d bytes, %d anonymous: %v", all, anonymous, err)
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	_, clockErr := cpuTime(gone.Process.Pid)
	_, _, memoryErr := resident(gone.Process.Pid)
	if clockErr == nil || memoryErr == nil || pause(gone.Process.Pid) == nil || resume(gone.Process.Pid) == nil {
		t.Error("a process that is gone can be asked")
	}
}

// TestABusyProcessIsNotSettled: a start that never ends is an error at its bound, or with the context.
func TestABusyProcessIsNotSettled(t *testing.T) {
	t.Parallel()
	busy := exec.Command("sh", "-c", "while :; do :; done")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = busy.Process.Kill()
		_ = busy.Wait()
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var err error
	for tries := 0; err == nil && tries < 10; tries++ { // one that gets no core for a while looks like one at rest
		err = settle(ctx, busy.Process.Pid)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a busy process: %v", err)
	}
}

func TestSpreads(t *testing.T) {
	t.Parallel()
	if s := spreadOf([]float64{4, 1, 3}); s != (spread{3, 1, 4}) {
		t.Errorf("%+v", s)
	}
	if s := spreadOf([]float64{4, 1, 3, 2}); s != (spread{2.5, 1, 4}) {
		t.Errorf("%+v", s)
	}
	take := func(n ...int64) (all []sample) {
		for _, requests := range n {
			all = append(all, sample{Result: load.Result{Requests: requests, Took: time.Second}})
		}
		return all
	}
	// The machine was twice as fast in the second round; the ratio does not move.
	if r := ratio(take(20, 40, 18), take(10, 20, 9), perSecond); r != (spread{2, 2, 2}) {
		t.Errorf("%+v", r)
	}
}

// TestTargetsSayWhatIsNotReached: the same figures on both sides reach what asks for no more, and nothing else.
func TestTargetsSayWhatIsNotReached(t *testing.T) {
	t.Parallel()
	measured := samples{}
	for _, how := range shapes {
		for _, key := range keys {
			measured.add(how.name, key, sample{resident: 50e6, Result: load.Result{Requests: 10, Took: time.Second,
				CPU: []time.Duration{time.Second}, P99: time.Millisecond}})
		}
	}
	var out bytes.Buffer
	printTargets(&out, measured, 121)
	for what, want := range map[string]string{"1.8 × (a) at 2×16": "not reached", "0.8 × (b) at 32×1": " reached", "the gate": "not reached",
		"p99 of (a) at 1,000/s": " reached", "RSS of (c)": " reached", "120 MB": "not reached"} {
		_, line, found := strings.Cut(out.String(), what)
		line, _, _ = strings.Cut(line, "\n")
		if !found || !strings.HasSuffix(line, want) || want == " reached" && strings.HasSuffix(line, "not reached") {
			t.Errorf("%s: %q", what, line)
		}
	}
}

func TestAFleetThatCannotStart(t *testing.T) {
	t.Parallel()
	f := testFleet(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := f.add(ctx, &server{key: "x"}, stage.Process{Path: f.self, Args: []string{"serve", "nothing", "s"},
		Ready: func(context.Context) error { return errors.New("not yet") }})
	if err == nil || !strings.Contains(err.Error(), `there is no server "nothing"`) {
		t.Errorf("error %v", err)
	}
	if f.byKey("x").socket != "" || len(f.servers) != 0 {
		t.Error("a server that did not start is in the table")
	}
}

// TestRich: the posture whose heap is measured has the facts that are said.
func TestRich(t *testing.T) {
	if _, err := rich(7, time.Now()); err != nil {
		t.Error(err)
	}
}
