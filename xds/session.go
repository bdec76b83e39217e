package xds

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// session is one stream of one Envoy, and what that Envoy says to hold.
type session struct {
	stream  int64
	node    *corev3.Node // nil until the first request
	since   time.Time
	held    map[string]map[string]holding // type URL, resource name
	pending map[string]delivery           // nonce
	acked   map[string]string             // type URL to the version of the type as a whole
	refused map[string]refusalOf          // type URL
}

// holding is one resource as an Envoy has it. After a refusal it is in doubt: of one refused response Envoy applies
// what it likes and says only what it does not.
type holding struct {
	version string
	refused bool
}

// delivery is one response that waits for its ACK or NACK.
type delivery struct {
	typeURL, version string
	resources        map[string]string // name to version
	removed          []string
}

type refusalOf struct {
	detail string
	at     time.Time
}

func newSession(stream int64, now time.Time) *session {
	return &session{
		stream: stream, since: now, held: map[string]map[string]holding{}, pending: map[string]delivery{},
		acked: map[string]string{}, refused: map[string]refusalOf{},
	}
}

func (s *session) heldOf(typeURL string) map[string]holding {
	if s.held[typeURL] == nil {
		s.held[typeURL] = map[string]holding{}
	}
	return s.held[typeURL]
}

func (s *session) sent(response *discoveryv3.DeltaDiscoveryResponse) {
	d := delivery{
		typeURL: response.GetTypeUrl(), version: response.GetSystemVersionInfo(), resources: map[string]string{},
		removed: response.GetRemovedResources(),
	}
	for _, r := range response.GetResources() {
		d.resources[r.GetName()] = r.GetVersion()
	}
	s.pending[response.GetNonce()] = d
}

// subscribed takes down what an Envoy says to hold when it connects, and what it no longer asks for.
func (s *session) subscribed(request *discoveryv3.DeltaDiscoveryRequest) {
	held := s.heldOf(request.GetTypeUrl())
	for name, version := range request.GetInitialResourceVersions() {
		held[name] = holding{version: version}
	}
	for _, name := range request.GetResourceNamesUnsubscribe() {
		delete(held, name)
	}
}

func (s *session) ack(d delivery) {
	held := s.heldOf(d.typeURL)
	for name, version := range d.resources {
		held[name] = holding{version: version}
	}
	for _, name := range d.removed {
		delete(held, name)
	}
	s.acked[d.typeURL] = d.version
	if !slices.ContainsFunc(mapValues(held), func(h holding) bool { return h.refused }) {
		delete(s.refused, d.typeURL)
	}
}

// nack doubts the resources that the detail names, or all of the response if it names none.
func (s *session) nack(d delivery, detail string, at time.Time) (doubted []string) {
	held := s.heldOf(d.typeURL)
	for name := range d.resources {
		if strings.Contains(detail, name) {
			doubted = append(doubted, name)
		}
	}
	for name, version := range d.resources {
		if len(doubted) > 0 && !slices.Contains(doubted, name) {
			held[name] = holding{version: version}
		} else {
			held[name] = holding{version: version, refused: true}
		}
	}
	if len(doubted) == 0 {
		for name := range d.resources {
			doubted = append(doubted, name)
		}
	}
	slices.Sort(doubted)
	s.refused[d.typeURL] = refusalOf{detail: describeNack(d.typeURL, detail), at: at}
	return doubted
}

// holds reports whether the Envoy has every resource of the published snapshot in its version, and no cluster or
// listener that is not served. Routes and secrets go with the listeners and clusters that name them.
func (s *session) holds(published *Snapshot, serving *cachev3.Snapshot) bool {
	return !slices.ContainsFunc(deliveredTypes, func(t deliveredType) bool {
		return !s.holdsType(t.url, published.cache, serving)
	})
}

func (s *session) holdsType(typeURL string, snapshot, serving *cachev3.Snapshot) bool {
	held := s.held[typeURL]
	if typeURL == resource.ClusterType || typeURL == resource.ListenerType {
		served := serving.GetVersionMap(typeURL)
		for name := range held {
			if _, ok := served[name]; !ok {
				return false
			}
		}
	}
	for name, version := range snapshot.GetVersionMap(typeURL) {
		if h, ok := held[name]; !ok || h.refused || h.version != version {
			return false
		}
	}
	return true
}

func mapValues[K comparable, V any](m map[K]V) []V {
	values := make([]V, 0, len(m))
	for _, v := range m {
		values = append(values, v)
	}
	return values
}

const maxDetail = 320 // bytes of a NACK's text; some quote a whole configuration

// describeNack makes one line of what Envoy said. Where that may quote a secret, it is withheld.
func describeNack(typeURL, detail string) string {
	if typeURL == resource.SecretType && (strings.Contains(detail, "private_key") || strings.Contains(detail, "-----")) {
		return "Envoy refused a secret; what it said may hold key material and is withheld, see Envoy's own log"
	}
	return oneLine(detail)
}

// oneLine joins the lines of a text and cuts out the middle of a long one: the reason stands at its ends.
func oneLine(text string) string {
	line := strings.Join(strings.Fields(text), " ")
	if len(line) <= maxDetail {
		return line
	}
	half := maxDetail / 2
	return strings.ToValidUTF8(line[:half], "") + fmt.Sprintf(" [%d bytes] ", len(line)-2*half) +
		strings.ToValidUTF8(line[len(line)-half:], "")
}
