package outlets_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/findings/outlets"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/redisstore"
)

const (
	crashSubjects = 200
	crashBatch    = 50
)

// crashNotices is how many notices go out while the process is killed: TIERGATE_NOTICES, or 5,000.
var crashNotices = func() int {
	if n, err := strconv.Atoi(os.Getenv("TIERGATE_NOTICES")); err == nil && n > 0 {
		return n
	}
	return 5000
}()

// TestMain is also the process that is killed.
func TestMain(m *testing.M) {
	if where := os.Getenv("TG_OUTLET_CHILD"); where != "" {
		tellAndDie(where, os.Getenv("TG_OUTLET_URL"), os.Getenv("TG_OUTLET_FROM"), os.Getenv("TG_OUTLET_TO"))
		return
	}
	os.Exit(m.Run())
}

// tellAndDie puts notices from one to another and says how far it is, and tells them until it is killed.
func tellAndDie(where, url, from, to string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	var store signals.Store
	var err error
	if path, ok := strings.CutPrefix(where, "bolt:"); ok {
		store, err = boltstore.Open(path)
	} else {
		store, err = redisstore.Open(context.Background(), redisstore.Options{Address: strings.TrimPrefix(where, "redis:"), Patience: 20 * time.Second})
	}
	fail(err)
	hook, err := outlets.NewWebhook(outlets.WebhookOptions{URL: url, Secrets: []string{secret}, Timeout: time.Second})
	fail(err)
	outlets.Hurry(time.Millisecond)
	q := outlets.New(store, outlets.Options{Outlets: []outlets.Named{{Name: "hook", Type: "webhook", Default: true, Outlet: hook}}, Name: "me"})
	go func() { _ = q.Run(context.Background()) }()
	n, err := strconv.Atoi(from)
	fail(err)
	end, err := strconv.Atoi(to)
	fail(err)
	for ; n < end; n += crashBatch {
		var events []outlets.Event
		for i := n; i < n+crashBatch; i++ {
			told := notice(i%crashSubjects, i, policy.SeverityHigh)
			events = append(events, outlets.Of(&told))
		}
		fail(q.Put(context.Background(), "hook", events...))
		fmt.Println(n + crashBatch)
	}
	select {}
}

// flaky is a receiver that fails at random: errors, answers that it does not give, and those whose answer is lost.
type flaky struct {
	mu       sync.Mutex
	bodies   map[string]uint64 // by webhook-id
	order    map[string][]string
	repeated int
	calls    int
	faults   []string
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	chance := rand.IntN(100)
	if chance < 5 {
		w.WriteHeader([]int{http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusBadRequest, http.StatusTooManyRequests}[chance%4])
		return
	}
	if chance < 7 { // it breaks off
		panic(http.ErrAbortHandler)
	}
	f.take(r.Header, body)
	if chance < 10 { // it has it, and nobody learns of it
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (f *flaky) take(h http.Header, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	id := h.Get("webhook-id")
	sum := fnv.New64()
	_, _ = sum.Write(body)
	if why := verify(secret, h, body); why != "" {
		f.faults = append(f.faults, why)
	}
	if was, known := f.bodies[id]; known {
		f.repeated++
		if was != sum.Sum64() {
			f.faults = append(f.faults, id+": another body under the same id")
		}
		return
	}
	var told struct {
		Timestamp string `json:"timestamp"`
		Data      struct {
			Case string `json:"case"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &told); err != nil {
		f.faults = append(f.faults, err.Error())
	}
	f.bodies[id] = sum.Sum64()
	f.order[told.Data.Case] = append(f.order[told.Data.Case], told.Timestamp)
}

// TestKilledWhileItTells: the process is killed again and again while it puts and tells 5,000 notices to a receiver that fails
// at random. Nothing that Put kept is lost, each subject's are in order, and what comes twice has the same id and body.
func TestKilledWhileItTells(t *testing.T) {
	t.Parallel()
	for name, where := range map[string]func(t *testing.T) string{
		"bolt":   func(t *testing.T) string { return "bolt:" + filepath.Join(t.TempDir(), "db") },
		"valkey": func(t *testing.T) string { return "redis:" + valkey(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			receiver := &flaky{bodies: map[string]uint64{}, order: map[string][]string{}}
			server := httptest.NewServer(receiver)
			defer server.Close()
			began, kills, kept := time.Now(), 0, 0
			place := where(t)
			for done := false; !done; kills++ {
				kept, done = oneLife(t, place, server.URL, kept, receiver, kills)
				if time.Since(began) > 5*time.Minute {
					t.Fatalf("it takes too long: %d put, %d told, %d calls", kept, receiver.unique(), receiver.calls)
				}
			}
			receiver.mu.Lock()
			defer receiver.mu.Unlock()
			t.Logf("%d kills in %s: %d calls, %d told twice", kills-1, time.Since(began).Round(time.Millisecond), receiver.calls, receiver.repeated)
			if len(receiver.bodies) != crashNotices || len(receiver.faults) > 0 {
				t.Errorf("%d of %d told; %q", len(receiver.bodies), crashNotices, receiver.faults)
			}
			for subject, times := range receiver.order {
				for i := 1; i < len(times); i++ {
					if times[i] <= times[i-1] {
						t.Errorf("%s: %s after %s", subject, times[i], times[i-1])
					}
				}
			}
			if kills < 5 {
				t.Errorf("only %d kills", kills-1)
			}
		})
	}
}

func (f *flaky) unique() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.bodies)
}

// crashLives is how many of the process's lives it takes at least to put all: on a fast machine too it is killed in between.
const crashLives = 6

// oneLife runs the process until it is killed, and returns from where the next one has to put.
func oneLife(t *testing.T, place, url string, from int, receiver *flaky, life int) (kept int, done bool) {
	t.Helper()
	child, to := exec.Command(os.Args[0]), crashNotices*min(life+1, crashLives)/crashLives
	child.Env = append(os.Environ(), "TG_OUTLET_CHILD="+place, "TG_OUTLET_URL="+url, "TG_OUTLET_FROM="+strconv.Itoa(from),
		"TG_OUTLET_TO="+strconv.Itoa(to))
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	child.Stderr = os.Stderr
	said, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	gone, over := context.WithCancel(t.Context())
	defer over()
	end := time.AfterFunc(time.Duration(300+rand.IntN(500))*time.Millisecond, func() {
		for life >= crashLives && receiver.unique() < crashNotices && gone.Err() == nil { // the last life lives until all is told
			time.Sleep(20 * time.Millisecond)
		}
		_ = child.Process.Kill()
	})
	defer end.Stop()
	kept = from
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if n, err := strconv.Atoi(lines.Text()); err == nil {
			kept = n
		}
	}
	_ = child.Wait()
	return kept, receiver.unique() == crashNotices && kept == crashNotices
}
