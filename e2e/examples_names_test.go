package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/tiergate/tiergate/config"
)

// namesAtTheDoor asks a listener that believes each trust domain about itself, with certificates whose signer and names do
// not go together: another domain's CA ends at the handshake, and of two names, which Envoy takes, tiergate takes none.
func (p *played) namesAtTheDoor(t *testing.T, l config.Listener, host string) {
	t.Helper()
	const production, staging = "spiffe://acme.example/ns/audit/sa/sampler", "spiffe://staging.acme.example/ns/audit/sa/sampler"
	for _, c := range []struct {
		signer string
		names  []string
		want   int // 0: no handshake
	}{
		{"acme.example", []string{production}, http.StatusOK},
		{"staging.acme.example", []string{production}, 0},
		{"acme.example", []string{staging}, 0},
		{"acme.example", []string{production, staging}, http.StatusUnauthorized},
		{"acme.example", []string{production, "spiffe://acme.example/ci/main/ledger"}, http.StatusUnauthorized},
		{"staging.acme.example", []string{production, staging}, 0},
		{"acme.example", []string{"https://acme.example/ns/audit/sa/sampler"}, 0},
		{"acme.example", nil, 0},
	} {
		template := x509.Certificate{NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		for _, name := range c.names {
			template.URIs = append(template.URIs, made(url.Parse(name))(t))
		}
		if got := p.statusFor(t, l, host, made(p.authorities[c.signer].Odd(template))(t)); got != c.want {
			t.Errorf("%s signed %q: %d, want %d", c.signer, c.names, got, c.want)
		}
	}
}

// statusFor asks for /admin/x over a connection of its own; 0: there was no answer.
func (p *played) statusFor(t *testing.T, l config.Listener, host string, pair tls.Certificate) int {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.servers.PEM())
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", l.Address,
		&tls.Config{RootCAs: roots, ServerName: host, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return 0
	}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}}
	answer, err := client.Get("https://" + host + "/admin/x")
	if err != nil {
		_ = conn.Close()
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
