package stage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// echoType marks the answers of the stage's upstreams, so that nobody takes another JSON for one.
const echoType = "application/vnd.tiergate.demo-echo+json"

// Upstream is an application behind Envoy: it proves its SVID, admits one peer and answers with what it was sent.
type Upstream struct {
	Name     string
	Listen   string // host:port
	CertFile string // its SVID
	KeyFile  string
	CAFile   string // who may have signed the peer's SVID
	// WorkloadAPI is the socket that has its SVID, and the CAs of its peer, as they rotate; in place of the three files.
	WorkloadAPI string
	Admit       string // the only SPIFFE ID that it talks to
}

// Echo is the answer of an Upstream.
type Echo struct {
	Upstream string              `json:"upstream"`
	Peer     string              `json:"peer"` // the SPIFFE ID that connected
	Method   string              `json:"method"`
	Host     string              `json:"host"`
	Path     string              `json:"path"`    // with the query, as it arrived
	Headers  map[string][]string `json:"headers"` // lower-case; credentials are left out
}

// Run serves until ctx ends.
func (u Upstream) Run(ctx context.Context) error {
	config, done, err := u.tls(ctx)
	if err != nil {
		return err
	}
	defer done()
	listener, err := net.Listen("tcp", u.Listen)
	if err != nil {
		return fmt.Errorf("upstream %s cannot listen: %w", u.Name, err)
	}
	server := &http.Server{Handler: http.HandlerFunc(u.answer), TLSConfig: config, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(stop) != nil {
			_ = server.Close() // it is on its way out; nobody is left to tell
		}
	})
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("upstream %s: %w", u.Name, err)
	}
	return nil
}

// tls is how it proves itself, until done.
func (u Upstream) tls(ctx context.Context) (config *tls.Config, done func(), err error) {
	if u.WorkloadAPI != "" {
		config, done, err = u.liveTLS(ctx)
	} else {
		config, err = u.fileTLS()
		done = func() {}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("upstream %s: %w", u.Name, err)
	}
	config.NextProtos = []string{"h2", "http/1.1"}
	return config, done, nil
}

func (u Upstream) fileTLS() (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(u.CertFile, u.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("its certificate: %w", err)
	}
	bundle, err := os.ReadFile(u.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, fmt.Errorf("%s holds no certificate", u.CAFile)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert,
		MinVersion: tls.VersionTLS12,
		VerifyConnection: func(state tls.ConnectionState) error {
			if peer := peerID(state); peer != u.Admit {
				return fmt.Errorf("%s talks to %s only, not to %q", u.Name, u.Admit, peer)
			}
			return nil
		},
	}, nil
}

// agentWithin bounds how long an upstream waits for its first SVID.
const agentWithin = 10 * time.Second

func (u Upstream) liveTLS(ctx context.Context) (*tls.Config, func(), error) {
	admit, err := spiffeid.FromString(u.Admit)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, agentWithin)
	defer cancel()
	source, err := workloadapi.NewX509Source(ctx, agentAt(u.WorkloadAPI))
	if err != nil {
		return nil, nil, fmt.Errorf("its SVID: %w", err)
	}
	config := tlsconfig.MTLSServerConfig(source, source, tlsconfig.AuthorizeID(admit))
	config.SessionTicketsDisabled = true // who resumes shows no certificate
	return config, func() { _ = source.Close() }, nil
}

// peerID is the one URI SAN of the peer's certificate; two are none.
func peerID(state tls.ConnectionState) string {
	if len(state.PeerCertificates) == 0 || len(state.PeerCertificates[0].URIs) != 1 {
		return ""
	}
	return state.PeerCertificates[0].URIs[0].String()
}

func (u Upstream) answer(w http.ResponseWriter, r *http.Request) {
	if converse(w, r) {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20)) // the body is of no interest
	echo := Echo{
		Upstream: u.Name, Peer: peerID(*r.TLS), Method: r.Method, Host: r.Host, Path: r.RequestURI,
		Headers: map[string][]string{},
	}
	for name, values := range r.Header {
		if name != "Authorization" && name != "Cookie" {
			echo.Headers[strings.ToLower(name)] = values
		}
	}
	w.Header().Set("Content-Type", echoType)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(echo) // fails only if the client is gone
}
