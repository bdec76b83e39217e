package redisstore

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// What a reply may announce at most. The library allocates what a server announces before any of it has arrived, and
// follows nested arrays as deep as they go: without these bounds one line of a hostile server ("$1000000000") takes a
// gigabyte, and another ("$9223372036854775807") the process.
const (
	maxLine     = 64 << 10 // of a status, an error or a number
	maxElements = 1 << 17  // of all arrays of one reply together; a full page of notices has some 40,000
	maxDepth    = 8
)

// guard reads along with the library what a server sends (RESP, https://valkey.io/topics/protocol/), and ends the
// connection at the first announcement beyond the bounds, before the library sees it.
type guard struct {
	net.Conn

	bulk  int    // the longest text in bytes
	line  []byte // the first bytes of a header that is not complete
	long  int    // how many bytes that header has so far
	skip  int    // bytes left of a text and its line end
	open  []int  // elements that are still to come, of each array that is open
	total int    // elements that this reply has announced
	err   error
}

// guardedSocket also lets the pool look whether an idle connection was closed. That must not be done below TLS.
type guardedSocket struct {
	*guard
	syscall.Conn
}

func guarded(conn net.Conn, bulk int) net.Conn {
	g := &guard{Conn: conn, bulk: bulk}
	if socket, ok := conn.(syscall.Conn); ok {
		return guardedSocket{g, socket}
	}
	return g
}

func (g *guard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.Conn.Read(p)
	if g.err = g.check(p[:n]); g.err != nil {
		_ = g.Close()
		return 0, g.err
	}
	return n, err
}

func (g *guard) check(p []byte) error {
	for len(p) > 0 {
		if g.skip > 0 {
			taken := min(g.skip, len(p))
			p, g.skip = p[taken:], g.skip-taken
			if g.skip == 0 {
				g.done()
			}
			continue
		}
		end := bytes.IndexByte(p, '\n')
		part := p
		if end >= 0 {
			part = p[:end]
		}
		g.long += len(part)
		g.line = append(g.line, part[:min(len(part), 32-min(len(g.line), 32))]...)
		if g.long > maxLine {
			return fmt.Errorf("the server sent a line of more than %d bytes; this is no Redis or Valkey", maxLine)
		}
		if end < 0 {
			return nil
		}
		p = p[end+1:]
		if err := g.header(string(bytes.TrimSuffix(g.line, []byte("\r")))); err != nil {
			return err
		}
		g.line, g.long = g.line[:0], 0
	}
	return nil
}

// header takes a complete line.
func (g *guard) header(line string) error {
	if line == "" {
		return nil // the library refuses it
	}
	n, err := strconv.Atoi(line[1:])
	switch line[0] {
	case '$', '=', '!':
		switch {
		case err != nil || n < -1 || n > g.bulk:
			return fmt.Errorf("the server announced a text of %.20q bytes, at most %d can be right; "+
				"see that nothing but Redis or Valkey answers there", line[1:], g.bulk)
		case n >= 0:
			g.skip = n + len("\r\n")
			return nil
		}
	case '*', '~', '>', '%':
		if line[0] == '%' && err == nil && n <= maxElements {
			n *= 2
		}
		g.total += max(n, 0)
		if err != nil || n < -2 || n > maxElements || g.total > maxElements || n > 0 && len(g.open) >= maxDepth {
			return fmt.Errorf("the server announced an array of %.20q elements, %d deep; at most %d in a reply, "+
				"%d deep, can be right; see that nothing but Redis or Valkey answers there",
				line[1:], len(g.open)+1, maxElements, maxDepth)
		}
		if n > 0 {
			g.open = append(g.open, n)
			return nil
		}
	case '|':
		return fmt.Errorf("the server sent an attribute, which it was not asked for")
	}
	g.done()
	return nil
}

// done notes that an element is complete, and so perhaps the arrays around it.
func (g *guard) done() {
	for len(g.open) > 0 {
		last := len(g.open) - 1
		g.open[last]--
		if g.open[last] > 0 {
			return
		}
		g.open = g.open[:last]
	}
	g.total = 0
}
