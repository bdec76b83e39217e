package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// profileViews are what is printed: the functions in which the CPU time goes, those of ours with all that they call,
// what is on the heap at the end, and what put most there.
var profileViews = []struct{ file, arguments string }{
	{"", "-top"},
	{"", "-top -cum -show=github.com/tiergate"},
	{heapSuffix, "-top -sample_index=inuse_space"},
	{heapSuffix, "-top -sample_index=alloc_objects"},
}

// profileRows is how many functions of each view are printed.
const profileRows = 15

// profile drives (c) at 2×16 under the profiler and prints where its CPU time goes. With -out the profile stays.
func profile(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	f, err := newFleet()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	site, err := f.world.Site(ctx, "c", routesOfC, devicesOfC)
	if err != nil {
		return err
	}
	file := f.path("cpu.prof")
	s := &server{key: "c", socket: f.path("c.sock"), request: site.Request, site: site}
	if err := f.add(ctx, s, stage.Process{
		Path: f.self, Args: []string{"serve", "profiled", s.socket, site.Settings, file}, ReadyWithin: time.Minute,
		Ready: func(ctx context.Context) error { return accepts(ctx, s.socket) },
	}); err != nil {
		return err
	}
	if err := f.vouch(ctx, s); err != nil {
		return err
	}
	one, err := f.ask(ctx, s, shapes[1], 10*time.Second)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %.0f requests/s, %.1f µs of CPU each\n", shapes[1].name, one.PerSecond(), one.CPUMicros(0))
	if err := errors.Join(resume(s.pid), f.processes.End("server-c")); err != nil {
		return err
	}
	for _, view := range profileViews {
		if err := printProfile(ctx, out, view.arguments, f.self, file+view.file); err != nil {
			return err
		}
	}
	if o.out == "" {
		return nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(o.out), 0o755), os.WriteFile(o.out, raw, 0o600))
}

// printProfile has the go tool read a profile and prints the head of what it says.
func printProfile(ctx context.Context, out io.Writer, view, program, file string) error {
	args := append(append([]string{"tool", "pprof"}, strings.Fields(view)...), program, file)
	said, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go %v: %w: %s", args, err, said)
	}
	_, rows, found := strings.Cut(string(said), "flat%")
	if !found {
		return fmt.Errorf("go %v lists no functions: %s", args, said)
	}
	lines := strings.SplitAfter(rows, "\n")
	fmt.Fprintf(out, "\npprof %s\n      flat  flat%%%s", view,
		strings.Join(lines[:min(len(lines), 1+profileRows)], ""))
	return nil
}
