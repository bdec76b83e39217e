package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
	"github.com/tiergate/tiergate/xds"
)

// aSnapshot is what Envoy would be given in a laid-out company.
func aSnapshot(t *testing.T, s *stage.Stage) *xds.Snapshot {
	t.Helper()
	settings, err := loadSettings(s.Settings())
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := compilePolicy(settings.Policy.Dir, s.Settings())
	if err != nil {
		t.Fatal(err)
	}
	in, err := inputOfFiles(settings, compiled)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := xds.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func realEnvoy(t *testing.T) string {
	t.Helper()
	binaries, err := stage.FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	return binaries.Envoy
}

// anEnvoy is a script in Envoy's place.
func anEnvoy(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "envoy")
	must(t, writeProgram(path, script))
	return path
}

// writeProgram writes a script while nothing is started: a program that another test starts just then would hold the file too from fork
// until exec, open for writing, and to run it would fail with "text file busy".
func writeProgram(path, script string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700)
}

const saysVersion = `[ "$1" = --version ] && { echo "envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL"; exit 0; }` + "\n"

// TestPreflightAsksEnvoy itself; nothing comes to stand in a file.
func TestPreflightAsksEnvoy(t *testing.T) {
	t.Parallel()
	s := aPlace(t)
	snapshot := aSnapshot(t, s)
	ask := newPreflight(realEnvoy(t), "")
	began := time.Now()
	if err := ask.check(t.Context(), snapshot); err != nil {
		t.Fatal(err)
	}
	first := time.Since(began)
	began = time.Now()
	if err := ask.check(t.Context(), snapshot); err != nil {
		t.Fatal(err)
	}
	t.Logf("asked in %s, and of the same once more in %s", first, time.Since(began))
	if err := newPreflight(realEnvoy(t), "1.99.0").check(t.Context(), snapshot); err == nil ||
		!strings.Contains(err.Error(), "it is Envoy 1.40.0, and 1.99.0 is the lowest") || !errors.As(err, &notAsked{}) {
		t.Error(err)
	}
	if newPreflight("", "").check(t.Context(), snapshot) != nil {
		t.Error("without a binary somebody is asked")
	}
}

// TestPreflightCannotAsk: who cannot be asked has not agreed; that it could not be asked is said, and it is asked again.
func TestPreflightCannotAsk(t *testing.T) {
	t.Parallel()
	s := aPlace(t)
	snapshot := aSnapshot(t, s)
	for name, c := range map[string]struct{ script, want string }{
		"missing":               {"", "no such file or directory; put Envoy there"},
		"not Envoy":             {"exit 0", "does not say which version of Envoy it is"},
		"another one's version": {`echo "nginx version: 1.2"`, `does not say which version of Envoy it is (it said: nginx version: 1.2)`},
		"old":                   {`echo "envoy  version: 9e55/1.20.7/Clean/RELEASE/BoringSSL"`, "it is Envoy 1.20.7"},
		"no version":            {"exit 3", "--version: exit status 3"},
		"crashes":               {saysVersion + "echo help >&2; kill -SEGV $$", "signal: segmentation fault"},
		"crashes with a reason": {saysVersion + "echo \"error initializing configuration '/dev/fd/0': x\" >&2; kill -ABRT $$", "signal: aborted"},
		"agrees to nothing":     {saysVersion + "exit 0", "it does not say that the configuration is OK"},
		"does not know the flag": {saysVersion + "echo 'PARSE ERROR: Argument: --mode' >&2; exit 1",
			"exit status 1 (it said: PARSE ERROR: Argument: --mode)"},
		"hangs":              {saysVersion + "sleep 60", "it did not end within"},
		"hangs with a child": {saysVersion + "sleep 60 & sleep 60", "it did not end within"},
		"hangs and talks":    {saysVersion + "yes", "it did not end within"},
		"hangs at once":      {"sleep 60", "--version: it did not end within"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			binary := filepath.Join(t.TempDir(), "none")
			if c.script != "" {
				binary = anEnvoy(t, c.script)
			}
			ask := newPreflight(binary, "")
			ask.within = 300 * time.Millisecond
			if strings.HasPrefix(c.want, "it is") || !strings.Contains(c.want, "did not end") {
				ask.within = 10 * time.Second
			}
			began := time.Now()
			err := ask.check(t.Context(), snapshot)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "envoy.binary: ") {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if strings.Contains(fmt.Sprint(err), "\n") || len(fmt.Sprint(err)) > 2*maxReason {
				t.Errorf("it is no short line: %.2000s", err)
			}
			if !errors.As(err, &notAsked{}) {
				t.Error("it counts as a fault of the policy")
			}
			if took := time.Since(began); took > 9*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// TestPreflightRefuses: the reason in one line, without any key that Envoy may quote; the same is not asked twice, and a
// mended binary is asked at once.
func TestPreflightRefuses(t *testing.T) {
	t.Parallel()
	s := aPlace(t)
	snapshot := aSnapshot(t, s)
	asked := filepath.Join(t.TempDir(), "asked")
	binary := anEnvoy(t, saysVersion+"echo x >> "+asked+"\n"+
		`printf "error initializing configuration '/dev/fd/0': bad\n  thing private_key { -----BEGIN PRIVATE KEY-----abc\n" >&2; exit 1`)
	ask := newPreflight(binary, "")
	for range 3 {
		err := ask.check(t.Context(), snapshot)
		if err == nil || !strings.HasSuffix(err.Error(), "--mode validate): bad thing") || errors.As(err, &notAsked{}) {
			t.Errorf("got %v", err)
		}
	}
	if raw, err := os.ReadFile(asked); err != nil || string(raw) != "x\n" {
		t.Errorf("asked %q, %v", raw, err)
	}
	must(t, writeProgram(binary, saysVersion+"cat > /dev/null; echo \"configuration '/dev/fd/0' OK\""))
	if err := ask.check(t.Context(), snapshot); err != nil {
		t.Error(err)
	}
}

// TestPreflightEnds with the process.
func TestPreflightEnds(t *testing.T) {
	t.Parallel()
	s := aPlace(t)
	snapshot, running := aSnapshot(t, s), filepath.Join(t.TempDir(), "running")
	ask := newPreflight(anEnvoy(t, saysVersion+"touch "+running+"; sleep 120"), "")
	ask.within = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for pause(ctx, 5*time.Millisecond) {
			if _, err := os.Stat(running); err == nil {
				cancel()
			}
		}
	}()
	defer cancel()
	began := time.Now()
	if err := ask.check(ctx, snapshot); err == nil || time.Since(began) > time.Minute {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	if ask.failed != "" {
		t.Error("a run that was ended is kept as an answer")
	}
}

// TestReloadAsksBefore: what Envoy would refuse does not come into force, the newest of many edits is asked about, and
// not each of them.
func TestReloadAsksBefore(t *testing.T) {
	t.Parallel()
	f := followDir(t)
	put(t, f.dir, versionText("0"))
	asked, asking, answers := 0, make(chan struct{}), make(chan error)
	f.r.ask = func(context.Context, *xds.Snapshot) error {
		if asked++; asked == 1 { // by one goroutine at a time, which the race detector sees
			return nil
		}
		asking <- struct{}{}
		return <-answers
	}
	built := 0
	f.r.build = func(*policy.Policy) (*xds.Snapshot, error) { built++; return nil, nil }
	f.run(t)
	put(t, f.dir, versionText("1"))
	<-asking
	for i := 2; i <= 20; i++ { // while Envoy thinks about the first
		put(t, f.dir, versionText(fmt.Sprint(i)))
		time.Sleep(2 * settleFor)
	}
	answers <- nil
	<-asking
	answers <- nil
	f.await(t, "the newest", func() bool { return f.inForce() == "tier-20 route-20 1" })
	if asked != 3 || asked != built {
		t.Errorf("20 edits, all but the first while Envoy was asked about that, were asked about %d times, built %d", asked, built)
	}
	put(t, f.dir, versionText("21"))
	<-asking
	answers <- errors.New("Envoy refuses this configuration: so there")
	f.await(t, "the refusal", func() bool { return strings.Contains(f.r.policyStatus().Fault, "so there") })
	if f.inForce() != "tier-20 route-20 1" {
		t.Error(f.inForce())
	}
}
