package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
	"github.com/tiergate/tiergate/e2e/bench/world"
)

// server is one row: a running process that answers Check.
type server struct {
	key     string // "a" to "f"
	name    string // what it is, for the table
	socket  string
	request []byte
	pid     int
	site    *world.Site // of (c), (d) and (f)
}

// fleet is what one run has started. All servers share a core, and only the one that is measured is not paused.
type fleet struct {
	dir          string
	self         string
	binaries     stage.Binaries
	world        *world.World
	processes    *stage.Supervisor
	server, wire int // the cores of servers and of drivers
	servers      []*server
	busy         string // the machine's load average before anything was started
}

// newFleet makes a directory and the world in it. It starts nothing; close removes everything.
func newFleet() (*fleet, error) {
	binaries, err := stage.FindBinaries()
	if err != nil {
		return nil, err
	}
	f := &fleet{binaries: binaries, processes: stage.NewSupervisor(stage.Events{}), busy: busyness()}
	if f.server, f.wire, err = cores(); err != nil {
		return nil, err
	}
	if f.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if f.dir, err = os.MkdirTemp("", "tg"); err != nil {
		return nil, err
	}
	if f.world, err = world.New(f.dir); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *fleet) path(name string) string { return filepath.Join(f.dir, name) }

func (f *fleet) close() error {
	for _, s := range f.servers {
		_ = resume(s.pid) // what is paused cannot be told to end; one that is gone needs nothing
	}
	return errors.Join(f.processes.Stop(), os.RemoveAll(f.dir))
}

// start runs a program on a core until it is ready.
func (f *fleet) start(ctx context.Context, core int, p stage.Process) (pid int, err error) {
	p.Args = append([]string{"on", strconv.Itoa(core), p.Path}, p.Args...)
	p.Path, p.Log = f.self, f.path(p.Name+".log")
	if err := f.processes.Start(ctx, p); err != nil {
		return 0, err
	}
	return f.processes.Pid(p.Name), nil
}

// settleWithin bounds how long a server may tidy up after it is ready. It has when it uses less CPU time than settled in
// settleEvery.
const (
	settleWithin = 2 * time.Minute
	settleEvery  = 250 * time.Millisecond
	settled      = 10 * time.Millisecond
)

// settle waits until a process is idle, so that no round has to pay for its start.
func settle(ctx context.Context, pid int) error {
	for began := time.Now(); time.Since(began) < settleWithin; {
		before, err := cpuTime(pid)
		if err != nil {
			return fmt.Errorf("process %d is gone as soon as it was ready: %w", pid, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleEvery):
		}
		after, err := cpuTime(pid)
		if err != nil {
			return fmt.Errorf("process %d is gone as soon as it was ready: %w", pid, err)
		}
		if after-before < settled {
			return nil
		}
	}
	return fmt.Errorf("process %d is still busy %v after it was ready, and nobody asks it anything", pid, settleWithin)
}

// add starts a server and pauses it once it is idle.
func (f *fleet) add(ctx context.Context, s *server, p stage.Process) error {
	p.Name = "server-" + s.key
	pid, err := f.start(ctx, f.server, p)
	if err != nil {
		return err
	}
	s.pid = pid
	f.servers = append(f.servers, s)
	return errors.Join(settle(ctx, pid), pause(pid))
}

// addOwn starts this binary as a server that decides little or nothing; it is asked with the request of a site.
func (f *fleet) addOwn(ctx context.Context, key, name, kind string, request []byte, args ...string) error {
	s := &server{key: key, name: name, socket: f.path(key + ".sock"), request: request}
	return f.add(ctx, s, stage.Process{
		Path: f.self, Args: append([]string{"serve", kind, s.socket}, args...),
		Ready: func(ctx context.Context) error { return accepts(ctx, s.socket) },
	})
}

// addTiergate starts bin/tiergate on a site.
func (f *fleet) addTiergate(ctx context.Context, key, name string, site *world.Site) error {
	s := &server{key: key, name: name, socket: site.Socket, request: site.Request, site: site}
	return f.add(ctx, s, stage.Process{
		Path: f.binaries.Tiergate, Args: []string{"serve", "--config", site.Settings}, ReadyWithin: 2 * time.Minute,
		Ready: func(ctx context.Context) error { return probe(ctx, site.Probes) },
	})
}

// addLookup starts a Valkey beside the driver, fills it and starts server (e).
func (f *fleet) addLookup(ctx context.Context, devices int, request []byte) error {
	socket := f.path("valkey.sock")
	if _, err := f.start(ctx, f.wire, stage.Process{
		Name: "valkey", Path: f.binaries.Valkey,
		Args:  []string{"--port", "0", "--unixsocket", socket, "--save", "", "--dir", f.dir, "--daemonize", "no"},
		Ready: func(ctx context.Context) error { return accepts(ctx, socket) },
	}); err != nil {
		return err
	}
	if err := fillValkey(ctx, socket, f.world, devices); err != nil {
		return err
	}
	return f.addOwn(ctx, "e", "one HGETALL per Check, go-redis and Valkey", "lookup", request, socket)
}

func fillValkey(ctx context.Context, socket string, w *world.World, devices int) error {
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	defer func() { _ = client.Close() }() // every write was answered
	at := time.Now()
	for i := 0; i < devices; {
		pipe := client.Pipeline()
		for end := min(i+500, devices); i < end; i++ {
			posture, err := w.Posture(i, at)
			if err != nil {
				return err
			}
			fields := map[string]any{}
			for _, fact := range posture.Facts {
				fields[fact.Attribute] = fact.Value.String()
			}
			principal := world.Principal
			if i > 0 {
				principal = string(posture.Device)
			}
			pipe.HSet(ctx, deviceKey(principal), fields)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("fill Valkey: %w", err)
		}
	}
	return nil
}

func accepts(ctx context.Context, socket string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	return c.Close()
}

func probe(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz answered %s", response.Status)
	}
	return nil
}
