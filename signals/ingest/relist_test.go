package ingest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source"
)

// lossy is a toy whose sender says "missed" when something was lost, greets, and takes any answer but 202 for an
// outage; its lists end with what is said of devices that need not be there.
type lossy struct {
	toy
	also []signals.Observation
}

func (a lossy) Authenticate(d source.Delivery, _ time.Time) (string, error) {
	if d.Header.Get("X-Id") == "" {
		return "", &source.Refusal{Status: http.StatusAccepted, Detail: "Accepted.", Reason: errors.New("a stranger")}
	}
	return d.Header.Get("X-Id"), nil
}

func (a lossy) Points(source.Delivery) ([]string, error) { return nil, nil }

func (a lossy) Relist(d source.Delivery) (string, error) {
	switch string(d.Body) {
	case "missed":
		return "something was missed", nil
	case "panic":
		panic("at a loss")
	case "odd":
		return "", errors.New("nobody knows what was lost")
	}
	return "", nil
}

func (a lossy) Page(ctx context.Context, cursor string) (source.Page, error) {
	page, err := a.toy.Page(ctx, cursor)
	if page.Next == "" {
		page.Also = a.also
	}
	return page, err
}

func (a lossy) Greet(method string, d source.Delivery) (source.Greeting, bool, error) {
	return source.Greeting{Status: http.StatusOK, ContentType: "text/plain", Body: []byte(d.Query.Get("token"))},
		method == http.MethodPost && d.Query.Has("token"), nil
}

func losing(t *testing.T, v *vendor, store *memory, d *diary, also ...signals.Observation) *ingest.Receiver {
	t.Helper()
	r := asking(t, v, store, d, func(o *ingest.Options) {
		for i := range o.Sources {
			if toys, is := o.Sources[i].Adapter.(toy); is {
				o.Sources[i].Adapter = lossy{toys, also}
			}
		}
		o.Events.Inventory.SyncAsked = func(from, why string) { d.write("asked %s: %s", from, why) }
	})
	t.Cleanup(start(t, r))
	wait(t, "the first listing", d, func() bool { return len(d.have("synced")) == 1 })
	return r
}

// A delivery that says that something was lost has all devices listed, once; one that nobody understands is a dead
// letter.
func TestDeliveryAsksForAListing(t *testing.T) {
	store, d := newMemory(), &diary{}
	r := losing(t, newVendor(t, "1"), store, d)
	nudge(t, r, "a", "missed")
	wait(t, "another listing, and why", d, func() bool { return len(d.have("synced")) == 2 && len(d.have("asked")) == 1 })
	if got := d.have("asked"); len(got) != 1 || got[0] != "asked toys: something was missed" {
		t.Error(got)
	}
	nudge(t, r, "a", "missed") // the same delivery again
	nudge(t, r, "b", "nothing")
	nudge(t, r, "c", "panic")
	nudge(t, r, "d", "odd")
	wait(t, "two dead letters", d, func() bool { return len(d.have("dead")) == 2 })
	if said := strings.Join(d.have("dead"), "\n"); !strings.Contains(said, "which is a bug: at a loss") ||
		!strings.Contains(said, "nobody knows what was lost") {
		t.Error(said)
	}
	if len(d.have("synced")) != 2 || len(d.have("asked")) != 1 {
		t.Errorf("%q %q", d.have("synced"), d.have("asked"))
	}
}

// A sender that must not learn that it is refused is told 202, nothing is kept, and the operator reads why.
func TestRefusedWith202(t *testing.T) {
	store, d := newMemory(), &diary{}
	r := losing(t, newVendor(t, "1"), store, d)
	before := len(d.have(""))
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/sources/toys",
		strings.NewReader("missed")))
	if w.Code != http.StatusAccepted || w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
	}
	if said := d.have("")[before:]; len(said) != 1 || said[0] != `refused "toys" 202 a stranger` {
		t.Errorf("%q", said)
	}
	mustEmpty(t, store, ingest.KindInbox)
}

// A greeting is answered as the adapter wants it; what has a body is a delivery, whatever its URL says.
func TestGreeting(t *testing.T) {
	store, d := newMemory(), &diary{}
	r := losing(t, newVendor(t, "1"), store, d)
	for body, want := range map[string]string{"": "200 a token", "missed": "202 "} {
		w := httptest.NewRecorder()
		r.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost,
			"/v1/sources/toys?token=a+token", strings.NewReader(body)))
		if got := http.StatusText(w.Code); want[:3] == "200" && (got != "OK" || w.Body.String() != want[4:] ||
			w.Header().Get("Content-Type") != "text/plain" || w.Header().Get("X-Content-Type-Options") != "nosniff") ||
			want[:3] == "202" && (got != "Accepted" || w.Body.Len() > 0) {
			t.Errorf("%q: %d %v %q", body, w.Code, w.Header(), w.Body)
		}
	}
}

// What a list says besides counts, but lists nobody: a device that stands there alone is asked for, and withdrawn if
// gone.
func TestAlsoListsNobody(t *testing.T) {
	about := func(id string, alarm bool) signals.Observation {
		alias, err := signals.NewAlias(signals.AliasVendor, "toys/"+id)
		if err != nil {
			t.Fatal(err)
		}
		return signals.Observation{Aliases: []signals.Alias{alias}, Facts: []signals.Fact{
			{Attribute: "compromised", Value: signals.Bool(alarm), Observed: time.Now().Add(-time.Hour)}}}
	}
	future := about("2", true)
	future.Facts[0].Observed = time.Now().Add(time.Hour)
	store, d := newMemory(), &diary{}
	losing(t, newVendor(t, "1", "2"), store, d, about("1", true), about("9", false), future)
	if got := d.have("synced")[0]; got != "synced pages=1 devices=2 withdrawn=1 " {
		t.Error(got)
	}
	if got := gadgetFacts(t, store, "1"); got != "compromised=true "+healthy {
		t.Error(got)
	}
	if got := gadgetFacts(t, store, "2"); got != healthy {
		t.Error(got)
	}
	if got := gadgetFacts(t, store, "9"); got != "compromised=false+unknown lifecycle=removed" {
		t.Error(got)
	}
	if got := d.have("not applied"); len(got) != 1 || !strings.HasPrefix(got[0], "not applied toys/2: compromised was observed at") {
		t.Error(got)
	}
}
