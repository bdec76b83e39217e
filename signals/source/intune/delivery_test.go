package intune_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/intune"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

const secret = "0123456789abcdef0123456789abcdef"

func notification(clientState string) []byte {
	return []byte(`{"value":[{"clientState":"` + clientState + `","resource":"users/5d3c2b1a-0000-4041-8041-00000000000a"}]}`)
}

// Who may say what. 202 without an id: the sender is told that all is well, and nothing counts.
func TestAuthenticate(t *testing.T) {
	rows := string(sourcetest.Content(t, "testdata/event_row.json"))
	inURL := source.URLSecret{Values: []string{secret}}
	for name, tt := range map[string]struct {
		body, header, segment string
		change                func(*intune.Options)
		want                  int // 0: taken
	}{
		"rows":                          {body: rows, header: pass},
		"rows of a stranger":            {body: rows, header: "guessed", want: 401},
		"rows without a header":         {body: rows, want: 401},
		"rows that nobody may send":     {body: rows, header: pass, change: func(o *intune.Options) { o.Forwarder = nil }, want: 401},
		"notification":                  {body: string(notification(state))},
		"older client state":            {body: string(notification("older-" + state))},
		"guessed client state":          {body: string(notification("guessed")), want: 202},
		"guessed, by the forwarder":     {body: string(notification("guessed")), header: pass, want: 202},
		"empty client state":            {body: string(notification("")), want: 202},
		"no client state":               {body: `{"value":[{"resource":"users/x"}]}`, want: 202},
		"no notifications":              {body: `{"value":[]}`, want: 202},
		"one of two is ours":            {body: `{"value":[{"clientState":"x"},{"clientState":"` + state + `"}]}`},
		"of another tenant":             {body: `{"value":[{"clientState":"` + state + `","tenantId":"99999999-0000-48e8-a06d-6dbb0dacea39"}]}`, want: 202},
		"Graph is not taken":            {body: string(notification(state)), change: func(o *intune.Options) { o.ClientStates = nil }, want: 401},
		"secret in the URL":             {body: string(notification(state)), segment: secret, change: func(o *intune.Options) { o.InURL = inURL }},
		"wrong secret in the URL":       {body: string(notification(state)), segment: "x", change: func(o *intune.Options) { o.InURL = inURL }, want: 401},
		"no JSON of a stranger":         {body: `<xml/>`, want: 401},
		"no JSON":                       {body: `<xml/>`, header: pass, want: 400},
		"two readings":                  {body: `{"records":[],"Records":[]}`, header: pass, want: 400},
		"an array":                      {body: `[` + rows + `]`, header: pass, want: 400},
		"neither":                       {body: `{"alert":1}`, header: pass, want: 400},
		"both":                          {body: `{"value":[],"records":[]}`, header: pass, want: 400},
		"another shape":                 {body: `{"value":7}`, header: pass, want: 400},
		"another shape of a stranger":   {body: `{"value":7}`, want: 401},
		"nothing":                       {header: pass, want: 400},
		"an empty batch that says none": {body: `{"records":[]}`, header: pass},
	} {
		a, _ := adapter(t, newGraph(t), tt.change)
		d := source.Delivery{Source: "intune", Body: []byte(tt.body), Segment: tt.segment, Received: now, Header: http.Header{}}
		if tt.header != "" {
			d.Header.Set("X-Forwarder-Secret", tt.header)
		}
		id, err := a.Authenticate(d, now)
		refusal, refused := errors.AsType[*source.Refusal](err)
		switch {
		case tt.want == 0 && (err != nil || !source.ValidID(id)):
			t.Errorf("%s: %q, %v", name, id, err)
		case tt.want != 0 && (!refused || refusal.Status != tt.want || id != ""):
			t.Errorf("%s: %q, %+v, want %d", name, id, err, tt.want)
		case refused && (strings.Contains(refusal.Error()+refusal.Detail, state) || strings.Contains(refusal.Error(), pass)):
			t.Errorf("%s: a secret is told: %v", name, err)
		}
	}
}

// The same row is the same whenever it comes; the same notification later is another change.
func TestIDs(t *testing.T) {
	a, _ := adapter(t, newGraph(t), nil)
	id := func(body []byte, at time.Time) string {
		d := delivery(body)
		d.Received = at
		id, err := a.Authenticate(d, at)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	rows, users := sourcetest.Content(t, "testdata/event_row.json"), notification(state)
	if id(rows, now) != id(rows, now.Add(time.Hour)) || id(users, now) == id(users, now.Add(time.Minute)) ||
		id(users, now) != id(users, now.Add(time.Millisecond)) {
		t.Error("ids are not what they should be")
	}
}

// What is kept holds no secret, says what was said, and is no delivery; what still has its secret was believed by nobody.
func TestKept(t *testing.T) {
	a, _ := adapter(t, newGraph(t), nil)
	body := []byte(`{"value":[{"clientState":"of somebody else","resource":"users/5d3c2b1a-0000-4041-8041-00000000000b"},
		{"clientState":"` + state + `","resource":"users/5d3c2b1a-0000-4041-8041-00000000000a","encryptedContent":{"data":"of somebody"}}]}`)
	left := kept(t, a, body)
	if ids, err := a.Points(delivery(left)); err != nil || len(ids) != 1 || ids[0] != "user/5d3c2b1a-0000-4041-8041-00000000000a" {
		t.Errorf("%s: %v, %v", left, ids, err)
	}
	for _, secret := range []string{state, "somebody"} {
		if strings.Contains(string(left), secret) {
			t.Errorf("%q is in %s", secret, left)
		}
	}
	if id, err := a.Authenticate(delivery(left), now); err == nil {
		t.Errorf("what is kept is taken as delivery %s", id)
	}
	if ids, err := a.Points(delivery(body)); err == nil {
		t.Errorf("%v", ids)
	}
	if left, err := a.Redact([]byte(`{"alert":1}`)); err == nil {
		t.Errorf("%s", left)
	}
	if rows := sourcetest.Content(t, "testdata/event_row.json"); string(kept(t, a, rows)) != string(rows) {
		t.Error("a row is not kept as it came")
	}
}

// Rows that nobody can be sure of.
func TestOddRows(t *testing.T) {
	a, _ := adapter(t, newGraph(t), nil)
	good := string(sourcetest.Content(t, "testdata/event_row.json"))
	for _, change := range [][2]string{
		{`"DeviceId": "11111111-0000-4000-8000-000000000005"`, `"DeviceId": "5"`},
		{`"2026-11-19 06:19:27.0000000"`, `"19.11.2026 06:19"`}, {`9999-12-31 23:59:59.0000000`, `later`},
		{`"time": "2026-11-20T00:10:43.5547000Z"`, `"time": "2026-11-20 00:10"`}, {`"time": "2026`, `"when": "2026`},
		{`"properties": {`, `"properties": [], "more": {`}, {`"properties": {`, `"more": {`},
		{`"category": "Devices"`, `"category": "OperationalLogs"`},
		{`"category": "Devices",
  "operationName": "Devices"`, `"category": "OperationalLogs", "operationName": "Compliance"`},
		{`"SerialNumber": "PF2TESTE5"`, `"SerialNumber": 5`},
	} {
		odd := strings.Replace(good, change[0], change[1], 1)
		if odd == good {
			t.Errorf("%q is not in the row", change[0])
		}
		if got, err := a.Observe(delivery([]byte(odd))); err == nil {
			t.Errorf("%s: %+v", change[1], got)
		}
	}
}

func TestGreet(t *testing.T) {
	token := "Validation: Testing client application reachability for subscription Request-Id: 0f8fad5b-d9cb-469f-a165-70867728950e"
	inURL := func(o *intune.Options) { o.InURL = source.URLSecret{Values: []string{secret}} }
	for name, tt := range map[string]struct {
		method, query, segment string
		change                 func(*intune.Options)
		echo                   string
		want                   int // of a refusal
	}{
		"as Graph does":        {query: "validationToken=" + url.QueryEscape(token), echo: token},
		"secret in the URL":    {query: "validationToken=abc", segment: secret, change: inURL, echo: "abc"},
		"stranger":             {query: "validationToken=abc", segment: "guessed", change: inURL, want: 401},
		"GET":                  {method: http.MethodGet, query: "validationToken=abc"},
		"no token":             {query: "secret=abc"},
		"Graph is not taken":   {query: "validationToken=abc", change: func(o *intune.Options) { o.ClientStates = nil }},
		"empty":                {query: "validationToken=", want: 400},
		"two":                  {query: "validationToken=a&validationToken=b", want: 400},
		"a page":               {query: "validationToken=%3Cscript%3Ealert(1)%3C/script%3E", want: 400},
		"two lines":            {query: "validationToken=a%0D%0Ab", want: 400},
		"not ASCII":            {query: "validationToken=%C3%A4", want: 400},
		"too long":             {query: "validationToken=" + strings.Repeat("x", 1025), want: 400},
		"as long as it may be": {query: "validationToken=" + strings.Repeat("x", 1024), echo: strings.Repeat("x", 1024)},
	} {
		a, _ := adapter(t, newGraph(t), tt.change)
		query, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		method := http.MethodPost
		if tt.method != "" {
			method = tt.method
		}
		greeting, ok, err := a.Greet(method, source.Delivery{Source: "intune", Query: query, Segment: tt.segment, Received: now})
		refusal, refused := errors.AsType[*source.Refusal](err)
		switch {
		case refused != (tt.want > 0) || refused && refusal.Status != tt.want:
			t.Errorf("%s: %v", name, err)
		case ok != (tt.echo != "") || ok && (string(greeting.Body) != tt.echo || greeting.Status != http.StatusOK ||
			greeting.ContentType != "text/plain; charset=utf-8"):
			t.Errorf("%s: %v %+v", name, ok, greeting)
		}
	}
}
