package policy

import (
	"cmp"
	"slices"
	"time"
	"unique"
)

// World is what the settings say about the names that a policy uses. A nil field is not known: what depends on it is then
// not judged.
type World struct {
	Sources      map[string]Source
	Issuers      []string
	TrustDomains []string
	Evidence     *bool // whether decisions are recorded at all
	Logins       *bool // whether there is a key for what browsers are sent to log in with
	// SVIDAudiences are those for which JWT-SVIDs are taken at all; empty and not nil: none is.
	SVIDAudiences []string
	// Outlets are where findings can be told (Monitor.Tell). They are no part of a policy's digest: no decision depends on
	// them, and a sidecar's settings need not have those of its receiver.
	Outlets []string `json:"-"`
}

// Source is what the settings say of a source.
type Source struct {
	Attests []string      // the attributes that it may attest
	Every   time.Duration // the longest that it takes to report a device again; 0: not known
	// EnrolledUser says what the users are that it names (attribute enrolled_user); zero: it names none.
	EnrolledUser EnrolledAs
}

// EnrolledAs says which claim of which issuer's tokens a source's enrolled_user is to be compared with.
type EnrolledAs struct {
	Issuer string        // the issuer's name in the settings
	Is     EnrolledClaim // what of the user
}

// EnrolledClaim is a part of identity.User.
type EnrolledClaim string

// The parts of a user that a source may name.
const (
	EnrolledIsName    EnrolledClaim = "name"    // byte for byte
	EnrolledIsSubject EnrolledClaim = "subject" // byte for byte
	EnrolledIsEmail   EnrolledClaim = "email"   // ASCII letters in any case
)

// Policy is a compiled policy. It is immutable and safe for concurrent use.
type Policy struct {
	spec      Spec
	digest    string
	table     *Table
	tiers     []tier
	audiences []audience
	isolated  []int // indexes of the isolated audiences
	signals   []signal
	attests   map[string]map[string]bool
	namings   map[string]*naming // nil: the settings are not known
	contacts  map[string]string  // team → contact
	logins    map[string]LoginPage
	rules     *exceptionRules

	unenrolling []string // sources that name no users
}

// tier is a compiled Tier.
type tier struct {
	name, contact string
	identify      Identify
	demanded
	grace     GraceBound    // offline 0: none
	lastKnown time.Duration // 0: none
	stricter  []stricter
	monitor   bool
	evidence  EvidenceDemand
	tells     Tells         // "": all
	recheck   time.Duration // 0: no bound
	enrolled  EnrolledUser  // empty: not judged
	fallback  *wayOut       // nil: none
}

// demanded is what must be shown: by everybody, or by the members of one audience.
type demanded struct {
	demands []demand
	stepUp  *StepUpDemand
}

// stricter is what a tier asks of the members of one audience besides.
type stricter struct {
	audience int
	demanded
	grace     *GraceBound    // nil: the tier's
	exception *time.Duration // the longest; nil: the tier's
}

// demand is one signal in one list of a tier.
type demand struct {
	signal        int
	list          List
	noteIfUnknown bool
	maxAge        time.Duration // the tier's own; 0: the baseline's
}

// signal is one name, as one or more baselines define it for different platforms.
type signal struct {
	name     string
	variants []variant
}

// variant is what one baseline says of a signal.
type variant struct {
	owner, contact string
	platforms      []string // empty: every platform, known or not
	expression     *expression
	maxAge         time.Duration
	prefer         []unique.Handle[string]
	fix            Fix
}

// telling lists the attributes whose report makes a source a voter: all that the expression reads but the platform, unless
// it reads nothing else. A source that only reports what every source reports has no say.
func (v *variant) telling() []string {
	rest := slices.DeleteFunc(slices.Clone(v.expression.attributes), func(a string) bool { return a == "platform" })
	if len(rest) == 0 {
		return v.expression.attributes
	}
	return rest
}

func (s *signal) variantFor(platform string) int {
	for i := range s.variants {
		if v := &s.variants[i]; len(v.platforms) == 0 || slices.Contains(v.platforms, platform) {
			return i
		}
	}
	return -1
}

// New judges a policy as a whole and compiles it. If there is any fault there is no policy; all faults of a run are
// returned, sorted by kind, name and field. The order of the documents never matters.
func New(spec Spec, world World) (*Policy, []Fault) {
	c := newCompiler(spec, world)
	c.governance()
	c.baselines()
	c.compileTiers()
	c.compileAudiences()
	c.upstreams()
	c.compileRoutes()
	c.compileStricter()
	c.identities()
	c.exceptions()
	c.monitors()
	c.unused()
	if len(c.faults) > 0 {
		slices.SortStableFunc(c.faults, func(a, b Fault) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Field, b.Field))
		})
		return nil, c.faults
	}
	return c.policy(), nil
}

// Digest names the policy by its content and by the settings that it was judged with.
func (p *Policy) Digest() string { return p.digest }

// Table is the policy's route table.
func (p *Policy) Table() *Table { return p.table }

// Spec returns the documents, sorted by name; the caller must not modify them.
func (p *Policy) Spec() Spec { return p.spec }
