package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/tiergate/tiergate/authz/findings/outlets"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

// newOutletQueue is where the receiver's process tells what is found, over the store as it uses it: signed where it is shared.
func newOutletQueue(s *config.Settings, store signals.Store, o *observer) (*outlets.Queue, error) {
	store, err := sealedStore(s, store)
	if err != nil {
		return nil, err
	}
	var named []outlets.Named
	for i := range s.Outlets {
		x := &s.Outlets[i]
		outlet, err := newOutlet(x)
		if err != nil {
			return nil, fmt.Errorf("outlets[%d] (%s): %w", i, x.Name, err)
		}
		named = append(named, outlets.Named{Name: x.Name, Type: x.Type, Default: x.Default, Details: x.Details, Outlet: outlet})
	}
	q := outlets.New(store, outlets.Options{Outlets: named, Name: receiverName(s), Alone: s.Store.Embedded != nil, Events: o.outlets()})
	o.outletStates(q.Here)
	return q, nil
}

func newOutlet(x *config.Outlet) (outlets.Outlet, error) {
	if x.Type == config.OutletJSONLines {
		return outlets.NewJSONLines(x.File), nil
	}
	options := outlets.WebhookOptions{URL: x.URL, Shape: outlets.Shape(x.Type), Source: x.Source, Timeout: x.Timeout}
	var err error
	if x.URLFile != "" {
		if options.URL, err = readSecret(x.URLFile); err != nil {
			return nil, fmt.Errorf("urlFile: %w", err)
		}
	}
	if options.Secrets, err = readSecrets("secretFiles", x.SecretFiles); err != nil {
		return nil, err
	}
	if options.Header, err = outletHeader(x); err != nil {
		return nil, err
	}
	if x.CAFile != "" {
		pem, err := os.ReadFile(x.CAFile)
		if err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
		options.Roots = x509.NewCertPool()
		if !options.Roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("caFile: %s holds no PEM certificate", x.CAFile)
		}
	}
	if x.ProxyURL != "" {
		if options.Proxy, err = url.Parse(x.ProxyURL); err != nil {
			return nil, errors.New("proxyURL: it cannot be read; write http://host:port")
		}
	}
	return outlets.NewWebhook(options)
}

// outletHeader is what is sent with each event besides what the outlet sets itself.
func outletHeader(x *config.Outlet) (http.Header, error) {
	header := http.Header{}
	for name, value := range x.Headers {
		header.Set(name, value)
	}
	for name, file := range x.HeaderFiles {
		value, err := secretHeader(file)
		if err != nil {
			return nil, fmt.Errorf("headerFiles.%s: %w", name, err)
		}
		header.Set(name, value)
	}
	if x.TokenFile != "" {
		token, err := secretHeader(x.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("tokenFile: %w", err)
		}
		header.Set("Authorization", "Bearer "+token)
	}
	return header, nil
}

// secretHeader reads a secret that must fit into a header.
func secretHeader(file string) (string, error) {
	value, err := readSecret(file)
	if err == nil && strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		err = fmt.Errorf("%s holds what does not fit into a header: write one line of printable ASCII", file)
	}
	return value, err
}

// takeOutlets has `serve` tell what is found where the store is embedded: nobody else could.
func (sc *sidecar) takeOutlets(told *http.ServeMux) ([]part, error) {
	if sc.settings.Store.Embedded == nil {
		return nil, nil
	}
	q, err := newOutletQueue(sc.settings, sc.store, sc.observer)
	if err != nil {
		return nil, err
	}
	sc.outlets = q
	outletPaths(told, q, sc.observer)
	return []part{{"outlets", q.Run}}, nil
}

// withOutlets is what a receiver's admin socket serves, and the outlets.
func withOutlets(verbs http.Handler, q *outlets.Queue, o *observer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", verbs)
	outletPaths(mux, q, o)
	return mux
}
