package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/tiergate/tiergate/authz/assertion"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/config"
)

// How messages and metrics name the files of assertions.
const (
	assertionKeys = "assertion.keyFiles"
	assertionTLS  = "assertion.tls"
)

// listAssertion follows the keys that sign, all as one, and what assertion.listen shows.
func (f *fileSet) listAssertion(a *config.Assertion) {
	if a == nil {
		return
	}
	if len(a.KeyFiles) > 0 {
		g := &fileGroup{name: assertionKeys, judge: judgeAssertionKeys}
		for i, path := range a.KeyFiles {
			g.files = append(g.files, settingFile{assertionKeyFile(i), path})
		}
		f.groups = append(f.groups, g)
	}
	if a.TLS != nil {
		f.groups = append(f.groups, &fileGroup{name: assertionTLS, judge: judgePair,
			files: []settingFile{{assertionTLS + ".certFile", a.TLS.CertFile}, {assertionTLS + ".keyFile", a.TLS.KeyFile}}})
	}
}

func assertionKeyFile(i int) string { return fmt.Sprintf("%s[%d]", assertionKeys, i) }

// judgeAssertionKeys wants a private key in each file.
func judgeAssertionKeys(contents [][]byte, _ time.Time) (lifetime, error) {
	for i, raw := range contents {
		if err := assertion.Parse(raw); err != nil {
			return lifetime{}, fmt.Errorf("file %d: %w", i+1, err)
		}
	}
	return lifetime{}, nil
}

// assertions is what signs for upstreams; all nil: nothing does.
type assertions struct {
	issuer *assertion.Issuer
	keys   *assertion.Keys
	shown  atomic.Pointer[tls.Certificate] // by assertion.listen
}

func newAssertions(s *config.Settings, held *fileSet, o *observer) (*assertions, error) {
	a := s.Assertion
	if a == nil {
		return &assertions{}, nil
	}
	m := newAssertionMetrics(o.registry)
	options := assertion.KeyOptions{RotateEvery: a.RotateEvery, Lifetime: a.Lifetime, Events: o.assertionKeys(m)}
	for i, path := range a.KeyFiles {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", assertionKeyFile(i), err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			return nil, fmt.Errorf("%s: %s can be read by others (mode %04o), who could then sign as this gateway: chmod 600 it",
				assertionKeyFile(i), path, info.Mode().Perm())
		}
		raw, err := held.content(assertionKeyFile(i), path)
		if err != nil {
			return nil, err
		}
		options.Files = append(options.Files, raw)
	}
	keys, err := assertion.NewKeys(options)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", assertionKeys, err)
	}
	made := &assertions{keys: keys, issuer: assertion.New(assertion.Options{Issuer: a.Issuer, Lifetime: a.Lifetime, Keys: keys,
		Failed: o.assertionFailed(m), Signed: m.signed})}
	for _, g := range held.groups {
		switch g.name {
		case assertionKeys:
			g.use = keys.Replace
		case assertionTLS:
			g.use = made.show
		}
	}
	return made, made.firstShown(a, held)
}

func (a *assertions) firstShown(s *config.Assertion, held *fileSet) error {
	if s.TLS == nil {
		return nil
	}
	cert, err := held.content(assertionTLS+".certFile", s.TLS.CertFile)
	if err != nil {
		return err
	}
	key, err := held.content(assertionTLS+".keyFile", s.TLS.KeyFile)
	if err != nil {
		return err
	}
	return a.show([][]byte{cert, key})
}

// show takes a certificate chain and its key.
func (a *assertions) show(contents [][]byte) error {
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return fmt.Errorf("%s: %w", assertionTLS, err)
	}
	a.shown.Store(&pair)
	return nil
}

// publish adds the keys to what metrics.listen serves.
func (a *assertions) publish(probes http.Handler) http.Handler {
	if a.keys == nil {
		return probes
	}
	mux := http.NewServeMux()
	mux.Handle("/", probes)
	mux.Handle(assertion.Path, a.keys)
	return mux
}

// parts are what runs: the keys, the signing ahead, and assertion.listen.
func (a *assertions) parts(s *config.Assertion) ([]part, error) {
	if a.keys == nil {
		return nil, nil
	}
	parts := []part{{"assertion keys", a.keys.Run}, {"assertions", a.issuer.Run}}
	if s.Listen == "" {
		return parts, nil
	}
	listener, err := listenTCP(s.Listen, "assertion.listen")
	if err != nil {
		return nil, err
	}
	if s.TLS != nil {
		listener = a.secured(listener)
	}
	mux := http.NewServeMux() // and nothing else: this address is not for those who run tiergate
	mux.Handle(assertion.Path, a.keys)
	return append(parts, part{"assertion.listen", func(ctx context.Context) error { return admin.Serve(ctx, listener, mux) }}), nil
}

func (a *assertions) secured(plain net.Listener) net.Listener {
	return tls.NewListener(plain, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.shown.Load(), nil },
	})
}
