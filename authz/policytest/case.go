package policytest

import (
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
	"github.com/tiergate/tiergate/signals"
)

// Case is one question and the answer that it must get. Its durations are ages at the instant At.
//
// The same fields are written in three places: in defaults, in a case, and in an entry of its each. What the inner one
// says stands in place of what the outer one says, but for attributes and expect, which are joined field by field.
type Case struct {
	Name    string    `yaml:"name,omitempty"`
	At      time.Time `yaml:"at,omitempty"` // RFC 3339; default DefaultAt
	Request request   `yaml:"request,omitempty"`
	Who     who       `yaml:"who,omitempty"`
	Aliases []string  `yaml:"aliases,omitempty"` // KIND:VALUE
	Facts   []facts   `yaml:"facts,omitempty"`
	// Age, Attributes and Without change what the facts say, those of the device too.
	Age        *time.Duration                 `yaml:"age,omitempty"`
	Attributes map[string]strictyaml.Deferred `yaml:"attributes,omitempty"` // read as each attribute wants its value
	Without    []string                       `yaml:"without,omitempty"`    // attributes that nobody reports
	Heard      map[string]time.Duration       `yaml:"heard,omitempty"`
	AsOf       time.Duration                  `yaml:"asOf,omitempty"`
	Renewals   []time.Duration                `yaml:"renewals,omitempty"`
	GraceEnded time.Duration                  `yaml:"graceEnded,omitempty"`
	Granted    []grant                        `yaml:"granted,omitempty"`
	Gap        string                         `yaml:"gap,omitempty"` // unknown, contested or unreachable
	Expect     expect                         `yaml:"expect,omitempty"`
	// Each lists variants of the case: what is different, and what comes of it.
	Each []Case `yaml:"each,omitempty"`

	values map[string]signals.Value `yaml:"-"` // of Attributes
	origin origin                   `yaml:"-"`
}

// origin is where a case is written.
type origin struct {
	document *strictyaml.Document
	path     string // cases[3], or cases[3].each[1]
	raw      []byte // of the file
}

// DefaultAt is when a case that names no instant is judged. Facts are given by age, so most cases need none.
var DefaultAt = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// file is a file of cases.
type file struct {
	People   map[string]user   `yaml:"people,omitempty"`
	Devices  map[string]device `yaml:"devices,omitempty"`
	Defaults Case              `yaml:"defaults,omitempty"`
	Cases    []Case            `yaml:"cases"`
}

// request is "METHOD host/path".
type request struct{ method, host, path string }

// who asks: "ana on laptop", a SPIFFE ID, or a mapping.
type who struct {
	User     *user  `yaml:"user,omitempty"`
	Workload string `yaml:"workload,omitempty"` // a SPIFFE ID
	SVID     *svid  `yaml:"svid,omitempty"`     // a JWT-SVID of that workload, beside its certificate
	Device   string `yaml:"device,omitempty"`   // KIND:VALUE, for instance serial:C02LAPTOP1, or a name under devices
	Doubt    string `yaml:"doubt,omitempty"`    // a proof was shown and is not believed: why
	Expired  bool   `yaml:"expired,omitempty"`  // certificate and token were valid until an hour ago
	// Revoked is how long ago the identity provider ended the login; nil: it did not.
	Revoked *time.Duration `yaml:"revoked,omitempty"`
	// Risk is the level at which the identity provider holds the user, and from which the settings refuse; empty: it does not.
	Risk string `yaml:"risk,omitempty"`
}

// svid is a JWT-SVID.
type svid struct {
	Audience string `yaml:"audience"`
	// Age is since its iat; nil: it has none.
	Age *time.Duration `yaml:"age,omitempty"`
}

// user is a person as a token tells it: a name under people, or a mapping.
type user struct {
	// Person is a name under people; what else is written stands in place of what is written there.
	Person string `yaml:"person,omitempty"`
	Issuer string `yaml:"issuer,omitempty"`
	Name   string `yaml:"name,omitempty"`
	// Subject is the token's sub; default: the name. Email is a verified address; default: none.
	Subject string   `yaml:"subject,omitempty"`
	Email   string   `yaml:"email,omitempty"`
	Groups  []string `yaml:"groups,omitempty"`
	ACR     string   `yaml:"acr,omitempty"`
	AMR     []string `yaml:"amr,omitempty"`
	// Login is the age of the login; nil: the token does not say.
	Login *time.Duration `yaml:"login,omitempty"`
}

// device is one of devices: its name, and what is known of it unless a case says otherwise.
type device struct {
	Name    string   `yaml:"name"` // KIND:VALUE, as its certificate names it
	Aliases []string `yaml:"aliases,omitempty"`
	Facts   []facts  `yaml:"facts,omitempty"`
}

// facts are what one source saw at one instant.
type facts struct {
	Source     string                         `yaml:"source"`
	Age        time.Duration                  `yaml:"age,omitempty"`
	Attributes map[string]strictyaml.Deferred `yaml:"attributes"` // read as each attribute wants its value

	values map[string]signals.Value `yaml:"-"`
}

// grant is a policy.Exception that was granted at run time.
type grant struct {
	Name     string                    `yaml:"name"`
	Owner    string                    `yaml:"owner"`
	Subjects []policy.ExceptionSubject `yaml:"subjects"`
	Devices  []string                  `yaml:"devices"`
	Routes   []string                  `yaml:"routes"`
	Signals  []string                  `yaml:"signals"`
	Reason   string                    `yaml:"reason"`
	Approver string                    `yaml:"approver"`
	Ticket   string                    `yaml:"ticket"`
	From     moment                    `yaml:"from"`
	Until    moment                    `yaml:"until"`
	Renews   string                    `yaml:"renews,omitempty"`
}

// exception is the grant as it stands at the instant of its case.
func (g *grant) exception(at time.Time) policy.Exception {
	return policy.Exception{Meta: policy.Meta{Name: g.Name, Owner: g.Owner}, Subjects: g.Subjects, Devices: g.Devices,
		Routes: g.Routes, Signals: g.Signals, Reason: g.Reason, Approver: g.Approver, Ticket: g.Ticket,
		From: g.From.of(at), Until: g.Until.of(at), Renews: g.Renews}
}

// moment is an instant, or a time from the instant of the case.
type moment struct {
	instant time.Time     // zero: after counts
	after   time.Duration // negative: before
}

func (m moment) of(at time.Time) time.Time {
	if m.instant.IsZero() {
		return at.Add(m.after)
	}
	return m.instant
}
