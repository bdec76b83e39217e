package ingest_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/ingest"
)

// fromEnv is how much of a proof is done: the short form, unless the environment says more.
func fromEnv(t *testing.T, name string, short int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return short
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: write a number", name, text)
	}
	return n
}

// event is the e-th report on a device: one or two facts, observed at an instant of its own.
func event(device, e int, at time.Time) string {
	facts := []string{`"firewall":` + fmt.Sprint(e%3 == 0), fmt.Sprintf(`"os_version":"15.%d"`, e), `"edr_healthy":null`}
	chosen := facts[e%3] + "," + facts[(e+1)%3]
	name := fmt.Sprintf(`{"id":"%d"}`, device+1)
	if e%5 == 0 {
		name = fmt.Sprintf(`{"id":"%d","serial":"C02PROOF%05d"}`, device+1, device)
	}
	return fmt.Sprintf(`{"type":"device.posture.updated","timestamp":%q,"data":{"device":%s,"observed_at":%q,"attributes":{%s}}}`,
		at.Format(time.RFC3339Nano), name, at.Format(time.RFC3339Nano), chosen)
}

// states are the devices by their aliases: the facts of each, without when we were told.
func states(t *testing.T, each func(yield func(signals.Posture) error) error) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := each(func(p signals.Posture) error {
		if len(p.Aliases) == 0 {
			return nil
		}
		var text strings.Builder
		for _, f := range p.Facts {
			fmt.Fprintf(&text, "%s=%v@%s by %s\n", f.Attribute, f.Value, f.Observed.UTC().Format(time.RFC3339Nano), f.Source)
		}
		name := fmt.Sprint(p.Aliases)
		if _, twice := all[name]; twice {
			t.Errorf("two devices are %s", name)
		}
		all[name] = text.String()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// inOrder delivers everything from one sender to one worker, each after the one before has been applied.
func inOrder(t *testing.T, deliveries [][2]string) map[string]string {
	t.Helper()
	store, applied := newMemory(), make(chan struct{}, 1)
	r := receiver(t, store, &diary{}, func(o *ingest.Options) {
		o.Alone, o.Workers = true, 1
		o.Events = ingest.Events{Applied: func(string, string, signals.DeviceID, bool, time.Duration) { applied <- struct{}{} }}
	})
	stop := start(t, r)
	defer stop()
	for _, d := range deliveries {
		must(t, r, d[0], d[1])
		<-applied
	}
	stop()
	return states(t, func(yield func(signals.Posture) error) error {
		for _, p := range store.postures {
			if err := yield(p); err != nil {
				return err
			}
		}
		return nil
	})
}

// atOnce delivers everything from many senders to many workers, over the embedded store, and waits until it is applied. As many
// share each of the file's syncs.
func atOnce(t *testing.T, deliveries [][2]string) map[string]string {
	t.Helper()
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	r := receiver(t, store, &diary{}, func(o *ingest.Options) { o.Alone, o.Workers = true, 128 })
	stop := start(t, r)
	defer stop()
	next := make(chan [2]string)
	var senders sync.WaitGroup
	for range 64 {
		senders.Go(func() {
			for d := range next {
				for post(t, r, d[0], d[1]) != http.StatusAccepted { // 429 while too many wait
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	for _, d := range deliveries {
		next <- d
	}
	close(next)
	senders.Wait()
	for end := time.Now().Add(10 * time.Minute); ; {
		left := 0
		if _, err := store.EachRecord(t.Context(), ingest.KindInbox, func(signals.Record) error { left++; return nil }); err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d still wait", left)
		}
		time.Sleep(min(2*time.Second, 10*time.Millisecond+time.Duration(left)*100*time.Microsecond)) // counting them costs, too
	}
	return states(t, func(yield func(signals.Posture) error) error {
		_, err := store.EachPosture(t.Context(), yield, nil)
		return err
	})
}

// TestAnyOrderIsTheSame: reports that come in any order, each up to three times, say the same in the end as in order.
func TestAnyOrderIsTheSame(t *testing.T) {
	devices, events := fromEnv(t, "TIERGATE_DEVICES", 40), 50
	began := time.Now().UTC().Add(-time.Hour).Truncate(time.Second)
	var ordered, mixed [][2]string
	for e := range events {
		for device := range devices {
			// The clocks of devices are up to five minutes apart, so that what is observed first is often sent last.
			at := began.Add(time.Duration(e)*time.Minute + time.Duration(device%600-300)*time.Second)
			d := [2]string{fmt.Sprintf("%d-%d", device, e), event(device, e, at)}
			ordered = append(ordered, d)
			for range 1 + (device+e)%3 {
				mixed = append(mixed, d)
			}
		}
	}
	seed := rand.Uint64()
	shuffle := rand.New(rand.NewPCG(seed, 7)) // a seed that can be given again
	shuffle.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	start := time.Now()
	want := inOrder(t, ordered)
	first := time.Since(start)
	got := atOnce(t, mixed)
	second := time.Since(start) - first
	equal := 0
	for name, state := range want {
		if got[name] == state {
			equal++
		} else if equal < 5 {
			t.Errorf("seed %d: %s: got\n%swant\n%s", seed, name, got[name], state)
		}
	}
	if equal != devices || len(got) != devices || len(want) != devices {
		t.Errorf("seed %d: %d of %d devices are equal", seed, equal, devices)
	}
	t.Logf("%d devices, %d events in order (%.1f s), %d deliveries shuffled and duplicated (%.1f s): %d of %d equal",
		devices, devices*events, first.Seconds(), len(mixed), second.Seconds(), equal, devices)
}

// TestHostileBodies: none of these may cost the receiver memory, whatever they say of themselves.
func TestHostileBodies(t *testing.T) {
	store := newMemory()
	r := receiver(t, store, &diary{})
	server := httptest.NewServer(r.Handler())
	defer server.Close()
	var bomb bytes.Buffer
	packer := gzip.NewWriter(&bomb)
	if _, err := io.CopyN(packer, zeros{}, 100<<20); err != nil || packer.Close() != nil {
		t.Fatal(err)
	}
	for name, send := range map[string]func(t *testing.T) (status int){
		"100 MB": func(t *testing.T) int {
			return flood(t, server, "Content-Length: 104857600\r\n", io.LimitReader(zeros{}, 100<<20))
		},
		"100 MB, chunked": func(t *testing.T) int { return flood(t, server, "Transfer-Encoding: chunked\r\n", chunks(100)) },
		"a gzip bomb": func(t *testing.T) int {
			return flood(t, server, fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\n", bomb.Len()), bytes.NewReader(bomb.Bytes()))
		},
	} {
		before := heap()
		var most uint64
		for range 4 {
			if status := send(t); status != http.StatusRequestEntityTooLarge && status != http.StatusUnsupportedMediaType {
				t.Errorf("%s: %d", name, status)
			}
			most = max(most, heap())
		}
		if grown := int64(most) - int64(before); grown > 10<<20 {
			t.Errorf("%s: the heap grew by %d bytes", name, grown)
		} else {
			t.Logf("%s: heap %+d KiB", name, grown>>10)
		}
	}
	drip(t, server)
	mustEmpty(t, store, ingest.KindInbox)
}

// drip opens 200 connections that send a byte now and then.
func drip(t *testing.T, server *httptest.Server) {
	t.Helper()
	before := heap()
	for range 200 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "POST /v1/sources/mdm HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
		fmt.Fprint(conn, "{")
	}
	time.Sleep(200 * time.Millisecond)
	if grown := int64(heap()) - int64(before); grown > 10<<20 {
		t.Errorf("200 slow senders: the heap grew by %d bytes", grown)
	} else {
		t.Logf("200 slow senders: heap %+d KiB", grown>>10)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// chunks are so many chunks of 1 MiB.
func chunks(n int) io.Reader {
	var all []io.Reader
	for range n {
		all = append(all, strings.NewReader("100000\r\n"), io.LimitReader(zeros{}, 1<<20), strings.NewReader("\r\n"))
	}
	return io.MultiReader(append(all, strings.NewReader("0\r\n\r\n"))...)
}

// flood sends a body for as long as it is taken, and returns the status of the answer.
func flood(t *testing.T, server *httptest.Server, header string, body io.Reader) int {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "POST /v1/sources/mdm HTTP/1.1\r\nHost: x\r\n%s\r\n", header)
	sent := make(chan struct{})
	go func() { _, _ = io.Copy(conn, body); close(sent) }() // it fails when the receiver has hung up
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	_ = conn.Close()
	<-sent
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// TestReplays: what was sent before changes nothing, whether it comes again inside the window of its signature, after it, or
// 75 hours later, as it was or signed anew.
func TestReplays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, d := newMemory(), &diary{}
		r := receiver(t, store, d)
		stop := start(t, r)
		defer stop()
		sick := body(`{"serial":"C02"}`, `{"firewall":false}`)
		captured := request(t, "1", sick)
		again := func() int {
			w, req := httptest.NewRecorder(), captured.Clone(context.Background())
			req.Body = io.NopCloser(strings.NewReader(sick))
			r.Handler().ServeHTTP(w, req)
			return w.Code
		}
		codes := []int{again()}
		time.Sleep(time.Minute)
		must(t, r, "2", body(`{"serial":"C02"}`, `{"firewall":true}`))
		synctest.Wait()
		for _, later := range []time.Duration{time.Minute, time.Hour, 75 * time.Hour} {
			time.Sleep(later)
			codes = append(codes, again())
			must(t, r, "1", sick)                        // the sender itself, signed anew
			must(t, r, "other-"+fmt.Sprint(later), sick) // and under a new id
			synctest.Wait()
		}
		if fmt.Sprint(codes) != "[202 202 401 401]" {
			t.Errorf("answers %v", codes)
		}
		if _, got := values(t, store); got["firewall"] != signals.Bool(true) || store.writes != 2 {
			t.Errorf("%v after %d writes", got, store.writes)
		}
		t.Logf("replays inside the window, after it, and 75 h later: %d changes", store.writes-2)
	})
}
