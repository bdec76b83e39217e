package policy

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

var update = flag.Bool("update", false, "write the golden texts of explanations anew; read the difference")

// situation is a question whose explanation somebody should like to read.
type situation struct {
	policy func(*Spec)
	ask    func(*Input)
}

// TestExplanationsReadWell compares texts to the letter: they are read aloud.
func TestExplanationsReadWell(t *testing.T) {
	t.Parallel()
	for name, s := range situations() {
		p := privileged(t, func(spec *Spec) {
			spec.Tiers[0].OnGap = OnGap{LastKnown: &LastKnown{For: 30 * time.Minute}}
			for name, signal := range spec.Baselines[0].Signals {
				signal.Fix.URL = "https://it.acme.example/" + name
				spec.Baselines[0].Signals[name] = signal
			}
			if s.policy != nil {
				s.policy(spec)
			}
		})
		in := ana()
		if s.ask != nil {
			s.ask(&in)
		}
		e := p.Explain(&in)
		got := strings.ReplaceAll(e.Text(), p.Digest(), "sha256:(of this policy)")
		file := filepath.Join("testdata", "explain", strings.ReplaceAll(name, " ", "-")+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: it reads\n%s\nand %s has\n%s", name, got, file, want)
		}
	}
}

func situations() map[string]situation {
	fact := func(attribute string, value bool, source string, age time.Duration) func(*Input) {
		return func(in *Input) { set(&in.Device, attribute, report(source, attribute, signals.Bool(value), age)) }
	}
	silent := func(age time.Duration) func(*Input) { return func(in *Input) { in.Device = reported(age) } }
	return map[string]situation{
		"allowed":            {},
		"disk not encrypted": {ask: fact("disk_encryption", false, "mdm", time.Hour)},
		"alarm of long ago":  {ask: fact("compromised", true, "edr", 40*day)},
		"in grace":           {ask: silent(3 * time.Hour)},
		"grace is over":      {ask: silent(11 * time.Hour)},
		"grace was ended": {ask: func(in *Input) {
			silent(3 * time.Hour)(in)
			in.Device.GraceEnded = noon.Add(-time.Minute)
		}},
		"everything aged out":   {ask: silent(60 * time.Hour)},
		"last known state":      {ask: func(in *Input) { in.Device = reported(2*time.Hour + time.Minute); in.Device.Heard = nil }},
		"exception in force":    {policy: withLoaner("disk-encrypted"), ask: fact("disk_encryption", false, "mdm", time.Hour)},
		"exceptions of no help": {policy: othersExceptions, ask: fact("disk_encryption", false, "mdm", time.Hour)},
		"fresher login wanted": {ask: func(in *Input) {
			fact("firewall", false, "mdm", time.Hour)(in)
			in.Subject.User.ACR, in.Subject.User.AuthTime = "pwd", noon.Add(-3*time.Hour)
		}},
		"sources disagree": {ask: func(in *Input) {
			set(&in.Device, "disk_encryption", report("mdm", "disk_encryption", signals.Bool(true), time.Hour),
				report("edr", "disk_encryption", signals.Bool(false), 2*time.Hour))
		}},
		"only monitored":  {policy: func(s *Spec) { s.Tiers[0].Mode = ModeMonitor }, ask: fact("disk_encryption", false, "mdm", time.Hour)},
		"no such address": {ask: func(in *Input) { in.Request.Host = "apps.acme.example" }},
		"method not listed": {ask: func(in *Input) {
			in.Request = Request{Method: "DELETE", Host: "App.acme.example:443", Path: "/handbook/travel?token=hunter2"}
		}},
		"laptop of another": {ask: func(in *Input) {
			set(&in.Device, "enrolled_user", report("mdm", "enrolled_user", signals.Text("ben"), time.Hour))
		}},
		"unknown device":    {ask: func(in *Input) { in.Device = Device{Gap: GapUnknown} }},
		"store unreachable": {ask: func(in *Input) { in.Device = Device{Gap: GapUnreachable} }},
		"contractor at the wrong door": {ask: func(in *Input) {
			in.Subject.User = person("partner", "carl")
		}},
		"in no audience":    {ask: func(in *Input) { in.Subject.User.Groups = []string{"alumni"} }},
		"token out of date": {ask: func(in *Input) { in.Subject.User.Token.NotAfter = noon.Add(-5 * time.Minute) }},
		"token not believed": {ask: func(in *Input) {
			in.Subject.User = nil
			in.Subject.Doubts = []identity.Doubt{{Code: identity.DoubtToken, Detail: "the signature does not verify"}}
		}},
		"certificate revoked": {ask: func(in *Input) {
			set(&in.Device, "certificate_status", report("mdm", "certificate_status", signals.Text("revoked"), time.Hour))
		}},
		"asked more of some": {policy: forContractors, ask: fact("firewall", false, "mdm", time.Hour)},
	}
}

func withLoaner(signals ...string) func(*Spec) {
	return func(s *Spec) { s.Exceptions = []Exception{loaner(signals...)} }
}

// othersExceptions: each misses by something else.
func othersExceptions(s *Spec) {
	ended, elsewhere, borrowed := loaner("disk-encrypted"), loaner("disk-encrypted"), loaner("disk-encrypted")
	other := loaner("edr-healthy")
	ended.Meta.Name, ended.From, ended.Until = "ended", noon.Add(-9*day), noon.Add(-2*day)
	elsewhere.Meta.Name, elsewhere.Devices = "elsewhere", []string{"C02LAPTOP2"}
	borrowed.Meta.Name, borrowed.Subjects = "borrowed", []ExceptionSubject{{Issuer: "corp", User: "ben"}}
	other.Meta.Name = "other"
	s.Exceptions = []Exception{ended, elsewhere, borrowed, other}
}

// forContractors asks members of one more audience, to which ana belongs too, for more.
func forContractors(s *Spec) {
	s.Audiences = append(s.Audiences, Audience{Meta: Meta{Name: "everybody", Owner: "iam"},
		Members: []Member{{Issuer: "corp"}}})
	s.Tiers[0].Stricter = []Stricter{{Audience: "everybody", Require: demandsOf("firewall-on"),
		Grace: &GraceBound{Offline: time.Hour}}}
}
