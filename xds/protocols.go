package xds

import (
	"context"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
)

// deltaCallbacks puts the incremental protocol in common terms.
type deltaCallbacks struct{ callbacks }

func (c deltaCallbacks) OnDeltaStreamOpen(context.Context, int64, string) error {
	c.opened()
	return nil
}

func (c deltaCallbacks) OnDeltaStreamClosed(int64, *corev3.Node) { c.closed() }

func (c deltaCallbacks) OnStreamDeltaResponse(
	_ int64, _ *discoveryv3.DeltaDiscoveryRequest, response *discoveryv3.DeltaDiscoveryResponse,
) {
	d := delivery{
		typeURL: response.GetTypeUrl(), version: response.GetSystemVersionInfo(), resources: map[string]versioned{},
		removed: response.GetRemovedResources(),
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	for _, r := range response.GetResources() {
		version := bare(r.GetVersion())
		d.resources[r.GetName()] = versioned{c.session.lookUp(d.typeURL, r.GetName(), version), version}
	}
	c.session.pending[response.GetNonce()] = d
}

func (c deltaCallbacks) OnStreamDeltaRequest(_ int64, r *discoveryv3.DeltaDiscoveryRequest) error {
	url := r.GetTypeUrl()
	return c.received(request{
		node: r.GetNode(), typeURL: url, nonce: r.GetResponseNonce(), fault: faultOf(r.GetErrorDetail()),
		subscribe: func(s *session) {
			s.forget(url, r.GetResourceNamesUnsubscribe())
			if len(r.GetInitialResourceVersions()) == 0 {
				for _, name := range r.GetResourceNamesSubscribe() { // asked for anew, and a ghost cannot be sent
					delete(s.ghosts.of(url), name)
				}
				return
			}
			s.claims(url, r.GetInitialResourceVersions(), []contents{c.server.wanted, c.server.lingering, c.server.lastGood})
		},
	})
}

// sotwCallbacks puts the state-of-the-world protocol in common terms.
type sotwCallbacks struct{ callbacks }

func (c sotwCallbacks) OnStreamOpen(context.Context, int64, string) error {
	c.opened()
	return nil
}

func (c sotwCallbacks) OnStreamClosed(int64, *corev3.Node) { c.closed() }

func (c sotwCallbacks) OnStreamResponse(
	_ context.Context, _ int64, asked *discoveryv3.DiscoveryRequest, response *discoveryv3.DiscoveryResponse,
) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.session.pending[response.GetNonce()] = c.session.whatWas(
		response.GetTypeUrl(), response.GetVersionInfo(), asked.GetResourceNames())
}

// whatWas finds what was sent: a state-of-the-world response has a version only as a whole.
func (s *session) whatWas(url, sent string, names []string) delivery {
	d := delivery{typeURL: url, version: bare(sent), resources: map[string]versioned{}}
	for _, t := range s.recent[url] {
		if t.resources.Version != d.version {
			continue
		}
		for name, v := range t.items {
			d.resources[name] = v
		}
		if len(names) > 0 {
			d.resources = map[string]versioned{}
			for _, name := range names {
				if v, ok := t.items[name]; ok {
					d.resources[name] = v
				}
			}
		}
	}
	if whole(url) {
		for name := range s.held[url] {
			if _, stays := d.resources[name]; !stays {
				d.removed = append(d.removed, name)
			}
		}
	}
	return d
}

func (c sotwCallbacks) OnStreamRequest(_ int64, r *discoveryv3.DiscoveryRequest) error {
	url := r.GetTypeUrl()
	return c.received(request{
		node: r.GetNode(), typeURL: url, nonce: r.GetResponseNonce(), fault: faultOf(r.GetErrorDetail()),
		versionInfo: r.GetVersionInfo(),
		subscribe: func(s *session) {
			if whole(url) {
				return
			}
			asked := map[string]bool{}
			for _, name := range r.GetResourceNames() {
				asked[name] = true
			}
			for name := range s.held[url] {
				if !asked[name] {
					delete(s.held[url], name)
				}
			}
		},
	})
}

func faultOf(s *status.Status) *string {
	if s == nil {
		return nil
	}
	detail := s.GetMessage()
	return &detail
}
