package xds

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Events are told what happens, each if it is set. They are called one at a time for each Envoy, must not block, and
// may call Status but not Publish.
type Events struct {
	Connected    func(node NodeStatus)
	Disconnected func(node NodeStatus)
	// Refused is told once for each node and reason of an Envoy that is not programmed: NodeStatus.Refused says why.
	Refused func(node NodeStatus)
	Acked   func(Ack)
	Nacked  func(Nack)
	// Settled is told once for each published snapshot that every connected Envoy holds it.
	Settled func(digest, table string)
}

// Ack is one response that an Envoy took over.
type Ack struct {
	Node      string
	Type      string // clusters, listeners, routes, secrets, ...
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

// callbacks hears what one stream's server sees, on the stream's goroutine.
type callbacks struct {
	server  *Server
	session *session
}

func (c callbacks) opened() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.server.sessions[c.session] = struct{}{}
}

func (c callbacks) closed() {
	s := c.server
	s.mu.Lock()
	delete(s.sessions, c.session)
	var gone *NodeStatus
	if c.session.node != nil {
		status := s.statusOf(c.session)
		gone = &status
	}
	s.mu.Unlock()
	if gone != nil && s.events.Disconnected != nil {
		s.events.Disconnected(*gone)
	}
	s.wake()
}

// request is what both protocols say.
type request struct {
	node        *corev3.Node
	typeURL     string
	nonce       string
	fault       *string
	versionInfo string // state of the world: what Envoy took over last of the type
	subscribe   func(*session)
}

// received takes a request down and fits the session's cache before the request is answered from it. An error ends the
// stream.
func (c callbacks) received(r request) error {
	c.server.mu.Lock()
	tell, err := c.hear(r)
	c.server.mu.Unlock()
	for _, t := range tell {
		t()
	}
	c.server.wake()
	return err
}

func (c callbacks) hear(r request) (tell []func(), err error) {
	s, session := c.server, c.session
	if session.node == nil {
		if fault := tooOld(r.node, s.lowest); fault != nil {
			return s.refuse(r.node, session, fault), status.Error(codes.FailedPrecondition, "tiergate does not program this Envoy: "+fault.Error())
		}
		session.node = r.node
		delete(s.refused, r.node.GetId())
		if now := s.statusOf(session); s.events.Connected != nil {
			tell = append(tell, func() { s.events.Connected(now) })
		}
	}
	r.subscribe(session)
	rolledBack := ""
	if d, answered := session.pending[r.nonce]; answered {
		delete(session.pending, r.nonce)
		if r.fault == nil {
			session.ack(d)
			s.remember(d)
			tell = append(tell, c.acked(d)...)
		} else {
			tell = append(tell, c.nacked(d, r)...)
			rolledBack = d.typeURL
		}
	}
	if err := s.fit(session, rolledBack); err != nil {
		return tell, err
	}
	if r.typeURL == resource.RouteType && session.holdBack() {
		err = session.set()
	}
	if rolledBack != "" && session.sotw && s.published != nil {
		err = session.rollBack(rolledBack, r.versionInfo)
	}
	return tell, err
}

// rollBack makes a state-of-the-world answer of what the cache holds after a refusal. It is sent exactly once, even where
// it equals what Envoy took over before: of the refused response Envoy may have applied a part. Where nothing better can be
// sent, nothing is.
func (s *session) rollBack(url, said string) error {
	s.salt[url]++
	if s.rejected[url] >= standAfter || said != "" && s.acked[url] == "" {
		s.stands[url] = said
	}
	return s.set()
}

// remember keeps what an Envoy took over as good for others.
func (s *Server) remember(d delivery) {
	for name, v := range d.resources {
		_, wanted := s.wanted[d.typeURL][name]
		_, stays := s.lingering[d.typeURL][name]
		if v.resource != nil && (wanted || stays) {
			s.lastGood.of(d.typeURL)[name] = v
		}
	}
}

func (c callbacks) acked(d delivery) []func() {
	if c.server.events.Acked == nil {
		return nil
	}
	ack := Ack{
		Node: c.session.node.GetId(), Type: typeName(d.typeURL), Version: d.version,
		Resources: len(d.resources) + len(d.removed),
	}
	return []func(){func() { c.server.events.Acked(ack) }}
}

func (c callbacks) nacked(d delivery, r request) []func() {
	s, session := c.server, c.session
	doubted := session.nack(d, *r.fault, time.Now(), s.firstRetry)
	for _, name := range doubted { // it may hold something older that this process never saw
		v := d.resources[name]
		if session.sotw && r.versionInfo != "" && session.acked[d.typeURL] == "" {
			session.refused[refusedVersion{d.typeURL, name, v.version}].stands = true
		}
	}
	kept := delivery{typeURL: d.typeURL, resources: map[string]versioned{}}
	for name, v := range d.resources {
		if session.held[d.typeURL][name] == v {
			kept.resources[name] = v
		}
	}
	s.remember(kept)
	if s.events.Nacked == nil {
		return nil
	}
	nack := Nack{
		Node: session.node.GetId(), Type: typeName(d.typeURL), Version: d.version, Resources: doubted,
		Detail: describeNack(d.typeURL, *r.fault),
	}
	return []func(){func() { s.events.Nacked(nack) }}
}

func typeName(url string) string {
	for _, t := range deliveredTypes {
		if t.url == url {
			return t.name
		}
	}
	return url
}
