package prove

// Report is what was found. It is data alone, in a fixed order.
type Report struct {
	Policy string `json:"policy"`          // digest
	Envoy  string `json:"envoy,omitempty"` // where its configuration was read from; empty: it was not judged
	// Isolated: there is no counterexample.
	Isolated        bool             `json:"isolated"`
	Audiences       []Reach          `json:"audiences"` // the isolated ones, by name
	Counterexamples []Counterexample `json:"counterexamples"`
	Notes           []string         `json:"notes"`     // worth knowing, and no breach of the claim
	Looked          Looked           `json:"looked"`    // how much was judged
	NotProved       []string         `json:"notProved"` // what the proof takes for granted
}

// Looked counts what was judged, so that a proof about nothing does not look like one about much.
type Looked struct {
	Audiences int `json:"audiences"` // isolated ones
	Routes    int `json:"routes"`
	Classes   int `json:"classes"` // of askers, each against one kind of route
	Listeners int `json:"listeners"`
	Paths     int `json:"paths"` // ways through Envoy, see package reach
	Endpoints int `json:"endpoints"`
}

// Reach is all that members of one isolated audience can get to.
type Reach struct {
	Audience string       `json:"audience"`
	Owner    string       `json:"owner"`
	Routes   []RouteReach `json:"routes"`
	// Own are the audience's own listeners, Listeners all on which one of its routes exists.
	Own       []string `json:"own"`
	Listeners []string `json:"listeners"`
	Clusters  []string `json:"clusters"`
	Endpoints []string `json:"endpoints"` // host:port
}

// RouteReach is one route of an audience, with all that can excuse a demand of its tier.
type RouteReach struct {
	Route      string   `json:"route"`
	Hosts      []string `json:"hosts"`
	Path       string   `json:"path"`
	Methods    []string `json:"methods"` // none: any
	Tier       string   `json:"tier"`
	Upstream   string   `json:"upstream"`
	Endpoints  []string `json:"endpoints"`
	SharedWith []string `json:"sharedWith,omitempty"` // other audiences
	Reason     string   `json:"reason,omitempty"`     // why that is right, as the route says
	Excused    []string `json:"excused"`              // exceptions, grace, last-known, monitor mode, notes: in words
}

// Kind says what sort of hole a counterexample shows.
type Kind string

// The kinds.
const (
	Admitted   Kind = "admitted"    // the policy itself lets the asker onto the route
	Evaluator  Kind = "evaluator"   // the evaluator admits what the model of its rules refuses, or the reverse: our defect
	Shared     Kind = "shared"      // an endpoint of the audience is also one of a route that does not list it
	Unguarded  Kind = "unguarded"   // Envoy passes requests on without asking
	Open       Kind = "open"        // where Envoy sends requests cannot be known
	Elsewhere  Kind = "elsewhere"   // what is allowed for one route goes to an endpoint of none
	Beyond     Kind = "beyond"      // the audience's own listener has a way to an endpoint of another
	NoListener Kind = "no-listener" // the audience has no listener of its own
	Trust      Kind = "trust"       // the audience's own listener lets others past the handshake
)

// Counterexample is one way around the wall.
type Counterexample struct {
	Kind     Kind     `json:"kind"`
	Audience string   `json:"audience"`
	What     string   `json:"what"`
	Fix      string   `json:"fix"`
	Who      string   `json:"who,omitempty"`
	Request  string   `json:"request,omitempty"` // METHOD host/path
	Listener string   `json:"listener,omitempty"`
	Route    string   `json:"route,omitempty"` // of the policy, else Envoy's name for it
	Also     []string `json:"also,omitempty"`  // other routes for which the same is so
	Cluster  string   `json:"cluster,omitempty"`
	Endpoint string   `json:"endpoint,omitempty"`
	Where    string   `json:"where,omitempty"` // field path in Envoy's configuration
	// Case is a file of one golden case, which `tiergate policy test` passes: what the policy says to this request.
	Case string `json:"case,omitempty"`
}
