package main

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// TestFilesLastGood: what is not good as a whole is kept out, told once, and taken when it is good; the other group is not
// in its way.
func TestFilesLastGood(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	ended, err := devca.NewFor("an old CA", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(h *held)
		want  string
	}{
		"a certificate without its key": {func(h *held) { h.put("cert.pem", h.pair(ca).CertificatePEM()) },
			"in].tls: " + "$DIR/cert.pem and $DIR/key.pem: the certificate and key cannot be used together"},
		"an empty certificate": {func(h *held) { h.put("cert.pem", nil) }, "there is no PEM certificate in it"},
		"an empty key":         {func(h *held) { h.put("key.pem", nil) }, "cannot be used together"},
		"half a certificate": {func(h *held) {
			raw := h.pair(ca).CertificatePEM()
			h.put("cert.pem", raw[:len(raw)/2])
		}, "it is not whole: 1 PEM blocks begin and 0 end"},
		"a bundle that breaks off in its second certificate": {func(h *held) {
			raw := append(ca.PEM(), newCA(h.t).PEM()...)
			h.put("ca.pem", raw[:len(raw)-40])
		}, "it is not whole: 2 PEM blocks begin and 1 end"},
		"a key among CA certificates": {func(h *held) {
			key, err := h.pair(ca).KeyPEM()
			if err != nil {
				h.t.Fatal(err)
			}
			h.put("ca.pem", append(ca.PEM(), key...))
		}, `there is a PEM block "PRIVATE KEY" in it`},
		"text": {func(h *held) { h.put("ca.pem", []byte("hello\n")) }, "there is no PEM certificate in it"},
		"bytes in a certificate": {func(h *held) {
			h.put("ca.pem", []byte("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"))
		}, "certificate 1 in it cannot be read"},
		"gone": {func(h *held) {
			if err := os.Remove(h.path("ca.pem")); err != nil {
				h.t.Error(err)
			}
		}, "no such file or directory"},
		"a directory": {func(h *held) {
			if err := os.Remove(h.path("ca.pem")); err != nil {
				h.t.Error(err)
			}
			if err := os.Mkdir(h.path("ca.pem"), 0o700); err != nil {
				h.t.Error(err)
			}
		}, "is no regular file"},
		"a pipe": {func(h *held) {
			if err := os.Remove(h.path("ca.pem")); err != nil {
				h.t.Error(err)
			}
			if err := syscall.Mkfifo(h.path("ca.pem"), 0o600); err != nil {
				h.t.Error(err)
			}
		}, "is no regular file"},
		"too much": {func(h *held) { h.put("ca.pem", make([]byte, maxFollowed+1)) }, "has more than 4194304 bytes"},
		"a certificate that has ended": {func(h *held) {
			pair, err := ca.Server(-time.Minute, "app.acme.example")
			if err != nil {
				h.t.Fatal(err)
			}
			h.putPair("cert.pem", "key.pem", pair)
		}, "ended at"},
		"a CA that has ended": {func(h *held) {
			time.Sleep(time.Until(ended.Certificate().NotAfter) + time.Second)
			h.put("ca.pem", ended.PEM())
		}, "ended at"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := follows(t, ca)
			cert, err := os.ReadFile(h.path("cert.pem"))
			if err != nil {
				t.Fatal(err)
			}
			h.run()
			c.spoil(h)
			want := strings.ReplaceAll(c.want, "$DIR", h.dir)
			h.await(want, func() bool { return h.count(want) > 0 })
			if !h.holds("tls.certFile", cert) || !h.holds("clientCAFile", ca.PEM()) {
				t.Error("the last good content is gone")
			}
			status, err := json.Marshal(h.set.status())
			if err != nil || !strings.Contains(string(status), `"fault":"envoy.listeners[in]`) || strings.Contains(string(status), "BEGIN") {
				t.Errorf("status %s %v", status, err)
			}
			time.Sleep(1200 * time.Millisecond) // it is tried again meanwhile
			if line := h.twice(); line != "" {  // where two steps make it bad, what is between them is told too if it is seen
				t.Errorf("told twice: %q", line)
			}
			if h.count("changes") != 0 {
				t.Error("Envoy is given something else")
			}
		})
	}
}
