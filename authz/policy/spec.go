package policy

import (
	"errors"
	"time"
)

// Spec is a policy as its authors wrote it: the documents of one directory, decoded and not yet judged. The yaml tags are
// the policy language; config/policyfile decodes into these types and `tiergate policy schema` will describe them.
type Spec struct {
	Governance []Governance
	Baselines  []Baseline
	Tiers      []Tier
	Audiences  []Audience
	Upstreams  []Upstream
	Routes     []Route
}

// Meta is the metadata of every document.
type Meta struct {
	Name  string `yaml:"name"`
	Owner string `yaml:"owner,omitempty"` // a team of the Governance document
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

// Tier is written by IAM: what a protection level demands.
type Tier struct {
	Meta       Meta         `yaml:"-"`
	Identify   Identify     `yaml:"identify"`
	Require    []string     `yaml:"require,omitempty"`
	DenyUnless []DenyUnless `yaml:"denyUnless,omitempty"`
	Advise     []string     `yaml:"advise,omitempty"`
}

// Identify is what a tier wants to know of the subject before it looks at anything else.
type Identify string

// The ways to identify.
const (
	IdentifyWorkload   Identify = "workload"
	IdentifyUser       Identify = "user"
	IdentifyUserDevice Identify = "user+device"
)

// DenyUnless is an entry of that list: the signal's name alone, or a mapping with onUnknown.
type DenyUnless struct {
	Signal    string    `yaml:"signal"`
	OnUnknown OnUnknown `yaml:"onUnknown,omitempty"`
}

// OnUnknown is what an unknown denyUnless signal does.
type OnUnknown string

// Deny is the default; note lets the request pass with a note.
const (
	OnUnknownDeny OnUnknown = "deny"
	OnUnknownNote OnUnknown = "note"
)

// UnmarshalText reads the short form, the signal's name alone.
func (d *DenyUnless) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("the name of a signal is missing")
	}
	*d = DenyUnless{Signal: string(text)}
	return nil
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
	Endpoints []string `yaml:"endpoints"`          // host:port with a literal IP address
	SPIFFEID  string   `yaml:"spiffeID,omitempty"` // mTLS: the only identity that the upstream may show
	Plaintext bool     `yaml:"plaintext,omitempty"`
}

// Route says which tier and audiences guard a host and path.
type Route struct {
	Meta      Meta     `yaml:"-"`
	Hosts     []string `yaml:"hosts"`
	Path      string   `yaml:"path"`
	Methods   []string `yaml:"methods,omitempty"` // empty: every method
	Tier      string   `yaml:"tier"`
	Audiences []string `yaml:"audiences"`
	Upstream  string   `yaml:"upstream"`
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
)
