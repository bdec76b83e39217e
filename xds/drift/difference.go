package drift

import (
	"cmp"
	"slices"
	"time"

	"github.com/tiergate/tiergate/xds/lint"
)

// Kind is what differs.
type Kind string

// The kinds, all of them: they label a metric.
const (
	Listener  Kind = "listener"
	Route     Kind = "route" // a route configuration
	Cluster   Kind = "cluster"
	Endpoints Kind = "endpoints" // the addresses of a cluster
	Secret    Kind = "secret"    // its public parts; Envoy shows no more
	Bootstrap Kind = "bootstrap"
	Runtime   Kind = "runtime"
	Server    Kind = "server" // state and command line
	Other     Kind = "other"  // a kind of resource that is never given
)

// Kinds lists every Kind.
func Kinds() []Kind {
	return []Kind{Listener, Route, Cluster, Endpoints, Secret, Bootstrap, Runtime, Server, Other}
}

// Change says in which way something differs.
type Change string

// The changes, all of them: they label a metric.
const (
	Unexpected Change = "unexpected" // Envoy has it and was not given it
	Missing    Change = "missing"    // Envoy was given it and has it not
	Different  Change = "different"  // Envoy has something else under that name
)

// Changes lists every Change.
func Changes() []Change { return []Change{Unexpected, Missing, Different} }

// Difference is one thing in which a running Envoy is not what was intended.
type Difference struct {
	Kind   Kind   `json:"kind"`
	Name   string `json:"name,omitempty"` // of the resource or runtime key
	Change Change `json:"change"`
	Where  string `json:"where,omitempty"` // field path within the resource, in the names of Envoy's API
	What   string `json:"what"`            // one line
}

// Report is the outcome of the newest comparison.
type Report struct {
	Socket      string       `json:"socket"`      // of the admin interface
	At          time.Time    `json:"at"`          // when Envoy was asked
	Fault       string       `json:"fault"`       // why nothing could be compared; "": it was
	Absent      bool         `json:"absent"`      // nobody listens on the socket: the fault is that there is nothing to look at
	Node        string       `json:"node"`        // the node id that this Envoy has, to be found among those that are connected
	Envoy       string       `json:"envoy"`       // version, for instance 1.40.0
	Served      string       `json:"served"`      // names the content that was compared with
	Differences []Difference `json:"differences"` // sorted; empty where there is a fault
	// Findings are what xds/lint says of the configuration as it runs; NotLinted says why there are none.
	Findings  []lint.Finding `json:"findings"`
	NotLinted string         `json:"notLinted,omitempty"`
}

func sorted(all []Difference) []Difference {
	slices.SortFunc(all, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Change, b.Change),
			cmp.Compare(a.Where, b.Where), cmp.Compare(a.What, b.What))
	})
	return slices.Compact(all)
}

// both keeps of the newer differences those that the older look saw too, whatever the values were by then.
func both(older, newer []Difference) []Difference {
	seen := map[Difference]bool{}
	for _, d := range older {
		d.Where, d.What = "", ""
		seen[d] = true
	}
	return slices.DeleteFunc(slices.Clone(newer), func(d Difference) bool {
		d.Where, d.What = "", ""
		return !seen[d]
	})
}
