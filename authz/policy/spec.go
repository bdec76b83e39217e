package policy

import "time"

// Spec is a policy as its authors wrote it: the documents of one directory, decoded and not yet judged. The yaml tags are
// the policy language; config/policyfile decodes into these types and `tiergate policy schema` describes them.
type Spec struct {
	Governance []Governance
	Baselines  []Baseline
	Tiers      []Tier
	Audiences  []Audience
	Upstreams  []Upstream
	Routes     []Route
	Identities []Identity
	Exceptions []Exception
	Monitors   []Monitor
}

// Meta is the metadata of every document.
type Meta struct {
	Name  string `yaml:"name" json:"name"`
	Owner string `yaml:"owner,omitempty" json:"owner,omitempty"` // a team of the Governance document
}

// Governance names the one accountable owner and the teams. It has no owner itself.
type Governance struct {
	Meta        Meta            `yaml:"-"`
	Accountable Contact         `yaml:"accountable"`
	Teams       map[string]Team `yaml:"teams"`
}

// Contact is a person or role that answers.
type Contact struct {
	Name    string `yaml:"name"`
	Contact string `yaml:"contact"`
}

// Team is who owns documents.
type Team struct {
	Contact    string `yaml:"contact"`
	Escalation string `yaml:"escalation,omitempty"`
	// Members are the e-mail addresses of the people in the team, and CodeOwners how the forge names it in a CODEOWNERS
	// file ("@acme/iam"). `policy check --base` needs them to say who may change what.
	Members    []string `yaml:"members,omitempty"`
	CodeOwners []string `yaml:"codeOwners,omitempty"`
	// Approvers may approve at run time for what the team owns: exceptions from its tiers, clearances of alarms, renewals of
	// grace. Default: nobody may.
	Approvers []Approver `yaml:"approvers,omitempty"`
}

// Baseline is written by endpoint management: what a healthy device of these platforms looks like.
type Baseline struct {
	Meta      Meta              `yaml:"-"`
	Platforms []string          `yaml:"platforms"`
	Signals   map[string]Signal `yaml:"signals"`
}

// Signal is one healthy statement about a device.
type Signal struct {
	Expr   string        `yaml:"expr"`   // CEL over device.<attribute>, true when healthy
	MaxAge time.Duration `yaml:"maxAge"` // older facts make the signal unknown
	Prefer []string      `yaml:"prefer,omitempty"`
	Fix    Fix           `yaml:"fix,omitempty"`
}

// Fix is what the person at the device can do about it.
type Fix struct {
	Text string `yaml:"text" json:"text,omitempty"`
	URL  string `yaml:"url,omitempty" json:"url,omitempty"`
}

// Audience is a population, named by data so that isolation can be proved.
type Audience struct {
	Meta      Meta     `yaml:"-"`
	Members   []Member `yaml:"members,omitempty"`
	Workloads []Member `yaml:"workloads,omitempty"`
	Isolated  bool     `yaml:"isolated,omitempty"` // members reach nothing but routes that list this audience
	// OwnershipUnknown: outside says that a device whose ownership nobody reported is no member by deviceOwnership.
	OwnershipUnknown OwnershipUnknown `yaml:"ownershipUnknown,omitempty"`
}

// OwnershipUnknown is how an audience counts a device whose ownership is not known.
type OwnershipUnknown string

// OwnershipOutside counts it as outside; the default counts it as an unknown member.
const OwnershipOutside OwnershipUnknown = "outside"

// Member is one way to belong: all the keys that are set must hold.
type Member struct {
	Issuer          string `yaml:"issuer,omitempty"`
	Group           string `yaml:"group,omitempty"`
	User            string `yaml:"user,omitempty"`
	SPIFFE          string `yaml:"spiffe,omitempty"` // a SPIFFE ID; * is one segment, a final /** the subtree
	DeviceOwnership string `yaml:"deviceOwnership,omitempty"`
}

// Upstream is where a route leads.
type Upstream struct {
	Meta      Meta     `yaml:"-"`
	Endpoints []string `yaml:"endpoints"`          // host:port; in plaintext the host is a literal IP address
	SPIFFEID  string   `yaml:"spiffeID,omitempty"` // mTLS: the only identity that the upstream may show
	DNSName   string   `yaml:"dnsName,omitempty"`  // TLS: the DNS name that its certificate must have, which is also its SNI
	Plaintext bool     `yaml:"plaintext,omitempty"`
	Protocol  Protocol `yaml:"protocol,omitempty"` // default http1
}

// Protocol is what an upstream speaks.
type Protocol string

// The default is ProtocolHTTP1; gRPC needs ProtocolHTTP2, which in plaintext is spoken with prior knowledge.
const (
	ProtocolHTTP1 Protocol = "http1"
	ProtocolHTTP2 Protocol = "http2"
)

// Route says which tier and audiences guard a host and path.
type Route struct {
	Meta      Meta     `yaml:"-"`
	Hosts     []string `yaml:"hosts"`
	Path      string   `yaml:"path"`
	Methods   []string `yaml:"methods,omitempty"` // empty: every method
	Tier      string   `yaml:"tier"`
	Audiences []string `yaml:"audiences"`
	Upstream  string   `yaml:"upstream"`
	// WebSocket lets requests become WebSockets (RFC 6455; RFC 8441 over HTTP/2). Default: such a request is refused.
	WebSocket bool `yaml:"webSocket,omitempty"`
	// Token says what becomes of the client's credentials, the headers authorization and dpop, behind tiergate. Default:
	// forward.
	Token TokenHandling `yaml:"token,omitempty"`
	// CORS names the web pages of other origins that may use the route from a browser. Default: none.
	CORS *CORS `yaml:"cors,omitempty"`
	// Login is where browsers are sent to log in, or to log in again. Default: nowhere, they get a page that says so.
	Login *Login `yaml:"login,omitempty"`
	// FallbackFor is the tier whose fallback this route is. It is closed to everybody when that is over, and before it begins.
	FallbackFor string `yaml:"fallbackFor,omitempty"`
	// Shared says that an isolated audience shares this route with others, and Reason why that is right.
	Shared bool   `yaml:"shared,omitempty"`
	Reason string `yaml:"reason,omitempty"`
}

// Fault is something wrong with what was written. Field is the place in the document, for instance
// "spec.denyUnless[1].signal" or "metadata.owner"; config/policyfile turns it into file:line:col.
type Fault struct {
	Kind    string // the document's kind, for instance "Tier"; empty: the directory as a whole
	Name    string // its metadata.name
	Field   string
	Offset  int    // runes into the field's text, for an expression
	Message string // what is wrong
	Help    string // what to do about it
	// Wrong is a name that is none of Known, so that whoever reports the fault can say which one was most likely meant.
	Wrong string
	Known []string
}

// Kinds of documents, as they are written.
const (
	KindGovernance = "Governance"
	KindBaseline   = "Baseline"
	KindTier       = "Tier"
	KindAudience   = "Audience"
	KindUpstream   = "Upstream"
	KindRoute      = "Route"
	KindIdentity   = "Identity"
	KindException  = "Exception"
	KindMonitor    = "Monitor"
)
