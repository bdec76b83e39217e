package load

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// site is an HTTPS server on a Unix socket that wants a client certificate.
func site(t *testing.T, answer http.HandlerFunc) (socket string, client *tls.Config) {
	t.Helper()
	ca, err := devca.New("Acme")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Server(time.Hour, "app.example")
	if err != nil {
		t.Fatal(err)
	}
	laptop, err := ca.Device("laptop", "C02X", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate())
	listener, path := listen(t)
	server := &http.Server{Handler: answer, ReadHeaderTimeout: time.Minute, TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{pair.TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots, MinVersion: tls.VersionTLS13}}
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return path, &tls.Config{RootCAs: roots, ServerName: "app.example", Certificates: []tls.Certificate{laptop.TLS()},
		MinVersion: tls.VersionTLS13}
}

func webOptions(socket string) Options {
	return Options{Socket: socket, Request: []byte("GET /asked HTTP/1.1\r\nhost: app.example\r\n\r\n"), Connections: 3, InFlight: 1,
		WarmUp: 20 * time.Millisecond, Measure: 2 * time.Second}
}

func TestWebAsksARealServer(t *testing.T) {
	t.Parallel()
	var asked, wrong atomic.Int64
	socket, client := site(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/asked" || r.Host != "app.example" || len(r.TLS.PeerCertificates) != 1 {
			wrong.Add(1)
		}
		w.Header()["content-length"] = []string{"6"} // lower-case, as Envoy writes it
		fmt.Fprint(w, "fine!\n")
	})
	r, err := Web(webOptions(socket), client)
	if err != nil || wrong.Load() > 0 || r.Requests < 20 || r.Requests > asked.Load() || r.P50 <= 0 {
		t.Errorf("%+v of %d, %d wrong: %v", r, asked.Load(), wrong.Load(), err)
	}
}

func TestWebFaults(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	refusing, client := site(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["content-length"] = []string{"0"}
		if asked.Add(1) > 50 {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	endless, other := site(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			fmt.Fprint(w, "chunk")
			_ = http.NewResponseController(w).Flush()
		}
	})
	stranger := client.Clone()
	stranger.Certificates = nil
	// In TLS 1.3 a client learns of its refusal when it writes or reads, whichever comes first.
	if _, err := Web(webOptions(refusing), stranger); err == nil {
		t.Error("a client without a certificate was answered")
	}
	for want, try := range map[string]func() error{
		"should be a 200":   func() error { _, err := Web(webOptions(refusing), client); return err },
		"no content-length": func() error { _, err := Web(webOptions(endless), other); return err },
		"handshake":         func() error { _, err := Web(webOptions(endless), client); return err },
		"connect":           func() error { _, err := Web(webOptions(refusing+"-not-there"), client); return err },
		"closed loop": func() error {
			o := webOptions(refusing)
			o.Rate = 5
			_, err := Web(o, client)
			return err
		},
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want one that says %q", err, want)
		}
	}
}
