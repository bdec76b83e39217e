package ingest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source"
)

// asked is an adapter whose sender asks for its configuration, and is refused if it is a stranger.
type asked struct{ scripted }

func (asked) Respond(d source.Delivery) (source.Greeting, bool, error) {
	switch string(d.Body) {
	case "config":
		return source.Greeting{Status: http.StatusOK, ContentType: "application/json", Body: []byte(`{"schedule":{}}`)}, true, nil
	case "stranger":
		return source.Greeting{}, true, &source.Refusal{Status: http.StatusUnauthorized, Challenge: "Secret", Detail: "Who are you?"}
	}
	return source.Greeting{}, false, nil
}

// A question with a body is answered and not kept; what is none is a delivery.
func TestQuestionWithABody(t *testing.T) {
	store, d := newMemory(), &diary{}
	r := receiver(t, store, d, with(asked{scripted{id: "1"}}))
	for _, tt := range []struct {
		body, answer string
		status, kept int
	}{
		{"config", `{"schedule":{}}`, http.StatusOK, 0}, {"stranger", "Who are you?", http.StatusUnauthorized, 0},
		{"a log", "", http.StatusAccepted, 1},
	} {
		req := request(t, "1", tt.body)
		w := httptest.NewRecorder()
		r.Handler().ServeHTTP(w, req)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.answer) {
			t.Errorf("%s is answered %d %s", tt.body, w.Code, w.Body)
		}
		if kept := len(store.kind(ingest.KindInbox)); kept != tt.kept {
			t.Errorf("after %s %d deliveries are kept", tt.body, kept)
		}
		if w.Code == http.StatusOK && w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%v", w.Header())
		}
	}
}
