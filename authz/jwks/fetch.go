package jwks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The limits of one fetch.
const (
	fetchWithin    = 5 * time.Second // all of it, from the look-up of the name to the last byte
	connectWithin  = 2 * time.Second
	maxHeaderBytes = 32 << 10
)

// etagPattern is an entity tag of RFC 9110, section 8.8.3, of a length that is worth to be kept.
var etagPattern = regexp.MustCompile(`^(W/)?"[!#-~]{0,200}"$`)

// answer is one good answer.
type answer struct {
	set   *jose.JSONWebKeySet // nil: not modified
	etag  string
	fresh time.Duration // 0: it does not say
}

// newClient makes a client that goes nowhere but to the URL it is given: not through a proxy that the environment names,
// not where a redirect points, and if it is local not off this machine, whatever its name resolves to. Connections are
// not kept; the next fetch is minutes away.
func newClient(roots *x509.CertPool, local bool) *http.Client {
	dialer := &net.Dialer{Timeout: connectWithin}
	if local {
		dialer.Control = onlyLoopback
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    connectWithin,
			MaxResponseHeaderBytes: maxHeaderBytes,
			DisableKeepAlives:      true,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func onlyLoopback(_, address string, _ syscall.RawConn) error {
	if a, err := netip.ParseAddrPort(address); err != nil || !a.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("%s is not on this machine, and the URL is not https", address)
	}
	return nil
}

// isLoopback knows localhost by name (RFC 6761, section 6.3).
func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && address.IsLoopback()
}

// fetch gets the set, or word that it is still the one of the etag.
func (r *Remote) fetch(ctx context.Context, etag string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, r.within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, http.NoBody)
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	request.Header.Set("User-Agent", "tiergate")
	if etag != "" {
		request.Header.Set("If-None-Match", etag)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return answer{}, r.late(err)
	}
	defer response.Body.Close()
	a := answer{fresh: freshness(response.Header)}
	switch code := response.StatusCode; {
	case code == http.StatusNotModified && etag != "":
		return a, nil
	case code >= 300 && code < 400 && response.Header.Get("Location") != "":
		return answer{}, fmt.Errorf("%s answers %d and points to %.200q; redirects are not followed: write where the key set is",
			r.url, code, response.Header.Get("Location"))
	case code != http.StatusOK:
		return answer{}, fmt.Errorf("%s answers %d", r.url, code)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBytes+1))
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", r.url, r.late(err))
	}
	if len(body) > MaxBytes {
		return answer{}, fmt.Errorf("%s: the key set has more than %d bytes", r.url, MaxBytes)
	}
	set, err := Parse(body)
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", r.url, err)
	}
	a.set = &set
	if tag := response.Header.Get("ETag"); etagPattern.MatchString(tag) {
		a.etag = tag
	}
	return a, nil
}

// late says what a passed deadline means.
func (r *Remote) late(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no whole answer came within %s: %w", r.within, err)
	}
	return err
}
