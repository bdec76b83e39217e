package google_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/google"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

// server answers as both of Google's APIs do: two devices a page.
type server struct {
	*sourcetest.Server
	lists map[string][]json.RawMessage
	stuck bool // each page says that it is the next
}

const (
	endpoints = "/v1/devices"
	chromeos  = "/admin/directory/v1/customer/my_customer/devices/chromeos"
)

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{Server: sourcetest.NewServer(t), lists: map[string][]json.RawMessage{}}
	s.Else = s.page
	return s
}

func (s *server) page(w http.ResponseWriter, r *http.Request) {
	list, listed := s.lists[r.URL.Path]
	if !listed || r.URL.Path == endpoints && r.URL.Query().Get("customer") != "customers/my_customer" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	from, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Query().Get("pageToken"), "I"))
	to := min(from+2, len(list))
	answer := map[string]any{"kind": "admin#directory#chromeosdevices", "devices": list[from:to], "chromeosdevices": list[from:to]}
	if to < len(list) {
		answer["nextPageToken"] = "I" + strconv.Itoa(to)
	}
	if s.stuck {
		answer["nextPageToken"] = r.URL.Query().Get("pageToken")
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// add takes in a device and says what we call it.
func (s *server) add(t testing.TB, raw []byte) (id string) {
	t.Helper()
	var who struct{ Name, DeviceID string }
	if err := json.Unmarshal(raw, &who); err != nil {
		t.Fatal(err)
	}
	list, own := chromeos, who.DeviceID
	id = "chromeos/" + own
	if who.Name != "" {
		var err error
		if own, err = url.PathUnescape(strings.TrimPrefix(who.Name, "devices/")); err != nil {
			t.Fatal(err)
		}
		list, id = endpoints, "devices/"+own
	}
	s.Set(list+"/"+own, string(raw))
	s.lists[list] = append(s.lists[list], raw)
	return id
}

func adapter(t testing.TB, s *server, change func(*google.Options)) (a *google.Adapter, unreadable *[]string) {
	t.Helper()
	client := s.Client(t)
	unreadable = &[]string{}
	opts := google.Options{Name: "google", Devices: client, ChromeOS: client,
		Unreadable: func(id string, _ error) { *unreadable = append(*unreadable, id) }}
	if change != nil {
		change(&opts)
	}
	a, err := google.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return a, unreadable
}

// devices are all that testdata has.
func devices(t testing.TB) []string {
	t.Helper()
	return append(sourcetest.Files(t, "testdata/device_*.json"), sourcetest.Files(t, "testdata/chromeos_*.json")...)
}

// What each device says, alone and in its list.
func TestDevices(t *testing.T) {
	for _, file := range devices(t) {
		s := newServer(t)
		id := s.add(t, sourcetest.Content(t, file))
		a, _ := adapter(t, s, nil)
		got, err := a.Device(t.Context(), id)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %+v, %v", file, got, err)
		}
		said := sourcetest.Text(t, got[0])
		sourcetest.Golden(t, file, said)
		list, _, _ := strings.Cut(id, "/")
		page, err := a.Page(t.Context(), list+"/")
		if err != nil || len(page.Observations) != 1 || sourcetest.Text(t, page.Observations[0]) != said {
			t.Errorf("%s: the list says something else: %+v, %v", file, page, err)
		}
	}
}

// Of several users the worst word counts, and nobody is the device's user.
func TestUsers(t *testing.T) {
	s := newServer(t)
	id := s.add(t, sourcetest.Content(t, "testdata/device_byod_linux.json"))
	path := endpoints + "/" + strings.TrimPrefix(id, "devices/") + "/deviceUsers"
	for _, tt := range []struct{ users, lock, broken, user string }{
		{string(sourcetest.Content(t, "testdata/users_one.json")), "true", "unknown", "Ana@acme.example"},
		{string(sourcetest.Content(t, "testdata/users_two.json")), "false", "unknown", "unknown"},
		{`{}`, "", "", ""},
		{`{"deviceUsers":[{"passwordState":"PASSWORD_SET"}],"nextPageToken":"I2"}`, "", "", ""},
		{`{"deviceUsers":[{"passwordState":"PASSWORD_NOT_SET","compromisedState":"COMPROMISED"}],"nextPageToken":"I2"}`, "false", "true", ""},
		{`{"deviceUsers":[{"passwordState":"PASSWORD_SET"},{"passwordState":"NEW_WORD"}]}`, "unknown", "unknown", ""},
		{`{"deviceUsers":[{"passwordState":"NEW_WORD"},{"passwordState":"PASSWORD_SET"}]}`, "unknown", "unknown", ""},
	} {
		s.Set(path, tt.users)
		a, _ := adapter(t, s, func(o *google.Options) { o.Users = true })
		got, err := a.Device(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]string{}
		for _, fact := range got[0].Facts {
			said[fact.Attribute] = fact.Value.String()
		}
		if said["screen_lock"] != tt.lock || said["compromised"] != tt.broken || said["enrolled_user"] != tt.user {
			t.Errorf("%s: %v", tt.users, said)
		}
	}
	for _, answer := range []string{"404", "500", `[]`} {
		s.Set(path, answer)
		a, _ := adapter(t, s, func(o *google.Options) { o.Users = true })
		if got, err := a.Device(t.Context(), id); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", answer, got, err)
		}
	}
}

// Both lists are gone through to their ends, as one.
func TestListing(t *testing.T) {
	s := newServer(t)
	for _, file := range devices(t) {
		s.add(t, sourcetest.Content(t, file))
	}
	s.lists[endpoints] = append(s.lists[endpoints], json.RawMessage(`{"name":"devices/Ei5","serialNumber":7}`))
	s.lists[chromeos] = append(s.lists[chromeos], json.RawMessage(`{"deviceId":"c5","status":7}`))
	a, unreadable := adapter(t, s, nil)
	aliases, pages := map[signals.Alias]bool{}, 0
	for cursor := ""; ; pages++ {
		page, err := a.Page(t.Context(), cursor)
		if err != nil || pages > 10 {
			t.Fatal(pages, err)
		}
		for _, o := range page.Observations {
			aliases[o.Aliases[0]] = true
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if len(aliases) != 8 || pages != 4 || fmt.Sprint(*unreadable) != "[devices/Ei5 chromeos/c5]" {
		t.Errorf("%d devices on %d pages; unreadable: %v", len(aliases), pages+1, *unreadable)
	}
	s.stuck = true
	for _, cursor := range []string{"devices/I2", "chromeos/I2", "phones/", "x"} {
		if page, err := a.Page(t.Context(), cursor); err == nil {
			t.Errorf("%s: %+v", cursor, page)
		}
	}
	for _, list := range []string{endpoints, chromeos} {
		cursor := map[string]string{endpoints: "devices/", chromeos: "chromeos/"}[list]
		for _, answer := range []string{`{"kind":"admin#directory#chromeosdevices","devices":[{}],"chromeosdevices":[{}]}`, `[]`, "404", "403"} {
			s.Set(list, answer)
			if page, err := a.Page(t.Context(), cursor); err == nil || errors.Is(err, source.ErrGone) {
				t.Errorf("%s %s: %+v, %v", list, answer, page, err)
			}
		}
		s.Set(list, "429")
		_, err := a.Page(t.Context(), cursor)
		if busy, ok := errors.AsType[*source.Busy](err); !ok || busy.After < 6*time.Second {
			t.Error(err)
		}
		a, _ = adapter(t, s, nil) // the first is asked to be left alone
	}
}

func TestDeviceThatIsNotTheOne(t *testing.T) {
	s := newServer(t)
	s.Set(endpoints+"/Ei7", `{"name":"devices/Ei8","lastSyncTime":"2026-11-20T08:00:00Z"}`)
	s.Set(endpoints+"/Ei6", `{"name":"devices/Ei6","lastSyncTime":"yesterday"}`)
	s.Set(chromeos+"/c7", `{"deviceId":"c8","lastSync":"2026-11-20T08:00:00Z"}`)
	a, _ := adapter(t, s, nil)
	for _, id := range []string{"devices/Ei7", "devices/Ei6", "chromeos/c7", "", "devices/", "x/y", "devices/../v1", "devices/a/b"} {
		if got, err := a.Device(t.Context(), id); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
	}
	for _, id := range []string{"devices/Ei5", "chromeos/c5"} {
		if _, err := a.Device(t.Context(), id); !errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %v", id, err)
		}
	}
	one, _ := adapter(t, s, func(o *google.Options) { o.ChromeOS = nil })
	if _, err := one.Device(t.Context(), "chromeos/c7"); err == nil {
		t.Error("a list that is not asked for has no devices")
	}
}

func TestNewRefuses(t *testing.T) {
	client, err := source.NewClient(source.ClientOptions{Base: "https://cloudidentity.googleapis.example"})
	if err != nil {
		t.Fatal(err)
	}
	for i, opts := range []google.Options{{Name: "g"}, {Devices: client}, {Name: "g", Devices: client, Customer: "../x"}} {
		if _, err := google.New(opts); err == nil {
			t.Errorf("%d was taken: %+v", i, opts)
		}
	}
}

// Nobody can send in Google's name.
func TestNoDeliveries(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	_, err := a.Authenticate(source.Delivery{Body: []byte(`{}`)}, time.Now())
	if refusal, ok := errors.AsType[*source.Refusal](err); !ok || refusal.Status != http.StatusUnauthorized {
		t.Error(err)
	}
}

// The recorded shapes, where they are there.
func TestSamples(t *testing.T) {
	files, ok := sourcetest.Samples(t, "google")
	if !ok {
		return
	}
	want := map[string]int{"devices/": 3, "chromeos/": 1}
	s := newServer(t)
	for _, file := range files {
		switch filepath.Base(file) {
		case "api_cloudidentity_devices.json":
			s.Set(endpoints, string(sourcetest.Content(t, file)))
		case "api_chromeos_devices.json":
			s.Set(chromeos, string(sourcetest.Content(t, file)))
		}
	}
	a, unreadable := adapter(t, s, nil)
	var said strings.Builder
	for _, list := range []string{"devices/", "chromeos/"} {
		want := want[list]
		page, err := a.Page(t.Context(), list)
		if err != nil || len(page.Observations) != want || len(*unreadable) != 0 {
			t.Errorf("%s: %+v, %v, %v", list, page, *unreadable, err)
		}
		for _, o := range page.Observations {
			said.WriteString("== " + list + "\n" + sourcetest.Text(t, o))
		}
	}
	sourcetest.Golden(t, sourcetest.RecordedGolden, said.String())
}
