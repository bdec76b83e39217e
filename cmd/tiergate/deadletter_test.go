package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/ingest"
)

// letters is a receiver behind an admin socket, over a real store that holds dead letters.
type letters struct {
	settings string
	store    *boltstore.Store
	told     []string
}

func newLetters(t *testing.T, want ...ingest.DeadLetter) *letters {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l := &letters{settings: filepath.Join(dir, "settings.yaml")}
	text := "runtimeDir: run\nstore: {embedded: {file: store.db}}\n"
	if err := os.WriteFile(l.settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if l.store, err = boltstore.Open(filepath.Join(dir, "store.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.store.Close() })
	for _, letter := range want {
		l.add(t, letter)
	}
	receiver, err := ingest.New(l.store, ingest.Options{Events: ingest.Events{
		Retried:   func(source, id string) { l.told = append(l.told, "retried "+source+" "+id) },
		Discarded: func(source, id string) { l.told = append(l.told, "discarded "+source+" "+id) },
	}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	deadLetterPaths(mux, receiver)
	serveAdmin(t, filepath.Join(dir, "run", "admin.sock"), mux)
	return l
}

func (l *letters) add(t *testing.T, letter ingest.DeadLetter) {
	t.Helper()
	value, err := json.Marshal(letter)
	if err != nil {
		t.Fatal(err)
	}
	key := letter.Source + "/" + letter.ID
	for _, record := range []signals.Record{{Kind: ingest.KindDeadLetter, Key: key, Revision: 1, Value: value},
		{Kind: ingest.KindDelivery, Key: key, Revision: 1, Value: []byte(`{}`)}} {
		if err := l.store.PutRecord(t.Context(), record, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// kept counts the records of a kind.
func (l *letters) kept(t *testing.T, kind string) (n int) {
	t.Helper()
	if _, err := l.store.EachRecord(t.Context(), kind, func(signals.Record) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// say runs a verb and checks its exit status.
func (l *letters) say(t *testing.T, status int, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	args = append(append([]string{"deadletter"}, args...), "--config", l.settings)
	if got := run(t.Context(), args, &stdout, &stderr); got != status {
		t.Errorf("%q: exit %d, want %d: %s", args, got, status, stderr.String())
	}
	return stdout.String() + stderr.String()
}

var old = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

func TestDeadLetterVerbs(t *testing.T) {
	binary := []byte("\x00\xff\x1b[2Jbinary")
	l := newLetters(t,
		ingest.DeadLetter{Source: "mdm", ID: "a/1", Received: old, Reason: "no\nline \x1b[2J", ContentType: "application/json", Body: binary},
		ingest.DeadLetter{Source: "mdm", ID: "new", Received: time.Now(), Reason: "r", Body: []byte(`{"a": 1}`)},
		ingest.DeadLetter{Source: "edr", ID: "odd", Received: old, Reason: "r", Unreadable: true},
	)
	if got := l.say(t, 0, "list"); strings.Count(got, "\n") != 4 || strings.Contains(got, "\x1b") ||
		!strings.Contains(got, `mdm     a/1  2026-11-20T08:00:00Z  12    no\nline \x1b[2J`) {
		t.Error(got)
	}
	if got := l.say(t, 0, "list", "--source", "mdm", "--since", "1h"); strings.Count(got, "\n") != 2 || !strings.Contains(got, "new") {
		t.Error(got)
	}
	if got := l.say(t, 0, "list", "--source", "none"); got != "no dead letters\n" {
		t.Error(got)
	}
	if got := l.say(t, 0, "show", "mdm", "a/1", "--body"); got != string(binary) {
		t.Errorf("%q", got)
	}
	if got := l.say(t, 0, "show", "mdm", "a/1"); strings.Contains(got, "\x1b") || !strings.Contains(got, "Content-Type: application/json") {
		t.Errorf("%q", got)
	}
	var whole deadLetterWhole
	if err := json.Unmarshal([]byte(l.say(t, 0, "show", "mdm", "a/1", "-o", "json")), &whole); err != nil || !bytes.Equal(whole.Body, binary) {
		t.Errorf("%v %+v", err, whole)
	}
	if got := l.say(t, 0, "list", "--source", "mdm", "-o", "yaml"); !strings.Contains(got, "source: mdm\n") || strings.Contains(got, "\x1b") {
		t.Errorf("%s", got)
	}
	l.say(t, 1, "show", "mdm", "none")
	if got := l.say(t, 1, "retry", "edr", "odd"); !strings.Contains(got, "never a delivery") {
		t.Error(got)
	}
	l.say(t, 2, "drop", "mdm", "new")
	if l.kept(t, ingest.KindDeadLetter) != 3 {
		t.Error("it was dropped without --yes")
	}
	l.say(t, 0, "drop", "mdm", "new", "--yes")
	l.say(t, 0, "retry", "mdm", "a/1")
	if l.kept(t, ingest.KindDeadLetter) != 1 || l.kept(t, ingest.KindInbox) != 1 || l.kept(t, ingest.KindDelivery) != 2 {
		t.Error("what is kept is not what should be")
	}
	if got := fmt.Sprint(l.told); got != "[discarded mdm new retried mdm a/1]" {
		t.Error(got)
	}
	for _, wrong := range [][]string{{"retry"}, {"retry", "mdm"}, {"retry", "--all"}, {"retry", "a", "b", "--source", "c"},
		{"retry", "a", "b", "--all", "--source", "c"}, {"show", "mdm"}, {"list", "-o", "xml"}} {
		l.say(t, 2, wrong...)
	}
}

// More than a page: all are listed, all are retried, each once; what cannot be is told, and is the answer no.
func TestAllDeadLettersOfASource(t *testing.T) {
	l := newLetters(t, ingest.DeadLetter{Source: "mdm", ID: "zz", Received: old, Reason: "r", Unreadable: true},
		ingest.DeadLetter{Source: "mdn", ID: "1", Received: old, Reason: "r"})
	for i := range deadLetterPage + 5 {
		l.add(t, ingest.DeadLetter{Source: "mdm", ID: fmt.Sprintf("%05d", i), Received: old, Reason: "r", Body: []byte("{}")})
	}
	if got := strings.Count(l.say(t, 0, "list"), "\n"); got != deadLetterPage+5+3 {
		t.Errorf("%d lines", got)
	}
	got := l.say(t, 1, "retry", "--all", "--source", "mdm")
	if !strings.HasPrefix(got, fmt.Sprintf("%d dead letters put back", deadLetterPage+5)) || !strings.Contains(got, "not zz: it was never") {
		t.Error(got)
	}
	if l.kept(t, ingest.KindDeadLetter) != 2 || l.kept(t, ingest.KindInbox) != deadLetterPage+5 {
		t.Errorf("%d letters, %d entries", l.kept(t, ingest.KindDeadLetter), l.kept(t, ingest.KindInbox))
	}
	if got := l.say(t, 0, "drop", "--all", "--source", "mdm", "--yes"); got != "1 dead letter dropped\n" {
		t.Error(got)
	}
}

func TestDeadLettersNeedAReceiver(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "settings.yaml")
	if err := os.WriteFile(file, []byte("runtimeDir: run\nstore: {redis: {address: /none, unsealed: true}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	if got := run(t.Context(), []string{"deadletter", "list", "--config", file}, &stderr, &stderr); got != 1 {
		t.Errorf("exit %d", got)
	}
	if !strings.Contains(stderr.String(), "nothing listens on "+dir+"/run/ingest-admin.sock: start the process") {
		t.Error(stderr.String())
	}
}

// Reading must not write: the paths that change something take POST alone.
func TestDeadLetterMethods(t *testing.T) {
	l := newLetters(t, ingest.DeadLetter{Source: "mdm", ID: "1", Received: old, Reason: "r"})
	socket := filepath.Join(filepath.Dir(l.settings), "run", "admin.sock")
	for _, path := range []string{"/v1/deadletters/retry", "/v1/deadletters/drop"} {
		err := askAdmin(t.Context(), socket, http.MethodGet, path, deadLetterOrder{Source: "mdm", ID: "1"}, &struct{}{})
		if err == nil || !strings.Contains(err.Error(), "405") {
			t.Errorf("GET %s: %v", path, err)
		}
		if err := askAdmin(t.Context(), socket, http.MethodPost, path, "no order", &struct{}{}); err == nil {
			t.Errorf("POST %s of nonsense was taken", path)
		}
	}
	if err := askAdmin(t.Context(), socket, http.MethodGet, "/v1/deadletters?since=now", nil, &struct{}{}); err == nil {
		t.Error("since=now was taken")
	}
	if l.kept(t, ingest.KindDeadLetter) != 1 || len(l.told) != 0 {
		t.Error(l.told)
	}
}
