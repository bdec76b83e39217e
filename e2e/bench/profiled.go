package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"

	"google.golang.org/grpc"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/jwks"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/config/policyfile"
	"github.com/tiergate/tiergate/e2e/bench/world"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/replica"
)

// serveProfiled serves the decisions of a site under the profiler: the service wired as `tiergate serve` wires it, but
// for its logs and metrics, which only cmd/tiergate knows.
func serveProfiled(ctx context.Context, socket, settingsFile, profile string) (err error) {
	settings, err := config.Load(settingsFile, config.Vocabulary{})
	if err != nil {
		return err
	}
	store, err := boltstore.Open(settings.Store.Embedded.File)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	authority, verifier, err := believed(settings)
	if err != nil {
		return err
	}
	var service *authz.Server
	devices := replica.New(store, replica.Options{
		OnChange: func(p *signals.Posture) { service.PostureChanged(p) },
		OnRemove: func(d signals.DeviceID) { service.PostureRemoved(d) },
	})
	service = authz.New(authz.Options{Devices: devices, Peers: authority, Tokens: verifier})
	if err := bringIntoForce(service, settings.Policy.Dir); err != nil {
		return err
	}
	following, stopFollowing := context.WithCancel(ctx)
	followed := make(chan error, 1)
	go func() { followed <- devices.Run(following) }()
	defer func() {
		stopFollowing()
		err = errors.Join(err, <-followed)
	}()
	select {
	case <-devices.Loaded():
	case <-ctx.Done():
		return ctx.Err()
	}
	debug.SetGCPercent(400) // as `tiergate serve` has it; GOMEMLIMIT does not matter at this size
	server := grpc.NewServer(service.ServerOptions()...)
	service.Register(server)
	stop, err := startProfile(profile)
	if err != nil {
		return err
	}
	return errors.Join(serveUntil(ctx, server, socket), stop())
}

func bringIntoForce(service *authz.Server, dir string) error {
	files, err := policyfile.Read(dir)
	if err != nil {
		return err
	}
	compiled, problems := policyfile.Compile(files, world.Vouched())
	if len(problems) > 0 {
		return problems
	}
	service.SetPolicy(compiled)
	return nil
}

// believed are the keys that the settings name.
func believed(s *config.Settings) (*identity.Authority, *token.Verifier, error) {
	bundle, err := os.ReadFile(s.Identity.Devices.BundleFile)
	if err != nil {
		return nil, nil, err
	}
	authority, err := identity.NewAuthority(identity.AuthorityOptions{Devices: bundle})
	if err != nil {
		return nil, nil, err
	}
	from := s.Identity.Issuers[0]
	raw, err := os.ReadFile(filepath.Clean(from.JWKSFile))
	if err != nil {
		return nil, nil, err
	}
	keys, err := jwks.Parse(raw)
	if err != nil {
		return nil, nil, err
	}
	verifier, err := token.New([]token.Issuer{{
		Name: from.Name, Issuer: from.Issuer, Audiences: from.Audiences, Algorithms: from.Algorithms, Keys: keys,
		Type: from.Type, Leeway: from.Leeway, UserClaim: from.Claims.User, GroupsClaim: from.Claims.Groups,
	}})
	return authority, verifier, err
}
