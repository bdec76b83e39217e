package okta_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/okta"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

// What each device says, alone and in the list alike.
func TestDevices(t *testing.T) {
	for _, file := range sourcetest.Files(t, "testdata/device_*.json") {
		s := newServer(t)
		id := s.add(t, sourcetest.Content(t, file))
		a, unreadable := adapter(t, s, nil)
		got, err := a.Device(t.Context(), id)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %+v, %v", file, got, err)
		}
		alone := sourcetest.Text(t, got[0])
		sourcetest.Golden(t, file, alone)
		page, err := a.Page(t.Context(), "")
		if err != nil || len(page.Observations) != 1 || page.Next != "" || len(*unreadable) > 0 {
			t.Fatalf("%s: %+v, %v, %v", file, page, *unreadable, err)
		}
		if listed := sourcetest.Text(t, page.Observations[0]); listed != alone {
			t.Errorf("%s: alone\n%s\nin the list\n%s", file, alone, listed)
		}
	}
}

func TestWordsAreTheUsers(t *testing.T) {
	s := newServer(t)
	pc := s.add(t, sourcetest.Content(t, "testdata/device_windows.json"))
	mac := s.add(t, []byte(strings.Replace(string(sourcetest.Content(t, "testdata/device_mac.json")),
		`"email": "ana@acme.example"`, `"email": "ana.test@acme.example"`, 1)))
	a, _ := adapter(t, s, func(o *okta.Options) { o.User, o.Encrypted = okta.UserEmail, []string{"SYSTEM_VOLUME"} })
	for id, want := range map[string][]string{
		pc:  {"disk_encryption = true"},
		mac: {"disk_encryption = unknown", "enrolled_user = ana.test@acme.example"},
	} {
		got, err := a.Device(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		text := sourcetest.Text(t, got[0])
		for _, line := range want {
			if !strings.Contains(text, line) {
				t.Errorf("no %s in\n%s", line, text)
			}
		}
	}
}

// The list is gone through to its end; a device that cannot be read is there without facts.
func TestListing(t *testing.T) {
	s := newServer(t)
	for _, file := range sourcetest.Files(t, "testdata/device_*.json") {
		s.add(t, sourcetest.Content(t, file))
	}
	s.list = append(s.list, json.RawMessage(`{"id":"guo1test000000000099","status":7}`),
		json.RawMessage(`{"id":"guo1test000000000098","lastUpdated":"yesterday","profile":{"diskEncryptionType":"FULL"}}`))
	a, unreadable := adapter(t, s, nil)
	seen, pages := map[string]int{}, 0
	for cursor := ""; ; pages++ {
		page, err := a.Page(t.Context(), cursor)
		if err != nil || pages > 10 || len(cursor) > 200 {
			t.Fatal(pages, cursor, err)
		}
		for _, o := range page.Observations {
			seen[o.Aliases[0].String()]++
			if strings.Contains(o.Aliases[0].Value, "00009") && len(o.Facts) > 0 {
				t.Errorf("what cannot be read says %+v", o.Facts)
			}
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if len(seen) != len(s.list) || pages != 4 || len(*unreadable) != 2 {
		t.Errorf("%d devices of %d on %d pages; unreadable: %v", len(seen), len(s.list), pages+1, *unreadable)
	}
}

// A list that may go on, and nobody knows where, is an error: what is not on it would be withdrawn.
func TestListThatIsNone(t *testing.T) {
	s := newServer(t)
	for _, file := range sourcetest.Files(t, "testdata/device_*.json") {
		s.add(t, sourcetest.Content(t, file))
	}
	a, _ := adapter(t, s, nil)
	for name, link := range map[string]string{
		"another host":      "https://evil.example" + devices + "?after=2",
		"another scheme":    strings.Replace(s.URL, "http:", "https:", 1) + devices + "?after=2",
		"another list":      s.URL + "/api/v1/users?after=2",
		"no query":          s.URL + devices,
		"the same page":     s.URL + devices + "?limit=2&expand=user",
		"an endless query":  s.URL + devices + "?after=" + strings.Repeat("x", 3000),
		"not to be read":    "http://[::1",
		"not closed, empty": "",
	} {
		s.link = func(string) string { return link }
		page, err := a.Page(t.Context(), "")
		if err == nil || errors.Is(err, source.ErrGone) || page.Observations != nil {
			t.Errorf("%s: %+v, %v", name, page, err)
		}
	}
	s.bare = true
	if page, err := a.Page(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "header Link") {
		t.Errorf("a full page whose links were lost ends the list: %+v, %v", page, err)
	}
	for _, answer := range []string{`{}`, `null`, `[1]`, `["x"]`, `[{"status":"ACTIVE"}]`, `[{"id":"../x"}]`, `[`, "404", "200", "403"} {
		s.Set(devices, answer)
		if page, err := a.Page(t.Context(), ""); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", answer, page, err)
		}
	}
	if page, err := a.Page(t.Context(), "%zz"); err == nil {
		t.Errorf("a broken cursor: %+v", page)
	}
	for _, answer := range []string{"429", "503"} {
		a, _ := adapter(t, s, nil) // the client of before leaves Okta alone
		s.Set(devices, answer)
		_, err := a.Page(t.Context(), "")
		if busy, ok := errors.AsType[*source.Busy](err); !ok || busy.After < 6*time.Second {
			t.Error(answer, err)
		}
	}
}

func TestDeviceThatIsNotTheOne(t *testing.T) {
	s := newServer(t)
	whole := `{"id":"guo7","status":"ACTIVE","lastUpdated":"2026-11-20T08:00:00Z"}`
	s.Set(devices+"/guo6", whole) // about another
	s.Set(devices+"/guo6/users", `[]`)
	s.Set(devices+"/guo7", whole) // without a list of users
	s.Set(devices+"/guo8", `{"id":"guo8","lastUpdated":"yesterday"}`)
	s.Set(devices+"/guo8/users", `[]`)
	s.Set(devices+"/guo9", `{"id":"guo9","lastUpdated":"2026-11-20T08:00:00Z"}`)
	s.Set(devices+"/guo9/users", `[{"screenLockType":7}]`)
	s.Set(devices+"/guo10", `{"id":"guo10","profile":[]}`)
	a, _ := adapter(t, s, nil)
	for _, id := range []string{"guo6", "guo7", "guo8", "guo9", "guo10", "", "../guo7", "guo7/users", strings.Repeat("x", 65)} {
		if got, err := a.Device(t.Context(), id); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
	}
	if _, err := a.Device(t.Context(), "guo5"); !errors.Is(err, source.ErrGone) {
		t.Error(err)
	}
	// All users count, on however many pages; a list of them without an end does not.
	pages := 0
	s.Else = func(w http.ResponseWriter, r *http.Request) {
		pages++
		lock := `[{"screenLockType":"PASSCODE"}]`
		if r.URL.Query().Get("after") == "2" {
			lock = `[{"screenLockType":"NONE"}]`
		} else {
			w.Header().Add("Link", `<`+s.URL+devices+`/guo7/users?after=`+map[bool]string{true: "2", false: "1"}[pages == 2]+`>; rel="next"`)
		}
		_, _ = w.Write([]byte(lock))
	}
	got, err := a.Device(t.Context(), "guo7")
	if err != nil || pages != 3 || !strings.Contains(sourcetest.Text(t, got[0]), "screen_lock = false") {
		t.Errorf("%d pages of users: %+v, %v", pages, got, err)
	}
	s.Else = func(w http.ResponseWriter, _ *http.Request) {
		pages++
		w.Header().Add("Link", `<`+s.URL+devices+`/guo7/users?after=`+strings.Repeat("1", pages)+`>; rel="next"`)
		_, _ = w.Write([]byte(`[]`))
	}
	if got, err := a.Device(t.Context(), "guo7"); err == nil {
		t.Errorf("users without an end: %+v", got)
	}
}

// A token that runs out in the middle of a listing is fetched anew; a redirect to another host ends it without a word there.
func TestTokenEndsAndRedirects(t *testing.T) {
	s := newServer(t)
	for _, file := range sourcetest.Files(t, "testdata/device_*.json") {
		s.add(t, sourcetest.Content(t, file))
	}
	told := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { told++ }))
	defer elsewhere.Close()
	fetched, asked, away := 0, 0, false
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/oauth2/v1/token":
			fetched++
			fmt.Fprintf(w, `{"access_token":"token %d","token_type":"Bearer","expires_in":3600}`, fetched)
		case r.Header.Get("Authorization") != fmt.Sprintf("Bearer token %d", 1+min(asked/2, 1)): // the first is good for two pages
			w.WriteHeader(http.StatusUnauthorized)
		case away:
			http.Redirect(w, r, elsewhere.URL+r.URL.RequestURI(), http.StatusFound)
		default:
			asked++
			r.Header.Set("Authorization", "Bearer "+sourcetest.Token)
			s.ServeHTTP(w, r)
		}
	}))
	defer front.Close()
	s.link = func(next string) string { return strings.Replace(next, s.URL, front.URL, 1) }
	client, err := source.NewClient(source.ClientOptions{Base: front.URL, Rate: 1000,
		Credentials: source.ClientCredentials{Endpoint: "/oauth2/v1/token", ID: "a", Secret: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := adapter(t, s, func(o *okta.Options) { o.Client = client })
	listed := 0
	for cursor := ""; ; {
		page, err := a.Page(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		listed += len(page.Observations)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if listed != len(s.list) || fetched != 2 {
		t.Errorf("%d devices of %d with %d tokens", listed, len(s.list), fetched)
	}
	away = true
	if page, err := a.Page(t.Context(), ""); err == nil || told > 0 {
		t.Errorf("redirected to another host, which was asked %d times: %+v", told, page)
	}
}
