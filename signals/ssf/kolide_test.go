package ssf_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/ssf"
)

const pollToken = "kolide-poll-token-of-the-test"

// kolide plays what is known of Kolide's streams: GET gives out what waits, POST acknowledges, and one header is all that shows
// who asks. What it answers is RFC 8936's shape, which Kolide does not publish.
type kolide struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	sets    map[string]string // what waits, by jti
	given   map[string]int    // how often each was given out
	acked   []string
	refused map[string]string // jti: err
	asked   []string          // methods
	wrong   func(w http.ResponseWriter, r *http.Request) bool
}

func newKolide(t *testing.T) *kolide {
	t.Helper()
	k := &kolide{t: t, sets: map[string]string{}, given: map[string]int{}, refused: map[string]string{}}
	k.server = httptest.NewServer(k)
	t.Cleanup(k.server.Close)
	return k
}

func (k *kolide) url() string { return k.server.URL + "/ssf_streams/7/events" }

func (k *kolide) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, r.Method)
	if given := r.Header.Values("Authorization"); len(given) > 0 {
		k.t.Errorf("the management API's token goes to the poll endpoint: %q", given)
	}
	switch {
	case k.wrong != nil && k.wrong(w, r):
	case r.Header.Get("X-Kolide-Poll-Bearer-Token") != pollToken || r.URL.Path != "/ssf_streams/7/events":
		w.WriteHeader(http.StatusUnauthorized)
	case r.Method == http.MethodGet:
		for id := range k.sets {
			k.given[id]++
		}
		writeJSON(w, http.StatusOK, object{"sets": k.sets})
	case r.Method == http.MethodPost:
		var body struct {
			Ack     []string                     `json:"ack"`
			SetErrs map[string]map[string]string `json:"setErrs"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			k.t.Errorf("an acknowledgement that cannot be read: %v", err)
		}
		for _, id := range body.Ack {
			k.acked = append(k.acked, id)
			delete(k.sets, id)
		}
		for id, e := range body.SetErrs {
			k.refused[id] = e["err"]
			delete(k.sets, id)
		}
		w.WriteHeader(http.StatusAccepted)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (k *kolide) do(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

func (k *kolide) is(question func() bool) func() bool {
	return func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return question()
	}
}

// ofKolide polls in the dialect, a stream that was made by hand; all else is the settings of the README.
func ofKolide(k *kolide) change {
	return func(_ *world, o *ssf.Options, m *ssf.ManagerOptions) {
		m.Managed, m.Client.Hosts = false, []string{strings.TrimPrefix(k.server.URL, "http://")}
		m.Poll = ssf.Poll{URL: k.url(), Every: 10 * time.Millisecond, Kolide: true, Token: pollToken}
		o.Users, o.StateKey = ssf.Users{}, nil
	}
}

func compliance(w *world, status string) (jti, set string) {
	claims := w.tr.set(caepURI+"device-compliance-change", object{"current_status": status, "previous_status": "compliant",
		"event_timestamp": time.Now().Unix()}, object{"format": "complex", "device": object{"format": "opaque", "id": "7"}})
	return claims["jti"].(string), w.tr.sign(claims)
}

// TestKolideDialect: what waits is applied, and acknowledged by a POST of its own; what cannot be believed is refused there; what
// comes again is acknowledged again and applied once.
func TestKolideDialect(t *testing.T) {
	t.Parallel()
	k := newKolide(t)
	w := prepare(t, false, ofKolide(k))
	w.wait("the keys", func() bool { return w.said("fetched keys") > 0 })
	id, set := compliance(w, "not-compliant")
	k.do(func() {
		k.sets[id], k.sets["forged"] = set, signAs(otherRSA(), "RS256", nil, w.tr.set(caepURI+"device-compliance-change", object{}, nil))
	})
	w.wait("the fact", func() bool { return w.fact("config_compliance") == "noncompliant" })
	w.wait("both verdicts", k.is(func() bool { return slices.Contains(k.acked, id) && k.refused["forged"] == "invalid_key" }))
	k.do(func() { k.sets[id] = set })
	w.wait("the second acknowledgement", k.is(func() bool { return len(k.acked) == 2 }))
	w.heard("device-compliance-change", 1)
	if n := w.said("heard device-compliance-change"); n != 1 {
		t.Errorf("applied %d times", n)
	}
	if s := w.manager.Status(); s.State != "unmanaged" || s.Fault != "" || s.LastPoll.IsZero() {
		t.Errorf("%+v", s)
	}
	if calls := w.calls("POST /stream") + w.calls("POST /poll") + w.calls("GET /status"); calls != 0 {
		t.Errorf("the transmitter's management was asked %d times for a stream that is made by hand", calls)
	}
	k.do(func() { // before anything waited, nothing was acknowledged
		if k.asked[0] != http.MethodGet || len(k.asked) < 4 {
			t.Errorf("asked %v", k.asked)
		}
	})
}

// TestKolideKeepsWhatIsNotDurable: what could not be written is neither acknowledged nor refused, and comes again.
func TestKolideKeepsWhatIsNotDurable(t *testing.T) {
	t.Parallel()
	k := newKolide(t)
	var mu sync.Mutex
	down := true
	w := prepare(t, false, ofKolide(k), func(_ *world, _ *ssf.Options, m *ssf.ManagerOptions) {
		keep := m.Keep
		m.Keep = func(ctx context.Context, raw []byte) error {
			mu.Lock()
			defer mu.Unlock()
			if down {
				return errors.New("the store is away")
			}
			return keep(ctx, raw)
		}
	})
	w.wait("the keys", func() bool { return w.said("fetched keys") > 0 })
	id, set := compliance(w, "not-compliant")
	k.do(func() { k.sets[id] = set })
	w.wait("a poll that leaves it", func() bool { return w.said("polled 0 0 1") > 0 })
	k.do(func() {
		if len(k.acked)+len(k.refused) > 0 {
			t.Errorf("acknowledged %v, refused %v, and not kept", k.acked, k.refused)
		}
	})
	mu.Lock()
	down = false
	mu.Unlock()
	w.wait("its acknowledgement", k.is(func() bool { return slices.Contains(k.acked, id) && k.given[id] > 1 }))
	w.wait("the fact", func() bool { return w.fact("config_compliance") == "noncompliant" })
}

// TestKolideFaults: what the dialect can go wrong with is said, and nothing is taken.
func TestKolideFaults(t *testing.T) {
	t.Parallel()
	for want, wrong := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"refuses our credentials": func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusUnauthorized); return true },
		"shape of SSF 1.0": func(w http.ResponseWriter, _ *http.Request) bool {
			writeJSON(w, http.StatusOK, []string{"eyJ"})
			return true
		},
		"status 404": func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusNotFound); return true },
		"redirects are not followed": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusFound)
			return true
		},
		"POST /ssf_streams/7/events: status 500": func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			k := newKolide(t)
			k.wrong = wrong
			w := prepare(t, false, ofKolide(k))
			w.wait("the keys", func() bool { return w.said("fetched keys") > 0 })
			id, set := compliance(w, "compliant")
			k.do(func() { k.sets[id] = set })
			w.wait("the fault", func() bool { return strings.Contains(w.manager.Status().Fault, want) })
			if fault := w.manager.Status().Fault; strings.Contains(fault, pollToken) || strings.Contains(fault, "eyJ") {
				t.Errorf("a secret is in the fault %q", fault)
			}
			k.do(func() { k.wrong = nil })
			w.wait("the acknowledgement at last", k.is(func() bool { return slices.Contains(k.acked, id) }))
			w.wait("the fact", func() bool { return w.fact("config_compliance") == "compliant" })
		})
	}
}

// TestKolideManaged: a stream of Kolide's that is managed is read, and never changed to what RFC 8936 would have it say.
func TestKolideManaged(t *testing.T) {
	t.Parallel()
	k := newKolide(t)
	w := prepare(t, false, ofKolide(k), func(w *world, _ *ssf.Options, m *ssf.ManagerOptions) {
		m.Managed, m.StreamID, m.VerifyEvery = true, "7", 0
		w.tr.streams["7"] = object{"stream_id": "7", "iss": w.tr.issuer(), "aud": audience, "delivery": object{"method": "poll"}}
		w.tr.status["7"] = "enabled"
	})
	w.wait("the stream", func() bool { return w.manager.Status().State == "enabled" })
	id, set := compliance(w, "compliant")
	k.do(func() { k.sets[id] = set })
	w.wait("the acknowledgement", k.is(func() bool { return slices.Contains(k.acked, id) }))
	if n := w.calls("PATCH /stream") + w.calls("POST /stream") + w.calls("PUT /stream"); n != 0 {
		t.Errorf("the stream was changed %d times", n)
	}
}
