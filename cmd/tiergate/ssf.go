package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/jwks"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/ssf"
)

// transmitters are the streams of Shared Signals of a receiver, and what keeps them.
type transmitters struct {
	sources  []ingest.Source
	streams  []*transmitter
	keyParts []part
}

// transmitter is one of them; its manager is made once there is a receiver that keeps what it polls.
type transmitter struct {
	settings   *config.SSF
	stream     *ssf.Stream
	discovered *ssf.Discovered // nil: the settings say where its keys are
	client     ssf.ClientOptions
	manager    *ssf.Manager
	pushTokens []string
}

// newTransmitters reads the keys and secrets of all transmitters.
func newTransmitters(s *config.Settings, o *observer) (*transmitters, error) {
	all := &transmitters{}
	if len(s.SSF) == 0 {
		return all, nil
	}
	counts, told := newKeyCounts(o), newSSFMetrics(o)
	for i := range s.SSF {
		x := &s.SSF[i]
		t, run, err := newTransmitter(s, x, o.keys(x.Name, counts), o.ssfStream(x.Name, told))
		if err != nil {
			return nil, fmt.Errorf("ssf[%d] (%s): %w", i, x.Name, err)
		}
		if run != nil {
			all.keyParts = append(all.keyParts, part{"keys of transmitter " + x.Name, run})
		}
		all.streams = append(all.streams, t)
		all.sources = append(all.sources, ingest.Source{Name: x.Name, Adapter: t.stream, Attests: x.Attests, SETs: true})
	}
	return all, nil
}

func newTransmitter(s *config.Settings, x *config.SSF, keyEvents jwks.Events, told ssf.Events) (
	*transmitter, func(context.Context) error, error,
) {
	t := &transmitter{settings: x}
	var err error
	if t.client, err = transmitterClient(x); err != nil {
		return nil, nil, err
	}
	if t.pushTokens, err = readSecrets("pushTokenFiles", x.PushTokenFiles); err != nil {
		return nil, nil, err
	}
	keys, run, err := t.keys(x, keyEvents)
	if err != nil {
		return nil, nil, err
	}
	options := ssf.Options{Name: x.Name, Issuer: x.Issuer, Audiences: x.Audiences, Algorithms: x.Algorithms, Keys: keys,
		PushTokens: t.pushTokens, SubjectInEvent: x.SubjectInEvent, SubjectIssuers: x.SubjectIssuers, Tenant: x.Tenant, Events: told}
	if x.Managed() {
		// Every receiver of the stream has this secret, and nobody else but the transmitter.
		sum := sha256.Sum256([]byte("tiergate state of verifications\x00" + t.client.Token + "\x00" + t.client.ClientSecret))
		options.StateKey = sum[:]
	}
	if u := x.Users; u != nil {
		options.Users = ssf.Users{Issuer: u.Issuer, RiskRevokes: u.RiskRevokes, RiskRefuses: u.RiskRefuses,
			MaxTokenLife: u.MaxTokenLife}
		for _, kind := range u.Revoke {
			options.Users.Revoke = append(options.Users.Revoke, ssf.Kind(kind))
		}
		for _, issuer := range s.Identity.Issuers {
			if issuer.Name == u.Issuer {
				options.Users.Email = issuer.Claims.Email != ""
				options.SubjectIssuers = append([]string{issuer.Issuer}, x.SubjectIssuers...)
			}
		}
	}
	if d := x.Devices; d != nil {
		options.Devices = ssf.Devices{Names: signals.AliasKind(d.Names), Source: d.Source}
	}
	t.stream, err = ssf.New(options)
	return t, run, err
}

// fixedKeys are those of a file, which is read once.
type fixedKeys struct{ set jose.JSONWebKeySet }

func (f *fixedKeys) Keys(time.Time) (*jose.JSONWebKeySet, error) { return &f.set, nil }
func (f *fixedKeys) Ask()                                        {}

// keys are where the settings say that they are, and else where the metadata do.
func (t *transmitter) keys(x *config.SSF, events jwks.Events) (ssf.Keys, func(context.Context) error, error) {
	switch {
	case x.JWKSFile != "":
		raw, err := os.ReadFile(x.JWKSFile)
		if err != nil {
			return nil, nil, fmt.Errorf("jwksFile: %w", err)
		}
		set, err := jwks.Parse(raw)
		if err != nil {
			return nil, nil, fmt.Errorf("jwksFile: %s: %w", x.JWKSFile, err)
		}
		return &fixedKeys{set}, nil, nil
	case x.JWKSURL != "":
		remote, err := jwks.New(jwks.Options{URL: x.JWKSURL, Roots: t.client.Roots, Stale: config.DefaultJWKSStale, Events: events})
		if err != nil {
			return nil, nil, fmt.Errorf("jwksURL: %w", err)
		}
		return remote, remote.Run, nil
	}
	t.discovered = ssf.NewDiscovered(t.client.Roots, config.DefaultJWKSStale, events)
	return t.discovered, nil, nil
}

func transmitterClient(x *config.SSF) (ssf.ClientOptions, error) {
	options := ssf.ClientOptions{Issuer: x.Issuer}
	if x.CAFile != "" {
		pem, err := os.ReadFile(x.CAFile)
		if err != nil {
			return options, fmt.Errorf("caFile: %w", err)
		}
		options.Roots = x509.NewCertPool()
		if !options.Roots.AppendCertsFromPEM(pem) {
			return options, fmt.Errorf("caFile: %s holds no PEM certificate", x.CAFile)
		}
	}
	t := x.Transmitter
	if t == nil {
		return options, nil
	}
	options.MetadataURL, options.Hosts, options.TokenURL, options.ClientID, options.Scope = t.MetadataURL, t.AllowedHosts,
		t.TokenURL, t.ClientID, t.Scope
	var err error
	if t.ClientSecretFile != "" {
		if options.ClientSecret, err = readSecret(t.ClientSecretFile); err != nil {
			return options, fmt.Errorf("transmitter.clientSecretFile: %w", err)
		}
	}
	if t.TokenFile != "" {
		if options.Token, err = readSecret(t.TokenFile); err != nil {
			return options, fmt.Errorf("transmitter.tokenFile: %w", err)
		}
	}
	return options, nil
}

// manage makes what keeps the streams. They end before the receiver does, which keeps what they poll.
func (all *transmitters) manage(store signals.Records, receiver *ingest.Receiver, o *observer) ([]part, error) {
	var parts []part
	for _, t := range all.streams {
		x := t.settings
		if !x.Managed() && x.Delivery != config.DeliveryPoll && t.discovered == nil {
			continue // it is made by hand and its keys are known: there is nothing to ask
		}
		options := ssf.ManagerOptions{Stream: t.stream, Client: t.client, Records: store, Keys: t.discovered, Managed: x.Managed(),
			Told: o.ssfManager(x.Name), Keep: func(ctx context.Context, raw []byte) error { return receiver.KeepSET(ctx, x.Name, raw) }}
		if a := x.Transmitter; a != nil {
			options.StreamID, options.Events, options.VerifyEvery, options.PushURL = a.StreamID, a.Events, a.VerifyEvery, a.ReceiverURL
		}
		if len(t.pushTokens) > 0 {
			options.PushToken = t.pushTokens[0]
		}
		options.Polled = x.Delivery == config.DeliveryPoll
		if p := x.Poll; p != nil {
			options.Poll = ssf.Poll{URL: p.URL, Every: p.Every, Max: p.Max, Kolide: p.Dialect == config.DialectKolide}
			if p.TokenFile != "" {
				token, err := readSecret(p.TokenFile)
				if err != nil {
					return nil, fmt.Errorf("ssf (%s): poll.tokenFile: %w", x.Name, err)
				}
				options.Poll.Token = token
			}
		}
		manager, err := ssf.NewManager(options)
		if err != nil {
			return nil, fmt.Errorf("ssf (%s): %w", x.Name, err)
		}
		t.manager = manager
		parts = append(parts, part{"stream " + x.Name, manager.Run})
	}
	return parts, nil
}

// statuses are those of all streams, also of those that nobody manages.
func (all *transmitters) statuses() []ssf.Status {
	found := make([]ssf.Status, 0, len(all.streams))
	for _, t := range all.streams {
		if t.manager != nil {
			found = append(found, t.manager.Status())
			continue
		}
		found = append(found, t.stream.Status())
	}
	return found
}

// errNoStream answers a name that no stream has.
var errNoStream = errors.New("no stream of that name is managed here; see tiergate ssf list")

func (all *transmitters) managed(name string) (*ssf.Manager, error) {
	for _, t := range all.streams {
		if t.settings.Name == name && t.manager != nil {
			return t.manager, nil
		}
	}
	return nil, errNoStream
}
