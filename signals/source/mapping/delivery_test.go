package mapping_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/mapping"
)

func pushed(t *testing.T, change func(*mapping.Options)) source.Adapter {
	t.Helper()
	o := options(mapping.Spec{Delivery: &mapping.Delivery{Record: &mapping.Record{Devices: "devices[*]", Serial: "serial",
		Observed: mapping.Observed{Paths: []string{"at"}}, Facts: map[string]mapping.Fact{"firewall": {Path: "fw"}}}}})
	if change != nil {
		change(&o)
	}
	a, err := mapping.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const two = `{"devices":[{"serial":"C02A","at":"2026-11-20T11:00:00Z","fw":true},{"serial":"C02B","at":"2026-11-20T11:00:00Z","fw":false}]}`

func TestSeveralDevices(t *testing.T) {
	a := pushed(t, nil)
	o, err := a.Observe(delivery([]byte(two)))
	if err != nil || len(o) != 2 || o[1].Aliases[0].Value != "C02B" || o[1].Facts[0].Value.String() != "false" {
		t.Errorf("%v, %v", o, err)
	}
	// One that cannot be read refuses them all, and a body of another shape is no empty list.
	for body, want := range map[string]string{
		strings.Replace(two, `"C02B","at":"2026-11-20T11:00:00Z"`, `"C02B"`, 1): "record 2",
		`{"device":[]}`:                         "has no devices[*]",
		`{"devices":{}}`:                        "has no devices[*]",
		`{"devices":[7]}`:                       "no JSON object",
		`{"devices":[],"Devices":[]}`:           "stands twice",
		`{"devices":` + strings.Repeat("[", 40): "not one JSON value",
	} {
		if o, err := a.Observe(delivery([]byte(body))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %v, %v; want %q", body, o, err, want)
		}
	}
}

func TestNDJSONAndKinds(t *testing.T) {
	a := pushed(t, func(o *mapping.Options) {
		d := o.Spec.Delivery
		d.NDJSON, d.Record.Devices = true, ""
		d.Record.Kind = &mapping.Kind{Path: "type", Read: []string{"device"}, Ignore: []string{"ping"}}
	})
	line := `{"type":"device","serial":"%s","at":"2026-11-20T11:00:00Z","fw":true}`
	body := fmt.Sprintf(line, "C02A") + "\n{\"type\":\"ping\"}\r\n\n" + fmt.Sprintf(line, "C02B") + "\n"
	if o, err := a.Observe(delivery([]byte(body))); err != nil || len(o) != 2 {
		t.Errorf("%v, %v", o, err)
	}
	for _, bad := range []string{"", "\n\n", body + "{", body + `{"type":"else"}`, body + `{}`} {
		if o, err := a.Observe(delivery([]byte(bad))); err == nil {
			t.Errorf("%q is %v", bad, o)
		}
	}
}

// Who is not authentic, and what has two readings, is refused; the same bytes are the same delivery, unless they only say
// what is the case now.
func TestAuthenticate(t *testing.T) {
	a := pushed(t, nil)
	d := delivery([]byte(two))
	first, err := a.Authenticate(d, received)
	if again, e := a.Authenticate(d, received); err != nil || e != nil || first != again || !source.ValidID(first) {
		t.Errorf("%s, %s, %v, %v", first, again, err, e)
	}
	for name, change := range map[string]func(*source.Delivery){
		"nobody":       func(d *source.Delivery) { d.Header = http.Header{} },
		"another":      func(d *source.Delivery) { d.Header = http.Header{"X-Key": {"x"}} },
		"two readings": func(d *source.Delivery) { d.Body = []byte(`{"a":1,"A":2}`) },
		"a number":     func(d *source.Delivery) { d.Body = []byte(`7`) },
		"an envelope":  func(d *source.Delivery) { d.Header.Set("Content-Type", "application/cloudevents+json") },
		"ce headers":   func(d *source.Delivery) { d.Header.Set("Ce-Specversion", "1.0") },
	} {
		d := delivery([]byte(two))
		change(&d)
		if id, err := a.Authenticate(d, received); err == nil {
			t.Errorf("%s is let in as %s", name, id)
		}
	}
	now := pushed(t, func(o *mapping.Options) { o.Spec.Delivery.Record.Observed = mapping.Observed{Received: true} })
	one, _ := now.Authenticate(d, received)
	d.Received = d.Received.Add(1)
	if other, _ := now.Authenticate(d, received); one == other {
		t.Error("what says what is the case now is taken for a repetition")
	}
	named := pushed(t, func(o *mapping.Options) { o.Spec.Delivery.ID = "event.id" })
	if id, err := named.Authenticate(delivery([]byte(`{"event":{"id":"e-7"},"devices":[]}`)), received); err != nil || id != "e-7" {
		t.Errorf("%s, %v", id, err)
	}
}

const event = `{"specversion":"1.0","id":"1","source":"/mdm","type":"com.acme.device","time":"2030-01-01T00:00:00Z","data":` + two + `}`

func TestCloudEvents(t *testing.T) {
	a := pushed(t, func(o *mapping.Options) {
		o.CloudEvents = &source.CloudEvents{Types: []string{"com.acme.device"}, Origins: []string{"mdm.acme.example"}}
	})
	structured := func(body string) source.Delivery {
		d := delivery([]byte(body))
		d.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
		return d
	}
	id, err := a.Authenticate(structured(event), received)
	o, oErr := a.Observe(structured(event))
	if err != nil || oErr != nil || len(o) != 2 || o[0].Facts[0].Observed.Year() != 2026 || !strings.HasPrefix(id, "ce-") {
		t.Fatalf("%s, %v, %v, %v", id, o, err, oErr)
	}
	// id and source name it, whatever else changes; the receiver then finds that the bytes differ.
	if same, _ := a.Authenticate(structured(strings.Replace(event, "2030", "2031", 1)), received); same != id {
		t.Errorf("%s and %s are one event", id, same)
	}
	if other, _ := a.Authenticate(structured(strings.Replace(event, "/mdm", "/mdn", 1)), received); other == id {
		t.Error("two sources share an id")
	}
	for _, c := range [][2]string{{`"1.0"`, `"0.3"`}, {`"com.acme.device"`, `"com.acme.user"`}, {`"id":"1"`, `"id":""`},
		{`"specversion"`, `"specVersion"`}, {`"data":`, `"data_base64":"","x":`}, {`"time"`, `"datacontenttype":"text/xml","time"`}} {
		if id, err := a.Authenticate(structured(strings.Replace(event, c[0], c[1], 1)), received); err == nil {
			t.Errorf("with %s it is let in as %s", c[1], id)
		}
	}
	binary := delivery([]byte(two))
	for name, value := range map[string]string{"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/mdm", "ce-type": "com.acme.device"} {
		binary.Header.Set(name, value)
	}
	if id, err := a.Authenticate(binary, received); err != nil || !source.ValidID(id) {
		t.Errorf("binary: %s, %v", id, err)
	}
	binary.Header.Set("ce-type", "com.acme.user")
	if id, err := a.Authenticate(binary, received); err == nil {
		t.Errorf("another type in binary is let in as %s", id)
	}
}

func TestHandshake(t *testing.T) {
	a := pushed(t, func(o *mapping.Options) {
		o.CloudEvents = &source.CloudEvents{Types: []string{"x"}, Origins: []string{"mdm.acme.example"}}
	}).(source.Greeter)
	ask := source.Delivery{Header: http.Header{"Webhook-Request-Origin": {"mdm.acme.example"}, "Webhook-Request-Rate": {"120"},
		"Webhook-Request-Callback": {"https://evil.example/"}}}
	g, ok, err := a.Greet(http.MethodOptions, ask)
	if !ok || err != nil || g.Status != 200 || g.Header.Get("WebHook-Allowed-Origin") != "mdm.acme.example" ||
		g.Header.Get("WebHook-Allowed-Rate") != "120" {
		t.Errorf("%+v, %v, %v", g, ok, err)
	}
	if _, ok, _ := a.Greet(http.MethodGet, ask); ok {
		t.Error("GET is a greeting")
	}
	for name, value := range map[string]string{"Webhook-Request-Origin": "evil.example", "Webhook-Request-Rate": "lots"} {
		bad := source.Delivery{Header: ask.Header.Clone()}
		bad.Header.Set(name, value)
		if _, _, err := a.Greet(http.MethodOptions, bad); err == nil {
			t.Errorf("%s: %s may deliver", name, value)
		}
	}
	if _, ok, _ := pushed(t, nil).(source.Greeter).Greet(http.MethodOptions, ask); ok {
		t.Error("a source without the envelope answers the handshake")
	}
}

func TestPoints(t *testing.T) {
	o := options(mapping.Spec{})
	client, err := source.NewClient(source.ClientOptions{Base: "https://mdm.acme.example"})
	if err != nil {
		t.Fatal(err)
	}
	o.API, o.Auth = client, source.Header{Name: "X-Key", Values: []string{key}}
	o.Spec = mapping.Spec{
		Delivery: &mapping.Delivery{Points: "devices[*].id", Kind: &mapping.Kind{Path: "type", Read: []string{"changed"}, Ignore: []string{"ping"}}},
		List:     &mapping.List{Path: "/d"}, Get: &mapping.Get{Path: "/d/{id}"},
		Record: &mapping.Record{ID: "id", Observed: mapping.Observed{Paths: []string{"at"}}, Facts: map[string]mapping.Fact{"firewall": {Path: "fw"}}},
	}
	made, err := mapping.New(o)
	if err != nil {
		t.Fatal(err)
	}
	a := made.(source.Inventory)
	for body, want := range map[string]string{
		`{"type":"changed","devices":[{"id":7},{"id":"3"},{"id":7}]}`: "[3 7] <nil>",
		`{"type":"ping"}`:                                "[] <nil>",
		`{"type":"changed","devices":[]}`:                "[] <nil>",
		`{"type":"changed"}`:                             "names no device",
		`{"type":"changed","devices":[{"id":7},{}]}`:     "no id of a device",
		`{"type":"changed","devices":[{"id":"../x y"}]}`: "no id of a device",
		`{"type":"gone"}`:                                "neither reads nor ignores",
	} {
		ids, err := a.Points(delivery([]byte(body)))
		if got := fmt.Sprint(ids, " ", err); !strings.Contains(got, want) {
			t.Errorf("%s points at %s, want %s", body, got, want)
		}
		o, oErr := a.Observe(delivery([]byte(body)))
		if len(o) != 0 || (oErr == nil) != (err == nil) {
			t.Errorf("%s says %v, %v; what points is no data", body, o, oErr)
		}
	}
}
