package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source/standard"
)

// seedStore is the command `seed-store STORE DELIVERIES [LINKS]` of transcripts: it hands deliveries, one a line, to a real receiver
// on a real store. A line is SOURCE ID AGE JSON, where JSON is the data of a standard delivery without observed_at.
func seedStore() {
	if err := seed(os.Args[1], os.Args[2], strings.Join(os.Args[3:], "")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func seed(file, deliveries, documents string) error {
	_, links, err := readLinks(documents, linkEvents{loaded: func(int, string) {}})
	if err != nil {
		return err
	}
	store, err := boltstore.Open(file)
	if err != nil {
		return err
	}
	lines, err := os.Open(deliveries)
	if err != nil {
		return err
	}
	defer lines.Close()
	for scan := bufio.NewScanner(lines); scan.Scan(); {
		if err := deliver(store, links, strings.SplitN(scan.Text(), " ", 4)); err != nil {
			return fmt.Errorf("%s: %w", scan.Text(), err)
		}
	}
	return store.Close()
}

func deliver(store signals.Store, links []signals.DeviceLink, words []string) error {
	const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
	age, err := time.ParseDuration(words[2])
	if err != nil {
		return err
	}
	at := time.Now().Add(-age).UTC().Truncate(time.Second)
	adapter, err := standard.New([]string{secret})
	if err != nil {
		return err
	}
	var names []string
	for _, a := range signals.Attributes() {
		names = append(names, a.Name)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	over := make(chan struct{}, 1)
	r, err := ingest.New(store, ingest.Options{
		Sources: []ingest.Source{{Name: words[0], Adapter: adapter, Attests: names}}, Now: func() time.Time { return at },
		Links: links,
		Events: ingest.Events{
			Applied:      func(string, string, signals.DeviceID, bool, time.Duration) { over <- struct{}{} },
			DeadLettered: func(string, string, string) { over <- struct{}{} },
		},
	})
	if err != nil {
		stop()
		return err
	}
	go func() { done <- r.Run(ctx) }()
	var data map[string]any
	if err := json.Unmarshal([]byte(words[3]), &data); err != nil {
		stop()
		return err
	}
	data["observed_at"] = at.Format(time.RFC3339)
	body, _ := json.Marshal(map[string]any{ //nolint:errchkjson // it was JSON
		"type": "device.posture.updated", "timestamp": at.Format(time.RFC3339), "data": data,
	})
	header, err := standard.Sign(secret, words[1], at, body)
	if err != nil {
		stop()
		return err
	}
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/sources/"+words[0], strings.NewReader(string(body)))
	req.Header = header
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	if w.Code != http.StatusAccepted {
		stop()
		return fmt.Errorf("%d %s", w.Code, w.Body)
	}
	<-over
	stop()
	return <-done
}
