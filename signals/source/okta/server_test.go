package okta_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/okta"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

const (
	devices = "/api/v1/devices"
	secret  = "made-for-this-hook-only"
)

// server answers as Okta does: two devices at once, the next page in Link, one device without its users, whose list is another.
type server struct {
	*sourcetest.Server
	list []json.RawMessage
	// link changes the link to the next page.
	link func(next string) string
	// bare leaves Link out.
	bare bool
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{Server: sourcetest.NewServer(t), link: func(next string) string { return next }}
	s.Else = s.page
	return s
}

func (s *server) page(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	from, _ := strconv.Atoi(query.Get("after"))
	if r.URL.Path != devices || query.Get("expand") != "user" || query.Get("limit") == "" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	to := min(from+2, len(s.list))
	if !s.bare {
		w.Header().Add("Link", fmt.Sprintf(`<%s%s>; rel="self"`, s.URL, r.URL.RequestURI()))
	}
	if to < len(s.list) && !s.bare {
		query.Set("after", strconv.Itoa(to))
		w.Header().Add("Link", fmt.Sprintf(`<%s>; rel="next"`, s.link(s.URL+devices+"?"+query.Encode())))
	}
	_ = json.NewEncoder(w).Encode(s.list[from:to])
}

// add has a device, with its users in the list and beside it alone.
func (s *server) add(t testing.TB, raw []byte) (id string) {
	t.Helper()
	var d map[string]json.RawMessage
	var embedded struct {
		Users json.RawMessage `json:"users"`
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(d["id"], &id); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(d["_embedded"], &embedded); err != nil {
		t.Fatal(err)
	}
	s.list = append(s.list, raw)
	delete(d, "_embedded")
	alone, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	s.Set(devices+"/"+id, string(alone))
	s.Set(devices+"/"+id+"/users", string(embedded.Users))
	return id
}

func adapter(t testing.TB, s *server, change func(*okta.Options)) (a *okta.Adapter, unreadable *[]string) {
	t.Helper()
	unreadable = &[]string{}
	opts := okta.Options{Name: "okta", Client: s.Client(t), PageSize: 2,
		Hook:       source.Header{Name: "Authorization", Values: []string{"an older secret", secret}},
		Unreadable: func(id string, reason error) { *unreadable = append(*unreadable, id+": "+reason.Error()) }}
	if change != nil {
		change(&opts)
	}
	a, err := okta.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return a, unreadable
}

func delivery(body []byte) source.Delivery {
	return source.Delivery{Source: "okta", Header: http.Header{"Authorization": {secret}, "Content-Type": {"application/json"}}, Body: body}
}
