package authz

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// laptopOf is a peer with the certificate of one device.
type laptopOf struct{ alias signals.Alias }

func (l laptopOf) Peer(_, _ string, at time.Time) identity.Peer {
	return identity.Peer{Device: l.alias, Certificate: identity.Validity{NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour)}}
}

func (laptopOf) Behind(peer identity.Peer, _ []string, _ time.Time) identity.Peer { return peer }

// guarded is a server whose one route wants an encrypted disk, for one device that has none, or has one.
func guarded(t testing.TB, encrypted bool) *Server {
	t.Helper()
	meta := func(name string) policy.Meta { return policy.Meta{Name: name, Owner: "iam"} }
	p, faults := policy.New(policy.Spec{
		Governance: []policy.Governance{{Meta: policy.Meta{Name: "g"}, Accountable: policy.Contact{Name: "a", Contact: "b"},
			Teams: map[string]policy.Team{"iam": {Contact: "iam@acme.example"}}}},
		Baselines: []policy.Baseline{{Meta: meta("laptops"), Platforms: []string{"macos"}, Signals: map[string]policy.Signal{
			"disk-encrypted": {Expr: "device.disk_encryption", MaxAge: 100 * time.Hour, Fix: policy.Fix{Text: "Encrypt it."}}}}},
		Tiers: []policy.Tier{{Meta: meta("person"), Identify: policy.IdentifyUserDevice, SharedDevices: true,
			Require: []policy.Demand{{Signal: "disk-encrypted"}}, Grace: &policy.GraceBound{Offline: time.Hour, Renewals: 3},
			Exceptions: &policy.ExceptionBound{MaxDuration: 48 * time.Hour}}},
		Audiences: []policy.Audience{{Meta: meta("all"), Members: []policy.Member{{Issuer: "corp"}}}},
		Upstreams: []policy.Upstream{{Meta: meta("app"), Endpoints: []string{"127.0.0.1:1"}, Plaintext: true}},
		Routes: []policy.Route{{Meta: meta("app"), Hosts: []string{"app.example"}, Path: "/**", Tier: "person",
			Audiences: []string{"all"}, Upstream: "app"}},
	}, policy.World{})
	if faults != nil {
		t.Fatal(faults)
	}
	laptop := signals.Alias{Kind: signals.AliasSerial, Value: "C02LOANER01"}
	now := time.Now()
	posture, _ := signals.Posture{Device: "d1", Revision: 1, Aliases: []signals.Alias{laptop}}.Merge(signals.Observation{Facts: []signals.Fact{
		{Attribute: "platform", Value: signals.Text("macos"), Source: "mdm", Observed: now, Received: now},
		{Attribute: "disk_encryption", Value: signals.Bool(encrypted), Source: "mdm", Observed: now, Received: now},
	}})
	s := New(Options{Devices: &shelf{byAlias: map[signals.Alias]*signals.Posture{laptop: &posture}}, Tokens: onePerson{}, Peers: laptopOf{laptop}})
	s.SetPolicy(p)
	return s
}

// approvedFor is the record of an exception that somebody approved, about one device.
func approvedFor(t testing.TB, name, device string) signals.Record {
	t.Helper()
	at := time.Now().UTC()
	who := approvals.Person{Way: approvals.WayOIDC, Issuer: "corp", Name: "cho"}
	raw, err := json.Marshal(approvals.Exception{
		Exception: policy.Exception{Meta: policy.Meta{Name: name, Owner: "iam"}, Subjects: []policy.ExceptionSubject{{Issuer: "corp", User: "ana"}},
			Devices: []string{device}, Routes: []string{"app"}, Signals: []string{"disk-encrypted"}, Reason: "r", Ticket: "t", Approver: "cho",
			From: at.Add(-time.Hour), Until: at.Add(time.Hour)},
		History: []approvals.Event{{At: at.Add(-time.Hour), By: who, Step: approvals.StepApproved}}})
	if err != nil {
		t.Fatal(err)
	}
	return signals.Record{Kind: approvals.KindException, Key: name, Revision: 1, Value: raw}
}

// TestABookCountsFromTheNextRequest: an exception is in force with the book that has it, and is not without.
func TestABookCountsFromTheNextRequest(t *testing.T) {
	t.Parallel()
	s := guarded(t, false)
	loaner := approvals.NewBook([]signals.Record{approvedFor(t, "loaner", "C02LOANER01")}, nil)
	for i, c := range []struct {
		book   *approvals.Book
		reason string
		count  int
	}{
		{nil, "posture", 0}, {loaner, "allowed", 1}, {approvals.NewBook(nil, nil), "posture", 0}, {loaner, "allowed", 1}, {nil, "posture", 0},
		{approvals.NewBook([]signals.Record{approvedFor(t, "other", "C02OTHER001")}, nil), "posture", 1},
	} {
		s.SetBook(c.book)
		if _, reason := ask(t, s, request("good", nil)); reason != c.reason {
			t.Errorf("%d: %s, want %s", i, reason, c.reason)
		}
		if written, granted := s.ExceptionsInForce(time.Now()); written != 0 || granted != c.count {
			t.Errorf("%d: %d and %d in force", i, written, granted)
		}
	}
	if written, granted := New(Options{}).ExceptionsInForce(time.Now()); written+granted != 0 {
		t.Error("without a policy something is in force")
	}
}

// TestGraceOfTheBook: what was said of a device's grace goes into the input of its decisions, and of no other's.
func TestGraceOfTheBook(t *testing.T) {
	t.Parallel()
	s := guarded(t, true)
	at := time.Now().UTC()
	who := approvals.Person{Way: approvals.WayOIDC, Issuer: "corp", Name: "cho"}
	grace := func(device signals.DeviceID) signals.Record {
		end := approvals.Event{At: at.Add(-time.Hour), By: who, Step: approvals.StepRevoked}
		raw, _ := json.Marshal(approvals.Grace{Device: device, Renewals: []approvals.Event{{At: at, By: who, Step: approvals.StepApproved}}, Ended: &end})
		return signals.Record{Kind: approvals.KindGrace, Key: string(device), Revision: 1, Value: raw}
	}
	for device, want := range map[signals.DeviceID]int{"d1": 1, "d2": 0} {
		s.SetBook(approvals.NewBook([]signals.Record{grace(device)}, nil))
		in := policy.Input{At: at, Subject: identity.Subject{Device: s.opts.Peers.(laptopOf).alias}}
		in.Device = s.reading(s.current.Load(), &in.Subject)
		s.granted(&in)
		if len(in.Device.Renewals) != want || in.Device.GraceEnded.IsZero() != (want == 0) {
			t.Errorf("%s: %+v", device, in.Device)
		}
	}
}

// BenchmarkCheckOfDevice is an allowed Check of a user on a device: with nothing granted, and with 1,000 exceptions that are
// about others.
func BenchmarkCheckOfDevice(b *testing.B) {
	var others []signals.Record
	for i := range 1000 {
		others = append(others, approvedFor(b, fmt.Sprint("e", i), fmt.Sprintf("C02X%07d", i)))
	}
	for name, book := range map[string]*approvals.Book{"bare": nil, "book": approvals.NewBook(others, nil)} {
		b.Run(name, func(b *testing.B) {
			s := guarded(b, true)
			s.SetBook(book)
			message := marshal(b, request("good", nil))
			if response := answerTo(b, s, message); reasonOf(response) != "allowed" {
				b.Fatal(response)
			}
			receive := received(message)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := handleCheck(s, b.Context(), receive, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
