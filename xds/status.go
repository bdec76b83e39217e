package xds

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

const (
	maxRefusedNodes  = 256
	refusedNodeStays = time.Minute // after its last attempt
	maxNodeID        = 200         // bytes
)

// NodeStatus is one connected Envoy, or one that is not programmed.
type NodeStatus struct {
	Node     string    `json:"node"`
	Cluster  string    `json:"cluster,omitempty"`
	Envoy    string    `json:"envoy,omitempty"` // its version, for instance 1.40.0
	Protocol string    `json:"protocol"`        // delta or state-of-the-world
	Since    time.Time `json:"since"`           // connected, or first refused
	InSync   bool      `json:"inSync"`          // it holds every resource of the published snapshot
	// Refused says, in one line, why this Envoy is not programmed and what to do; "": it is.
	Refused   string       `json:"refused,omitempty"`
	LastError string       `json:"lastError,omitempty"` // what it refuses now, in one line
	Types     []TypeStatus `json:"types"`
}

// TypeStatus is what an Envoy makes of one kind of resource.
type TypeStatus struct {
	Type      string `json:"type"`            // clusters, listeners, routes, secrets, ...
	Acked     string `json:"acked,omitempty"` // version of the last response that it took over as a whole
	Published int    `json:"published"`       // how many the snapshot has
	Matching  int    `json:"matching"`        // how many of those it holds in the published version
	Held      int    `json:"held"`            // how many resources it says to hold, of whatever version
	InSync    bool   `json:"inSync"`
	Refused   *Nacks `json:"refused,omitempty"` // nil: nothing is refused
}

// Nacks are the published resources that an Envoy refused. It serves what it had of them before, if anything.
type Nacks struct {
	Resources []string  `json:"resources"`
	Detail    string    `json:"detail"`   // what it said last, in one line
	Since     time.Time `json:"since"`    // of the oldest
	At        time.Time `json:"at"`       // of the last refusal
	NextTry   time.Time `json:"nextTry"`  // when the first of them is sent again; now, if it is under way
	Attempts  int       `json:"attempts"` // the most for one of them
}

// refusedNode is an Envoy that is not programmed, as it was last seen.
type refusedNode struct {
	status NodeStatus
	last   time.Time
}

// refuse takes an Envoy down that is not programmed, and returns what is to be told: once for each node and reason.
func (s *Server) refuse(node *corev3.Node, session *session, fault error) (tell []func()) {
	id := oneLine(node.GetId())
	if len(id) > maxNodeID {
		id = id[:maxNodeID]
	}
	now := time.Now()
	known := s.refused[id]
	if known != nil && known.status.Refused == fault.Error() {
		known.last = now
		return nil
	}
	s.forgetRefused(now)
	if known == nil && len(s.refused) >= maxRefusedNodes {
		return nil
	}
	status := NodeStatus{
		Node: id, Cluster: oneLine(node.GetCluster()), Envoy: envoyVersion(node), Protocol: session.protocol(), Since: now,
		Refused: fault.Error(),
	}
	s.refused[id] = &refusedNode{status, now}
	if s.events.Refused == nil {
		return nil
	}
	return []func(){func() { s.events.Refused(status) }}
}

func (s *Server) forgetRefused(now time.Time) {
	for id, node := range s.refused {
		if now.Sub(node.last) > refusedNodeStays {
			delete(s.refused, id)
		}
	}
}

// Status lists the connected Envoys and those that were refused within the last minute, by node id and then by age.
func (s *Server) Status() []NodeStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetRefused(time.Now())
	var all []NodeStatus
	for session := range s.sessions {
		if session.node != nil {
			all = append(all, s.statusOf(session))
		}
	}
	for _, node := range s.refused {
		all = append(all, node.status)
	}
	slices.SortFunc(all, func(a, b NodeStatus) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), a.Since.Compare(b.Since))
	})
	return all
}

func (s *Server) statusOf(session *session) NodeStatus {
	status := NodeStatus{
		Node: session.node.GetId(), Cluster: session.node.GetCluster(), Envoy: envoyVersion(session.node),
		Protocol: session.protocol(), Since: session.since, InSync: s.published != nil,
	}
	var faults []string
	for _, t := range deliveredTypes {
		ts := TypeStatus{
			Type: t.name, Acked: session.acked[t.url], Held: len(session.held[t.url]), Published: len(s.wanted[t.url]),
			InSync: s.published != nil && session.holdsType(t.url, s.wanted),
		}
		for name, v := range s.wanted[t.url] {
			if has, ok := session.held[t.url][name]; ok && has.version == v.version {
				ts.Matching++
			}
		}
		if ts.Refused = s.nacksOf(session, t.url); ts.Refused != nil {
			faults = append(faults, t.name+" "+strings.Join(ts.Refused.Resources, ", ")+": "+ts.Refused.Detail)
		}
		status.InSync = status.InSync && ts.InSync
		status.Types = append(status.Types, ts)
	}
	status.LastError = oneLine(strings.Join(faults, "; "))
	return status
}

func (s *Server) nacksOf(session *session, url string) *Nacks {
	var all *Nacks
	for key, r := range session.refused {
		if key.typeURL != url || s.wanted[url][key.name].version != key.version {
			continue
		}
		if all == nil {
			all = &Nacks{Since: r.since, NextTry: r.next}
		}
		all.Resources = append(all.Resources, key.name)
		if r.last.After(all.At) {
			all.At, all.Detail = r.last, r.detail
		}
		if r.since.Before(all.Since) {
			all.Since = r.since
		}
		if r.next.Before(all.NextTry) {
			all.NextTry = r.next
		}
		all.Attempts = max(all.Attempts, r.attempts)
	}
	if all != nil {
		slices.Sort(all.Resources)
	}
	return all
}

func (s *session) protocol() string {
	if s.sotw {
		return "state-of-the-world"
	}
	return "delta"
}

// holds reports whether the Envoy has every published resource in its version, and no listener that is not served. Routes,
// endpoints and secrets go with the listeners and clusters that name them.
func (s *session) holds(wanted contents) bool {
	return s.serving != nil &&
		!slices.ContainsFunc(deliveredTypes, func(t deliveredType) bool { return !s.holdsType(t.url, wanted) })
}

func (s *session) holdsType(url string, wanted contents) bool {
	held := s.held[url]
	if whole(url) {
		for name := range held {
			_, published := wanted[url][name]
			_, served := s.serving[url].items[name]
			if !published && (!served || url == resource.ListenerType) {
				return false
			}
		}
	}
	for name, v := range wanted[url] {
		if h, ok := held[name]; !ok || h.version != v.version || s.refused[refusedVersion{url, name, v.version}] != nil {
			return false
		}
	}
	return true
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
