package ingest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/fleet"
)

// fleetServer plays Fleet's API: hosts that a policy about the screen lock judges.
type fleetServer struct {
	mu    sync.Mutex
	hosts map[int]string // id: the response of policy 15
	at    time.Time      // when Fleet judged
}

func (f *fleetServer) judge(id int, response string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = time.Now().UTC()
	if f.hosts[id] = response; response == "removed" {
		delete(f.hosts, id)
	}
}

func (f *fleetServer) host(id int) string {
	return fmt.Sprintf(`{"id":%d,"hardware_serial":"ACME%d","platform":"darwin","detail_updated_at":%q,`+
		`"policy_updated_at":%q,"disk_encryption_enabled":true,"policies":[{"id":15,"response":%q}]}`,
		id, id, f.at.Format(time.RFC3339Nano), f.at.Format(time.RFC3339Nano), f.hosts[id])
}

func (f *fleetServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var id int
	if _, err := fmt.Sscanf(req.URL.Path, "/api/v1/fleet/hosts/%d", &id); err == nil {
		if f.hosts[id] == "" {
			http.NotFound(w, req)
			return
		}
		fmt.Fprintf(w, `{"host":%s}`, f.host(id))
		return
	}
	var list []string
	for id := range 10 {
		if f.hosts[id] != "" && req.FormValue("page") == "0" {
			list = append(list, f.host(id))
		}
	}
	fmt.Fprintf(w, `{"hosts":[%s]}`, strings.Join(list, ","))
}

// TestFleetFromWebhookToStore: a failing policy's webhook is a nudge whose word is not taken; the recovery, of which
// Fleet says nothing, and the removal are found by the listing. Over the embedded store.
func TestFleetFromWebhookToStore(t *testing.T) {
	const inURL = "0123456789abcdef0123456789abcdef"
	plays := &fleetServer{hosts: map[int]string{1: "pass", 2: "pass", 3: "pass"}, at: time.Now().Add(-time.Minute).UTC()}
	server := httptest.NewServer(plays)
	defer server.Close()
	client, err := source.NewClient(source.ClientOptions{
		Base: server.URL, Rate: 1000, Credentials: source.Bearer{Token: "t"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	adapter, err := fleet.New(fleet.Options{Name: "fleet", Auth: source.URLSecret{Values: []string{inURL}}, Client: client,
		Policies: map[string][]int64{"screen_lock": {15}}})
	if err != nil {
		t.Fatal(err)
	}
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	d := &diary{}
	r := receiver(t, store, d, func(o *ingest.Options) {
		o.Sources = []ingest.Source{{Name: "fleet", Adapter: adapter, Attests: []string{"screen_lock", "lifecycle"},
			URLSecret: true}}
		o.Events.Inventory.SyncEnded = func(_ string, s ingest.SyncState) {
			d.write("synced devices=%d withdrawn=%d %s", s.Devices, s.Withdrawn, s.Fault)
		}
	})
	stop := start(t, r)
	defer stop()
	wait(t, "the first listing", d, func() bool { return len(d.have("synced devices=3 ")) == 1 })

	hook := func(secret string) int {
		body := fmt.Sprintf(`{"timestamp":%q,"policy":{"id":15},"hosts":[{"id":1},{"id":2}]}`,
			time.Now().Format(time.RFC3339Nano))
		req := httptest.NewRequest(http.MethodPost, "/v1/sources/fleet/"+secret, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		r.Handler().ServeHTTP(answer, req)
		return answer.Code
	}
	plays.judge(1, "fail")
	if code := hook(strings.Repeat("0", 32)); code != http.StatusUnauthorized {
		t.Errorf("another secret: %d", code)
	}
	if code := hook(inURL); code != http.StatusAccepted {
		t.Errorf("the webhook: %d", code)
	}
	// Host 2 is named as failing as well; Fleet, when asked, says otherwise.
	wait(t, "the word of Fleet", d, func() bool { return fleetFacts(t, store, 1) == "enrolled false" })
	if got := fleetFacts(t, store, 2); got != "enrolled true" {
		t.Errorf("host 2 is %q by a webhook's word", got)
	}
	plays.judge(1, "pass")
	plays.judge(3, "removed")
	if err := r.RequestSync(t.Context(), "fleet", false); err != nil {
		t.Fatal(err)
	}
	wait(t, "the second listing", d, func() bool { return len(d.have("synced devices=2 withdrawn=1 ")) == 1 })
	for id, want := range map[int]string{1: "enrolled true", 2: "enrolled true", 3: "removed true unknown"} {
		if got := fleetFacts(t, store, id); got != want {
			t.Errorf("host %d is %q, want %q", id, got, want)
		}
	}
}

// fleetFacts are the values that a host has in the store, by the order of the attributes.
func fleetFacts(t *testing.T, store signals.Store, id int) string {
	t.Helper()
	claim, err := store.Record(t.Context(), ingest.KindAlias, fmt.Sprintf("vendor:fleet/%d", id))
	if err != nil {
		return ""
	}
	p, err := store.Posture(t.Context(), owner(claim))
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, fact := range p.Facts {
		values = append(values, fact.Value.String())
	}
	return strings.Join(values, " ")
}
