package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
)

func newIngest() *cobra.Command {
	return process("ingest", "Receive webhooks and keep the posture of devices (one or a few per Redis)", runIngest)
}

func runIngest(ctx context.Context, s *config.Settings) error {
	if s.Store.Embedded != nil {
		return fmt.Errorf("the embedded store has one owner, so `tiergate serve` runs the receiver itself; " +
			"`tiergate ingest` is for a Redis that several processes share")
	}
	o, err := newObserver(s.Log)
	if err != nil {
		return err
	}
	limitMemory(o.log)
	store, err := openStore(s)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }() // the process ends; there is nothing left to lose
	ready := &storeHealth{store: store}
	parts, verbs, err := receiverParts(s, store, o)
	if err != nil {
		return err
	}
	sockets, err := s.Sockets()
	if err != nil {
		return err
	}
	socket, err := config.ListenUnix(sockets.IngestAdmin)
	if err != nil {
		return err
	}
	probes, err := listenTCP(s.Ingest.Metrics.Listen, "ingest.metrics.listen")
	if err != nil {
		return err
	}
	parts = append(parts,
		part{"collector", paceCollector},
		part{"store check", ready.run},
		part{"admin", func(ctx context.Context) error { return admin.Serve(ctx, socket, verbs) }},
		part{"probes", func(ctx context.Context) error { return admin.Serve(ctx, probes, admin.Probes(ready.err, o.metrics())) }})
	o.log.Info("receiving")
	return runParts(ctx, parts)
}

// receiverParts are the door and the worker of the receiver, listening already, and what its admin socket serves.
func receiverParts(s *config.Settings, store signals.Store, o *observer) (parts []part, verbs http.Handler, err error) {
	sources, err := newSources(s, o.ingest().Inventory.NotApplied)
	if err != nil {
		return nil, nil, err
	}
	store, err = sealedStore(s, store)
	if err != nil {
		return nil, nil, err
	}
	follow, links, err := readLinks(s.Ingest.Links, o.deviceLinks())
	if err != nil {
		return nil, nil, err
	}
	options := receiverOptions(s, sources, o)
	options.Links = links
	store, keeper := keptStore(s, o, store, options.Name)
	receiver, err := ingest.New(store, options)
	if err != nil {
		return nil, nil, err
	}
	listener, err := listenTCP(s.Ingest.Listen, "ingest.listen")
	if err != nil {
		return nil, nil, err
	}
	if keeper != nil { // it ends after the receiver, so that what that wrote last is in the checkpoint
		parts = append(parts, part{"checkpoint", keeper.Run})
	}
	parts = append(parts,
		part{"receiver", receiver.Run},
		part{"webhooks", func(ctx context.Context) error { return admin.Serve(ctx, listener, receiver.Handler()) }})
	if follow != nil {
		follow.use = receiver.SetLinks
		parts = append(parts, part{"device links", follow.run})
	}
	return parts, receiverVerbs(receiver), nil
}

// receiverOptions are the settings of the receiver. Its name lasts as long as host and address do, so that after a crash
// it goes on with what it had taken.
func receiverOptions(s *config.Settings, sources []ingest.Source, o *observer) ingest.Options {
	name := "" // a random one
	if host, err := os.Hostname(); err == nil && !strings.HasSuffix(s.Ingest.Listen, ":0") {
		name = host + " " + s.Ingest.Listen
	}
	return ingest.Options{
		Sources: sources, MaxBody: s.Ingest.MaxBody, Events: o.ingest(), Name: name, Alone: s.Store.Embedded != nil,
		MaxInbox: s.Ingest.MaxInbox, MaxRemembered: s.Ingest.MaxRemembered, Rate: float64(s.Ingest.Rate),
	}
}

// receiverVerbs is what the admin socket of the receiver's process serves for the verbs that write shared records.
func receiverVerbs(receiver *ingest.Receiver) http.Handler {
	mux := http.NewServeMux()
	deadLetterPaths(mux, receiver)
	sourcePaths(mux, receiver)
	return mux
}

// listenTCP says which setting to change when the address cannot be had.
func listenTCP(address, setting string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s: %w; end what uses it or set another address", setting, address, err)
	}
	return listener, nil
}

// storeHealth asks the store now and then, so that a probe costs nothing.
type storeHealth struct {
	store signals.Store
	last  atomic.Pointer[error]
}

func (h *storeHealth) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		asked, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		err := h.store.Ping(asked)
		cancel()
		h.last.Store(&err)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (h *storeHealth) err() error {
	last := h.last.Load()
	if last == nil {
		return fmt.Errorf("the store has not answered yet")
	}
	return *last
}
