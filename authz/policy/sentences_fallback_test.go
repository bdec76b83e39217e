package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// dayOf is midnight UTC of noon's day, and so many days later.
func dayOf(n int) Date { return Date{time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n)} }

// withMail gives `privileged` a fallback from today until in ten days: the mail in a browser, for which no device is looked at.
func withMail(s *Spec) {
	s.Tiers[0].Fallback = &Fallback{Route: "mail", From: dayOf(0), Until: dayOf(10)}
	s.Tiers = append(s.Tiers, Tier{Meta: Meta{Name: "anybody", Owner: "iam"}, Identify: IdentifyUser})
	s.Routes = append(s.Routes, Route{Meta: Meta{Name: "mail", Owner: "iam"}, Hosts: []string{"mail.acme.example"}, Path: "/web/**",
		Tier: "anybody", Audiences: s.Routes[0].Audiences, Upstream: s.Routes[0].Upstream, FallbackFor: "internal"})
}

// A refusal names the tier's fallback where the device is what is in the way and the subject would be admitted there, from its
// first day until its end.
func TestARefusalNamesTheFallback(t *testing.T) {
	t.Parallel()
	unencrypted := func(in *Input) {
		set(&in.Device, "disk_encryption", report("mdm", "disk_encryption", signals.Bool(false), time.Hour))
	}
	for what, c := range map[string]struct {
		change func(*Spec)
		ask    func(*Input)
		offer  string
	}{
		"allowed":          {nil, nil, ""},
		"not encrypted":    {nil, unencrypted, "https://mail.acme.example/web/"},
		"nobody knows it":  {nil, func(in *Input) { in.Device = Device{Gap: GapUnknown} }, "https://mail.acme.example/web/"},
		"the store is out": {nil, func(in *Input) { in.Device = Device{Gap: GapUnreachable} }, ""},
		"an alarm": {nil, func(in *Input) {
			unencrypted(in)
			set(&in.Device, "compromised", report("mdm", "compromised", signals.Bool(true), time.Hour))
		}, ""},
		"a login is wanted": {nil, func(in *Input) {
			set(&in.Device, "firewall", report("mdm", "firewall", signals.Bool(false), time.Hour))
			in.Subject.User.ACR = "pwd"
		}, ""},
		"another audience": {nil, func(in *Input) { unencrypted(in); in.Subject.User.Groups = nil }, ""},
		"not yet":          {func(s *Spec) { s.Tiers[0].Fallback.From = dayOf(1) }, unencrypted, ""},
		"over":             {func(s *Spec) { s.Tiers[0].Fallback.From, s.Tiers[0].Fallback.Until = dayOf(-9), dayOf(0) }, unencrypted, ""},
		"no exact host": {func(s *Spec) { s.Routes[len(s.Routes)-1].Hosts = []string{"*.mail.example"} }, unencrypted,
			"route mail"},
		"no exact path": {func(s *Spec) { s.Routes[len(s.Routes)-1].Path = "/{box}/web" }, unencrypted, "route mail"},
		"no GET":        {func(s *Spec) { s.Routes[len(s.Routes)-1].Methods = []string{"POST"} }, unencrypted, "route mail"},
	} {
		p := privileged(t, func(s *Spec) {
			withMail(s)
			if c.change != nil {
				c.change(s)
			}
		})
		in := ana()
		if c.ask != nil {
			c.ask(&in)
		}
		v := p.Evaluate(&in)
		got := ""
		if f := v.Fallback; f != nil {
			if got = f.URL; got == "" {
				got = "route " + f.Route
			}
			if !f.Until.Equal(dayOf(10).Time) {
				t.Errorf("%s: until %s", what, f.Until)
			}
			if e := p.Explain(&in); !strings.Contains(strings.Join(strings.Fields(e.Text()), " "), "there is a fallback for such devices") {
				t.Errorf("%s: the explanation does not say so:\n%s", what, e.Text())
			}
		}
		if got != c.offer {
			t.Errorf("%s (%s): offers %q, want %q", what, v.Reason, got, c.offer)
		}
	}
}

// The route of a fallback is closed to everybody before and after, also to whose device complies, and an answer given there ends
// with it.
func TestAFallbackEnds(t *testing.T) {
	t.Parallel()
	p := privileged(t, withMail)
	in := ana()
	in.Request.Host, in.Request.Path = "mail.acme.example", "/web/inbox"
	for when, want := range map[time.Time]string{
		dayOf(0).Add(-tick): "no-route", dayOf(0).Time: "allowed", noon: "allowed", dayOf(10).Add(-tick): "allowed", dayOf(10).Time: "no-route",
		dayOf(400).Time: "no-route",
	} {
		in.At = when
		in.Subject.Certificate.NotBefore, in.Subject.User.Token.NotBefore = dayOf(-2).Time, dayOf(-2).Time
		v := at(p, in, when)
		expect(t, when.String(), v, want)
		if v.Outcome == Allow && !v.Until.Equal(dayOf(10).Time) {
			t.Errorf("%s: the answer holds until %s", when, v.Until)
		}
		if v.Outcome == Deny && !strings.Contains(v.Detail, "from 2026-11-22 until 2026-12-02 only") {
			t.Errorf("%s: %s", when, v.Detail)
		}
	}
}

func TestFaultsOfFallbacks(t *testing.T) {
	t.Parallel()
	const at, route = "Tier/internal spec.fallback", "Route/mail spec.fallbackFor"
	mail := func(s *Spec) *Route { return &s.Routes[len(s.Routes)-1] }
	for _, c := range []struct {
		place, message string
		change         func(*Spec)
	}{
		{at + ".from", "no start", func(s *Spec) { s.Tiers[0].Fallback.From = Date{} }},
		{at + ".until", "no end", func(s *Spec) { s.Tiers[0].Fallback.Until = Date{} }},
		{at + ".until", "before it starts", func(s *Spec) { s.Tiers[0].Fallback.Until = dayOf(0) }},
		{at + ".until", "more than a year", func(s *Spec) { s.Tiers[0].Fallback.Until = dayOf(367) }},
		{at + ".route", `no Route "nowhere"`, func(s *Spec) { s.Tiers[0].Fallback.Route = "nowhere" }},
		{at + ".route", "does not say that it is", func(s *Spec) { mail(s).FallbackFor = "" }},
		{at + ".route", "asks as much", func(s *Spec) { mail(s).Tier = "internal" }},
		{at + ".route", `asks for signal "firewall-on"`, func(s *Spec) {
			s.Tiers[0].StepUp, s.Tiers[len(s.Tiers)-1].Identify = nil, IdentifyUserDevice
			s.Tiers[len(s.Tiers)-1].Require, s.Tiers[len(s.Tiers)-1].SharedDevices = demandsOf("firewall-on"), true
		}},
		{at + ".route", "none of the audiences", func(s *Spec) {
			s.Audiences = append(s.Audiences, Audience{Meta: Meta{Name: "guests", Owner: "iam"}, Members: []Member{{Issuer: "corp", Group: "guests"}}})
			mail(s).Audiences = []string{"guests"}
		}},
		{at, "asks nothing of a device", func(s *Spec) {
			s.Tiers[0] = Tier{Meta: s.Tiers[0].Meta, Identify: IdentifyUser, Fallback: s.Tiers[0].Fallback}
		}},
		{route, `no Tier "nobody"`, func(s *Spec) { mail(s).FallbackFor = "nobody" }},
		{route, "until when", func(s *Spec) { s.Tiers[0].Fallback = nil }},
		{route, "until when", func(s *Spec) { mail(s).FallbackFor = "anybody" }},
	} {
		var spec Spec
		privileged(t, func(s *Spec) { withMail(s); spec = *s })
		c.change(&spec)
		_, faults := New(spec, sampleWorld())
		found := false
		for _, f := range faults {
			found = found || f.Kind+"/"+f.Name+" "+f.Field == c.place && strings.Contains(f.Message, c.message) && f.Help != ""
		}
		if !found {
			t.Errorf("%s %q is not among %+v", c.place, c.message, faults)
		}
	}
}
