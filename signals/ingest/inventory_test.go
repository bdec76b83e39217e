package ingest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source"
)

// vendor plays a vendor's API on loopback: GET /devices?at=N (two devices a page) and GET /devices/ID.
type vendor struct {
	*httptest.Server
	mu      sync.Mutex
	devices map[string]gadget
	asked   []string // what was asked for, in order
	total   int      // what the list claims; 0: the truth
	loop    bool     // the list never ends
	hidden  string   // a device that the list leaves out
	before  func(w http.ResponseWriter, req *http.Request) (done bool)
}

type gadget struct {
	ID          string    `json:"id"`
	Encrypted   *bool     `json:"encrypted"`
	Compromised *bool     `json:"compromised,omitempty"`
	Seen        time.Time `json:"seen"`
	Serial      string    `json:"serial,omitempty"`
}

func newVendor(t *testing.T, ids ...string) *vendor {
	t.Helper()
	v := &vendor{devices: map[string]gadget{}}
	for _, id := range ids {
		v.put(id, true, time.Now())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /devices", v.list)
	mux.HandleFunc("GET /devices/{id}", v.one)
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		v.mu.Lock()
		v.asked = append(v.asked, req.URL.RequestURI())
		before := v.before
		v.mu.Unlock()
		if before == nil || !before(w, req) {
			mux.ServeHTTP(w, req)
		}
	}))
	t.Cleanup(v.Close)
	return v
}

func (v *vendor) put(id string, encrypted bool, seen time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.devices[id] = gadget{ID: id, Encrypted: &encrypted, Seen: seen.UTC()}
}

func (v *vendor) set(change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
}

// count says how often something was asked for.
func (v *vendor) count(uri string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, asked := range v.asked {
		if asked == uri {
			n++
		}
	}
	return n
}

func (v *vendor) one(w http.ResponseWriter, req *http.Request) {
	v.mu.Lock()
	device, found := v.devices[req.PathValue("id")]
	v.mu.Unlock()
	if !found {
		http.NotFound(w, req)
		return
	}
	_ = json.NewEncoder(w).Encode(device)
}

func (v *vendor) list(w http.ResponseWriter, req *http.Request) {
	at, _ := strconv.Atoi(req.FormValue("at"))
	v.mu.Lock()
	defer v.mu.Unlock()
	ids := slices.DeleteFunc(slices.Sorted(maps.Keys(v.devices)), func(id string) bool { return id == v.hidden })
	answer := map[string]any{"total": max(v.total, len(ids))}
	var page []gadget
	for _, id := range ids[min(at, len(ids)):min(at+2, len(ids))] {
		page = append(page, v.devices[id])
	}
	answer["devices"] = page
	if at+2 < len(ids) || v.loop {
		answer["next"] = strconv.Itoa((at + 2) % max(len(ids), 2))
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// toy is an adapter for vendor. A delivery is the ids of devices, separated by commas.
type toy struct{ client *source.Client }

func (a toy) Authenticate(d source.Delivery, _ time.Time) (string, error) {
	return d.Header.Get("X-Id"), nil
}

func (a toy) Observe(source.Delivery) ([]signals.Observation, error) { return nil, nil }

func (a toy) Points(d source.Delivery) ([]string, error) {
	return strings.Split(string(d.Body), ","), nil
}

func (a toy) Alias(id string) (signals.Alias, error) {
	return signals.NewAlias(signals.AliasVendor, "toys/"+id)
}

func (a toy) read(g gadget) signals.Observation {
	alias, err := a.Alias(g.ID)
	if err != nil {
		panic(err)
	}
	o := signals.Observation{Aliases: []signals.Alias{alias}, Facts: []signals.Fact{
		{Attribute: "lifecycle", Value: signals.Text("enrolled"), Observed: g.Seen},
	}}
	if g.Serial != "" {
		o.Aliases = append(o.Aliases, signals.Alias{Kind: signals.AliasSerial, Value: g.Serial})
	}
	for name, value := range map[string]*bool{"disk_encryption": g.Encrypted, "compromised": g.Compromised} {
		if value != nil {
			o.Facts = append(o.Facts, signals.Fact{Attribute: name, Value: signals.Bool(*value), Observed: g.Seen})
		}
	}
	return o
}

func (a toy) Device(ctx context.Context, id string) ([]signals.Observation, error) {
	body, err := a.client.GetJSON(ctx, "/devices/"+id, nil)
	if err != nil {
		return nil, err
	}
	var g gadget
	if err := json.Unmarshal(body, &g); err != nil {
		return nil, err
	}
	return []signals.Observation{a.read(g)}, nil
}

func (a toy) Page(ctx context.Context, cursor string) (source.Page, error) {
	query := url.Values{}
	if cursor != "" {
		query.Set("at", cursor)
	}
	body, err := a.client.GetJSON(ctx, "/devices", query)
	if err != nil {
		return source.Page{}, err
	}
	var list struct {
		Devices []gadget
		Next    string
		Total   int
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return source.Page{}, err
	}
	page := source.Page{Next: list.Next, Total: list.Total}
	for _, g := range list.Devices {
		page.Observations = append(page.Observations, a.read(g))
	}
	return page, nil
}

// walkable is a memory whose postures can be walked, as a sweep does.
type walkable struct{ *memory }

func (w walkable) EachPosture(
	_ context.Context, yield func(signals.Posture) error, _ func(signals.DeviceID, error),
) (signals.Cursor, error) {
	for _, p := range w.born() {
		if err := yield(p); err != nil {
			return "", err
		}
	}
	return "", nil
}

// asking is a receiver whose source toys asks the vendor.
func asking(t *testing.T, v *vendor, store signals.Store, d *diary, more ...option) *ingest.Receiver {
	t.Helper()
	client, err := source.NewClient(source.ClientOptions{Base: v.URL, Rate: 1000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if m, plain := store.(*memory); plain {
		store = walkable{m}
	}
	return receiver(t, store, d, append([]option{func(o *ingest.Options) {
		o.Sources = append(o.Sources, ingest.Source{Name: "toys", Adapter: toy{client},
			Attests: []string{"disk_encryption", "compromised", "lifecycle"}})
		o.Events.Inventory = ingest.InventoryEvents{
			Pulled: func(_, id string, gone bool, _ time.Duration) { d.write("pulled %s gone=%v", id, gone) },
			PullFailed: func(_, what string, after time.Duration, err error) {
				d.write("pull failed %s: %v", what, err)
			},
			SyncEnded: func(_ string, s ingest.SyncState) {
				d.write("synced pages=%d devices=%d withdrawn=%d %s", s.Pages, s.Devices, s.Withdrawn, s.Fault)
			},
			SyncFailed: func(_ string, err error) { d.write("sync failed: %v", err) },
			NotApplied: func(_, device, reason string) { d.write("not applied %s: %s", device, reason) },
		}
	}}, more...)...)
}

func nudge(t *testing.T, r *ingest.Receiver, id, devices string) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/sources/toys", strings.NewReader(devices))
	req.Header.Set("X-Id", id)
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	if w.Code != http.StatusAccepted {
		t.Fatalf("nudge %s: %d %s", id, w.Code, w.Body)
	}
}

// wait waits for a condition of the world outside.
func wait(t *testing.T, what string, d *diary, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s does not come about; the diary has\n%s", what, strings.Join(d.have(""), "\n"))
		}
	}
}

// resync asks for a listing and returns how it ended.
func resync(t *testing.T, r *ingest.Receiver, d *diary, accept bool) string {
	t.Helper()
	before := len(d.have("synced"))
	if err := r.RequestSync(t.Context(), "toys", accept); err != nil {
		t.Fatal(err)
	}
	wait(t, "the end of a listing", d, func() bool { return len(d.have("synced")) > before })
	return d.have("synced")[before]
}

// gadgetFacts is what is known of a device of toys, an alarm that was followed by an unknown with a plus.
func gadgetFacts(t *testing.T, store *memory, id string) string {
	t.Helper()
	for _, p := range store.born() {
		if !slices.Contains(p.Aliases, signals.Alias{Kind: signals.AliasVendor, Value: "toys/" + id}) {
			continue
		}
		var said []string
		for _, name := range []string{"compromised", "disk_encryption", "lifecycle"} {
			if known, ok, since := p.Latest(name, "toys"); ok {
				text := fmt.Sprintf("%s=%s", name, known.Value)
				if since {
					text += "+unknown"
				}
				said = append(said, text)
			}
		}
		return strings.Join(said, " ")
	}
	return "nobody"
}
