package policytest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
)

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

// UnmarshalText reads PERSON, PERSON on DEVICE, or a SPIFFE ID.
func (w *who) UnmarshalText(text []byte) error {
	if strings.HasPrefix(string(text), "spiffe://") {
		*w = who{Workload: string(text)}
		return nil
	}
	switch words := strings.Fields(string(text)); {
	case len(words) == 1:
		*w = who{User: &user{Person: words[0]}}
	case len(words) == 3 && words[1] == "on":
		*w = who{User: &user{Person: words[0]}, Device: words[2]}
	default:
		return fmt.Errorf("%q names nobody; write PERSON, PERSON on DEVICE, a SPIFFE ID, or a mapping", text)
	}
	return nil
}

// UnmarshalText reads a name under people.
func (u *user) UnmarshalText(text []byte) error {
	*u = user{Person: string(text)}
	return nil
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

// UnmarshalText reads OUTCOME, or OUTCOME REASON.
func (e *expect) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	if len(words) > 2 {
		return fmt.Errorf("%q is no answer; write allow, step-up, deny, deny REASON, or a mapping", text)
	}
	words = append(words, "")
	*e = expect{Outcome: words[0], Reason: words[1]}
	return nil
}

// UnmarshalText reads SIGNAL, SIGNAL failing, SIGNAL unknown.
func (u *unmet) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	if len(words) > 2 {
		return fmt.Errorf("%q is no demand; write SIGNAL, SIGNAL failing, SIGNAL unknown, or a mapping", text)
	}
	words = append(words, "")
	*u = unmet{Signal: words[0], Status: words[1]}
	return nil
}

// UnmarshalText reads SIGNAL, SIGNAL by grace, SIGNAL by exception NAME.
func (w *waived) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	if len(words) > 4 || len(words) == 2 || len(words) > 1 && words[1] != "by" {
		return fmt.Errorf("%q is no waiver; write SIGNAL, SIGNAL by grace, or SIGNAL by exception NAME", text)
	}
	words = append(words, "", "", "", "")
	*w = waived{Signal: words[0], By: policy.Waiver(words[2]), Name: words[3]}
	return nil
}

// UnmarshalText reads none.
func (c *challenge) UnmarshalText(text []byte) error {
	if !slices.Equal(text, []byte(none)) {
		return fmt.Errorf("%q is no login; write none, or a mapping: {acr: [phr], maxAge: 15m}", text)
	}
	*c = challenge{}
	return nil
}
