package okta_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/okta"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

// The devices that each event points at; none of them says anything itself.
func TestEvents(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	ids := map[string]bool{}
	for _, file := range sourcetest.Files(t, "testdata/event_*.json") {
		d := delivery(sourcetest.Content(t, file))
		id, err := a.Authenticate(d, time.Now())
		if again, _ := a.Authenticate(d, time.Now().Add(time.Hour)); err != nil || ids[id] || again != id || !source.ValidID(id) {
			t.Errorf("%s: %q, then %q, %v", file, id, again, err)
		}
		ids[id] = true
		points, err := a.Points(d)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		sourcetest.Golden(t, file, strings.Join(append(points, ""), "\n"))
		if got, err := a.Observe(d); err != nil || got != nil {
			t.Errorf("%s was read as data: %+v, %v", file, got, err)
		}
	}
	for body, why := range map[string]string{
		`{"eventType":"com.okta.event_hook","data":{"events":[{"eventType":"device.user.add","target":[{"id":"x","type":"User"}]}]}}`: "names no device",
		`{"eventType":"com.okta.event_hook","data":{"events":[{"eventType":"device.user.add"}]}}`:                                     "names no device",
		`{"eventType":"com.okta.event_hook","data":{"events":[{"eventType":"a","target":[{"id":"../x","type":"Device"}]}]}}`:          "no id of a device",
		`{"eventType":"com.okta.event_hook","data":{"events":[{"eventType":"a","target":[{"id":"","type":"Device"}]}]}}`:              "no id of a device",
		`{"eventType":"com.okta.event_hook","data":{}}`:                                                                               "no data.events",
		`{"eventType":"com.okta.inline_hook","data":{"events":[]}}`:                                                                   "no delivery of an event hook",
		`{}`:              "no delivery of an event hook",
		`{"eventType":7}`: "does not have the shape",
		`[]`:              "not a JSON object",
		`{"eventType":"com.okta.event_hook","EventType":"x","data":{"events":[]}}`:     "",
		`{"eventType":"com.okta.event_hook","data":{"events":[]}} {"data":{"events":1`: "",
	} {
		points, err := a.Points(delivery([]byte(body)))
		if err == nil || points != nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s points at %v, %v", body, points, err)
		}
		if got, err := a.Observe(delivery([]byte(body))); err == nil || got != nil {
			t.Errorf("%s says %v", body, got)
		}
	}
}

func TestWhoIsLetIn(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	nobody, _ := adapter(t, newServer(t), func(o *okta.Options) { o.Hook = nil })
	body := sourcetest.Content(t, "testdata/event_suspended.json")
	for _, tt := range []struct {
		a      *okta.Adapter
		header []string
		body   string
		status int
	}{
		{a, nil, string(body), 401}, {a, []string{""}, string(body), 401}, {a, []string{secret + "x"}, string(body), 401},
		{a, []string{secret, secret}, string(body), 401}, {nobody, []string{secret}, string(body), 401}, {nobody, nil, string(body), 401},
		{a, []string{secret}, `{"eventType":1}`, 400}, {a, []string{secret}, `{"a":1,"a":2}`, 400}, {a, []string{secret}, ``, 400},
		{a, []string{"an older secret"}, string(body), 0},
	} {
		d := delivery([]byte(tt.body))
		d.Header["Authorization"] = tt.header
		id, err := tt.a.Authenticate(d, time.Now())
		refusal, refused := errors.AsType[*source.Refusal](err)
		switch {
		case tt.status == 0:
			if err != nil || id == "" {
				t.Errorf("%v: %q, %v", tt.header, id, err)
			}
		case !refused || refusal.Status != tt.status || id != "" || strings.Contains(refusal.Detail, secret):
			t.Errorf("%v with %.30s: %q, %v", tt.header, tt.body, id, err)
		}
	}
}

// Okta's verification is answered to who shows the hook's header, as JSON whatever the challenge is; nothing else is a greeting.
func TestVerification(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	nobody, _ := adapter(t, newServer(t), func(o *okta.Options) { o.Hook = nil })
	challenge := func(secret string, values ...string) source.Delivery {
		return source.Delivery{Header: http.Header{"Authorization": {secret}, "X-Okta-Verification-Challenge": values}}
	}
	for _, text := range []string{"p4vFO0yYMJc2", `"}<script>`, strings.Repeat("x", 1024)} {
		got, ok, err := a.Greet(http.MethodGet, challenge(secret, text))
		var answer map[string]string
		if bad := json.Unmarshal(got.Body, &answer); err != nil || !ok || bad != nil || got.Status != 200 || len(answer) != 1 ||
			answer["verification"] != text || got.ContentType != "application/json" {
			t.Errorf("%.20s: %+v, %v, %v", text, got, ok, err)
		}
	}
	for status, d := range map[int][]source.Delivery{
		401: {challenge("wrong", "x"), challenge("", "x")},
		400: {challenge(secret), challenge(secret, ""), challenge(secret, "a", "b"), challenge(secret, strings.Repeat("x", 1025))},
	} {
		for i := range d {
			got, ok, err := a.Greet(http.MethodGet, d[i])
			refusal, refused := errors.AsType[*source.Refusal](err)
			if !ok || !refused || refusal.Status != status || got.Body != nil {
				t.Errorf("%d %d: %+v, %v, %v", status, i, got, ok, err)
			}
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodOptions, http.MethodHead} {
		if _, ok, err := a.Greet(method, challenge(secret, "x")); ok || err != nil {
			t.Errorf("%s is a greeting: %v", method, err)
		}
	}
	if _, ok, err := nobody.Greet(http.MethodGet, challenge(secret, "x")); ok || err != nil {
		t.Errorf("without a hook there is a greeting: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	client, err := source.NewClient(source.ClientOptions{Base: "https://acme.okta.example"})
	if err != nil {
		t.Fatal(err)
	}
	for i, opts := range []okta.Options{
		{Name: "okta"}, {Client: client}, {Name: "okta", Client: client, PageSize: 201}, {Name: "okta", Client: client, PageSize: -1},
		{Name: "okta", Client: client, User: "name"}, {Name: "okta", Client: client, Encrypted: []string{"FULL", "NONE"}},
		{Name: "okta", Client: client, Encrypted: []string{""}},
	} {
		if _, err := okta.New(opts); err == nil {
			t.Errorf("%d was taken: %+v", i, opts)
		}
	}
}

// The recorded shapes, where they are there. The two others are of Shared Signals, and no delivery of a hook.
func TestSamples(t *testing.T) {
	files, ok := sourcetest.Samples(t, "okta")
	if !ok {
		return
	}
	for _, file := range files {
		body := sourcetest.Content(t, file)
		if strings.HasPrefix(filepath.Base(file), "set_") {
			a, _ := adapter(t, newServer(t), nil)
			if points, err := a.Points(delivery(body)); err == nil {
				t.Errorf("%s points at %v", file, points)
			}
			continue
		}
		var list []json.RawMessage
		if err := json.Unmarshal(body, &list); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		s := newServer(t)
		for _, raw := range list {
			s.add(t, raw)
		}
		a, unreadable := adapter(t, s, nil)
		page, err := a.Page(t.Context(), "")
		if err != nil || len(page.Observations) != len(list) || len(*unreadable) > 0 {
			t.Fatalf("%s: %+v, %v, %v", file, page, *unreadable, err)
		}
		said := ""
		for _, o := range page.Observations {
			said += sourcetest.Text(t, o)
		}
		sourcetest.Golden(t, sourcetest.RecordedGolden, said)
	}
}
