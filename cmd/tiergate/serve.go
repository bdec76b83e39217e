package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/authz/findings/engine"
	"github.com/tiergate/tiergate/authz/findings/outlets"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/follow"
	"github.com/tiergate/tiergate/signals/replica"
	"github.com/tiergate/tiergate/xds"
	"github.com/tiergate/tiergate/xds/drift"
)

// loadWithin is how long Envoy is kept from asking while the first copy of the postures loads. After that tiers which look
// at no device are served, and the others answer that they could not know.
const loadWithin = 3 * time.Second

func newServe() *cobra.Command {
	c := process("serve", "Answer and program the Envoy beside this process", runServe)
	c.Long = "Serves ext_authz, xDS and the admin socket as Unix sockets in the runtime directory. With the embedded store the\n" +
		"receiver of webhooks runs in this process too."
	return c
}

// sidecar is the wiring of one `serve`.
type sidecar struct {
	settings *config.Settings
	sockets  config.Sockets
	observer *observer
	store    signals.Store
	replica  *replica.Replica
	evidence *evidence.Recorder // nil: nothing is recorded
	authz    *authz.Server
	xds      *xds.Server
	drift    *drift.Watcher
	health   *health.Server
	reloader *reloader
	trust    *trust
	files    *fileSet
	keys     []part // what fetches keys, certificates and bundles
	asserted *assertions
	outlets  *outlets.Queue // nil: the store is shared, and `ingest` tells and finds
	finds    *engine.Engine // nil: likewise
	census   *authz.Census  // nil: nothing is counted
	granted  *follow.Follower

	revocations *endings
}

func runServe(ctx context.Context, s *config.Settings) error {
	o, err := newObserver(s.Log)
	if err != nil {
		return err
	}
	limitMemory(o.log)
	o.bearers(s.Identity.Issuers)
	store, err := openSidecarStore(s)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }() // the process ends; there is nothing left to lose
	sc, err := newSidecar(s, o, store)
	if err != nil {
		return err
	}
	history, err := openHistory(s.Policy.History, machineDisk(), o.policyHistory())
	if err != nil {
		return err
	}
	defer func() { _ = history.close() }() // only the claim; what it keeps is on the disk
	sc.reloader.history = history
	if err := sc.reloader.load(ctx); err != nil {
		return fmt.Errorf("no policy to begin with:\n%w", err)
	}
	parts, err := sc.parts()
	if err != nil {
		return err
	}
	signing, err := sc.asserted.parts(s.Assertion)
	if err != nil {
		return err
	}
	parts = append(parts, signing...)
	return runParts(ctx, parts)
}

func newSidecar(s *config.Settings, o *observer, store signals.Store) (*sidecar, error) {
	sockets, err := s.Sockets()
	if err != nil {
		return nil, err
	}
	if err := config.SocketDir(s.RuntimeDir); err != nil {
		return nil, err
	}
	held, err := followedFiles(s)
	if err != nil {
		return nil, err
	}
	held.told = o.files()
	trust, keys, err := followWorkloads(s, held, o)
	if err != nil {
		return nil, err
	}
	trust.followFiles(s, held)
	verifier, fetched, err := newVerifier(s, held, o, trust.svids(s))
	if err != nil {
		return nil, err
	}
	recorder, err := newRecorder(s, o)
	if err != nil {
		return nil, err
	}
	sc := &sidecar{settings: s, sockets: sockets, observer: o, store: store, evidence: recorder, health: health.NewServer(),
		trust: trust, files: held, keys: slices.Concat(keys, fetched, []part{{"files", held.run}})}
	if sc.asserted, err = newAssertions(s, held, o); err != nil {
		return nil, err
	}
	if err := sc.decides(verifier); err != nil {
		return nil, err
	}
	if sc.granted, err = sc.followGranted(); err != nil {
		return nil, err
	}
	if sc.revocations, err = sc.followRevocations(); err != nil {
		return nil, err
	}
	sc.xds = xds.NewServer(xds.Options{Events: compared(o.xds(), func() { sc.drift.Soon() }), MinVersion: s.Envoy.MinVersion})
	o.envoys(sc.xds.Status)
	sc.drift = newDrift(s, sockets, sc.xds, o)
	sc.reloader = sc.newReloader()
	held.changed = sc.reloader.refreshSoon
	if followsClients(s) {
		trust.onChange(sc.reloader.refreshSoon)
	}
	sc.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	return sc, nil
}

// newReloader has no history yet: nothing of that is touched before the process is sure to start.
func (sc *sidecar) newReloader() *reloader {
	s, o := sc.settings, sc.observer
	r := &reloader{dir: s.Policy.Dir, world: world(s), build: sc.build, publish: sc.publish,
		ask:  newPreflight(s.Envoy.Binary, s.Envoy.MinVersion).check,
		told: o.reloaded, watchFailed: o.watchFailed, republish: sc.xds.Publish, refreshFailed: o.refreshFailed,
		again: make(chan struct{}, 1), orders: make(chan *policyOrder)}
	if sc.evidence != nil {
		r.record = sc.evidence.RecordChange
	}
	return r
}

// build makes Envoy's configuration of a policy, with the certificates and keys that count now.
func (sc *sidecar) build(p *policy.Policy) (*xds.Snapshot, error) {
	in, err := envoyInput(sc.settings, sc.sockets, sc.files, sc.trust.bundle, p)
	if err != nil {
		return nil, err
	}
	snapshot, err := xds.Build(in)
	if err != nil {
		return nil, err
	}
	return snapshot, snapshot.Consistent()
}

// publish swaps the decision first: its tables know both what Envoy holds and what it is about to get.
func (sc *sidecar) publish(ctx context.Context, p *policy.Policy, snapshot *xds.Snapshot) error {
	sc.authz.SetPolicy(p)
	sc.tellUnserved(p)
	sc.tellUnrecorded(p)
	return sc.xds.Publish(ctx, snapshot)
}

// parts listens on everything and returns what to run. Nothing is served before every address is had.
func (sc *sidecar) parts() ([]part, error) {
	authzSocket, err := config.ListenUnix(sc.sockets.Authz)
	if err != nil {
		return nil, err
	}
	xdsSocket, err := config.ListenUnix(sc.sockets.XDS)
	if err != nil {
		return nil, err
	}
	adminSocket, err := config.ListenUnix(sc.sockets.Admin)
	if err != nil {
		return nil, err
	}
	probes, err := listenTCP(sc.settings.Metrics.Listen, "metrics.listen")
	if err != nil {
		return nil, err
	}
	discovery := grpc.NewServer(xds.ServerOptions()...)
	sc.xds.Register(discovery)
	told, err := sc.verbs()
	if err != nil {
		return nil, err
	}
	parts := []part{
		{"collector", paceCollector},
		{"replica", sc.replica.Run}, {"what was granted", sc.granted.Run},
		{"what has ended", sc.revocations.run},
		{"policy", sc.reloader.run},
		{"xds upkeep", sc.xds.Run},
		{"xds", func(ctx context.Context) error { return serveGRPC(ctx, discovery, xdsSocket) }},
		{"authz", sc.decisions(authzSocket, nil)},
		{"health", sc.announce},
		{"admin", func(ctx context.Context) error { return admin.Serve(ctx, adminSocket, told) }},
		{"probes", func(ctx context.Context) error {
			return admin.Serve(ctx, probes, sc.asserted.publish(admin.Probes(sc.ready, sc.observer.metrics())))
		}},
	}
	parts = slices.Concat(sc.keys, parts, sc.driftParts(), sc.driftFindings())
	if sc.settings.Authz.Listen != nil {
		overTCP, err := sc.overTCP()
		if err != nil {
			return nil, err
		}
		parts = append(parts, overTCP)
	}
	if sc.census != nil { // before authz, so that it ends after it
		parts = slices.Insert(parts, 0, part{"census", sc.census.Run})
	}
	if sc.evidence != nil { // before authz, so that it ends after it
		parts = slices.Insert(parts, 0, part{"evidence", sc.evidence.Run})
	}
	received, err := sc.receives(told)
	if err != nil {
		return nil, err
	}
	telling, err := sc.takeOutlets(told)
	if err != nil {
		return nil, err
	}
	return slices.Concat(parts, received, telling), nil
}

// takeIdentities has the admin socket serve the inventory where the store is embedded: nobody else could.
func (sc *sidecar) takeIdentities(told *http.ServeMux) error {
	if sc.settings.Store.Embedded == nil {
		return nil
	}
	return identityPaths(told, sc.settings, sc.store, sc.ground(), sc.observer)
}

// verbs is what the admin socket serves, whether or not the receiver runs here.
func (sc *sidecar) verbs() (*http.ServeMux, error) {
	told := http.NewServeMux()
	told.Handle("/", admin.Socket(sc.reloader.policyStatus, map[string]func() any{
		"/v1/envoys":  func() any { return sc.xds.Status() },
		"/v1/replica": func() any { return sc.replica.Status() },
		"/v1/files":   func() any { return sc.files.status() },
	}))
	sc.reloader.showPolicies(told)
	sc.showDrift(told)
	return told, errors.Join(sc.showDevices(told), sc.takeIdentities(told))
}

// loads is one of what decisions need, and what is said where it is late.
type loads struct {
	loaded <-chan struct{}
	late   string
}

// loading waits for all of them, but not for longer than a context, and returns what is said of those that are missing.
func loading(ctx context.Context, all []loads) (missing []string) {
	for _, one := range all {
		select {
		case <-one.loaded:
			continue
		case <-ctx.Done():
		}
		select {
		case <-one.loaded: // both were ready
		default:
			missing = append(missing, one.late)
		}
	}
	return missing
}

// announce tells Envoy's health checks that decisions can be asked for.
func (sc *sidecar) announce(ctx context.Context) error {
	late, cancel := context.WithTimeout(ctx, loadWithin)
	defer cancel()
	missing := loading(late, []loads{
		{sc.replica.Loaded(), "the postures are not loaded yet; routes that look at a device answer 503 until they are"},
		{sc.granted.Loaded(), "what was granted at run time is not loaded yet; nothing of it counts until it is"},
		{sc.revocations.follower.Loaded(), "what has ended of logins is not loaded yet; users are answered 503 until it is"},
	})
	if ctx.Err() != nil {
		return nil
	}
	for _, text := range missing {
		sc.observer.log.Warn(text)
	}
	debug.FreeOSMemory() // what reading all postures took and will not be needed again
	sc.health.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	sc.observer.log.Info("serving")
	<-ctx.Done()
	sc.health.Shutdown()
	return nil
}

func (sc *sidecar) ready() error {
	if sc.reloader.policyStatus().Digest == "" {
		return errors.New("no policy is in force")
	}
	if status := sc.replica.Status(); !status.Loaded {
		return fmt.Errorf("the postures are not loaded yet: %s", status.LastError)
	}
	return errors.Join(sc.revocations.known(), sc.trust.ready())
}

// endWithin bounds how long calls may take to finish once the process is told to end.
const endWithin = 2 * time.Second

// serveGRPC serves until ctx ends, then lets calls finish for a bound.
func serveGRPC(ctx context.Context, server *grpc.Server, listener net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	force := time.AfterFunc(endWithin, server.Stop)
	defer force.Stop()
	server.GracefulStop()
	return <-failed
}
