package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

func linkText(name, spec string) string {
	return "apiVersion: tiergate.dev/v1alpha1\nkind: DeviceLink\nmetadata: {name: " + name + ", owner: endpoint}\nspec: {" + spec +
		", reason: swapped, ticket: HELP-1}\n"
}

// told keeps what happened, in order.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (d *told) write(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

// wait waits until so many things have happened, and says which.
func (d *told) wait(t *testing.T, n int) []string {
	t.Helper()
	for range 3000 {
		d.mu.Lock()
		lines := slices.Clone(d.lines)
		d.mu.Unlock()
		if len(lines) >= n {
			return lines
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%q, want %d of them", d.lines, n)
	return nil
}

// last waits for a line that comes after all others.
func (d *told) last(t *testing.T, begins string) []string {
	t.Helper()
	for n := len(d.wait(t, 1)); ; n++ {
		if lines := d.wait(t, n); strings.HasPrefix(lines[len(lines)-1], begins) {
			return lines
		}
	}
}

// TestDeviceLinksReload: a change is in force soon, a broken one is told once and changes nothing, and so is a directory
// that is gone; what comes back as it was is told, too.
func TestDeviceLinksReload(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "links")
	file := filepath.Join(dir, "a.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	d := &told{}
	tell := linkEvents{
		loaded: func(n int, _ string) { d.write(fmt.Sprint("loaded ", n)) },
		broken: func(err error) { d.write("broken " + err.Error()) },
	}
	if _, _, err := readLinks(dir, tell); err == nil || !strings.Contains(err.Error(), "ingest.links") {
		t.Fatalf("a missing directory: %v", err)
	}
	write("kind: [")
	if _, _, err := readLinks(dir, tell); err == nil || !strings.Contains(err.Error(), "a.yaml:") {
		t.Fatalf("a broken document: %v", err)
	}
	one := linkText("one", `same: ["serial:A1", "serial:B1"]`)
	write(one)
	follow, links, err := readLinks(dir, tell)
	if err != nil || len(links) != 1 {
		t.Fatal(links, err)
	}
	follow.every = 5 * time.Millisecond
	follow.use = func(links []signals.DeviceLink) { d.write("use " + links[len(links)-1].Name) }
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- follow.run(ctx) }()
	write(one + "---\n" + linkText("two", `forbid: ["serial:A1", "serial:C1"]`))
	d.wait(t, 3)
	write(linkText("two", `forbid: ["serial:A1"]`))
	d.wait(t, 4)
	time.Sleep(50 * time.Millisecond) // ten looks at the same fault
	write(one + "---\n" + linkText("two", `forbid: ["serial:A1", "serial:C1"]`))
	d.wait(t, 5)
	away := dir + ".away"
	if err := os.Rename(dir, away); err != nil { // at once: an empty directory would be another fault
		t.Fatal(err)
	}
	d.last(t, "broken ingest.links: the directory cannot be listed: open ")
	if err := os.WriteFile(filepath.Join(away, "a.yaml"), []byte(one), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, dir); err != nil {
		t.Fatal(err)
	}
	lines := d.last(t, "loaded 1")
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for i := range lines {
		lines[i], _, _ = strings.Cut(lines[i], "/")
	}
	if lines[5] == "broken ingest.links: " { // it was gone between two steps of a look
		lines = slices.Delete(lines, 5, 6)
	}
	want := []string{"loaded 1", "use two", "loaded 2", "broken ", "loaded 2", "broken ingest.links: the directory cannot be listed: open ",
		"use one", "loaded 1"}
	if !slices.Equal(lines, want) {
		t.Errorf("%q\nwant %q", lines, want)
	}
	if follow, links, err := readLinks("", tell); follow != nil || links != nil || err != nil {
		t.Error("without a directory nothing is followed")
	}
}

// TestLinkMetrics: what is in force, and that the newest is not.
func TestLinkMetrics(t *testing.T) {
	o, err := newObserver(config.Log{Level: "fatal", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	tell := o.deviceLinks()
	tell.loaded(3, "d")
	tell.broken(os.ErrNotExist)
	o.ingest().Joined("d2", "d1", "board")
	w := httptest.NewRecorder()
	o.metrics().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	text := w.Body.String()
	for _, line := range []string{"tiergate_ingest_links 3", "tiergate_ingest_links_last_reload_success 0",
		`tiergate_ingest_links_reloads_total{result="broken"} 1`, "tiergate_ingest_joined_devices_total 1"} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
}
