package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

// How messages and metrics name the files of ingest.approvals.
const (
	approvalsTLS  = "ingest.approvals.tls"
	approvalsCA   = "ingest.approvals.clientCAFile"
	approvalsKeys = "ingest.approvals, " // before the key set of an issuer
)

// maxPeople bounds the connections to ingest.approvals.
const maxPeople = 256

// receiverFiles are the files that `tiergate ingest` follows, read for the first time.
func receiverFiles(s *config.Settings, o *observer) (*fileSet, error) {
	f := &fileSet{changed: func() {}, told: o.files()}
	f.listApprovals(s)
	return f, f.open()
}

// listApprovals follows what ingest.approvals shows, whom it lets in, and the keys of the issuers whose tokens count there.
func (f *fileSet) listApprovals(s *config.Settings) {
	a := s.Ingest.Approvals
	if a == nil {
		return
	}
	f.groups = append(f.groups, &fileGroup{name: approvalsTLS, judge: judgePair,
		files: []settingFile{{approvalsTLS + ".certFile", a.TLS.CertFile}, {approvalsTLS + ".keyFile", a.TLS.KeyFile}}})
	if a.ClientCAFile != "" {
		f.groups = append(f.groups, &fileGroup{name: approvalsCA, judge: judgeBundle, files: []settingFile{{approvalsCA, a.ClientCAFile}}})
	}
	for i, x := range s.Identity.Issuers {
		if a.Takes(x.Name) && x.JWKSFile != "" {
			setting := approvalsKeys + keySetFile(i)
			f.groups = append(f.groups, &fileGroup{name: setting, judge: judgeKeys, files: []settingFile{{setting, x.JWKSFile}}})
		}
	}
}

// people is who may come to ingest.approvals, and how they are known.
type people struct {
	settings *config.Approvals
	tokens   *token.Verifier  // nil: none count
	replays  authz.Replays    // of DPoP proofs
	now      func() time.Time //
	told     func(admitted bool, who, why string)

	shown atomic.Pointer[tls.Certificate]
	roots atomic.Pointer[x509.CertPool] // nil: nobody is asked for a certificate
}

// newPeople reads what is to be shown and believed; the parts fetch keys.
func newPeople(s *config.Settings, store signals.Store, held *fileSet, o *observer) (*people, []part, error) {
	a := s.Ingest.Approvals
	p := &people{settings: a, now: time.Now, told: o.people(), replays: authz.NewReplays(store, authz.ReplayOptions{Within: time.Second})}
	verifier, parts, err := p.verifier(s, held, o)
	if err != nil {
		return nil, nil, err
	}
	p.tokens = verifier
	return p, parts, p.follow(held)
}

// verifier takes tokens of the named issuers for the audiences of approvals, and nothing else that the settings say of the
// issuers' applications.
func (p *people) verifier(s *config.Settings, held *fileSet, o *observer) (*token.Verifier, []part, error) {
	var issuers []token.Issuer
	var fetched []part
	for i, x := range s.Identity.Issuers {
		if !p.settings.Takes(x.Name) {
			continue
		}
		x.Audiences, x.Device = p.settings.Audiences, nil
		keys, run, err := issuerKeys(x, approvalsKeys+keySetFile(i), held, o)
		if err != nil {
			return nil, nil, fmt.Errorf("identity.issuers[%d].%w", i, err)
		}
		if run != nil {
			fetched = append(fetched, part{"keys of issuer " + x.Name + " for approvals", run})
		}
		issuer := tokenIssuer(x)
		issuer.Source = keys
		issuers = append(issuers, issuer)
	}
	if len(issuers) == 0 {
		return nil, nil, nil
	}
	verifier, err := token.New(issuers, token.WithDPoP(s.Identity.DPoPWindow))
	return verifier, fetched, err
}

// follow takes over the certificates that count now, and has those that will.
func (p *people) follow(held *fileSet) error {
	uses := map[string]func([][]byte) error{approvalsTLS: p.show, approvalsCA: p.believe}
	for _, g := range held.groups {
		use, mine := uses[g.name]
		if !mine {
			continue
		}
		contents := make([][]byte, 0, len(g.files))
		for _, file := range g.files {
			raw, err := held.content(file.setting, file.path)
			if err != nil {
				return err
			}
			contents = append(contents, raw)
		}
		if err := use(contents); err != nil {
			return g.at(err)
		}
		g.use = use
	}
	return nil
}

func (p *people) show(contents [][]byte) error {
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err == nil {
		p.shown.Store(&pair)
	}
	return err
}

func (p *people) believe(contents [][]byte) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(contents[0]) {
		return errors.New("there is no CA certificate")
	}
	p.roots.Store(roots)
	return nil
}

// tls is made anew for each connection, so that a CA that was taken out lets nobody in any more, by a resumed session either.
func (p *people) tls() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*p.shown.Load()}, SessionTicketsDisabled: true}
		if roots := p.roots.Load(); roots != nil {
			c.ClientCAs, c.ClientAuth = roots, tls.VerifyClientCertIfGiven
		}
		return c, nil
	}}
}

// peopleParts listen on ingest.approvals and serve what mount puts there to those who are known.
func peopleParts(s *config.Settings, store signals.Store, held *fileSet, o *observer, mount mounting) ([]part, error) {
	p, parts, err := newPeople(s, store, held, o)
	if err != nil {
		return nil, err
	}
	listener, err := listenTCP(s.Ingest.Approvals.Listen, "ingest.approvals.listen")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mount(mux, callerOf)
	return append(parts, part{"approvals", func(ctx context.Context) error { return p.serve(ctx, listener, p.door(mux)) }}), nil
}

// serve tells of connections that fail, such as those with a certificate of a foreign CA, as of requests that are refused.
func (p *people) serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	return admin.Serve(ctx, p.listen(listener), handler, func(s *http.Server) {
		s.ErrorLog = log.New(failedConnections(p.told), "", 0) //nolint:forbidigo // net/http wants one; told is what writes
	})
}

// failedConnections is what net/http says of them, line by line.
type failedConnections func(admitted bool, who, why string)

// Write implements io.Writer.
func (f failedConnections) Write(line []byte) (int, error) {
	f(false, "", strings.TrimSpace(string(line)))
	return len(line), nil
}

// listen bounds who holds a connection open.
func (p *people) listen(plain net.Listener) net.Listener {
	return tls.NewListener(netutil.LimitListener(plain, maxPeople), p.tls())
}
