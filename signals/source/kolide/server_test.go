package kolide_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/kolide"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

const secret = "0123456789abcdef0123456789abcdef"

var now = time.Date(2026, 11, 20, 8, 30, 0, 0, time.UTC)

// server answers as Kolide's API does: a list by cursor, two devices at once, whatever is asked for.
type server struct {
	*sourcetest.Server
	list  []json.RawMessage
	stuck bool // each page says that it is the next
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{Server: sourcetest.NewServer(t)}
	s.Wants = http.Header{"X-Kolide-Api-Version": {"2023-05-26"}}
	s.Else = s.page
	return s
}

func (s *server) page(w http.ResponseWriter, r *http.Request) {
	from, cursor := 0, r.URL.Query().Get("cursor")
	if cursor != "" {
		from, _ = strconv.Atoi(strings.TrimPrefix(cursor, "c"))
	}
	to, next := min(from+2, len(s.list)), ""
	if to < len(s.list) {
		next = "c" + strconv.Itoa(to)
	}
	if s.stuck {
		next = cursor
	}
	if r.URL.Path != "/devices" || from == 0 && cursor != "" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": s.list[from:to],
		"pagination": map[string]any{"next": s.URL + "/devices?cursor=" + next, "next_cursor": next, "count": to - from}})
}

func (s *server) add(t testing.TB, raw []byte) (id string) {
	t.Helper()
	var who struct{ ID string }
	if err := json.Unmarshal(raw, &who); err != nil {
		t.Fatal(err)
	}
	s.Set("/devices/"+who.ID, string(raw))
	s.list = append(s.list, raw)
	return who.ID
}

func adapter(t testing.TB, s *server, change func(*kolide.Options)) (a *kolide.Adapter, unreadable *[]string) {
	t.Helper()
	unreadable = &[]string{}
	opts := kolide.Options{Name: "kolide", Secrets: []string{"an older secret, of 32 bytes ....", secret}, Client: s.Client(t),
		Unreadable: func(id string, reason error) { *unreadable = append(*unreadable, id+": "+reason.Error()) }}
	if change != nil {
		change(&opts)
	}
	a, err := kolide.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return a, unreadable
}

func sign(body []byte, with string) string {
	mac := hmac.New(sha256.New, []byte(with))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func delivery(body []byte) source.Delivery {
	return source.Delivery{Source: "kolide", Header: http.Header{"Authorization": {sign(body, secret)},
		"Content-Type": {"application/json"}}, Body: body, Received: now}
}
