package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLoginPages: a route's page is found by its name, with what every login must show; no verdict depends on it.
func TestLoginPages(t *testing.T) {
	t.Parallel()
	const url = "https://login.acme.example/step-up"
	in := Input{At: noon, Request: Request{Method: "GET", Host: "app.acme.example", Path: "/x"}}
	for when, want := range map[StepUpWhen]bool{"": true, StepUpAlways: true, StepUpSignals: false} {
		spec := sampleSpec()
		plain, faults := New(spec, World{})
		if faults != nil {
			t.Fatal(faults)
		}
		spec.Tiers[0].StepUp = &StepUpDemand{When: when, ACR: []string{"phr"}, MaxAge: time.Hour}
		if when == StepUpSignals {
			spec.Tiers[0].StepUp.Signals = demandsOf("firewall-on")
			spec.Tiers[0].Advise = nil
		}
		for i := range spec.Routes {
			if spec.Routes[i].Meta.Name == "app" {
				spec.Routes[i].Login = &Login{URL: url}
			}
		}
		p, faults := New(spec, World{})
		if faults != nil {
			t.Fatal(faults)
		}
		page, ok := p.LoginPage("app")
		if !ok || page.URL != url || (page.Always != nil) != want {
			t.Errorf("when %q: %+v, %t", when, page, ok)
		}
		if want && (!slices.Equal(page.Always.ACR, []string{"phr"}) || page.Always.MaxAge != time.Hour) {
			t.Errorf("when %q: %+v", when, page.Always)
		}
		if _, ok := p.LoginPage("handbook"); ok {
			t.Error("another route has the page too")
		}
		if _, ok := (*Policy)(nil).LoginPage("app"); ok {
			t.Error("no policy has a page")
		}
		with, without := p.Explain(&in), plain.Explain(&in)
		said := with.Text()
		if !strings.Contains(said, url+".") || strings.Contains(without.Text(), url) {
			t.Errorf("the explanation:\n%s", said)
		}
		if a, b := p.Evaluate(&in), plain.Evaluate(&in); a.Outcome != b.Outcome || a.Reason != b.Reason {
			t.Errorf("%+v, without login %+v", a, b)
		}
	}
}

// TestLoginCircles: a page on a route that sends to log in is never seen, by an exact host, by a wildcard, or on the host
// itself; on a route without login it is.
func TestLoginCircles(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		hosts []string
		url   string
		fault bool
	}{
		{[]string{"app.acme.example"}, "/login", true},
		{[]string{"app.acme.example"}, "https://app.acme.example", true},
		{[]string{"app.acme.example"}, "https://APP.acme.example:8443/?a=b", true},
		{[]string{"*.acme.example"}, "https://login.acme.example/step-up", true},
		{[]string{"*.acme.example"}, "/login", true},
		{[]string{"app.acme.example"}, "/handbook/login", false}, // its own route has no login
		{[]string{"app.acme.example"}, "https://login.acme.example/step-up", false},
	} {
		spec := sampleSpec()
		for i := range spec.Routes {
			if spec.Routes[i].Meta.Name == "app" {
				spec.Routes[i].Hosts, spec.Routes[i].Login = row.hosts, &Login{URL: row.url}
			}
			if spec.Routes[i].Meta.Name == "handbook" && row.hosts[0] == "*.acme.example" {
				spec.Routes[i].Hosts = row.hosts
			}
		}
		_, faults := New(spec, World{})
		found := slices.ContainsFunc(faults, func(f Fault) bool {
			return f.Field == "spec.login.url" && strings.Contains(f.Message, "round in circles")
		})
		if found != row.fault || len(faults) > 1 {
			t.Errorf("%v at %s: %v", row.url, row.hosts, faults)
		}
	}
}
