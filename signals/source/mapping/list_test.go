package mapping_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/mapping"
)

// vendor plays an MDM with n devices, two on a page, in every way of paging. It asks for patience with the second request
// and forgets its token after the third.
type vendor struct {
	n      int
	asked  atomic.Int32
	tokens atomic.Int32
	broken string // an answer to every question
	url    string
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/token" {
		fmt.Fprintf(w, `{"access_token":"t%d","token_type":"Bearer","expires_in":3600}`, v.tokens.Add(1))
		return
	}
	n := v.asked.Add(1)
	switch {
	case req.Header.Get("Authorization") != fmt.Sprintf("Bearer t%d", v.tokens.Load()) || n == 3:
		w.WriteHeader(http.StatusUnauthorized)
		return
	case n == 2:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case v.broken != "":
		fmt.Fprint(w, v.broken)
		return
	}
	if id, one := strings.CutPrefix(req.URL.Path, "/devices/"); one {
		if n, err := strconv.Atoi(id); err != nil || n < 1 || n > v.n {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"device":%s}`, v.device(id))
		return
	}
	at := 0
	for _, name := range []string{"after", "offset"} {
		if text := req.FormValue(name); text != "" {
			at, _ = strconv.Atoi(text)
		}
	}
	if page := req.FormValue("page"); page != "" {
		n, _ := strconv.Atoi(page)
		at = 2 * (n - 1)
	}
	var items []string
	for i := at + 1; i <= min(at+2, v.n); i++ {
		items = append(items, v.device(strconv.Itoa(i)))
	}
	next, link := "null", ""
	if at+2 < v.n {
		next, link = strconv.Itoa(at+2), fmt.Sprintf(`,"@odata.nextLink":"%s/devices?after=%d"`, v.url, at+2)
	}
	fmt.Fprintf(w, `{"items":[%s],"page":{"next":%s,"total":"%d"}%s}`, strings.Join(items, ","), next, v.n, link)
}

func (v *vendor) device(id string) string {
	return fmt.Sprintf(`{"id":%s,"serial":"C02ACME%s","at":"2026-11-20T11:00:00Z","disk":"On"}`, id, id)
}

func asked(t *testing.T, v *vendor, list mapping.List) source.Inventory {
	t.Helper()
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	v.url = server.URL
	client, err := source.NewClient(source.ClientOptions{Base: server.URL, Rate: 1000,
		Credentials: source.ClientCredentials{Endpoint: "/token", ID: "a", Secret: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	list.Path, list.Total = "/devices", "page.total"
	a, err := mapping.New(mapping.Options{Name: "acme", API: client, Spec: mapping.Spec{
		List: &list, Get: &mapping.Get{Path: "/devices/{id}", Device: "device"},
		Record: &mapping.Record{Devices: "items[*]", Serial: "serial", ID: "id", Observed: mapping.Observed{Paths: []string{"at"}},
			Facts: map[string]mapping.Fact{"disk_encryption": {Path: "disk", Values: map[string]string{"On": "true", "Off": "false"}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return a.(source.Inventory)
}

var ways = map[string]mapping.List{
	"cursor": {Page: "cursor", Parameter: "after", Next: "page.next"},
	"link":   {Page: "link", Next: `"@odata.nextLink"`},
	"number": {Page: "number", Parameter: "page", First: 1},
	"offset": {Page: "offset", Parameter: "offset", Size: 2},
}

// Each way of paging lists each device once, through a busy vendor and a token that is forgotten.
func TestListing(t *testing.T) {
	t.Parallel()
	for name, list := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := &vendor{n: 5}
			a := asked(t, v, list)
			seen, cursor := map[string]int{}, ""
			for pages := 0; ; {
				page, err := a.Page(t.Context(), cursor)
				if busy, ok := errors.AsType[*source.Busy](err); ok {
					time.Sleep(busy.After + 10*time.Millisecond)
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if page.Total != 5 {
					t.Errorf("total is %d", page.Total)
				}
				for _, o := range page.Observations {
					seen[o.Aliases[0].Value]++
					if len(o.Facts) != 1 || o.Facts[0].Value.String() != "true" {
						t.Errorf("%v", o)
					}
				}
				if cursor = page.Next; cursor == "" {
					break
				}
				if pages++; pages > 10 {
					t.Fatal("the listing does not end")
				}
			}
			if len(seen) != 5 || seen["acme/1"] != 1 || seen["acme/5"] != 1 {
				t.Errorf("listed %v", seen)
			}
			if v.tokens.Load() != 2 {
				t.Errorf("%d logins, want 2", v.tokens.Load())
			}
		})
	}
}

// An answer that lacks something must not make devices that are there vanish: it is an error.
func TestListingFails(t *testing.T) {
	device := `{"id":1,"serial":"C02ACME1","at":"2026-11-20T11:00:00Z","disk":"On"}`
	for _, c := range []struct{ way, answer, want string }{
		{"cursor", `{"page":{"next":null}}`, "has no items[*]"},
		{"cursor", `{"items":null,"page":{"next":null}}`, "has no items[*]"},
		{"cursor", `{"items":{},"page":{"next":null}}`, "has no items[*]"},
		{"cursor", `{"items":[` + device + `]}`, "whether another page follows is not known"},
		{"cursor", `{"items":[{"serial":"C02ACME1"}],"page":{"next":null}}`, "it has no id"},
		{"cursor", `{"items":[7],"page":{"next":null}}`, "it has no id"},
		{"cursor", `{"items":[` + device + `],"page":{"next":["a"]}}`, "list.next"},
		{"cursor", `{"items":[` + device + `],"page":{"next":"` + strings.Repeat("x", 5000) + `"}}`, "the limit is 4096"},
		{"link", `{"items":[` + device + `],"@odata.nextLink":"https://evil.example/devices"}`, "is not followed"},
		{"offset", `{"items":[` + device + `,` + device + `,` + device + `],"page":{}}`, "others would be left out"},
		{"cursor", `not JSON`, "not one JSON value"},
		{"cursor", `"text"`, "neither a JSON object nor an array"},
	} {
		v := &vendor{n: 1, broken: c.answer}
		page, err := asked(t, v, ways[c.way]).Page(t.Context(), "")
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, source.ErrGone) {
			t.Errorf("%s by %s is %v, %v; want %q", c.answer, c.way, page, err, c.want)
		}
	}
	v := &vendor{n: 1, broken: `{"items":[` + device + `],"page":{"next":"7"}}`}
	if _, err := asked(t, v, ways["cursor"]).Page(t.Context(), "7"); err == nil || !strings.Contains(err.Error(), "never end") {
		t.Errorf("a page that follows itself: %v", err)
	}
	for way, cursor := range map[string]string{"number": "x", "offset": "-1", "link": "https://evil.example/"} {
		if _, err := asked(t, &vendor{n: 1}, ways[way]).Page(t.Context(), cursor); err == nil {
			t.Errorf("the cursor %q of page %s is taken", cursor, way)
		}
	}
}

// A device whose record cannot be read is listed without facts, and told of.
func TestUnreadableRecordIsListed(t *testing.T) {
	v := &vendor{broken: `{"items":[{"id":1,"serial":"C02ACME1","at":"soon","disk":"On"}],"page":{"next":null}}`}
	page, err := asked(t, v, ways["cursor"]).Page(t.Context(), "")
	if err != nil || len(page.Observations) != 1 || len(page.Observations[0].Facts) != 0 ||
		page.Observations[0].Aliases[0].Value != "acme/1" {
		t.Errorf("%v, %v", page, err)
	}
}

func TestDevice(t *testing.T) {
	a := asked(t, &vendor{n: 5}, ways["cursor"])
	if o, err := a.Device(t.Context(), "4"); err != nil || len(o) != 1 || o[0].Aliases[0].Value != "acme/4" {
		t.Fatalf("%v, %v", o, err)
	}
	for _, id := range []string{"", "../token", "a/b", "a?b", "a%2fb", "..", "a b"} {
		if _, err := a.Device(t.Context(), id); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%q is asked for: %v", id, err)
		}
	}
	if _, err := asked(t, &vendor{n: 5}, ways["cursor"]).Device(t.Context(), "9"); !errors.Is(err, source.ErrGone) {
		t.Errorf("a device that is gone: %v", err)
	}
	other := asked(t, &vendor{broken: `{"device":{"id":5,"serial":"C02ACME5","at":"2026-11-20T11:00:00Z"}}`}, ways["cursor"])
	if o, err := other.Device(t.Context(), "4"); err == nil || !strings.Contains(err.Error(), "another device") {
		t.Errorf("an answer about another device: %v, %v", o, err)
	}
	empty := asked(t, &vendor{broken: `{}`}, ways["cursor"])
	if _, err := empty.Device(t.Context(), "4"); err == nil || errors.Is(err, source.ErrGone) {
		t.Errorf("an answer of another shape: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	client, err := source.NewClient(source.ClientOptions{Base: "https://mdm.acme.example"})
	if err != nil {
		t.Fatal(err)
	}
	good := func() mapping.Options {
		return mapping.Options{Name: "acme", API: client, Auth: source.HMAC{Header: "X", Secrets: []string{key}}, Spec: mapping.Spec{
			Delivery: &mapping.Delivery{Points: "id"}, List: &mapping.List{Path: "/d", Page: "cursor", Parameter: "a", Next: "n"},
			Get: &mapping.Get{Path: "/d", Query: url.Values{"ids": {"{id}"}}},
			Record: &mapping.Record{ID: "id", Observed: mapping.Observed{Paths: []string{"at"}},
				Facts: map[string]mapping.Fact{"firewall": {Path: "fw"}}},
		}}
	}
	if _, err := mapping.New(good()); err != nil {
		t.Fatal(err)
	}
	fact := func(name string, f mapping.Fact) func(*mapping.Options) {
		return func(o *mapping.Options) { o.Spec.Record.Facts = map[string]mapping.Fact{name: f} }
	}
	seen := func(s mapping.Observed) func(*mapping.Options) {
		return func(o *mapping.Options) { o.Spec.Record.Observed = s }
	}
	for want, change := range map[string]func(*mapping.Options){
		"cannot name":          func(o *mapping.Options) { o.Name = "" },
		"neither delivery":     func(o *mapping.Options) { o.Spec = mapping.Spec{} },
		"delivery and webhook": func(o *mapping.Options) { o.Auth = nil },
		"list and api":         func(o *mapping.Options) { o.API = nil },
		"list and record":      func(o *mapping.Options) { o.Spec.Record = nil },
		"points goes with get": func(o *mapping.Options) { o.Spec.Get = nil },
		"points or record":     func(o *mapping.Options) { o.Spec.Delivery.Record = o.Spec.Record },
		"repeat it for ever": func(o *mapping.Options) {
			o.Spec.Delivery = &mapping.Delivery{Record: &mapping.Record{ID: "id", Observed: mapping.Observed{Received: true},
				Facts: map[string]mapping.Fact{"firewall": {Path: "fw"}}}}
		},
		"{id} stands neither":      func(o *mapping.Options) { o.Spec.Get.Query = nil },
		"next goes with":           func(o *mapping.Options) { o.Spec.List.Next = "" },
		"parameter goes with":      func(o *mapping.Options) { o.Spec.List.Parameter = "" },
		"page is":                  func(o *mapping.Options) { o.Spec.List.Page = "scroll" },
		"begins with a slash":      func(o *mapping.Options) { o.Spec.List.Path = "d" },
		"it names nothing":         func(o *mapping.Options) { o.Spec.Record.ID = "" },
		"needed to list":           func(o *mapping.Options) { o.Spec.Record.ID, o.Spec.Record.Serial = "", "s" },
		"several names":            func(o *mapping.Options) { o.Spec.Record.ID = "a[*]" },
		"there are none":           func(o *mapping.Options) { o.Spec.Record.Facts = nil },
		"no attribute":             fact("colour", mapping.Fact{Path: "a"}),
		"one of path":              fact("firewall", mapping.Fact{}),
		"needs values":             fact("threat_level", mapping.Fact{Path: "a"}),
		"is no value of firewall":  fact("firewall", mapping.Fact{Path: "a", Values: map[string]string{"x": "yes"}}),
		"is no value of lifecycle": fact("lifecycle", mapping.Fact{Always: "here"}),
		"differs from another":     fact("firewall", mapping.Fact{Path: "a", Values: map[string]string{"x": "true", "X": "false"}}),
		"else is":                  fact("firewall", mapping.Fact{Path: "a", Else: "true"}),
		"no worst value":           fact("platform", mapping.Fact{Path: "a", Else: "worst"}),
		"as is":                    fact("os_version", mapping.Fact{Path: "a", As: "number"}),
		"is for free text":         fact("firewall", mapping.Fact{Path: "a", As: "text"}),
		"are for numbers":          fact("firewall", mapping.Fact{Path: "a", Factor: 2}),
		"neither values nor as":    fact("edr_risk_score", mapping.Fact{Path: "a", As: "count"}),
		"all[0]":                   fact("firewall", mapping.Fact{All: []mapping.Fact{{Always: "true"}}}),
		"none is the worst":        fact("os_version", mapping.Fact{All: []mapping.Fact{{Path: "a"}}}),
		"is no path":               fact("firewall", mapping.Fact{Path: "a["}),
		"it has no path":           seen(mapping.Observed{}),
		"received stands alone":    seen(mapping.Observed{Received: true, Paths: []string{"a"}}),
		"several instants":         seen(mapping.Observed{Paths: []string{"a[*]"}}),
		"format is":                seen(mapping.Observed{Paths: []string{"a"}, Time: mapping.Time{Format: "iso"}}),
		"layout go together":       seen(mapping.Observed{Paths: []string{"a"}, Time: mapping.Time{Format: "layout"}}),
		"does not hold year":       seen(mapping.Observed{Paths: []string{"a"}, Time: mapping.Time{Format: "layout", Layout: "%Y-%m-%d"}}),
		"says nothing certain":     seen(mapping.Observed{Paths: []string{"a"}, Time: mapping.Time{Format: "layout", Layout: time.UnixDate}}),
		"reads no zone":            seen(mapping.Observed{Paths: []string{"a"}, Time: mapping.Time{Format: "layout", Layout: time.DateTime}}),
		"an offset such as":        seen(mapping.Observed{Paths: []string{"a"}, Time: mapping.Time{Zone: "Europe/Berlin"}}),
		"a list has devices":       func(o *mapping.Options) { o.Spec.Record.Kind = &mapping.Kind{Path: "a", Read: []string{"b"}} },
		"read names no word":       func(o *mapping.Options) { o.Spec.Delivery.Kind = &mapping.Kind{Path: "a"} },
	} {
		o := good()
		change(&o)
		if _, err := mapping.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
