// Package agent is a SPIFFE agent for the demo and the tests: the Workload API and Envoy's secret discovery service on one
// Unix socket, as a SPIRE agent serves them, with X.509-SVIDs and JWT-SVIDs that last seconds if asked, several trust
// domains that federate, and CAs that rotate.
//
// Whoever connects is attested by the kernel (SO_PEERCRED) and gets what a function says of its process. There is no server
// behind it: it signs by itself, with keys that live in memory. It is never part of the product binary.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	secretv3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// Caller is a process that has connected, as the kernel knows it. A process ID may be another's later: who keeps a
// connection keeps the identity that it had when it connected.
type Caller struct {
	PID      int
	UID, GID int
}

func (c Caller) String() string { return fmt.Sprintf("pid %d of uid %d", c.PID, c.UID) }

// Options say whom an agent serves, and with what.
type Options struct {
	Socket string // the path of its Unix socket; 103 bytes at most
	// TrustDomains are those in which it signs, with their first CA; nil: a fresh one. All are federated with each other.
	TrustDomains map[string]*devca.CA
	// Identities are the SPIFFE IDs of a process, the default one first; none: no identity is issued to it. It is asked at
	// each connection and each renewal, from several goroutines.
	Identities func(Caller) []string
	TTL        time.Duration // of X.509-SVIDs, at least 2s; default 1h. All are renewed together, every half of it
	JWTTTL     time.Duration // of JWT-SVIDs; default 5m
	// SPIFFEValidator gives Envoy each bundle as a validator for that trust domain alone, as SPIRE does by default. Else
	// ROOTCA and the names of trust domains are plain CA certificates (SPIRE's disable_spiffe_cert_validation).
	SPIFFEValidator bool
	Events          Events
}

// Events is told what an agent does. Nil callbacks are skipped; they are called from several goroutines.
type Events struct {
	// Issued: an X.509-SVID was signed. Each identity has one at a time, whoever asks for it.
	Issued func(spiffeID string, notAfter time.Time)
	// Refused: a process got nothing.
	Refused func(caller Caller, reason string)
	// Rejected: Envoy could not use a secret.
	Rejected func(caller Caller, names []string, detail string)
}

// Agent serves the identities of one machine. Its methods may be called concurrently.
type Agent struct {
	options Options
	state   *state

	mu     sync.Mutex
	server *grpc.Server // nil: it is stopped
	served chan error
}

// New makes the authorities of an agent. It starts nothing.
func New(o Options) (*Agent, error) {
	switch {
	case o.Socket == "":
		return nil, errors.New("an agent needs a socket")
	case o.Identities == nil:
		return nil, errors.New("an agent needs Identities, or it has nothing to give to anybody")
	case len(o.TrustDomains) == 0:
		return nil, errors.New("an agent needs a trust domain")
	}
	if o.TTL == 0 {
		o.TTL = time.Hour
	}
	if o.JWTTTL == 0 {
		o.JWTTTL = 5 * time.Minute
	}
	s, err := newState(o.TrustDomains, o.TTL, o.Events)
	if err != nil {
		return nil, err
	}
	return &Agent{options: o, state: s}, nil
}

// Start listens and serves until Stop. What was issued before is still known: an agent that comes back has the keys that it
// had.
func (a *Agent) Start() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.server != nil {
		return fmt.Errorf("the agent at %s is running", a.options.Socket)
	}
	listener, err := listen(a.options.Socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.Creds(attestation{}), grpc.WaitForHandlers(true),
		grpc.StreamInterceptor(streamHeader), grpc.UnaryInterceptor(unaryHeader))
	workload.RegisterSpiffeWorkloadAPIServer(server, &workloadAPI{agent: a})
	secretv3.RegisterSecretDiscoveryServiceServer(server, &secrets{agent: a})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	a.server, a.served = server, served
	return nil
}

// Stop ends the agent as if it were killed: every connection is cut, and its socket is gone. It is idempotent.
func (a *Agent) Stop() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.server == nil {
		return nil
	}
	a.server.Stop()
	err := <-a.served
	a.server, a.served = nil, nil
	if errors.Is(err, grpc.ErrServerStopped) {
		err = nil
	}
	return err
}

// Run serves until ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.Start(); err != nil {
		return err
	}
	<-ctx.Done()
	return a.Stop()
}

// Socket is where the agent listens, or will.
func (a *Agent) Socket() string { return a.options.Socket }

// socketMode lets the group in; who gets what is said by Identities. Envoy often runs as a user of its own.
const socketMode = 0o770

// listen takes the place of a socket that nobody serves any more, and of nothing else.
func listen(socket string) (net.Listener, error) {
	if info, err := os.Lstat(socket); err == nil {
		if info.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("%s is there and is no socket; name another path", socket)
		}
		if connection, err := net.DialTimeout("unix", socket, time.Second); err == nil {
			_ = connection.Close() // nothing was said on it
			return nil, fmt.Errorf("another agent serves %s; end it or name another path", socket)
		}
		if err := os.Remove(socket); err != nil {
			return nil, err
		}
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("the agent cannot listen: %w", err)
	}
	if err := os.Chmod(socket, socketMode); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}
