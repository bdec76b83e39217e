package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/tiergate/tiergate/xds/dump"
)

// envoyConfiguration reads what an Envoy is configured with: from a file, standard input ("-"), or the admin interface of a
// running one.
func envoyConfiguration(ctx context.Context, stdin io.Reader, from string) (*dump.Config, error) {
	socket, unix := strings.CutPrefix(from, "unix:")
	switch {
	case from == "-":
		return configurationIn(stdin, "standard input")
	case unix:
		return dumpOfEnvoy(ctx, from, func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "unix", socket) })
	case strings.Contains(from, "://"):
		address, err := loopbackAdmin(from)
		if err != nil {
			return nil, usageError{err}
		}
		return dumpOfEnvoy(ctx, from, func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", address) })
	}
	file, err := os.Open(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s: name a bootstrap or config_dump, unix:PATH or http://127.0.0.1:PORT", from)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return configurationIn(file, from)
}

func configurationIn(r io.Reader, origin string) (*dump.Config, error) {
	raw, err := io.ReadAll(io.LimitReader(r, dump.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	return dump.Read(raw, origin)
}

// loopbackAdmin is the ip:port of an admin interface on this machine: elsewhere, the dump and whatever is in it would cross
// the network in the clear.
func loopbackAdmin(from string) (string, error) {
	const fix = "say unix:PATH or http://127.0.0.1:PORT"
	u, err := url.Parse(from)
	switch {
	case err != nil:
		return "", fmt.Errorf("%q is no address: %s", from, fix)
	case u.Scheme != "http" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
		return "", fmt.Errorf("%q is no admin interface: %s", from, fix)
	}
	address, err := netip.ParseAddrPort(strings.Replace(u.Host, "localhost:", "127.0.0.1:", 1))
	if err != nil || !address.Addr().Unmap().IsLoopback() {
		return "", fmt.Errorf("%q is not on this machine, and nothing protects the way to it: %s", from, fix)
	}
	return address.String(), nil
}

// dumpOfEnvoy reads /config_dump?include_eds, within a minute.
func dumpOfEnvoy(ctx context.Context, from string, dial func(context.Context) (net.Conn, error)) (*dump.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://envoy/config_dump?include_eds", http.NoBody)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no Envoy answers on %s: %w; is it admin.address of its bootstrap, and may you open it?", from, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s to /config_dump; is it the admin interface of an Envoy?", from, answer.Status)
	}
	return configurationIn(answer.Body, from)
}
