package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

const (
	gatewayID   = "spiffe://acme.example/ns/edge/sa/gateway"
	theDeployer = "spiffe://acme.example/ns/ci/sa/deployer"
)

// front is a real Envoy that stands before ours, takes mTLS from clients and makes mTLS to ours with the gateway's SVID.
type front struct {
	outside   *authority        // a CA that the front trusts for its clients and tiergate for nothing
	addresses map[string]string // of its listeners, by the way in which they tell of clients
}

// The ways in which a proxy may tell of its clients: forward_client_cert_details, set_current_client_cert_details.
var tellings = map[string][2]string{
	"everything": {"SANITIZE_SET", "{subject: true, cert: true, chain: true, dns: true, uri: true}"},
	"names":      {"SANITIZE_SET", "{subject: true, dns: true, uri: true}"},
	"dns":        {"SANITIZE_SET", "{dns: true}"},
	"hash":       {"SANITIZE_SET", "{}"},
	"append":     {"APPEND_FORWARD", "{cert: true, uri: true}"},
}

const frontListener = `
  - name: %[1]s
    address: {socket_address: {address: 127.0.0.1, port_value: %[2]s}}
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates: [{certificate_chain: {filename: front.pem}, private_key: {filename: front.key}}]
            validation_context: {trusted_ca: {filename: clients.pem}}
      filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: %[1]s
          forward_client_cert_details: %[3]s
          set_current_client_cert_details: %[4]s
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: ours}}]}]
`

const frontClusters = `
  clusters:
  - name: ours
    type: STATIC
    load_assignment:
      cluster_name: ours
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}}]}]
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: app.acme.example
        common_tls_context:
          tls_certificates: [{certificate_chain: {filename: gateway.pem}, private_key: {filename: gateway.key}}]
          validation_context: {trusted_ca: {filename: servers.pem}}
`

// newFront starts it. Its own listeners' certificate has the gateway's SPIFFE ID, which is what Envoy writes as By.
func newFront(t *testing.T, s *stage.Stage, gateway *devca.Pair) *front {
	t.Helper()
	f := &front{outside: newAuthority(t), addresses: map[string]string{}}
	id, err := url.Parse(gatewayID)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key := f.outside.sign(t, &x509.Certificate{DNSNames: []string{stage.PortalHost, stage.PayrollHost},
		URIs: []*url.URL{id}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	own := &devca.Pair{Certificate: certificate, Key: key}
	for name, pair := range map[string]*devca.Pair{"front": own, "gateway": gateway} {
		if err := pair.WriteFiles(at(name+".pem"), at(name+".key")); err != nil {
			t.Fatal(err)
		}
	}
	text := "static_resources:\n  listeners:"
	for name, telling := range tellings {
		f.addresses[name] = freeport.For(t)
		text += fmt.Sprintf(frontListener, name, portOf(f.addresses[name]), telling[0], telling[1])
	}
	text += fmt.Sprintf(frontClusters, portOf(s.Ports.Ingress))
	for _, name := range []string{"front.pem", "front.key", "gateway.pem", "gateway.key", "clients.pem", "servers.pem"} {
		text = strings.ReplaceAll(text, "filename: "+name, "filename: "+at(name))
	}
	clients := string(devca.Bundle(s.Cast.Devices, s.Cast.Workloads)) +
		pemOf(t, "CERTIFICATE", f.outside.certificate.Raw, nil)
	for name, content := range map[string]string{"envoy.yaml": text, "clients.pem": clients,
		"servers.pem": string(s.Cast.Servers.PEM())} {
		if err := os.WriteFile(at(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.start(t, at("envoy.yaml"), at("envoy.log"))
	return f
}

func (f *front) start(t *testing.T, config, log string) {
	t.Helper()
	processes := stage.NewSupervisor(stage.Events{})
	t.Cleanup(func() {
		if err := processes.Stop(); err != nil {
			t.Error(err)
		}
	})
	err := processes.Start(soon(t, time.Minute), stage.Process{
		Name: "front", Path: programsHere(t).Envoy, Log: log,
		Args: []string{"-c", config, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"},
		Ready: func(ctx context.Context) error {
			for _, address := range f.addresses {
				if err := dialable(ctx, address); err != nil {
					return err
				}
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// odd signs a client certificate of the outside, with names that no library would let through.
func (f *front) odd(t *testing.T, dns []string, uris ...string) *devca.Pair {
	t.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "odd"}, DNSNames: dns,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, uri := range uris {
		template.URIs = append(template.URIs, &url.URL{Opaque: uri, Scheme: "x"})
	}
	certificate, key := f.outside.sign(t, template)
	return &devca.Pair{Certificate: certificate, Key: key}
}

// ask sends a request through one of the front's listeners.
func (f *front) ask(t *testing.T, listener string, r stage.Request) stage.Answer {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(f.outside.certificate)
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if r.Pair != nil {
		pair := r.Pair.TLS()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: !r.HTTP1, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", f.addresses[listener])
		}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(soon(t, 10*time.Second), http.MethodGet, "https://"+r.Host+r.Path,
		http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if r.Header != nil {
		request.Header = r.Header.Clone()
	}
	if r.Token != "" {
		request.Header.Set("Authorization", "Bearer "+r.Token)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return stage.Answer{Err: err}
	}
	defer response.Body.Close()
	answer := stage.Answer{Status: response.StatusCode, Header: response.Header}
	if answer.Body, answer.Err = io.ReadAll(response.Body); answer.Err != nil {
		return answer
	}
	if response.StatusCode == http.StatusOK {
		answer.Echo = &stage.Echo{}
		answer.Err = json.Unmarshal(answer.Body, answer.Echo)
	} else {
		answer.Problem = &stage.Problem{}
		answer.Err = json.Unmarshal(answer.Body, answer.Problem)
	}
	return answer
}
