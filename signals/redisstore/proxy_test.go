package redisstore

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// proxy stands between the store and a real server and makes trouble. Its zero trouble passes everything on.
type proxy struct {
	listener net.Listener
	port     int
	to       func() (net.Conn, error)
	settings *tls.Config // ends the TLS of those clients that begin it

	mu      sync.Mutex
	trouble trouble
	changed chan struct{} // closed when the trouble is another
	open    map[net.Conn]*end
	ended   bool
	all     sync.WaitGroup
}

// trouble is what happens to the answers of the server.
type trouble struct {
	delay    time.Duration // before each piece
	hang     bool          // nothing comes
	drip     time.Duration // between one byte and the next
	truncate int           // so many bytes of each answer come, then the connection ends
	reply    []byte        // in place of every answer
}

// through starts a proxy to a server.
func through(t testing.TB, to *server, settings *tls.Config) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, port: listener.Addr().(*net.TCPAddr).Port,
		changed: make(chan struct{}), open: map[net.Conn]*end{}}
	p.settings, p.to = settings, func() (net.Conn, error) { return net.Dial("unix", to.socket) }
	p.all.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		_ = p.listener.Close()
		p.cut()
		p.all.Wait()
	})
	return p
}

func (p *proxy) address() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

// set makes other trouble from now on, also for answers that are held up.
func (p *proxy) set(now trouble) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble = now
	close(p.changed)
	p.changed = make(chan struct{})
}

// end is a connection that is read by one goroutine and written by another.
type end struct {
	users int
	cut   bool
}

// cut ends every connection, and waits until the other side can know: Go closes a socket only once nobody reads it.
func (p *proxy) cut() {
	p.mu.Lock()
	var ending []net.Conn
	for conn, e := range p.open {
		e.cut = true
		_ = conn.Close()
		ending = append(ending, conn)
	}
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	for until := time.Now().Add(2 * time.Second); p.holds(ending) && time.Now().Before(until); {
		time.Sleep(100 * time.Microsecond)
	}
}

func (p *proxy) holds(conns []net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(conns, func(conn net.Conn) bool { return p.open[conn] != nil })
}

func (p *proxy) now() (trouble, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble, p.changed
}

// keep notes both ends of a connection at once, or ends them when the proxy has ended.
func (p *proxy) keep(ends ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range ends {
		if p.ended {
			_ = conn.Close()
			continue
		}
		p.open[conn] = &end{users: 2}
	}
	return !p.ended
}

func (p *proxy) drop(conn net.Conn) {
	_ = conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.open[conn]; e != nil {
		e.cut = true
		if e.users--; e.users == 0 {
			delete(p.open, conn)
		}
	}
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.all.Go(func() { p.serve(client) })
	}
}

func (p *proxy) serve(client net.Conn) {
	if p.settings != nil {
		client = sniff(client, p.settings)
	}
	server, err := p.to()
	if err != nil {
		_ = client.Close()
		return
	}
	if !p.keep(client, server) {
		return
	}
	p.all.Go(func() { p.pass(client, server, p.questions(client)) })
	p.pass(server, client, p.answers(client))
}

// sniff is TLS where the client begins it (a handshake record is of type 22), for the servers have none and speak to each
// other through the same port.
func sniff(client net.Conn, settings *tls.Config) net.Conn {
	buffered := peeked{client, bufio.NewReader(client)}
	_ = client.SetReadDeadline(time.Now().Add(2 * time.Second))
	first, err := buffered.r.Peek(1)
	_ = client.SetReadDeadline(time.Time{})
	if err == nil && first[0] == 22 {
		return tls.Server(buffered, settings)
	}
	return buffered
}

type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

// pass moves bytes one way through what may be done to them.
func (p *proxy) pass(from, to net.Conn, do func(piece []byte) (rest []byte, goOn bool)) {
	defer p.drop(from)
	defer p.drop(to)
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if err != nil {
			return
		}
		rest, goOn := do(piece[:n])
		if _, err := to.Write(rest); err != nil || !goOn {
			return
		}
	}
}

func (p *proxy) questions(client net.Conn) func([]byte) ([]byte, bool) {
	return func(piece []byte) ([]byte, bool) {
		if now, _ := p.now(); now.reply != nil {
			_, err := client.Write(now.reply)
			return nil, err == nil
		}
		return piece, true
	}
}

func (p *proxy) answers(client net.Conn) func([]byte) ([]byte, bool) {
	return func(piece []byte) ([]byte, bool) {
		for {
			now, changed := p.now()
			switch {
			case now.hang:
				<-changed
				if !p.alive(client) {
					return nil, false
				}
			case now.truncate > 0:
				return piece[:min(now.truncate, len(piece))], false
			case now.drip > 0 && len(piece) > 0:
				if _, err := client.Write(piece[:1]); err != nil {
					return nil, false
				}
				piece = piece[1:]
				select {
				case <-time.After(now.drip):
				case <-changed:
				}
				if !p.alive(client) {
					return nil, false
				}
			case now.delay > 0:
				select {
				case <-time.After(now.delay):
					return piece, true
				case <-changed:
				}
			default:
				return piece, true
			}
		}
	}
}

func (p *proxy) alive(client net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.open[client]
	return e != nil && !e.cut && !p.ended
}
