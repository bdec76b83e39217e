package osquery_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/osquery"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

const (
	secret = "made-for-this-test-only"
	uuid   = "0a1b2c3d-1111-4111-8111-00000000c001"
)

func adapter(t testing.TB, change func(*osquery.Options)) *osquery.Adapter {
	t.Helper()
	opts := osquery.Options{Name: "osquery", EnrollSecrets: []string{"an older secret of ours", secret}, Key: "a key of sixteen bytes or more"}
	if change != nil {
		change(&opts)
	}
	a, err := osquery.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// enroll enrols, and returns what the device was told.
func enroll(a *osquery.Adapter, secret, serial, uuid string) (key string, err error) {
	body := fmt.Sprintf(`{"enroll_secret":%q,"host_identifier":"anything","host_details":{"os_version":{},"platform_info":{},`+
		`"system_info":{"hardware_serial":%q,"uuid":%q,"hostname":"h"}}}`, secret, serial, uuid)
	got, ok, err := a.Respond(source.Delivery{Body: []byte(body)})
	var told struct {
		Key     string `json:"node_key"`
		Invalid bool   `json:"node_invalid"`
	}
	if err == nil && (!ok || json.Unmarshal(got.Body, &told) != nil || told.Invalid || got.Status != 200) {
		err = fmt.Errorf("told %+v, %v", got, ok)
	}
	return told.Key, err
}

// observe reads a body of testdata, whose node key is put in.
func observe(t testing.TB, a *osquery.Adapter) sourcetest.Read {
	t.Helper()
	key, err := enroll(a, secret, "C02OSQUERY01", uuid)
	if err != nil {
		t.Fatal(err)
	}
	return func(body []byte) ([]signals.Observation, error) {
		return kept(a, key, bytes.Replace(body, []byte("NODE_KEY"), []byte(key), 1))
	}
}

// kept reads what the receiver keeps of a body. Something beside an error: the key is left in it, or it is another each time.
func kept(a *osquery.Adapter, key string, body []byte) ([]signals.Observation, error) {
	left, err := a.Redact(body)
	if err != nil {
		return nil, err
	}
	if _, sum, _ := strings.Cut(key, "."); bytes.Contains(left, []byte(sum)) {
		return []signals.Observation{{}}, fmt.Errorf("the node key is in %s", left)
	}
	if again, err := a.Redact(body); err != nil || !bytes.Equal(left, again) {
		return []signals.Observation{{}}, fmt.Errorf("%s and %s, %w", left, again, err)
	}
	return a.Observe(source.Delivery{Body: left})
}

func TestDeliveries(t *testing.T) { sourcetest.Deliveries(t, observe(t, adapter(t, nil))) }

// The documented examples have a node key that is not ours, so nothing is read of them; and no query of ours, so nothing is read of
// them with a key of ours either: lines are put into a log, and logs get the key.
func TestSamples(t *testing.T) {
	a := adapter(t, nil)
	ours := observe(t, a)
	read := func(body []byte) ([]signals.Observation, error) {
		if got, err := a.Observe(source.Delivery{Body: body}); err == nil {
			t.Errorf("%s is read as a log of ours: %v", body, got)
		}
		if bytes.Contains(body, []byte(`"action"`)) && !bytes.Contains(body, []byte(`"node_key"`)) {
			body = []byte(`{"node_key":"NODE_KEY","log_type":"result","data":[` + string(body) + `]}`)
		}
		return ours(bytes.Replace(body, []byte("this_is_a_node_secret"), []byte("NODE_KEY"), 1))
	}
	if facts := sourcetest.Recorded(t, "osquery", read); facts > 0 {
		t.Errorf("%d facts", facts)
	}
}

// FuzzBodies: whatever is logged with a good node key, there is no fact that is none.
func FuzzBodies(f *testing.F) { sourcetest.FuzzBodies(f, observe(f, adapter(f, nil))) }

func TestEnroll(t *testing.T) {
	a := adapter(t, nil)
	for _, tt := range []struct {
		secret, serial, uuid string
		status               int // of the refusal; 0: a node key
	}{
		{secret, "C02OSQUERY01", uuid, 0}, {"an older secret of ours", "", uuid, 0}, {secret, "C02OSQUERY01", "", 0},
		{"guess", "C02OSQUERY01", uuid, 401}, {"", "C02OSQUERY01", uuid, 401},
		{secret, "Default string", "00000000-0000-0000-0000-000000000000", 400}, {secret, "", "", 400},
	} {
		key, err := enroll(a, tt.secret, tt.serial, tt.uuid)
		refusal, refused := errors.AsType[*source.Refusal](err)
		switch {
		case tt.status == 0 && (err != nil || len(key) < 60):
			t.Errorf("%+v: %q, %v", tt, key, err)
		case tt.status > 0 && (!refused || refusal.Status != tt.status || strings.Contains(refusal.Detail+err.Error(), secret)):
			t.Errorf("%+v: %q, %v", tt, key, err)
		}
	}
	one, _ := enroll(a, secret, "C02OSQUERY01", uuid)
	if again, _ := enroll(a, "an older secret of ours", "c02osquery01", strings.ToUpper(uuid)); again != one {
		t.Error("a device that enrols again has another key")
	}
}

// A node key is good for the names that it was made of, at this source, under this key; whatever else enrols again.
func TestNodeKeys(t *testing.T) {
	a := adapter(t, nil)
	key, err := enroll(a, secret, "C02OSQUERY01", uuid)
	if err != nil {
		t.Fatal(err)
	}
	other, err := enroll(a, secret, "C02OSQUERY02", "")
	if err != nil {
		t.Fatal(err)
	}
	log := func(key string) source.Delivery {
		body := fmt.Sprintf(`{"node_key":%q,"log_type":"result","data":[{"name":"tiergate_alf","action":"snapshot","unixTime":"1763626530",`+
			`"hostIdentifier":"C02OSQUERY99","snapshot":[{"global_state":"1"}]}]}`, key)
		return source.Delivery{Source: "osquery", Body: []byte(body)}
	}
	got, err := kept(a, key, log(key).Body)
	if err != nil || len(got) != 1 || got[0].Aliases[0].Value != "C02OSQUERY01" || len(got[0].Aliases) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, ok, err := a.Respond(log(key)); ok || err != nil {
		t.Errorf("a log is answered: %v", err)
	}
	if id, err := a.Authenticate(log(key), time.Now()); err != nil || !source.ValidID(id) {
		t.Errorf("%q, %v", id, err)
	}
	names, mac, _ := strings.Cut(key, ".")
	others, _, _ := strings.Cut(other, ".")
	for what, wrong := range map[string]struct {
		a   *osquery.Adapter
		key string
	}{
		"another device's names": {a, others + "." + mac}, "no names": {a, "." + mac}, "no signature": {a, names + "."}, "nothing": {a, ""},
		"a guess": {a, "this_is_a_node_secret"}, "half": {a, key[:len(key)-2]}, "more": {a, key + "AA"},
		"another key":    {adapter(t, func(o *osquery.Options) { o.Key = "another key of many bytes" }), key},
		"another source": {adapter(t, func(o *osquery.Options) { o.Name = "lab" }), key},
	} {
		told, ok, err := wrong.a.Respond(log(wrong.key))
		if !ok || err != nil || string(told.Body) != `{"node_invalid":true}` || told.Status != 200 {
			t.Errorf("%s: told %s, %v, %v", what, told.Body, ok, err)
		}
		if id, err := wrong.a.Authenticate(log(wrong.key), time.Now()); err == nil {
			t.Errorf("%s: taken as %s", what, id)
		}
		if left, err := wrong.a.Redact(log(wrong.key).Body); err == nil || left != nil {
			t.Errorf("%s: %s", what, left)
		}
		if got, err := wrong.a.Observe(log(wrong.key)); err == nil || got != nil {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// What is kept of a log names its device, and is good for nothing else: not to log, not at another source, not for other names.
func TestKept(t *testing.T) {
	a := adapter(t, nil)
	key, err := enroll(a, secret, "C02OSQUERY01", "")
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"node_key":%q,"kept":"forged","log_type":"result","data":[{"name":"pack_theirs","secret":%q,"snapshot":[{"a":%q}]},`+
		`{"name":"tiergate_alf","action":"snapshot","unixTime":1763626530,"decorations":{"k":%q},"snapshot":[{"global_state":"1"}]}]}`,
		key, secret, key, key)
	left, err := a.Redact([]byte(body))
	if err != nil || bytes.Contains(left, []byte(key)) || bytes.Contains(left, []byte(secret)) || bytes.Contains(left, []byte("theirs")) {
		t.Fatalf("%s, %v", left, err)
	}
	got, err := a.Observe(source.Delivery{Body: left})
	if err != nil || len(got) != 1 || len(got[0].Facts) != 1 || got[0].Aliases[0].Value != "C02OSQUERY01" {
		t.Errorf("%+v, %v", got, err)
	}
	var said struct{ Kept string }
	if err := json.Unmarshal(left, &said); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(source.Delivery{Body: left}, time.Now()); err == nil {
		t.Error("what is kept is taken as a delivery")
	}
	told, _, _ := a.Respond(source.Delivery{Body: fmt.Appendf(nil, `{"node_key":%q}`, said.Kept)})
	if string(told.Body) != `{"node_invalid":true}` {
		t.Errorf("what is kept is a node key: %s", told.Body)
	}
	lab := adapter(t, func(o *osquery.Options) { o.Name = "lab" })
	if got, err := lab.Observe(source.Delivery{Body: left}); err == nil {
		t.Errorf("another source reads %+v", got)
	}
	names, _, _ := strings.Cut(said.Kept, ".")
	if got, err := a.Observe(source.Delivery{Body: bytes.Replace(left, []byte(names), []byte("W10"), 1)}); err == nil {
		t.Errorf("other names are read: %+v", got)
	}
}

// What is asked besides logs, and what is no question at all.
func TestRespond(t *testing.T) {
	a := adapter(t, func(o *osquery.Options) { o.Interval = time.Hour })
	key, err := enroll(a, secret, "C02OSQUERY01", uuid)
	if err != nil {
		t.Fatal(err)
	}
	told, ok, err := a.Respond(source.Delivery{Body: fmt.Appendf(nil, `{"node_key":%q}`, key)})
	var config struct {
		Schedule map[string]struct {
			Query    string
			Interval int
			Snapshot bool
		}
		Invalid *bool `json:"node_invalid"`
	}
	if err != nil || !ok || json.Unmarshal(told.Body, &config) != nil || len(config.Schedule) != 8 || config.Invalid == nil || *config.Invalid {
		t.Fatalf("%s, %v, %v", told.Body, ok, err)
	}
	for name, q := range config.Schedule {
		if !q.Snapshot || q.Interval != 3600 || !strings.HasPrefix(q.Query, "SELECT ") || !strings.HasPrefix(name, "tiergate_") {
			t.Errorf("%s: %+v", name, q)
		}
	}
	told, ok, err = a.Respond(source.Delivery{Body: fmt.Appendf(nil, `{"node_key":%q,"log_type":"status","data":[{"severity":"0"}]}`, key)})
	if err != nil || !ok || string(told.Body) != `{}` {
		t.Errorf("a log of osquery's own: %s, %v, %v", told.Body, ok, err)
	}
	for _, body := range []string{``, `[]`, `{"node_key":1}`, `{"node_key":"a","node_key":"b"}`,
		fmt.Sprintf(`{"node_key":%q,"queries":{},"statuses":{}}`, key)} {
		_, ok, err := a.Respond(source.Delivery{Body: []byte(body)})
		if refusal, refused := errors.AsType[*source.Refusal](err); !ok || !refused || refusal.Status != 400 {
			t.Errorf("%s: %v, %v", body, ok, err)
		}
	}
	if source.Doubt(a) == "" {
		t.Error("nobody is told that devices speak for themselves")
	}
}

func TestNewRefuses(t *testing.T) {
	for i, change := range []func(*osquery.Options){
		func(o *osquery.Options) { o.Name = "" }, func(o *osquery.Options) { o.EnrollSecrets = nil },
		func(o *osquery.Options) { o.EnrollSecrets = []string{"short"} }, func(o *osquery.Options) { o.Key = "short" },
		func(o *osquery.Options) { o.Interval = time.Second }, func(o *osquery.Options) { o.Interval = 25 * time.Hour },
	} {
		opts := osquery.Options{Name: "osquery", EnrollSecrets: []string{secret}, Key: secret}
		change(&opts)
		if _, err := osquery.New(opts); err == nil {
			t.Errorf("%d was taken: %+v", i, opts)
		}
	}
}
