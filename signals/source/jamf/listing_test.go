package jamf_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/jamf"
)

// fakeJamf plays the parts of a Jamf Pro server that are asked: logins, two listings by position, single records. It
// cannot run here, and what it does is what the vendor's reference says.
type fakeJamf struct {
	*httptest.Server
	mu        sync.Mutex
	computers []int
	mobiles   []int
	logins    int
	asked     []string
	before    func(f *fakeJamf, page string) // called with mu held, before a page is made
	retired   bool                           // this version of the computers' API is gone
}

func newFakeJamf(t *testing.T, computers, mobiles int) *fakeJamf {
	f := &fakeJamf{}
	for i := range computers {
		f.computers = append(f.computers, i+1)
	}
	for i := range mobiles {
		f.mobiles = append(f.mobiles, i+1)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/oauth/token", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("client_id") != "id" || r.PostFormValue("client_secret") != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		f.mu.Lock()
		f.logins++
		f.mu.Unlock()
		fmt.Fprint(w, `{"access_token":"oauth","scope":"api-role:1","token_type":"Bearer","expires_in":59}`)
	})
	mux.HandleFunc("POST /api/v1/auth/token", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "reader" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"token":"login","expires":%q}`, time.Now().Add(30*time.Minute).UTC().Format(time.RFC3339Nano))
	})
	mux.HandleFunc("GET /api/v2/computers-inventory", f.guarded(f.listComputers))
	mux.HandleFunc("GET /api/v2/computers-inventory/{id}", f.guarded(f.computer))
	mux.HandleFunc("GET /api/v2/mobile-devices/detail", f.guarded(f.listMobiles))
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeJamf) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains([]string{"Bearer oauth", "Bearer login"}, r.Header.Get("Authorization")) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.asked = append(f.asked, r.URL.RequestURI())
		if f.retired && strings.Contains(r.URL.Path, "computers") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		next(w, r)
	}
}

func (f *fakeJamf) listComputers(w http.ResponseWriter, r *http.Request) {
	f.list(w, r, &f.computers, "id:asc", `{"id":"%d","udid":"5D3C2B1A-0000-4041-8041-%012d",`+
		`"general":{"reportDate":"2026-11-20T07:30:15Z","remoteManagement":{"managed":true}}}`)
}

func (f *fakeJamf) listMobiles(w http.ResponseWriter, r *http.Request) {
	const record = `{"mobileDeviceId":"%d","general":{"udid":"00008112-%016d",` +
		`"lastInventoryUpdateDate":"2026-11-20T06:48:56Z","managed":true}}`
	if number, found := strings.CutPrefix(r.FormValue("filter"), "mobileDeviceId=="); found {
		number, err := strconv.Atoi(strings.Trim(number, `"`))
		if err != nil || !slices.Contains(f.mobiles, number) {
			fmt.Fprint(w, empty)
			return
		}
		fmt.Fprint(w, `{"totalCount":1,"results":[`+fmt.Sprintf(record, number, number)+`]}`)
		return
	}
	f.list(w, r, &f.mobiles, "mobileDeviceId:asc", record)
}

func (f *fakeJamf) list(w http.ResponseWriter, r *http.Request, all *[]int, sort, record string) {
	if r.FormValue("page") != "" && r.FormValue("sort") != sort || !slices.Contains(r.Form["section"], "GENERAL") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if f.before != nil {
		f.before(f, r.FormValue("page"))
	}
	page, _ := strconv.Atoi(r.FormValue("page"))
	size, err := strconv.Atoi(r.FormValue("page-size"))
	if err != nil {
		size = 100
	}
	results := []json.RawMessage{}
	for i := page * size; i < min((page+1)*size, len(*all)); i++ {
		results = append(results, json.RawMessage(fmt.Sprintf(record, (*all)[i], (*all)[i])))
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"totalCount": len(*all), "results": results})
}

func (f *fakeJamf) computer(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || !slices.Contains(f.computers, number) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"httpStatus":404,"errors":[{"code":"INVALID_ID"}]}`)
		return
	}
	fmt.Fprintf(w, `{"id":"%d","general":{"reportDate":"2026-11-20T07:30:15Z","remoteManagement":{"managed":true}}}`,
		number)
}

// asks is an adapter that asks the server by the real client.
func (f *fakeJamf) asks(t *testing.T, credentials source.Credentials, change ...func(*jamf.Options)) *jamf.Adapter {
	t.Helper()
	client, err := source.NewClient(source.ClientOptions{Base: f.URL, Credentials: credentials, Rate: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return adapter(t, client, append(change, func(o *jamf.Options) { o.ComputersAPI, o.PageSize = "v2", 10 })...)
}

var (
	oauth = source.ClientCredentials{Endpoint: "/api/oauth/token", ID: "id", Secret: "secret"}
	login = source.BasicLogin{Endpoint: "/api/v1/auth/token", User: "reader", Password: "secret"}
)

// listAll goes through the pages, and returns the devices' ids, each once, and the last total.
func listAll(t *testing.T, a *jamf.Adapter) (ids map[string]bool, total int, err error) {
	t.Helper()
	ids, cursors := map[string]bool{}, map[string]bool{}
	for cursor := ""; ; {
		if cursors[cursor] {
			t.Fatalf("the cursor %q came twice", cursor)
		}
		cursors[cursor] = true
		page, err := a.Page(t.Context(), cursor)
		if err != nil {
			return ids, total, err
		}
		for _, o := range page.Observations {
			ids[strings.TrimPrefix(o.Aliases[0].Value, "jamf/")] = true
		}
		if cursor, total = page.Next, page.Total; cursor == "" {
			return ids, total, nil
		}
	}
}

func TestListing(t *testing.T) {
	for name, credentials := range map[string]source.Credentials{"OAuth": oauth, "login": login} {
		for _, count := range [][2]int{{0, 0}, {1, 0}, {0, 1}, {10, 10}, {11, 9}, {25, 31}} {
			f := newFakeJamf(t, count[0], count[1])
			ids, total, err := listAll(t, f.asks(t, credentials))
			if err != nil || len(ids) != count[0]+count[1] || total != len(ids) {
				t.Errorf("%s, %v: %d devices, total %d, %v", name, count, len(ids), total, err)
			}
		}
	}
	f := newFakeJamf(t, 3, 3)
	ids, total, err := listAll(t, f.asks(t, oauth, func(o *jamf.Options) { o.Kinds = []string{jamf.KindMobile} }))
	if err != nil || len(ids) != 3 || total != 3 || f.logins != 1 || len(f.asked) != 1 {
		t.Errorf("mobile devices alone: %v, %d, %v, %d logins, %q", ids, total, err, f.logins, f.asked)
	}
	other := source.ClientCredentials{Endpoint: "/api/oauth/token", ID: "id", Secret: "other"}
	if _, _, err := listAll(t, f.asks(t, other)); err == nil {
		t.Error("another secret lists")
	}
}

// Devices that are deleted while one lists move others across the edge of a page. None that stays may be missed.
func TestDeletedWhileListing(t *testing.T) {
	f := newFakeJamf(t, 45, 3)
	f.before = func(f *fakeJamf, page string) {
		if len(f.computers) > 40 && page != "0" {
			f.computers = f.computers[1:] // one before each page: 1, 2, 3 …
		}
	}
	ids, total, err := listAll(t, f.asks(t, oauth))
	if err != nil || total != 43 {
		t.Fatalf("total %d, %v", total, err)
	}
	for _, number := range f.computers {
		if !ids["computer-"+strconv.Itoa(number)] {
			t.Errorf("computer %d is there and was missed", number)
		}
	}
	f = newFakeJamf(t, 45, 0)
	f.before = func(f *fakeJamf, page string) {
		if page == "2" {
			f.computers = f.computers[:20]
		}
	}
	if _, _, err := listAll(t, f.asks(t, oauth)); err == nil || !strings.Contains(err.Error(), "list again") {
		t.Errorf("25 of 45 gone at once: %v", err)
	}
	f = newFakeJamf(t, 25, 0)
	f.before = func(f *fakeJamf, _ string) { // enrolled meanwhile
		f.computers = append(f.computers, 100+len(f.computers))
	}
	if ids, total, err := listAll(t, f.asks(t, oauth)); err != nil || len(ids) != total || total < 27 {
		t.Errorf("%d of %d, %v", len(ids), total, err)
	}
}

func TestDeviceByTheRealClient(t *testing.T) {
	f := newFakeJamf(t, 3, 3)
	a := f.asks(t, login)
	for _, id := range []string{"computer-3", "mobile-3"} {
		got, err := a.Device(t.Context(), id)
		if err != nil || len(got) != 1 || got[0].Aliases[0].Value != "jamf/"+id || len(got[0].Facts) != 2 {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
	}
	for _, id := range []string{"computer-4", "mobile-4"} {
		if _, err := a.Device(t.Context(), id); !errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if asked := strings.Join(f.asked, "\n"); !strings.Contains(asked, "section=DISK_ENCRYPTION") ||
		!strings.Contains(asked, "section=GROUPS") || strings.Contains(asked, "APPLICATIONS") {
		t.Errorf("asked:\n%s", asked)
	}
	f.retired = true
	_, err := a.Device(t.Context(), "computer-3")
	if err == nil || errors.Is(err, source.ErrGone) || !strings.Contains(err.Error(), "version of Jamf Pro") {
		t.Errorf("a retired API, taken for a computer that is gone: %v", err)
	}
	if _, _, err := listAll(t, a); err == nil || errors.Is(err, source.ErrGone) {
		t.Errorf("a listing of a retired API: %v", err)
	}
}

func TestPageRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ cursor, body string }{
		"no cursor of ours": {"tv.0.-1.0", empty}, "too short": {"mobile.0.0", empty}, "negative": {"mobile.-1.0.0", empty},
		"no number":   {"mobile.x.0.0", empty},
		"ends early":  {"mobile.0.-1.0", `{"totalCount":3,"results":[{"mobileDeviceId":"1"}]}`},
		"too many":    {"mobile.0.-1.0", `{"totalCount":0,"results":[{"mobileDeviceId":"1"}]}`},
		"no list":     {"mobile.0.-1.0", `{"totalCount":1,"results":{"mobileDeviceId":"1"}}`},
		"no number 2": {"mobile.0.-1.0", `{"totalCount":1,"results":[{"id":"1"}]}`},
		"no record":   {"mobile.0.-1.0", `{"totalCount":1,"results":[7]}`},
		"no object":   {"mobile.0.-1.0", `[]`},
		"a bad total": {"mobile.0.-1.0", `{"totalCount":"many","results":[]}`},
	} {
		if page, err := adapter(t, server{mobiles: tt.body}).Page(t.Context(), tt.cursor); err == nil {
			t.Errorf("%s: %+v", name, page)
		}
	}
}
