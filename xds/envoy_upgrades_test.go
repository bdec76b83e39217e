package xds

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestEnvoyUpgrades: a route that does not say webSocket upgrades to nothing, no route upgrades to anything else, and nobody
// gets a tunnel, over HTTP/1.1 and HTTP/2.
func TestEnvoyUpgrades(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	in := acme(t, pki)
	live := route("live", "app.acme.example", "/live", "app", []string{"employees"})
	live.WebSocket = true
	in.Routes = append(in.Routes, live)
	r := newRig(t, pki, in)
	r.settled(r.build(r.in))
	c := r.client("ingress", ana, false)
	for _, path := range []string{"/plain", "/live", "/"} {
		for _, upgrade := range []string{"websocket", "WebSocket", "h2c", "tls", "connect-udp", "connect-ip", "foo"} {
			if path == "/live" && (upgrade == "websocket" || upgrade == "WebSocket") {
				continue // what the route is for
			}
			code := c.raw("GET " + path + " HTTP/1.1\r\nHost: app.acme.example\r\nConnection: Upgrade\r\nUpgrade: " + upgrade +
				"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
			refused := code == 403 || code == 404 && upgrade == "connect-udp" // which no route matches
			if !refused && upgrade != "h2c" || code == 101 {
				t.Errorf("HTTP/1.1 upgrade of %s to %s: %d, want a refusal", path, upgrade, code)
			}
		}
		for _, protocol := range []string{"websocket", "connect-udp", "connect-ip", "connect-tcp", "foo"} {
			if path == "/live" && protocol == "websocket" {
				continue
			}
			got := extendedConnect(t, c, map[string]string{":protocol": protocol, ":scheme": "https", ":path": path})
			if got == "200" || got == "" {
				t.Errorf("HTTP/2 upgrade of %s to %s: %q", path, protocol, got)
			}
		}
	}
	for _, target := range []string{"app.acme.example:443", "127.0.0.1:22", "app.acme.example"} {
		if code := c.raw("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n"); code/100 != 4 {
			t.Errorf("HTTP/1.1 tunnel to %s: %d", target, code)
		}
	}
	if got := extendedConnect(t, c, nil); got == "200" || got == "" {
		t.Errorf("HTTP/2 tunnel: %q", got)
	}
	if code := c.raw("CONNECT /live HTTP/1.1\r\nHost: app.acme.example\r\n\r\n"); code/100 != 4 {
		t.Errorf("CONNECT with a path: %d", code)
	}
	if got := extendedConnect(t, c, map[string]string{":protocol": "websocket", ":scheme": "https", ":path": "/live"}); got != "200" &&
		got != "404" && got != "503" && got != "502" { // the upstream speaks no WebSocket: what counts is that Envoy asked it
		t.Errorf("the route that says so: %q", got)
	}
}

// TestEnvoyScheme: whatever an HTTP/2 client says, the scheme is what the connection has.
func TestEnvoyScheme(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	r := newRig(t, pki, acme(t, pki))
	r.settled(r.build(r.in))
	got := framed(t, r.client("ingress", ana, true), [][2]string{
		{":method", "GET"}, {":scheme", "http"}, {":authority", "app.acme.example"}, {":path", "/scheme"},
	})
	if check := r.authz.last(); got != "200" || check.GetAttributes().GetRequest().GetHttp().GetScheme() != "https" {
		t.Errorf("%s, and authz was told %q", got, check.GetAttributes().GetRequest().GetHttp().GetScheme())
	}
}

// extendedConnect asks for a tunnel (RFC 9113, section 8.5) or, with :protocol, an upgrade (RFC 8441).
func extendedConnect(t *testing.T, c *client, pseudo map[string]string) string {
	t.Helper()
	fields := [][2]string{{":method", "CONNECT"}, {":authority", "app.acme.example"}}
	for _, name := range []string{":scheme", ":path", ":protocol"} {
		if value, ok := pseudo[name]; ok {
			fields = append(fields, [2]string{name, value})
		}
	}
	return framed(t, c, append(fields, [2]string{"sec-websocket-version", "13"}))
}

// framed sends these fields as they are and returns the :status that comes back, or how the stream or connection ended.
func framed(t *testing.T, c *client, fields [][2]string) string {
	t.Helper()
	config := c.config.Clone()
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", c.address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	block := &blockWriter{}
	encoder := hpack.NewEncoder(block)
	for _, f := range fields {
		encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	fmt.Fprint(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	framer.WriteSettings()
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.bytes, EndHeaders: true,
		EndStream: fields[0][1] != "CONNECT"})
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err.Error()
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return f.ErrCode.String()
		case *http2.GoAwayFrame:
			return f.ErrCode.String()
		}
	}
}

type blockWriter struct{ bytes []byte }

func (w *blockWriter) Write(p []byte) (int, error) {
	w.bytes = append(w.bytes, p...)
	return len(p), nil
}
