package outlets_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/findings/outlets"
)

// told is what a receiver got.
type told struct {
	header http.Header
	body   []byte
}

// receiver answers as it is told to, over TLS, and hands out what it got.
func receiver(t *testing.T, answer http.HandlerFunc) (*httptest.Server, chan told) {
	t.Helper()
	got := make(chan told, 100)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- told{r.Header.Clone(), body}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server, got
}

func hook(t *testing.T, server *httptest.Server, change func(*outlets.WebhookOptions)) *outlets.Webhook {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	options := outlets.WebhookOptions{URL: server.URL + "/hook?team=a", Shape: outlets.ShapePlain, Secrets: []string{secret}, Roots: roots}
	if change != nil {
		change(&options)
	}
	w, err := outlets.NewWebhook(options)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

const otherSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

func TestEverySecretSigns(t *testing.T) {
	server, got := receiver(t, status(http.StatusOK))
	w := hook(t, server, func(o *outlets.WebhookOptions) {
		o.Secrets = []string{secret, otherSecret}
		o.Header = http.Header{"X-Tenant": {"acme"}, "Authorization": {"Bearer t0ken"}}
	})
	e := event(1, 1)
	if err := w.Send(t.Context(), &e); err != nil {
		t.Fatal(err)
	}
	x := <-got
	for _, s := range []string{secret, otherSecret} {
		if why := verify(s, x.header, x.body); why != "" {
			t.Error(why)
		}
	}
	if verify("whsec_"+strings.Repeat("A", 32), x.header, x.body) == "" || verify(secret, x.header, append(x.body, ' ')) == "" {
		t.Error("anything verifies")
	}
	if x.header.Get("Webhook-Id") != e.ID || x.header.Get("X-Tenant") != "acme" || x.header.Get("Authorization") != "Bearer t0ken" ||
		x.header.Get("Content-Type") != "application/json" {
		t.Error(x.header)
	}
	if !json.Valid(x.body) {
		t.Errorf("%s", x.body)
	}
}

// TestEveryShapeIsSigned: a channel's body and a CloudEvent are signed as our own is, with every secret.
func TestEveryShapeIsSigned(t *testing.T) {
	server, got := receiver(t, status(http.StatusOK))
	for shape, media := range map[outlets.Shape]string{outlets.ShapePlain: "application/json", outlets.ShapeSlack: "application/json",
		outlets.ShapeCloudEvents: "application/cloudevents+json; charset=utf-8"} {
		w := hook(t, server, func(o *outlets.WebhookOptions) {
			o.Shape, o.Secrets, o.Source = shape, []string{secret, otherSecret}, "/acme/eu"
		})
		e := event(1, 1)
		if err := w.Send(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
		x := <-got
		for _, s := range []string{secret, otherSecret} {
			if why := verify(s, x.header, x.body); why != "" {
				t.Errorf("%s: %s", shape, why)
			}
		}
		if x.header.Get("Content-Type") != media || strings.Contains(string(x.body), `"source":"/acme/eu"`) != (shape == outlets.ShapeCloudEvents) {
			t.Errorf("%s: %s\n%s", shape, x.header.Get("Content-Type"), x.body)
		}
	}
}

// TestAnswers: what each answer means.
func TestAnswers(t *testing.T) {
	var code, after atomic.Value
	server, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", after.Load().(string))
		w.Header().Set("Location", "https://elsewhere.example/")
		w.WriteHeader(code.Load().(int))
	})
	w := hook(t, server, nil)
	e := event(1, 1)
	for _, x := range []struct {
		code  int
		after string
		want  outlets.Failure
	}{
		{200, "", outlets.Failure{}}, {202, "", outlets.Failure{}}, {204, "", outlets.Failure{}}, {299, "", outlets.Failure{}},
		{301, "", outlets.Failure{Status: 301}}, {302, "", outlets.Failure{Status: 302}}, {307, "", outlets.Failure{Status: 307}},
		{308, "", outlets.Failure{Status: 308}}, {304, "", outlets.Failure{Status: 304}},
		{400, "", outlets.Failure{Status: 400, Refused: true}}, {401, "", outlets.Failure{Status: 401}}, {403, "", outlets.Failure{Status: 403}},
		{404, "", outlets.Failure{Status: 404}}, {405, "", outlets.Failure{Status: 405}}, {408, "", outlets.Failure{Status: 408}},
		{413, "", outlets.Failure{Status: 413, Refused: true}}, {422, "7", outlets.Failure{Status: 422, Refused: true}},
		{410, "", outlets.Failure{Status: 410, Gone: true}},
		{429, "120", outlets.Failure{Status: 429, After: 2 * time.Minute}}, {429, "", outlets.Failure{Status: 429}},
		{429, "-5", outlets.Failure{Status: 429}}, {429, "soon", outlets.Failure{Status: 429}}, {429, "1e9", outlets.Failure{Status: 429}},
		{503, "999999", outlets.Failure{Status: 503, After: time.Hour}}, {502, "3", outlets.Failure{Status: 502, After: 3 * time.Second}},
		{504, "Thu, 01 Jan 2099 00:00:00 GMT", outlets.Failure{Status: 504, After: time.Hour}},
		{504, "Thu, 01 Jan 2009 00:00:00 GMT", outlets.Failure{Status: 504}},
		{500, "", outlets.Failure{Status: 500, Refused: true}},
	} {
		code.Store(x.code)
		after.Store(x.after)
		err := w.Send(t.Context(), &e)
		f, ok := errors.AsType[*outlets.Failure](err)
		if x.want == (outlets.Failure{}) {
			if err != nil {
				t.Errorf("%d: %v", x.code, err)
			}
			continue
		}
		if !ok || f.Status != x.want.Status || f.Refused != x.want.Refused || f.Gone != x.want.Gone || f.After != x.want.After {
			t.Errorf("%d, Retry-After %q: %+v", x.code, x.after, f)
		}
	}
}

// TestRedirectsAreNotFollowed: neither the event nor a token goes elsewhere.
func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere, stolen := receiver(t, status(http.StatusOK))
	server, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	e := event(1, 1)
	err := hook(t, server, nil).Send(t.Context(), &e)
	if err == nil || !strings.Contains(err.Error(), "redirect, which is not followed") {
		t.Error(err)
	}
	if len(stolen) > 0 {
		t.Error("it was followed")
	}
}

// TestSlowReceivers: one that never answers, one that sends its header byte by byte, one whose body never ends.
func TestSlowReceivers(t *testing.T) {
	release := make(chan struct{})
	for name, answer := range map[string]http.HandlerFunc{
		"silent": func(http.ResponseWriter, *http.Request) { <-release },
		"loris": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			for _, b := range []byte("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1000)) {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := receiver(t, answer)
			w := hook(t, server, func(o *outlets.WebhookOptions) { o.Timeout = 200 * time.Millisecond })
			e := event(1, 1)
			began := time.Now()
			err := w.Send(t.Context(), &e)
			if err == nil || !strings.Contains(err.Error(), "has not answered within 200ms") || strings.Contains(err.Error(), "team=") {
				t.Error(err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Error(took)
			}
			if name == "silent" {
				close(release)
			}
		})
	}
	endless, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		for r.Context().Err() == nil {
			_, _ = w.Write(make([]byte, 32<<10))
		}
	})
	e := event(1, 1)
	if err := hook(t, endless, nil).Send(t.Context(), &e); err != nil { // the status says it was taken
		t.Error(err)
	}
}

func TestWhomItTrusts(t *testing.T) {
	server, got := receiver(t, status(http.StatusOK))
	e := event(1, 1)
	w := hook(t, server, func(o *outlets.WebhookOptions) { o.Roots = nil })
	if err := w.Send(t.Context(), &e); err == nil || strings.Contains(err.Error(), "hook") || len(got) > 0 {
		t.Error("a certificate of nobody:", err)
	}
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	if err := hook(t, server, nil).Send(t.Context(), &e); err != nil {
		t.Error("the environment's proxy is used:", err)
	}
}

func TestBadWebhooks(t *testing.T) {
	for _, o := range []outlets.WebhookOptions{
		{URL: "http://hooks.acme.example/T0/s3cret"}, {URL: "https:///s3cret"}, {URL: "s3cret"}, {URL: "https://u:s3cret@a.example"},
		{URL: "https://a.example", Secrets: []string{"s3cret"}}, {URL: "https://a.example", Secrets: []string{secret, "whsec_s3cret"}},
		{URL: "https://a.example", Secrets: []string{"whsec_c2hvcnQ="}}, {URL: "https://a.example/s3cret#x"},
	} {
		w, err := outlets.NewWebhook(o)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: %v %v", o, w, err)
		}
	}
}
