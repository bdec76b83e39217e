package crowdstrike_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/crowdstrike"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

const (
	secret  = "0123456789abcdef0123456789abcdef"
	scroll  = "/devices/queries/devices-scroll/v1"
	hosts   = "/devices/entities/devices/v2"
	zta     = "/zero-trust-assessment/entities/assessments/v1"
	noOne   = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	appears = "a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5"
)

var now = time.Date(2026, 11, 20, 8, 30, 0, 0, time.UTC)

// server answers as Falcon does: a scroll of two ids at once, hosts and assessments by ids.
type server struct {
	*sourcetest.Server
	ids      []string
	hosts    map[string]json.RawMessage
	assessed map[string]json.RawMessage
	errors   string // of both kinds of entities
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{Server: sourcetest.NewServer(t), hosts: map[string]json.RawMessage{}, assessed: map[string]json.RawMessage{},
		errors: "null"}
	s.Else = s.answer
	return s
}

func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case scroll:
		s.scroll(w, r)
	case hosts:
		var ask struct{ IDs []string }
		if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&ask) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.entities(w, ask.IDs, s.hosts)
	case zta:
		s.entities(w, r.URL.Query()["ids"], s.assessed)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *server) scroll(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Query().Get("offset"), "scroll=="))
	to := min(from+2, len(s.ids))
	fmt.Fprintf(w, `{"meta":{"pagination":{"total":%d,"offset":"scroll==%d","expires_at":1685453417254048699}},"resources":%s,"errors":[]}`,
		len(s.ids), to, must(append([]string{}, s.ids[from:to]...)))
}

func (s *server) entities(w http.ResponseWriter, ids []string, of map[string]json.RawMessage) {
	found := []json.RawMessage{}
	for _, id := range ids {
		if raw := of[id]; raw != nil {
			found = append(found, raw)
		}
	}
	fmt.Fprintf(w, `{"meta":{},"resources":%s,"errors":%s}`, must(found), s.errors)
}

func must(value any) []byte {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return raw
}

// add takes in a host or an assessment.
func (s *server) add(t testing.TB, raw []byte) (id string) {
	t.Helper()
	var who struct {
		DeviceID string `json:"device_id"`
		AID      string `json:"aid"`
	}
	if err := json.Unmarshal(raw, &who); err != nil {
		t.Fatal(err)
	}
	if who.AID != "" {
		s.assessed[who.AID] = raw
		return who.AID
	}
	s.hosts[who.DeviceID], s.ids = raw, append(s.ids, who.DeviceID)
	return who.DeviceID
}

func adapter(t testing.TB, s *server, change func(*crowdstrike.Options)) (a *crowdstrike.Adapter, unreadable *[]string) {
	t.Helper()
	unreadable = &[]string{}
	opts := crowdstrike.Options{Name: "falcon", Secrets: []string{"an older secret, of 32 bytes ....", secret}, Client: s.Client(t),
		Assessments: true, Unreadable: func(id string, _ error) { *unreadable = append(*unreadable, id) }}
	if change != nil {
		change(&opts)
	}
	a, err := crowdstrike.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return a, unreadable
}

// What each host says, with its assessment where it has one.
func TestHosts(t *testing.T) {
	s := newServer(t)
	for _, file := range sourcetest.Files(t, "testdata/zta_*.json") {
		s.add(t, sourcetest.Content(t, file))
	}
	for _, file := range sourcetest.Files(t, "testdata/host_*.json") {
		id := s.add(t, sourcetest.Content(t, file))
		a, unreadable := adapter(t, s, nil)
		got, err := a.Device(t.Context(), id)
		if err != nil || len(got) != 1 || len(*unreadable) != 0 {
			t.Fatalf("%s: %+v, %v, %v", file, got, *unreadable, err)
		}
		sourcetest.Golden(t, file, sourcetest.Text(t, got[0]))
	}
}

// Hosts are listed to the end of the scroll. One that was removed meanwhile is left out, one that cannot be read is there.
func TestListing(t *testing.T) {
	s := newServer(t)
	for _, file := range sourcetest.Files(t, "testdata/host_*.json") {
		s.add(t, sourcetest.Content(t, file))
	}
	s.ids = append(s.ids, noOne)
	s.add(t, []byte(`{"device_id":"`+appears+`","serial_number":7}`))
	a, unreadable := adapter(t, s, func(o *crowdstrike.Options) { o.PageSize = 2 })
	found, pages := 0, 0
	for cursor := ""; ; pages++ {
		page, err := a.Page(t.Context(), cursor)
		if err != nil || pages > 10 || page.Total != 6 {
			t.Fatal(pages, page.Total, err)
		}
		found += len(page.Observations)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if found != 5 || pages != 3 || !slices.Equal(*unreadable, []string{appears}) {
		t.Errorf("%d hosts on %d pages; unreadable: %v", found, pages+1, *unreadable)
	}
	if _, err := a.Device(t.Context(), noOne); !errors.Is(err, source.ErrGone) {
		t.Error(err)
	}
}

// What could make a host look as if it were gone, or another, ends the question.
func TestAnswersThatCannotBeBelieved(t *testing.T) {
	s := newServer(t)
	id := s.add(t, sourcetest.Content(t, "testdata/host_mac.json"))
	fails := func(what string) {
		t.Helper()
		a, _ := adapter(t, s, nil)
		if got, err := a.Device(t.Context(), id); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
		if page, err := a.Page(t.Context(), ""); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", what, page, err)
		}
	}
	s.errors = `[{"code":403,"message":"access denied, authorization failed"}]`
	fails("errors beside the hosts")
	s.errors = `"odd"`
	fails("errors of another shape")
	s.errors = `[{"code":404,"message":"Device not found"}]`
	a, _ := adapter(t, s, nil)
	if got, err := a.Device(t.Context(), id); err != nil || len(got) != 1 {
		t.Error(got, err)
	}
	s.errors = "[]"
	for what, answer := range map[string]string{
		"another host":      `{"resources":[{"device_id":"` + noOne + `"}]}`,
		"the host twice":    `{"resources":[{"device_id":"` + id + `"},{"device_id":"` + id + `"}]}`,
		"no host":           `{"resources":["x"]}`,
		"another shape":     `[]`,
		"a time that is no": `{"resources":[{"device_id":"` + id + `","last_seen":"yesterday"}]}`,
		"not there":         "404",
		"trouble":           "500",
	} {
		s.Set(hosts, answer)
		fails(what)
	}
	s2 := newServer(t)
	s2.add(t, sourcetest.Content(t, "testdata/host_mac.json"))
	for what, answer := range map[string]string{"no resources": `{}`, "no id": `{"resources":["x"]}`, "not there": "404",
		"too long": `{"meta":{"pagination":{"offset":"` + strings.Repeat("x", 2000) + `"}},"resources":["` + id + `"]}`,
		"errors":   `{"resources":[],"errors":[{"code":500}]}`} {
		s2.Set(scroll, answer)
		a, _ := adapter(t, s2, nil)
		if page, err := a.Page(t.Context(), ""); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", what, page, err)
		}
	}
	// Without assessments hosts still have their facts; but trouble with them is no "none".
	s3 := newServer(t)
	s3.add(t, sourcetest.Content(t, "testdata/host_mac.json"))
	s3.Set(zta, "404")
	a, _ = adapter(t, s3, nil)
	if got, err := a.Device(t.Context(), id); err != nil || len(got) != 1 {
		t.Error(got, err)
	}
	s3.Set(zta, "503")
	if got, err := a.Device(t.Context(), id); err == nil {
		t.Error(got)
	}
}

func sum(with string, parts ...string) []byte {
	mac := hmac.New(sha256.New, []byte(with))
	for _, part := range parts {
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}

func delivery(body, stamp, signature string) source.Delivery {
	return source.Delivery{Source: "falcon", Body: []byte(body), Received: now, Header: http.Header{
		"X-Cs-Primary-Signature": {signature}, "X-Cs-Delivery-Timestamp": {stamp}, "X-Cs-Signature-Algorithm": {"HmacSHA256"}}}
}

// Both ways of signing that receivers of Falcon's webhook show, each only where the settings say so.
func TestWhoIsLetIn(t *testing.T) {
	s := newServer(t)
	a, _ := adapter(t, s, nil)
	b, _ := adapter(t, s, func(o *crowdstrike.Options) { o.Signed = crowdstrike.SignedTimestampBody })
	body, stamp := `{"device_id":"`+appears+`"}`, now.Format(time.RFC3339)
	first := delivery(body, stamp, base64.StdEncoding.EncodeToString(sum(secret, body, stamp)))
	second := delivery(body, stamp, hex.EncodeToString(sum(secret, stamp, body)))
	one, err := a.Authenticate(first, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Authenticate(second, now); err != nil {
		t.Error(err)
	}
	later := now.Add(time.Second).Format(time.RFC3339)
	again, err := a.Authenticate(delivery(body, later, base64.StdEncoding.EncodeToString(sum(secret, body, later))), now)
	if err != nil || again == one {
		t.Errorf("the same body a second later is another event: %q, %q, %v", one, again, err)
	}
	silent, _ := adapter(t, s, func(o *crowdstrike.Options) { o.Secrets = nil })
	for what, try := range map[string]struct {
		a *crowdstrike.Adapter
		d source.Delivery
	}{
		"the other way":    {a, second},
		"the first way":    {b, first},
		"another secret":   {a, delivery(body, stamp, base64.StdEncoding.EncodeToString(sum("no secret of ours, 32 bytes .....", body, stamp)))},
		"another time":     {a, delivery(body, later, first.Header.Get("X-Cs-Primary-Signature"))},
		"another body":     {a, delivery(body+" ", stamp, first.Header.Get("X-Cs-Primary-Signature"))},
		"no signature":     {a, delivery(body, stamp, "")},
		"a silent source":  {silent, first},
		"two readings":     {a, delivery(`{"a":1,"a":2}`, stamp, base64.StdEncoding.EncodeToString(sum(secret, `{"a":1,"a":2}`, stamp)))},
		"an hour too late": {a, delivery(body, "2026-11-20T07:00:00Z", base64.StdEncoding.EncodeToString(sum(secret, body, "2026-11-20T07:00:00Z")))},
	} {
		if id, err := try.a.Authenticate(try.d, now); err == nil {
			t.Errorf("%s is let in as %q", what, id)
		} else if _, ok := errors.AsType[*source.Refusal](err); !ok {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A body names hosts where the settings say, and is never read as data.
func TestPoints(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	own, _ := adapter(t, newServer(t), func(o *crowdstrike.Options) { o.Points = []string{"hosts[*].falcon_id"} })
	for _, tt := range []struct {
		a    *crowdstrike.Adapter
		body string
		want string
	}{
		{a, `{"device_id":"` + strings.ToUpper(appears) + `","other":1}`, appears},
		{a, `{"data":{"device_id":"` + appears + `"},"aid":"` + noOne + `"}`, noOne + " " + appears},
		{a, `{"metadata":{"eventType":"EppDetectionSummaryEvent"},"event":{"AgentId":"` + noOne + `"}}`, noOne},
		{own, `{"hosts":[{"falcon_id":"` + appears + `"},{"falcon_id":"` + appears + `"}]}`, appears},
		{a, `{"hostname":"h"}`, "error"}, {a, `{"device_id":"7"}`, "error"}, {a, `{"device_id":{"x":1}}`, "error"},
		{a, `[]`, "error"}, {a, `{`, "error"}, {a, `{"device_id":"../` + appears[3:] + `"}`, "error"},
	} {
		d := source.Delivery{Body: []byte(tt.body)}
		ids, err := tt.a.Points(d)
		if got := strings.Join(ids, " "); (err != nil) != (tt.want == "error") || err == nil && got != tt.want {
			t.Errorf("%s: %q, %v", tt.body, got, err)
		}
		if said, _ := tt.a.Observe(d); said != nil {
			t.Errorf("%s was read as data", tt.body)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	client := newServer(t).Client(t)
	for i, opts := range []crowdstrike.Options{
		{Name: "f"}, {Client: client}, {Name: "f", Client: client, Secrets: []string{"short"}},
		{Name: "f", Client: client, Secrets: []string{secret}, Signed: "body"}, {Name: "f", Client: client, Points: []string{"a..b"}},
		{Name: "f", Client: client, PageSize: 501}, {Name: "f", Client: client, PageSize: -1},
		{Name: "f", Client: client, Signals: map[string][]string{"os_version": {"x"}}},
		{Name: "f", Client: client, Signals: map[string][]string{"firewall": {}}},
		{Name: "f", Client: client, Signals: map[string][]string{"firewall": {""}}},
	} {
		if _, err := crowdstrike.New(opts); err == nil {
			t.Errorf("%d was taken: %+v", i, opts)
		}
	}
}

// The recorded shapes, where they are there: the Mac with its assessment, the records of older versions, the signatures.
func TestSamples(t *testing.T) {
	files, ok := sourcetest.Samples(t, "crowdstrike")
	if !ok {
		return
	}
	s, content := newServer(t), map[string][]byte{}
	for _, file := range files {
		content[filepath.Base(file)] = sourcetest.Content(t, file)
	}
	s.Set(zta, string(content["api_zta_assessment.json"]))
	said := ""
	for _, of := range [][2]string{{"api_devices_entities_v1_a.json", "d9e4ffb95d3c470668bf549fb40d294e"},
		{"api_devices_entities_v2.json", "4a027b0c95404062be4148c989dcf4ce"}} {
		s.Set(hosts, string(content[of[0]]))
		a, _ := adapter(t, s, func(o *crowdstrike.Options) { o.Assessments = strings.Contains(of[0], "v2") })
		got, err := a.Device(t.Context(), of[1])
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %+v, %v", of[0], got, err)
		}
		said += "== " + of[0] + "\n" + sourcetest.Text(t, got[0])
	}
	sourcetest.Golden(t, sourcetest.RecordedGolden, said)
	signatures(t, s, content["webhook_signature_vectors.json"])
	for _, file := range []string{"eventstream_epp_detection_summary.json", "api_alert_signal.json"} {
		a, _ := adapter(t, s, nil)
		ids, err := a.Points(source.Delivery{Body: content[file]})
		// The row has no id of the host, so it is a dead letter; the alert has one.
		if (err == nil) != (file == "api_alert_signal.json") {
			t.Errorf("%s: %v, %v", file, ids, err)
		}
	}
}

// signatures compares with what receivers of others were seen to compute. Their secret is shorter than ours may be.
func signatures(t *testing.T, s *server, raw []byte) {
	t.Helper()
	var v map[string]string
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339, v["X-CS-Delivery-Timestamp"])
	if err != nil {
		t.Fatal(err)
	}
	for signed, signature := range map[string]string{
		crowdstrike.SignedBodyTimestamp: v["variant_A_base64_hmac_body_then_timestamp"],
		crowdstrike.SignedTimestampBody: v["variant_B_hex_hmac_timestamp_then_body"],
	} {
		a, _ := adapter(t, s, func(o *crowdstrike.Options) { o.Secrets, o.Signed = []string{v["secret"]}, signed })
		if _, err := a.Authenticate(delivery(v["body"], v["X-CS-Delivery-Timestamp"], signature), at); err != nil {
			t.Errorf("%s: %v", signed, err)
		}
	}
}
