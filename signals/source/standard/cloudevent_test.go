package standard_test

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/standard"
)

// The envelope is taken where the settings say so, in both modes, and signed like any body.
func TestCloudEvents(t *testing.T) {
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	plain, err := standard.New([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	taking := plain.WithCloudEvents([]string{"sender.example"})
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	inner := `{"device":{"serial":"C02XG2JHJG5J"},"observed_at":"2026-11-20T11:00:00Z","attributes":{"firewall":true}}`
	whole := `{"specversion":"1.0","id":"1","source":"/x","type":"device.posture","time":"2031-01-01T00:00:00Z","data":` + inner + `}`
	for name, c := range map[string]struct {
		body   string
		header map[string]string
		good   bool
	}{
		"structured":    {whole, map[string]string{"Content-Type": "application/cloudevents+json"}, true},
		"binary":        {inner, map[string]string{"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "device.posture"}, true},
		"another type":  {strings.Replace(whole, "device.posture", "device.other", 1), map[string]string{"Content-Type": "application/cloudevents+json"}, false},
		"binary, other": {inner, map[string]string{"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "x"}, false},
	} {
		header, err := standard.Sign(secret, "msg_1", at, []byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range c.header {
			header.Set(name, value)
		}
		d := source.Delivery{Source: "mdm", Header: header, Body: []byte(c.body), Received: at}
		id, err := taking.Authenticate(d, at)
		if (err == nil) != c.good || c.good && id != "msg_1" {
			t.Errorf("%s: %q, %v", name, id, err)
		}
		if _, err := plain.Authenticate(d, at); err == nil {
			t.Errorf("%s: taken though the settings do not say so", name)
		}
		d.Header = http.Header{"Content-Type": {c.header["Content-Type"]}}
		if o, err := taking.Observe(d); c.good && (err != nil || len(o) != 1 || o[0].Facts[0].Observed.Year() != 2026) {
			t.Errorf("%s: %v, %v", name, o, err)
		}
		if o, err := plain.Observe(d); err == nil {
			t.Errorf("%s: read though the settings do not say so: %v", name, o)
		}
	}
	ask := source.Delivery{Header: http.Header{"Webhook-Request-Origin": {"sender.example"}}}
	if _, ok, err := taking.Greet(http.MethodOptions, ask); !ok || err != nil {
		t.Error(ok, err)
	}
	if _, ok, _ := plain.Greet(http.MethodOptions, ask); ok {
		t.Error("the handshake is answered though the settings do not say so")
	}
}

// TestPublishedCloudEvent: the specification's example is another's event, and none of ours, however it is signed; the handshake of
// its other example is answered to the sender whom the settings name and to nobody else.
func TestPublishedCloudEvent(t *testing.T) {
	dir := filepath.Join(moduleRoot(t), "..", "shared", "samples", "cloudevents")
	body, err := os.ReadFile(filepath.Join(dir, "structured_json.json"))
	if err != nil {
		return // the folder is no part of the repository
	}
	a := adapter(t, secretA).WithCloudEvents([]string{"eventemitter.example.com"})
	header, err := standard.Sign(secretA, "msg_1", now, body)
	if err != nil {
		t.Fatal(err)
	}
	header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	d := source.Delivery{Source: "mdm", Header: header, Body: body, Received: now}
	if id, err := a.Authenticate(d, now); err == nil {
		t.Errorf("it is taken as %s", id)
	}
	if got, err := a.Observe(d); err == nil {
		t.Errorf("it is read as %+v", got)
	}
	for _, origin := range []string{"eventemitter.example.com", "another.example.com"} {
		ask := source.Delivery{Header: http.Header{"Webhook-Request-Origin": {origin},
			"Webhook-Request-Callback": {"https://example.com/confirm?id=12345"}, "Webhook-Request-Rate": {"120"}}}
		greeting, ok, err := a.Greet(http.MethodOptions, ask)
		allowed, rate := greeting.Header.Get("Webhook-Allowed-Origin"), greeting.Header.Get("Webhook-Allowed-Rate")
		if known := origin == "eventemitter.example.com"; !ok || (err == nil) != known || known && (allowed != origin || rate != "120") {
			t.Errorf("%s: %+v, %v, %v", origin, greeting, ok, err)
		}
	}
}
