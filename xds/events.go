package xds

import (
	"context"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// Events are told what happens, each if it is set. They are called one at a time for each Envoy, must not block, and
// may call Status but not Publish.
type Events struct {
	Connected    func(node NodeStatus)
	Disconnected func(node NodeStatus)
	Acked        func(Ack)
	Nacked       func(Nack)
	// Settled is told once for each published snapshot that every connected Envoy holds it.
	Settled func(digest, table string)
}

// Ack is one response that an Envoy took over.
type Ack struct {
	Node      string
	Type      string // clusters, listeners, routes or secrets
	Version   string // of the type as a whole
	Resources int    // how many the response changed or removed
}

// Nack is one response of which an Envoy refused at least a part. It goes on with what it had of that part.
type Nack struct {
	Node      string
	Type      string
	Version   string
	Resources []string // which Envoy named; all of the response if it named none
	Detail    string   // what Envoy said, in one line
}

func (e Events) settled(digest, table string) {
	if e.Settled != nil {
		e.Settled(digest, table)
	}
}

// callbacks hears what the delta server sees. It runs on the streams' goroutines.
type callbacks struct{ server *Server }

func (c callbacks) OnDeltaStreamOpen(_ context.Context, stream int64, _ string) error {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.server.sessions[stream] = newSession(stream, time.Now())
	return nil
}

func (c callbacks) OnDeltaStreamClosed(stream int64, _ *corev3.Node) {
	s := c.server
	s.mu.Lock()
	gone := s.sessions[stream]
	delete(s.sessions, stream)
	var status NodeStatus
	if gone != nil && gone.node != nil {
		status = s.statusOf(gone)
	}
	s.mu.Unlock()
	if gone != nil && gone.node != nil && s.events.Disconnected != nil {
		s.events.Disconnected(status)
	}
	s.wake()
}

func (c callbacks) OnStreamDeltaResponse(
	stream int64, _ *discoveryv3.DeltaDiscoveryRequest, response *discoveryv3.DeltaDiscoveryResponse,
) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if session := c.server.sessions[stream]; session != nil {
		session.sent(response)
	}
}

func (c callbacks) OnStreamDeltaRequest(stream int64, request *discoveryv3.DeltaDiscoveryRequest) error {
	for _, tell := range c.server.received(stream, request) {
		tell()
	}
	c.server.wake()
	return nil
}

// received takes a request down and returns what is to be told of it, once the lock is free.
func (s *Server) received(stream int64, request *discoveryv3.DeltaDiscoveryRequest) (tell []func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session := s.sessions[stream]
	if session == nil {
		return nil
	}
	if session.node == nil {
		session.node = request.GetNode()
		if status := s.statusOf(session); s.events.Connected != nil {
			tell = append(tell, func() { s.events.Connected(status) })
		}
	}
	session.subscribed(request)
	delivery, answered := session.pending[request.GetResponseNonce()]
	if !answered {
		return tell
	}
	delete(session.pending, request.GetResponseNonce())
	if fault := request.GetErrorDetail(); fault != nil {
		nack := Nack{
			Node: session.node.GetId(), Type: typeName(delivery.typeURL), Version: delivery.version,
			Resources: session.nack(delivery, fault.GetMessage(), time.Now()),
			Detail:    describeNack(delivery.typeURL, fault.GetMessage()),
		}
		if s.events.Nacked != nil {
			tell = append(tell, func() { s.events.Nacked(nack) })
		}
		return tell
	}
	session.ack(delivery)
	if s.events.Acked != nil {
		ack := Ack{
			Node: session.node.GetId(), Type: typeName(delivery.typeURL), Version: delivery.version,
			Resources: len(delivery.resources) + len(delivery.removed),
		}
		tell = append(tell, func() { s.events.Acked(ack) })
	}
	return tell
}

func typeName(url string) string {
	for _, t := range deliveredTypes {
		if t.url == url {
			return t.name
		}
	}
	return url
}
