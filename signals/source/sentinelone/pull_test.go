package sentinelone_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/mapping"
	"github.com/tiergate/tiergate/signals/source/sentinelone"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

func agent(id, serial string) string {
	return fmt.Sprintf(`{"id":%q,"serialNumber":%q,"osType":"macos","isActive":true,"isUpToDate":true,"missingPermissions":[],`+
		`"networkStatus":"connected","updatedAt":"2026-11-20T10:00:00.000001Z","lastActiveDate":"2026-11-20T09:00:00.000001Z"}`, id, serial)
}

// TestAgents: the list is followed by its cursor, which is base64 and must arrive as it came; one agent is asked for by its id; one that
// is gone is gone; half a list, another agent's answer and an outage withdraw nobody.
func TestAgents(t *testing.T) {
	const cursor = "YWdlbnRfaWQ6NTgwMjkzODE/+A=="
	s := sourcetest.NewServer(t)
	broken := ""
	s.Else = func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch {
		case broken != "":
			fmt.Fprint(w, broken)
		case r.URL.Path != "/web/api/v2.1/agents":
			w.WriteHeader(http.StatusNotFound)
		case q.Get("ids") == "2":
			fmt.Fprintf(w, `{"data":[%s],"pagination":{"nextCursor":null,"totalItems":1}}`, agent("2", "S2"))
		case q.Has("ids"):
			fmt.Fprint(w, `{"data":[],"pagination":{"nextCursor":null,"totalItems":0}}`)
		case q.Get("limit") == "200" && !q.Has("cursor"):
			fmt.Fprintf(w, `{"data":[%s],"pagination":{"nextCursor":%q,"totalItems":2}}`, agent("1", "S1"), cursor)
		case q.Get("cursor") == cursor:
			fmt.Fprintf(w, `{"data":[%s],"pagination":{"nextCursor":null,"totalItems":2}}`, agent("2", "S2"))
		default:
			w.WriteHeader(http.StatusBadRequest)
		}
	}
	made, err := mapping.New(mapping.Options{Name: "s1", Spec: sentinelone.Spec(sentinelone.Options{}), API: s.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	a, ok := made.(source.Inventory)
	if !ok {
		t.Fatal("it cannot be asked")
	}
	first, err := a.Page(t.Context(), "")
	if err != nil || len(first.Observations) != 1 || first.Total != 2 || first.Next == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := a.Page(t.Context(), first.Next)
	if err != nil || len(second.Observations) != 1 || second.Next != "" {
		t.Fatalf("%+v, %v", second, err)
	}
	one, err := a.Device(t.Context(), "2")
	if err != nil || len(one) != 1 || sourcetest.Text(t, one[0]) != sourcetest.Text(t, second.Observations[0]) {
		t.Errorf("%+v, %v", one, err)
	}
	if text := sourcetest.Text(t, second.Observations[0]); !strings.Contains(text, "edr_healthy = true  (") ||
		!strings.Contains(text, "2026-11-20T09:00:00.000001Z") || !strings.Contains(text, "vendor:s1/2\nserial:S2") {
		t.Error(text)
	}
	if _, err := a.Device(t.Context(), "3"); !errors.Is(err, source.ErrGone) {
		t.Errorf("an agent that is gone: %v", err)
	}
	for _, broken = range []string{`{"data":null}`, `{"errors":[]}`, `{"data":[` + agent("7", "S7") + `],"pagination":{}}`} {
		if got, err := a.Device(t.Context(), "2"); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", broken, got, err)
		}
	}
	for _, answer := range []string{"404", "401", "429"} { // the last: it is left alone from then on
		s.Set("/web/api/v2.1/agents", answer)
		_, err := a.Page(t.Context(), "")
		busy, isBusy := errors.AsType[*source.Busy](err)
		if err == nil || errors.Is(err, source.ErrGone) || isBusy != (answer == "429") || isBusy && busy.After.Seconds() != 7 {
			t.Errorf("%s: %v", answer, err)
		}
	}
}
