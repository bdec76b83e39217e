package e2e_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// gate stands between processes and a store, and can take their connections from them.
type gate struct {
	listener net.Listener
	target   string // a Unix socket

	shut  atomic.Bool // nothing passes, on new connections either
	mu    sync.Mutex
	lines map[*line]bool // nil once it is shut
	all   sync.WaitGroup
}

// line is one connection through a gate.
type line struct {
	ends  [2]net.Conn
	quiet atomic.Bool // nothing passes any more, and nobody is told
}

func newGate(t *testing.T, target string) *gate {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{listener: listener, target: target, lines: map[*line]bool{}}
	g.all.Go(g.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		g.cut()
		g.mu.Lock()
		for l := range g.lines { // those that came meanwhile
			l.end()
		}
		g.lines = nil
		g.mu.Unlock()
		g.all.Wait()
	})
	return g
}

func (g *gate) address() string { return g.listener.Addr().String() }

// cut ends every connection; new ones are welcome. It returns how many there were.
func (g *gate) cut() int { return g.each((*line).end) }

// silence lets nothing more through on the connections that there are, which stay open, as a firewall does that has forgotten
// them; new ones are welcome. It returns how many there were.
func (g *gate) silence() int { return g.each(func(l *line) { l.quiet.Store(true) }) }

// block lets nothing through, on new connections either, until open.
func (g *gate) block() { g.shut.Store(true); g.silence() }

// open ends what block left behind; new connections are welcome.
func (g *gate) open() { g.shut.Store(false); g.cut() }

func (g *gate) each(do func(*line)) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	for l := range g.lines {
		do(l)
	}
	return len(g.lines)
}

func (g *gate) accept() {
	for {
		client, err := g.listener.Accept()
		if err != nil {
			return // shut
		}
		server, err := net.Dial("unix", g.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		l := &line{ends: [2]net.Conn{client, server}}
		l.quiet.Store(g.shut.Load())
		g.mu.Lock()
		if g.lines == nil {
			l.end()
		} else {
			g.lines[l] = true
		}
		g.mu.Unlock()
		for i := range l.ends {
			g.all.Go(func() { g.pass(l, l.ends[i], l.ends[1-i]) })
		}
	}
}

func (l *line) end() {
	for _, conn := range l.ends {
		_ = conn.Close() // there is nobody to tell
	}
}

func (g *gate) pass(l *line, from, to net.Conn) {
	defer func() {
		l.end()
		g.mu.Lock()
		delete(g.lines, l)
		g.mu.Unlock()
	}()
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if err != nil {
			return
		}
		if l.quiet.Load() {
			continue
		}
		if _, err := to.Write(piece[:n]); err != nil {
			return
		}
	}
}
