package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/findings/outlets"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

// post is a receiver's process as far as it tells: real settings, store, queue and admin socket, and a webhook that can refuse.
type post struct {
	t        *testing.T
	settings string
	store    signals.Store
	log      *logBuffer
	observer *observer
	refuses  atomic.Int32 // the status; 0: it takes what comes
	mu       sync.Mutex
	took     []string // webhook-ids
}

const postSettings = `runtimeDir: run
store: {embedded: {file: store.db}}
outlets:
  - {name: hook, type: webhook, urlFile: url, secretFiles: [whsec], tokenFile: token, headerFiles: {X-Key: key}, timeout: 30s}
  - {name: siem, type: jsonlines, default: true, file: findings.jsonl}
`

// leaked are the secrets of these settings.
var leaked = []string{"s3cret-path", "s3cret-query", "s3cret-token", "s3cret-key", strings.TrimPrefix(whsec, "whsec_")}

func newPost(t *testing.T) *post {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &post{t: t, settings: filepath.Join(dir, "settings.yaml"), log: &logBuffer{}}
	p.refuses.Store(http.StatusUnauthorized)
	hook := httptest.NewServer(http.HandlerFunc(p.receive))
	t.Cleanup(hook.Close)
	for file, text := range map[string]string{"settings.yaml": postSettings, "url": hook.URL + "/T0/s3cret-path?k=s3cret-query", "whsec": whsec,
		"token": "s3cret-token", "key": "s3cret-key"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := loadSettings(p.settings)
	if err != nil {
		t.Fatal(err)
	}
	if p.observer, err = newObserver(config.Log{Level: "debug", Format: "json"}); err != nil {
		t.Fatal(err)
	}
	p.observer.log = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(p.log), zap.DebugLevel))
	if p.store, err = openStore(s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.store.Close() })
	p.fill()
	q, err := newOutletQueue(s, p.store, p.observer)
	if err != nil {
		t.Fatal(err)
	}
	serveAdmin(t, filepath.Join(s.RuntimeDir, "admin.sock"), withOutlets(http.NotFoundHandler(), q, p.observer), part{"outlets", q.Run})
	return p
}

// receive refuses as it is told to, and repeats in its answer what it was sent, as careless servers do.
func (p *post) receive(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if status := int(p.refuses.Load()); status != 0 {
		w.Header().Set("Www-Authenticate", r.Header.Get("Authorization"))
		w.WriteHeader(status)
		fmt.Fprintf(w, "%v %s", r.Header, r.URL)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took = append(p.took, r.Header.Get("Webhook-Id"))
}

// fill leaves one dead letter and one event that waits, as an earlier process with room for one event would have.
func (p *post) fill() {
	p.t.Helper()
	earlier := outlets.New(p.store, outlets.Options{Outlets: []outlets.Named{{Name: "hook", Outlet: outlets.NewJSONLines("none")}}, MaxQueued: 1})
	for n := range 2 {
		notice := findings.Notice{ID: fmt.Sprint("F-", n), What: findings.ToldOpened, At: time.Now(), Case: fmt.Sprint("F-", n),
			Subject: fmt.Sprint("device d", n), Summary: fmt.Sprint("disk fails on device d", n)}
		if err := earlier.Put(p.t.Context(), "hook", outlets.Of(&notice)); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *post) say(status int, args ...string) string {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	if got := run(p.t.Context(), append(append([]string{"outlet"}, args...), "--config", p.settings), &stdout, &stderr); got != status {
		p.t.Errorf("%q: exit %d, want %d: %s%s", args, got, status, &stdout, &stderr)
	}
	said := stdout.String() + stderr.String()
	p.keepsSecrets(fmt.Sprint(args), said)
	return said
}

func (p *post) keepsSecrets(where, text string) {
	p.t.Helper()
	for _, secret := range leaked {
		if strings.Contains(text, secret) {
			p.t.Errorf("%s tells %s: %s", where, secret, text)
		}
	}
}

func (p *post) taken() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.took...)
}

// TestOutletVerbs: a webhook does not take what it is sent, for its token is refused. The list says so, the outlet shows its
// dead letter, a test says what came of it; when the webhook is well again, the dead letter is retried and told with what
// waited. No secret is in what the verbs say, in the log, in metrics or in the store, whatever the webhook answers.
func TestOutletVerbs(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	soon(t, "the webhook's refusal is seen", func() bool { return strings.Contains(p.say(exitNo, "list"), "failing") })
	tells(t, p.say(exitNo, "list"), "hook  webhook    failing  1", "the answer was 401 Unauthorized", "siem  jsonlines  ok       0")
	var shown outletShown
	if err := json.Unmarshal([]byte(p.say(exitFine, "show", "hook", "-o", "json")), &shown); err != nil || len(shown.Letters) != 1 {
		t.Fatalf("%+v, %v", shown, err)
	}
	letter := shown.Letters[0]
	if letter.Type != "finding.opened" || letter.About != "F-0" || letter.Summary != "disk fails on device d0" || shown.Failures == 0 {
		t.Errorf("%+v", shown)
	}
	tells(t, p.say(exitFine, "show", "hook"), "1 queued, 1 dead", "failures in a row", letter.ID, "there was no room in the queue")
	tells(t, p.say(exitNo, "test", "hook"), "outlet hook: not taken: the answer was 401 Unauthorized")
	tells(t, p.say(exitNo, "show", "pager"), "there is no such outlet; see tiergate outlet list")
	tells(t, p.say(exitNo, "test", "pager"), "there is no such outlet", "the settings have hook, siem")
	tells(t, p.say(exitNo, "retry", "hook", "evt_1"), "evt_1", "there is no such dead letter")

	p.refuses.Store(0)
	tells(t, p.say(exitFine, "retry", "hook", letter.ID), "1 event put back into the queue")
	soon(t, "both are told", func() bool { return len(p.taken()) == 2 })
	soon(t, "the outlet is well and its queue empty", func() bool { // the webhook knows of the last event before its queue hears the answer
		said := p.say(exitFine, "show", "hook", "-o", "yaml")
		return strings.Contains(said, "state: ok") && strings.Contains(said, "queued: 0")
	})
	p.say(exitFine, "list")
	tells(t, p.say(exitFine, "show", "hook", "-o", "yaml"), "dead: 0")
	tells(t, p.say(exitFine, "test", "hook"), "outlet hook: taken after ")
	tells(t, p.say(exitFine, "test", "siem", "-o", "json"), `"taken": true`)
	tells(t, p.say(exitFine, "drop", "hook", "--all", "--yes"), "0 events dropped")
	if first := p.taken()[:2]; first[0] == first[1] || first[0] != letter.ID && first[1] != letter.ID {
		t.Error(first, letter.ID)
	}

	log := p.log.String()
	tells(t, log, "an outlet did not take an event", "somebody acts on an outlet", `"order":"retry"`)
	p.keepsSecrets("the log", log)
	for series := range gathered(t, p.observer.registry) {
		p.keepsSecrets("a metric", series)
	}
	for _, kind := range []string{outlets.KindQueue, outlets.KindDead, outlets.KindOutlet} {
		if _, err := p.store.EachRecord(t.Context(), kind, func(r signals.Record) error {
			p.keepsSecrets(kind, r.Key+string(r.Value))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}
