package policytest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
	"github.com/tiergate/tiergate/signals"
)

// Case is one question and the answer that it must get. Its durations are ages at the instant At.
type Case struct {
	Name     string                   `yaml:"name"`
	At       time.Time                `yaml:"at,omitempty"` // RFC 3339; default DefaultAt
	Request  request                  `yaml:"request"`
	Who      who                      `yaml:"who,omitempty"`
	Aliases  []string                 `yaml:"aliases,omitempty"` // KIND:VALUE
	Facts    []facts                  `yaml:"facts,omitempty"`
	Heard    map[string]time.Duration `yaml:"heard,omitempty"`
	AsOf     time.Duration            `yaml:"asOf,omitempty"`
	Renewals []time.Duration          `yaml:"renewals,omitempty"`
	Granted  []grant                  `yaml:"granted,omitempty"`
	Gap      string                   `yaml:"gap,omitempty"` // unknown, contested or unreachable
	Expect   expect                   `yaml:"expect"`

	place strictyaml.Position `yaml:"-"`
}

// DefaultAt is when a case that names no instant is judged. Facts are given by age, so most cases need none.
var DefaultAt = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// request is "METHOD host/path".
type request struct{ method, host, path string }

// UnmarshalText reads a request line.
func (r *request) UnmarshalText(text []byte) error {
	method, target, ok := strings.Cut(string(text), " ")
	host, path, slash := strings.Cut(target, "/")
	if !ok || method == "" || host == "" || !slash {
		return errors.New("a request is METHOD HOST/PATH, for instance GET app.acme.example/reports")
	}
	*r = request{method: method, host: host, path: "/" + path}
	return nil
}

type who struct {
	User     *user  `yaml:"user,omitempty"`
	Workload string `yaml:"workload,omitempty"` // a SPIFFE ID
	Device   string `yaml:"device,omitempty"`   // KIND:VALUE, for instance serial:C02LAPTOP1
	Doubt    string `yaml:"doubt,omitempty"`    // a proof was shown and is not believed: why
}

type user struct {
	Issuer string `yaml:"issuer"`
	Name   string `yaml:"name"`
	// Subject is the token's sub; default: the name. Email is a verified address; default: none.
	Subject string   `yaml:"subject,omitempty"`
	Email   string   `yaml:"email,omitempty"`
	Groups  []string `yaml:"groups,omitempty"`
	ACR     string   `yaml:"acr,omitempty"`
	AMR     []string `yaml:"amr,omitempty"`
	// Login is the age of the login; nil: the token does not say.
	Login *time.Duration `yaml:"login,omitempty"`
}

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

// UnmarshalText reads 2h (ago), now, in 1h, or an instant as RFC 3339 writes it.
func (m *moment) UnmarshalText(text []byte) error {
	word := string(text)
	if instant, err := time.Parse(time.RFC3339, word); err == nil {
		*m = moment{instant: instant}
		return nil
	}
	if word == "now" {
		*m = moment{}
		return nil
	}
	ahead, future := strings.CutPrefix(word, "in ")
	d, err := strictyaml.ParseDuration(ahead)
	if err != nil {
		return fmt.Errorf("%q is no moment; write 2h (ago), now, in 1h, or 2026-11-20T08:00:00Z", word)
	}
	if !future {
		d = -d
	}
	*m = moment{after: d}
	return nil
}

func (m moment) of(at time.Time) time.Time {
	if m.instant.IsZero() {
		return at.Add(m.after)
	}
	return m.instant
}
