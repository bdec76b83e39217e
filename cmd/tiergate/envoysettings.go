package main

import (
	"errors"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/xds"
)

// envoyInput is all that Envoy's configuration is made of.
func envoyInput(s *config.Settings, sockets config.Sockets, held *fileSet, live func(domain string) []byte,
	p *policy.Policy) (xds.Input, error) {
	settings, err := envoySettings(s, sockets, held, live)
	if err != nil {
		return xds.Input{}, err
	}
	spec := p.Spec()
	return xds.Input{Routes: spec.Routes, Audiences: spec.Audiences, Upstreams: spec.Upstreams, Tiers: spec.Tiers,
		TableDigest: p.Table().Digest(), Settings: settings}, nil
}

// envoySettings is what Envoy is given, with the contents of the files that count; live has the bundles of trust domains
// that rotate, nil where there is none yet.
func envoySettings(s *config.Settings, sockets config.Sockets, held *fileSet, live func(domain string) []byte) (xds.Settings, error) {
	out := xds.Settings{AuthzSocket: sockets.Authz, CheckTimeout: s.Envoy.CheckTimeout,
		Forwarders: len(s.Identity.Forwarders) > 0}
	var faults []error
	issuers, err := envoyIssuers(s, held)
	if err != nil {
		faults = append(faults, err)
	}
	out.TokenIssuers = issuers
	read := func(setting, file string) []byte {
		if file == "" { // where it may be, the settings say
			return nil
		}
		raw, err := held.content(setting, file)
		if err != nil {
			faults = append(faults, err)
		}
		return raw
	}
	pair := func(setting string, p config.KeyPair) xds.KeyPair {
		return xds.KeyPair{WorkloadAPI: p.WorkloadAPI,
			CertPEM: read(setting+".certFile", p.CertFile), KeyPEM: read(setting+".keyFile", p.KeyFile)}
	}
	if api := s.Identity.WorkloadAPI; api != nil {
		out.WorkloadAPI = api.Socket
	}
	for _, l := range s.Envoy.Listeners {
		setting := "envoy.listeners[" + l.Name + "]."
		listener := xds.Listener{Name: l.Name, Address: l.Address, Audience: l.Audience, Certificate: pair(setting+"tls", l.TLS)}
		envoyClients(&listener, &l, s.Identity.TrustDomains, read, live)
		out.Listeners = append(out.Listeners, listener)
	}
	envoyOutlets(&out, &s.Envoy)
	if c := s.Envoy.Client; c != nil {
		client := pair("envoy.client", *c)
		out.Client = &client
	}
	out.UpstreamCA = read("envoy.upstreamCAFile", s.Envoy.UpstreamCA)
	return out, errors.Join(faults...)
}
