package unary

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Method answers one call: it appends the reply message to a buffer and returns that. Fault of the call says that there is
// no message to answer.
type Method func(call *Call, reply []byte) ([]byte, Status)

// Status is what a call ends with: a code of gRPC (https://grpc.io/docs/guides/status-codes) and, where it is not 0, a text.
type Status struct {
	Code    uint32
	Message string
}

// The codes that are told here.
const (
	codeInvalidArgument = 3
	codeUnimplemented   = 12
)

// Malformed says that a message cannot be read.
func Malformed(why string) Status { return Status{codeInvalidArgument, why} }

// Options are how a Server works. Only Methods must be there.
type Options struct {
	// Methods by path: /package.Service/Method.
	Methods map[string]Method
	// MaxMessage bounds one message in bytes; 0: 1 MiB. A call with more has a Fault.
	MaxMessage int
	// Admit shakes hands over a new connection, for TLS, and says who is there (Call.Peer). An error refuses it; telling of
	// that is Admit's. Nil: everybody is admitted as nobody.
	Admit func(net.Conn) (net.Conn, any, error)
	// Patience bounds the handshake and the client's first words; 0: 5 s.
	Patience time.Duration
	// Ping is after how much silence a client is asked whether it is there, and half of that is how long it has to answer; 0:
	// never.
	Ping time.Duration
	// Ended is told why a connection ended that broke the protocol; it may be nil, and must not block.
	Ended func(remote string, err error)
}

const (
	defaultMaxMessage = 1 << 20
	defaultPatience   = 5 * time.Second
)

// Server serves until it is shut down. It is safe for concurrent use.
type Server struct {
	opts  Options
	ended chan struct{}

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	shaking   map[net.Conn]struct{}
	closing   bool
	running   sync.WaitGroup
}

// New starts nothing.
func New(o Options) *Server {
	if o.MaxMessage <= 0 {
		o.MaxMessage = defaultMaxMessage
	}
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	return &Server{opts: o, ended: make(chan struct{}), listeners: map[net.Listener]struct{}{},
		conns: map[*conn]struct{}{}, shaking: map[net.Conn]struct{}{}}
}

// Serve takes connections until Shutdown, which makes it return nil, or until the listener fails.
func (s *Server) Serve(listener net.Listener) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return errors.Join(listener.Close())
	}
	s.listeners[listener] = struct{}{}
	s.mu.Unlock()
	pause := time.Duration(0)
	for {
		raw, err := listener.Accept()
		if err == nil {
			pause = 0
			s.take(raw)
			continue
		}
		if s.isClosing() {
			return nil
		}
		var passing interface{ Temporary() bool } // such as no file left: another connection will end
		if !errors.As(err, &passing) || !passing.Temporary() {
			return err
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		select {
		case <-s.ended:
		case <-time.After(pause):
		}
	}
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// take serves one connection in a goroutine of its own.
func (s *Server) take(raw net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		_ = raw.Close() // nobody is to be told
		return
	}
	s.shaking[raw] = struct{}{}
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		c := s.admit(raw)
		if c != nil {
			c.greet()
		}
	}()
}

// admit shakes hands; nil: that failed, and the connection is closed.
func (s *Server) admit(raw net.Conn) *conn {
	_ = raw.SetDeadline(time.Now().Add(s.opts.Patience)) // of a connection that is broken, reading tells
	admitted, peer := raw, any(nil)
	if s.opts.Admit != nil {
		var err error
		if admitted, peer, err = s.opts.Admit(raw); err != nil {
			s.mu.Lock()
			delete(s.shaking, raw)
			s.mu.Unlock()
			_ = raw.Close()
			return nil
		}
	}
	c := newConn(s, admitted, peer)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.shaking, raw)
	if s.closing {
		_ = admitted.Close()
		return nil
	}
	s.conns[c] = struct{}{}
	return c
}

// gone forgets a connection.
func (s *Server) gone(c *conn, err error) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	if err != nil && s.opts.Ended != nil {
		s.opts.Ended(c.nc.RemoteAddr().String(), err)
	}
}

// Shutdown takes no more connections and no more requests, has those that came answered until ctx ends, and returns when
// everything has ended.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		close(s.ended)
	}
	for l := range s.listeners {
		_ = l.Close() // then Accept fails, which ends Serve
	}
	for raw := range s.shaking {
		_ = raw.Close()
	}
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		s.running.Go(c.drain)
	}
	force := context.AfterFunc(ctx, func() {
		for _, c := range conns {
			_ = c.nc.Close()
		}
	})
	defer force()
	s.running.Wait()
}
