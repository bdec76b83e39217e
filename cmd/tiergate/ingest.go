package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
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
	parts, verbs, receiver, err := receiverParts(s, store, o)
	if err != nil {
		return err
	}
	followed := followPolicy(s, o)
	desk, recording, err := recordedDesk(s, store, followed, o)
	if err != nil {
		return err
	}
	told, found, err := receiverFindings(s, store, desk, o)
	if err != nil {
		return err
	}
	people, err := receiverPeople(s, store, desk, receiver, nil, o, found.paths)
	if err != nil {
		return err
	}
	verbs, err = withIdentities(verbs, s, store, ground{policy: followed.policy, missing: followed.missing}, o)
	if err != nil {
		return err
	}
	socket, err := ingestSocket(s)
	if err != nil {
		return err
	}
	probes, err := listenTCP(s.Ingest.Metrics.Listen, "ingest.metrics.listen")
	if err != nil {
		return err
	}
	parts = slices.Concat(recording, parts, people, found.parts())
	parts = append(parts,
		part{"policy", followed.run},
		part{"outlets", told.Run},
		part{"collector", paceCollector},
		part{"store check", ready.run},
		part{"admin", func(ctx context.Context) error {
			return admin.Serve(ctx, socket, withOutlets(withFindings(withDesk(verbs, desk), found), told, o))
		}},
		part{"probes", func(ctx context.Context) error { return admin.Serve(ctx, probes, admin.Probes(ready.err, o.metrics())) }})
	o.log.Info("receiving")
	return runParts(ctx, parts)
}

// ingestSocket listens for verbs.
func ingestSocket(s *config.Settings) (net.Listener, error) {
	sockets, err := s.Sockets()
	if err != nil {
		return nil, err
	}
	return config.ListenUnix(sockets.IngestAdmin)
}

// receiverParts are the door and the worker of the receiver, listening already, what its admin socket serves, and
// itself.
func receiverParts(s *config.Settings, store signals.Store, o *observer) (
	parts []part, verbs http.Handler, receiver *ingest.Receiver, err error,
) {
	sources, err := newSources(s, o.ingest().Inventory.NotApplied)
	o.experimental(sources)
	if err != nil {
		return nil, nil, nil, err
	}
	fetched, err := graphKeys(sources, o)
	if err != nil {
		return nil, nil, nil, err
	}
	shared, err := newTransmitters(s, o)
	if err != nil {
		return nil, nil, nil, err
	}
	store, err = sealedStore(s, store)
	if err != nil {
		return nil, nil, nil, err
	}
	follow, links, err := readLinks(s.Ingest.Links, o.deviceLinks())
	if err != nil {
		return nil, nil, nil, err
	}
	options := receiverOptions(s, append(sources, shared.sources...), o)
	options.Links = links
	store, keeper := keptStore(s, o, store, options.Name)
	receiver, err = ingest.New(store, options)
	if err != nil {
		return nil, nil, nil, err
	}
	streams, err := shared.manage(store, receiver, o)
	if err != nil {
		return nil, nil, nil, err
	}
	listener, err := listenTCP(s.Ingest.Listen, "ingest.listen")
	if err != nil {
		return nil, nil, nil, err
	}
	if keeper != nil { // it ends after the receiver, so that what that wrote last is in the checkpoint
		parts = append(parts, part{"checkpoint", keeper.Run})
	}
	parts = slices.Concat(parts, fetched, shared.keyParts)
	parts = append(parts,
		part{"receiver", receiver.Run},
		part{"webhooks", func(ctx context.Context) error { return admin.Serve(ctx, listener, receiver.Handler()) }})
	parts = append(parts, streams...)
	if follow != nil {
		follow.use = receiver.SetLinks
		parts = append(parts, part{"device links", follow.run})
	}
	return parts, receiverVerbs(receiver, shared), receiver, nil
}

// receiverName lasts as long as host and address do, so that after a crash a receiver goes on with what it had taken; "": a
// random one.
func receiverName(s *config.Settings) string {
	if host, err := os.Hostname(); err == nil && !strings.HasSuffix(s.Ingest.Listen, ":0") {
		return host + " " + s.Ingest.Listen
	}
	return ""
}

// receiverOptions are the settings of the receiver.
func receiverOptions(s *config.Settings, sources []ingest.Source, o *observer) ingest.Options {
	return ingest.Options{
		Sources: sources, MaxBody: s.Ingest.MaxBody, Events: o.ingest(), Name: receiverName(s), Alone: s.Store.Embedded != nil,
		MaxInbox: s.Ingest.MaxInbox, MaxRemembered: s.Ingest.MaxRemembered, Rate: float64(s.Ingest.Rate),
	}
}

// receiverVerbs is what the admin socket of the receiver's process serves for the verbs that write shared records.
func receiverVerbs(receiver *ingest.Receiver, shared *transmitters) http.Handler {
	mux := http.NewServeMux()
	deadLetterPaths(mux, receiver)
	sourcePaths(mux, receiver)
	streamPaths(mux, shared)
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
