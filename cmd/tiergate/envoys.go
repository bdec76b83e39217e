package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/tiergate/tiergate/authz/identity"
)

// maxEnvoys bounds the connections of authz.listen, those in their handshake included.
const maxEnvoys = 1024

// envoys lets the Envoys that the settings name connect over TCP: TLS 1.3 with our own SVID and theirs, judged by the
// authority that counts now, and nothing that a session of before could resume. A connection is closed when its
// certificate runs out, or when other CA certificates count and it would no longer be let in.
type envoys struct {
	credentials.TransportCredentials
	peers interface {
		Peer(encodedPEM, principal string, at time.Time) identity.Peer
	}
	admit   []identity.SPIFFEPattern
	refused func(remote string, err error)

	mu   sync.Mutex
	open map[*envoyConn]struct{}
	used int
}

// newEnvoys makes the credentials of a gRPC server.
func newEnvoys(own func() (*tls.Certificate, error), trust *trust, patterns []string,
	refused func(remote string, err error),
) (*envoys, error) {
	e := &envoys{peers: trust, refused: refused, open: map[*envoyConn]struct{}{}}
	for i, text := range patterns {
		pattern, err := identity.ParseSPIFFEPattern(text)
		if err != nil {
			return nil, fmt.Errorf("authz.listen.envoys[%d]: %w", i, err)
		}
		e.admit = append(e.admit, pattern)
	}
	e.TransportCredentials = credentials.NewTLS(&tls.Config{
		MinVersion:             tls.VersionTLS13,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own() },
		ClientAuth:             tls.RequireAnyClientCert, // judged below: crypto/tls knows no SPIFFE ID
		SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := e.judge(state, time.Now())
			return err
		},
	})
	trust.onChange(e.recheck)
	return e, nil
}

// judge says until when the other end may stay.
func (e *envoys) judge(state tls.ConnectionState, at time.Time) (until time.Time, err error) {
	if len(state.PeerCertificates) == 0 {
		return until, errors.New("it shows no certificate")
	}
	leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: state.PeerCertificates[0].Raw})
	peer := e.peers.Peer(string(leaf), "", at)
	switch {
	case len(peer.Doubts) > 0:
		return until, errors.New(peer.Doubts[0].Detail)
	case peer.Workload == "":
		return until, errors.New("its certificate is no X.509-SVID")
	}
	for _, pattern := range e.admit {
		if pattern.Match(peer.Workload) {
			return peer.Certificate.NotAfter, nil
		}
	}
	return until, fmt.Errorf("%s is not named in authz.listen.envoys", peer.Workload)
}

// ServerHandshake is called by gRPC for every connection, each in a goroutine and under a deadline of its own.
func (e *envoys) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	remote := raw.RemoteAddr().String()
	if !e.enter() {
		err := fmt.Errorf("there are %d connections already", maxEnvoys)
		e.refused(remote, err)
		return nil, nil, err
	}
	conn, info, err := e.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		e.leave(nil)
		e.refused(remote, err)
		return nil, nil, err
	}
	shown, ok := info.(credentials.TLSInfo)
	if !ok {
		e.leave(nil)
		_ = conn.Close() // it is not served
		return nil, nil, errors.New("the handshake tells nothing of its certificates")
	}
	guarded := &envoyConn{Conn: conn, of: e, state: shown.State}
	e.mu.Lock()
	e.open[guarded] = struct{}{} // before it is judged again: from here on recheck sees it
	e.mu.Unlock()
	until, err := e.judge(shown.State, time.Now())
	if err != nil { // other CA certificates count since the handshake
		_ = guarded.Close() // it is not served
		e.refused(remote, err)
		return nil, nil, err
	}
	guarded.expiry = time.AfterFunc(time.Until(until), func() { _ = conn.Close() }) // gRPC sees it and closes guarded
	return guarded, info, nil
}

// ClientHandshake is never used: these are a server's credentials.
func (e *envoys) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these are credentials of a server")
}

// Clone returns the same, so that every connection is counted.
func (e *envoys) Clone() credentials.TransportCredentials { return e }

// recheck closes the connections that would not be let in any more.
func (e *envoys) recheck() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.open {
		if _, err := e.judge(c.state, time.Now()); err != nil {
			_ = c.Conn.Close() // gRPC sees it and closes c
		}
	}
}

func (e *envoys) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.used >= maxEnvoys {
		return false
	}
	e.used++
	return true
}

func (e *envoys) leave(c *envoyConn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.used--
	delete(e.open, c)
}

// envoyConn is a connection that ends with the certificate it was opened with.
type envoyConn struct {
	net.Conn
	of     *envoys
	state  tls.ConnectionState
	expiry *time.Timer
	once   sync.Once
}

// Close gives the connection back.
func (c *envoyConn) Close() error {
	c.once.Do(func() {
		if c.expiry != nil {
			c.expiry.Stop()
		}
		c.of.leave(c)
	})
	return c.Conn.Close()
}
