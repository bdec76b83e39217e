package xds

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// NodeStatus is one connected Envoy.
type NodeStatus struct {
	Node    string       `json:"node"`
	Cluster string       `json:"cluster,omitempty"`
	Envoy   string       `json:"envoy,omitempty"` // its version, for instance 1.40.0
	Since   time.Time    `json:"since"`
	InSync  bool         `json:"inSync"` // it holds every resource of the published snapshot
	Types   []TypeStatus `json:"types"`
}

// TypeStatus is what an Envoy makes of one kind of resource.
type TypeStatus struct {
	Type    string `json:"type"`            // clusters, listeners, routes or secrets
	Acked   string `json:"acked,omitempty"` // version of the last response that it took over as a whole
	Held    int    `json:"held"`            // how many resources it says to hold
	InSync  bool   `json:"inSync"`
	Refused *Nacks `json:"refused,omitempty"` // nil: nothing is refused
}

// Nacks are the resources that an Envoy refused and has not taken over since.
type Nacks struct {
	Resources []string  `json:"resources"`
	Detail    string    `json:"detail"` // what it said last, in one line
	At        time.Time `json:"at"`
}

// Status lists the connected Envoys, by node id and then by age.
func (s *Server) Status() []NodeStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []NodeStatus
	for _, session := range s.sessions {
		if session.node != nil {
			all = append(all, s.statusOf(session))
		}
	}
	slices.SortFunc(all, func(a, b NodeStatus) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), a.Since.Compare(b.Since))
	})
	return all
}

func (s *Server) statusOf(session *session) NodeStatus {
	status := NodeStatus{
		Node: session.node.GetId(), Cluster: session.node.GetCluster(), Envoy: envoyVersion(session.node),
		Since: session.since, InSync: s.published != nil,
	}
	for _, t := range deliveredTypes {
		held := session.held[t.url]
		ts := TypeStatus{Type: t.name, Acked: session.acked[t.url], Held: len(held)}
		ts.InSync = s.published != nil && session.holdsType(t.url, s.published.cache, s.serving)
		if refusal, ok := session.refused[t.url]; ok {
			ts.Refused = &Nacks{Detail: refusal.detail, At: refusal.at}
			for name, h := range held {
				if h.refused {
					ts.Refused.Resources = append(ts.Refused.Resources, name)
				}
			}
			slices.Sort(ts.Refused.Resources)
		}
		status.InSync = status.InSync && ts.InSync
		status.Types = append(status.Types, ts)
	}
	return status
}

func envoyVersion(node *corev3.Node) string {
	version := node.GetUserAgentBuildVersion().GetVersion()
	if version == nil {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", version.GetMajorNumber(), version.GetMinorNumber(), version.GetPatch())
}
