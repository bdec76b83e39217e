package approvals

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// specOf is a policy of two teams that own a tier each.
func specOf() policy.Spec {
	team := func(contact string, approvers ...policy.Approver) policy.Team {
		return policy.Team{Contact: contact, Approvers: approvers}
	}
	fix := policy.Fix{Text: "Mend it."}
	return policy.Spec{
		Governance: []policy.Governance{{Meta: policy.Meta{Name: "acme"}, Accountable: policy.Contact{Name: "Head", Contact: "head@acme.example"},
			Teams: map[string]policy.Team{
				"iam": team("iam@acme.example", policy.Approver{Issuer: "corp", User: "cho@acme.example"},
					policy.Approver{Certificate: "spiffe://acme.example/dee"}, policy.Approver{Certificate: "eve@acme.example"}),
				"payroll":  team("payroll@acme.example", policy.Approver{Issuer: "corp", Group: "payroll-leads"}),
				"endpoint": team("endpoint@acme.example", policy.Approver{Issuer: "corp", User: "fay@acme.example"}),
				"nobody":   team("nobody@acme.example"),
			}}},
		Baselines: []policy.Baseline{{Meta: policy.Meta{Name: "laptops", Owner: "endpoint"}, Platforms: []string{"macos"},
			Signals: map[string]policy.Signal{
				"disk-encrypted":  {Expr: "device.disk_encryption", MaxAge: 2 * time.Hour, Fix: fix},
				"firewall-on":     {Expr: "device.firewall", MaxAge: 2 * time.Hour, Fix: fix},
				"not-compromised": {Expr: "!device.compromised", MaxAge: 26 * time.Hour, Fix: fix},
			}}},
		Tiers: []policy.Tier{
			tierOf("internal", "iam", &policy.ExceptionBound{MaxDuration: 14 * day, MaxRenewals: 2}),
			tierOf("payroll", "payroll", &policy.ExceptionBound{MaxDuration: 7 * day, MaxRenewals: 1}),
			tierOf("locked", "nobody", nil),
			tierOf("unapproved", "nobody", &policy.ExceptionBound{MaxDuration: 7 * day, MaxRenewals: 1}),
		},
		Audiences: []policy.Audience{{Meta: policy.Meta{Name: "staff", Owner: "iam"}, Members: []policy.Member{{Issuer: "corp", Group: "staff"}}}},
		Upstreams: []policy.Upstream{{Meta: policy.Meta{Name: "app", Owner: "iam"}, Endpoints: []string{"127.0.0.1:9001"},
			SPIFFEID: "spiffe://acme.example/app"}},
		Routes: []policy.Route{routeOf("internal"), routeOf("payroll"), routeOf("locked"), routeOf("unapproved")},
		Exceptions: []policy.Exception{{Meta: policy.Meta{Name: "written", Owner: "iam"}, Subjects: []policy.ExceptionSubject{{Issuer: "corp",
			User: "gus@acme.example"}}, Devices: []string{"C02WRITTEN1"}, Routes: []string{"internal"}, Signals: []string{"disk-encrypted"},
			Reason: "r", Approver: "cho@acme.example", Ticket: "IT-1", From: noon.Add(-day), Until: noon.Add(day)}},
	}
}

func tierOf(name, owner string, exceptions *policy.ExceptionBound) policy.Tier {
	return policy.Tier{Meta: policy.Meta{Name: name, Owner: owner}, Identify: policy.IdentifyUserDevice, SharedDevices: true,
		Require:    []policy.Demand{{Signal: "disk-encrypted"}, {Signal: "firewall-on"}},
		DenyUnless: []policy.DenyUnless{{Signal: "not-compromised", OnUnknown: policy.OnUnknownNote}},
		Grace:      &policy.GraceBound{Offline: 8 * time.Hour, Renewals: 2}, Exceptions: exceptions}
}

func routeOf(tier string) policy.Route {
	return policy.Route{Meta: policy.Meta{Name: tier, Owner: "iam"}, Hosts: []string{tier + ".acme.example"}, Path: "/**", Tier: tier,
		Audiences: []string{"staff"}, Upstream: "app"}
}

func compiled(t testing.TB, spec policy.Spec) *policy.Policy {
	t.Helper()
	p, faults := policy.New(spec, policy.World{Issuers: []string{"corp", "partner"}})
	if len(faults) > 0 {
		t.Fatalf("%+v", faults)
	}
	return p
}

// The people of the sample.
var (
	local = Caller{Person: Person{Way: WaySocket, Name: "root (uid 0)"}}
	ana   = oidc("ana@acme.example", "staff")
	ben   = oidc("ben@acme.example", "staff")
	cho   = oidc("cho@acme.example", "staff")
	fay   = oidc("fay@acme.example", "staff")
	lead  = oidc("lea@acme.example", "staff", "payroll-leads")
	dee   = Caller{Person: Person{Way: WayMTLS, Name: "spiffe://acme.example/dee", Email: "dee@acme.example"}}
	eve   = Caller{Person: Person{Way: WayMTLS, Name: "Eve@acme.example"}}
)

func oidc(name string, groups ...string) Caller {
	return Caller{Person: Person{Way: WayOIDC, Issuer: "corp", Name: name}, Groups: groups}
}

// loaner is an exception that the sample's policy could hold, on one tier.
func loaner(name string) policy.Exception {
	return policy.Exception{Meta: policy.Meta{Name: name}, Subjects: []policy.ExceptionSubject{{Issuer: "corp", User: "ana@acme.example"}},
		Devices: []string{"C02LOANER01"}, Routes: []string{"internal"}, Signals: []string{"disk-encrypted"}, Reason: "loaner", Ticket: "IT-4711",
		Until: noon.Add(10 * day)}
}

// fails is an input that only an exception on disk-encrypted lets through, on a tier's route.
func fails(tier string, at time.Time, granted ...policy.Exception) *policy.Input {
	fact := func(attribute string, v signals.Value) signals.Fact {
		return signals.Fact{Attribute: attribute, Value: v, Source: "mdm", Observed: at, Received: at}
	}
	posture, _ := signals.Posture{Device: "d1", Aliases: []signals.Alias{{Kind: signals.AliasSerial, Value: "C02LOANER01"}}}.Merge(
		signals.Observation{Facts: []signals.Fact{fact("platform", signals.Text("macos")), fact("disk_encryption", signals.Bool(false)),
			fact("firewall", signals.Bool(true)), fact("compromised", signals.Bool(false))}})
	window := identity.Validity{NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour)}
	return &policy.Input{At: at, Request: policy.Request{Method: "GET", Host: tier + ".acme.example", Path: "/"},
		Subject: identity.Subject{Device: signals.Alias{Kind: signals.AliasSerial, Value: "C02LOANER01"}, Certificate: window,
			User: &identity.User{Issuer: "corp", Name: "ana@acme.example", Groups: []string{"staff"}, Token: window}},
		Device: policy.Device{Posture: &posture, AsOf: at}, Granted: granted}
}

// shelf is a store in memory. What is proved over it is proved over bbolt, in fewer histories, too.
type shelf struct {
	signals.Store
	mu       sync.Mutex
	records  map[string]signals.Record
	postures []signals.Posture
	before   func(kind, key string) error // called before each write
}

func (s *shelf) Record(_ context.Context, kind, key string) (signals.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.records[kind+"/"+key]; ok {
		return r, nil
	}
	return signals.Record{}, signals.ErrNotFound
}

func (s *shelf) PutRecord(_ context.Context, r signals.Record, expected signals.Revision) error {
	if s.before != nil {
		if err := s.before(r.Kind, r.Key); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records == nil {
		s.records = map[string]signals.Record{}
	}
	if s.records[r.Kind+"/"+r.Key].Revision != expected {
		return signals.ErrConflict
	}
	s.records[r.Kind+"/"+r.Key] = r
	return signals.CheckRevision(r.Revision, expected)
}

func (s *shelf) EachRecord(_ context.Context, kind string, yield func(signals.Record) error) (signals.Cursor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(s.records)) {
		if s.records[key].Kind == kind {
			if err := yield(s.records[key]); err != nil {
				return "", err
			}
		}
	}
	return "", nil
}

func (s *shelf) EachPosture(_ context.Context, yield func(signals.Posture) error, _ func(signals.DeviceID, error)) (signals.Cursor, error) {
	for _, p := range s.postures {
		if err := yield(p); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (s *shelf) Posture(_ context.Context, device signals.DeviceID) (signals.Posture, error) {
	for _, p := range s.postures {
		if p.Device == device {
			return p, nil
		}
	}
	return signals.Posture{}, signals.ErrNotFound
}

// office is a desk with a clock of its own, and what it told.
type office struct {
	*Desk
	store *shelf
	now   time.Time
	p     *policy.Policy
	acts  []Act
	made  int
}

func newOffice(t testing.TB) *office {
	t.Helper()
	o := &office{store: &shelf{}, now: noon, p: compiled(t, specOf())}
	o.Desk = &Desk{Records: o.store, Postures: o.store, Policy: func() *policy.Policy { return o.p }, Now: func() time.Time { return o.now },
		Random: func() string { o.made++; return strconv.Itoa(o.made) },
		Done:   func(_ context.Context, act Act) { o.acts = append(o.acts, act) }}
	return o
}

// refused checks that a step was refused by a rule, in a text that says something.
func refused(t *testing.T, what string, err error, rule Rule) {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) || r.Rule != rule || len(r.Why) < 10 {
		t.Errorf("%s: %v, want a refusal by %s", what, err, rule)
	}
}
