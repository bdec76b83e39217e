package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policytest"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// question is a golden case as far as it can be sent: what policytest reads from the same file and keeps to itself. What it
// expects is not read here: the answer must be the verdict that policytest comes to.
type question struct {
	Name    string `yaml:"name"`
	At      string `yaml:"at,omitempty"`
	Request string `yaml:"request"`
	Who     struct {
		User *struct {
			Issuer string   `yaml:"issuer"`
			Name   string   `yaml:"name"`
			Groups []string `yaml:"groups,omitempty"`
		} `yaml:"user,omitempty"`
		Workload string `yaml:"workload,omitempty"`
		Device   string `yaml:"device,omitempty"`
		Doubt    string `yaml:"doubt,omitempty"`
	} `yaml:"who,omitempty"`
	Facts []struct {
		Source     string                         `yaml:"source"`
		Age        time.Duration                  `yaml:"age,omitempty"`
		Attributes map[string]strictyaml.Deferred `yaml:"attributes"`
	} `yaml:"facts,omitempty"`
	Gap    string              `yaml:"gap,omitempty"`
	Expect strictyaml.Deferred `yaml:"expect"`

	attributes []map[string]any `yaml:"-"` // of each of Facts, as a webhook says it
	verdict    policy.Verdict   `yaml:"-"` // by policytest
	pair       *devca.Pair      `yaml:"-"`
}

func (q *question) method() string { return strings.Fields(q.Request)[0] }

func (q *question) host() string {
	host, _, _ := strings.Cut(strings.Fields(q.Request)[1], "/")
	return host
}

func (q *question) target() string { return strings.TrimPrefix(strings.Fields(q.Request)[1], q.host()) }

// questions reads the cases of an example, each with the verdict that policytest comes to.
func (p *played) questions(t *testing.T) []*question {
	t.Helper()
	files, err := filepath.Glob(p.path("cases", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var all []*question
	for _, file := range files {
		documents, problems := strictyaml.Parse(file, made(os.ReadFile(file))(t))
		if len(problems) > 0 || len(documents) != 1 {
			t.Fatalf("%d documents: %v", len(documents), problems)
		}
		var read struct {
			Cases []*question `yaml:"cases"`
		}
		if problems := documents[0].Decode("", &read); len(problems) > 0 {
			t.Fatal(problems)
		}
		for i, q := range read.Cases {
			for j, f := range q.Facts {
				values := map[string]any{}
				for name := range f.Attributes {
					values[name] = value(documents[0].Text(fmt.Sprintf("cases[%d].facts[%d].attributes.%s", i, j, name)))
				}
				q.attributes = append(q.attributes, values)
			}
		}
		all = append(all, read.Cases...)
	}
	results := made(policytest.Run(p.policy, made(policytest.Load(p.path("cases")))(t)))(t)
	if len(results) != len(all) {
		t.Fatalf("policytest reads %d cases, the test %d", len(results), len(all))
	}
	for i, r := range results {
		if r.Case.Name != all[i].Name || len(r.Differences) > 0 {
			t.Errorf("%s %q: with the settings' sources: %v", r.Place, r.Case.Name, r.Differences)
		}
		all[i].verdict = r.Verdict
	}
	return all
}

func value(text string) any {
	if text == "unknown" {
		return nil
	}
	if number, err := strconv.ParseFloat(text, 64); err == nil {
		return number
	}
	if truth, err := strconv.ParseBool(text); err == nil {
		return truth
	}
	return text
}

// unsendable says why a case cannot be asked through Envoy; empty: it can.
func (q *question) unsendable() string {
	alone := q.Who.Device == "" && q.Who.Workload == ""
	switch {
	case q.At != "":
		return "it names an instant; the sidecar's clock is the real one"
	case q.Gap == string(policy.GapUnreachable):
		return "the store would have to fail for everybody; outage_test.go does that"
	case q.Gap == string(policy.GapContested):
		return "no delivery makes two devices carry one name; the receiver keeps that from happening"
	case q.Who.Device != "" && q.Who.Workload != "":
		return "one connection shows one certificate"
	case alone && q.Who.User != nil && strings.HasPrefix(q.verdict.Detail, "the tier looks at a device"):
		return "a user without a device; a listener demands a certificate, and this one admits laptops only"
	}
	return ""
}

// door is the listener on which a case is asked: one that serves the audience of the host's routes and lets the caller
// connect, and the authority of the caller's certificate.
func (p *played) door(t *testing.T, q *question) (listener config.Listener, authority string) {
	t.Helper()
	domain, _, _ := strings.Cut(strings.TrimPrefix(q.Who.Workload, "spiffe://"), "/")
	for _, l := range p.settings.Envoy.Listeners {
		for _, authority := range p.clients[l.Name] {
			laptops := !strings.Contains(authority, ".")
			if p.serves(l, q.host()) && (authority == domain || domain == "" && laptops) {
				return l, authority
			}
		}
	}
	t.Fatalf("%s: no listener serves %s to this caller", q.Name, q.host())
	return
}

// serves follows the policy's words, not the product's code: an isolated audience's routes stand on its own listener, all
// others, and hosts that no route has, on those without an audience.
func (p *played) serves(l config.Listener, host string) bool {
	spec := p.policy.Spec()
	for _, r := range spec.Routes {
		if !slices.Contains(r.Hosts, host) {
			continue
		}
		for _, a := range spec.Audiences {
			if a.Isolated && slices.Contains(r.Audiences, a.Meta.Name) {
				return l.Audience == a.Meta.Name
			}
		}
	}
	return l.Audience == ""
}

// prepare gives a case a certificate of its own and reports what the case says of the laptop: no case sees another's facts.
// Facts name the laptop by its certificate, which is what the settings bind it by.
func (p *played) prepare(t *testing.T, q *question, authority string) {
	t.Helper()
	if q.Who.Workload != "" {
		q.pair = p.svid(q.Who.Workload)(t)
		return
	}
	q.pair = made(p.authorities[authority].Device("laptop", "C02CASE", forAnHour))(t)
	for i, f := range q.Facts {
		p.report(t, f.Source, q.pair, f.Age, q.attributes[i])
	}
}

// report delivers what a source saw of a laptop an age ago.
func (p *played) report(t *testing.T, source string, laptop *devca.Pair, age time.Duration, attributes map[string]any) {
	t.Helper()
	seen := time.Now().Add(-age).UTC().Format(time.RFC3339Nano)
	body := made(json.Marshal(map[string]any{"type": "device.posture.updated", "timestamp": seen, "data": map[string]any{
		"device": map[string]any{"certificate": laptop.Fingerprint()}, "observed_at": seen, "attributes": attributes,
	}}))(t)
	sender := &stage.Sender{URL: "http://" + p.settings.Ingest.Listen + "/v1/sources/" + source,
		SecretFile: p.path("secrets", source+".whsec")}
	receipt, err := sender.Send(soon(t, 10*time.Second), body)
	if err != nil || receipt.Status != http.StatusAccepted {
		t.Fatalf("report of %s: %d %s %v", source, receipt.Status, receipt.Body, err)
	}
	p.sent++
}

// settled waits until every report stands in the store and is known where it is asked for. The mark is a case that must be
// admitted for its facts: asked with a laptop of its own that is reported last, since changes are followed in order.
func (p *played) settled(t *testing.T, mark *question) {
	t.Helper()
	ctx := soon(t, 10*time.Second)
	for applied := 0; applied != p.sent; time.Sleep(2 * time.Millisecond) {
		text, err := p.probe(ctx, "/metrics")
		if err != nil || strings.Contains(text, `result="dead-lettered"`) {
			t.Fatalf("%d of %d reports are applied: %v", applied, p.sent, err)
		}
		applied = 0
		for line := range strings.Lines(text) {
			name, count, _ := strings.Cut(strings.TrimSpace(line), "} ")
			if strings.HasPrefix(name, "tiergate_ingest_deliveries_total{") && strings.Contains(name, `result="applied"`) {
				n, _ := strconv.Atoi(count) // what is no number leaves the sum short, and the loop ends with ctx
				applied += n
			}
		}
	}
	last := *mark
	listener, authority := p.door(t, &last)
	p.prepare(t, &last, authority)
	for last.differs(p.ask(t, &last, listener)) != "" {
		if ctx.Err() != nil {
			t.Fatal("the last report never became known")
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// ask sends a case through Envoy.
func (p *played) ask(t *testing.T, q *question, listener config.Listener) stage.Answer {
	t.Helper()
	return p.client.Ask(soon(t, 10*time.Second), stage.Request{Address: listener.Address, Method: q.method(), Host: q.host(),
		Path: q.target(), Pair: q.pair, Token: p.token(t, q)})
}

// mark is the first case that is admitted for what was reported.
func mark(t *testing.T, all []*question) *question {
	t.Helper()
	i := slices.IndexFunc(all, func(q *question) bool { return q.verdict.Outcome == policy.Allow && len(q.Facts) > 0 })
	if i < 0 {
		t.Fatal("no case is admitted for its facts")
	}
	return all[i]
}

// probe asks a page of the metrics address; anything but 200 is an error.
func (p *played) probe(ctx context.Context, page string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.settings.Metrics.Listen+page, nil)
	if err != nil {
		return "", err
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

// token is the bearer token of a case; one that is doubted is signed by nobody we know.
func (p *played) token(t *testing.T, q *question) string {
	t.Helper()
	switch u := q.Who.User; {
	case q.Who.Doubt != "":
		stranger := made(devca.NewIssuer("https://login.acme.example", "https://apps.acme.example"))(t)
		return made(stranger.Token("ana@acme.example", nil, forAnHour, nil))(t)
	case u != nil:
		return made(p.issuers[u.Issuer].Token(u.Name, u.Groups, forAnHour, nil))(t)
	}
	return ""
}

// differs compares an answer through Envoy with the verdict; empty: they are the same.
func (q *question) differs(answer stage.Answer) string {
	v := &q.verdict
	switch {
	case answer.Err != nil:
		return answer.Err.Error()
	case v.Reason == policy.ReasonPath:
		// Envoy refuses or rewrites such a path before tiergate sees it; what counts is that nobody is reached by it.
		if answer.Echo != nil || answer.Status < 400 || answer.Status >= 500 {
			return fmt.Sprintf("status %d, a path of two readings went through", answer.Status)
		}
	case v.Reason == policy.ReasonNoRoute:
		if answer.Status != http.StatusNotFound || answer.DecisionID() != "" {
			return fmt.Sprintf("status %d, decision %q; Envoy itself answers 404 for what is not there", answer.Status, answer.DecisionID())
		}
	case v.Outcome == policy.Allow:
		return q.admittedOtherwise(answer)
	case answer.Problem == nil || answer.Problem.Reason != string(v.Reason) || answer.Problem.Tier != v.Tier:
		return fmt.Sprintf("status %d %s %s, the verdict is %s in tier %q", answer.Status, answer.Reason(), answer.Body, v.Reason, v.Tier)
	default:
		var want, got []string
		for _, u := range v.Unmet {
			want = append(want, u.Signal+" "+string(u.List)+" "+u.Status.String()+" "+u.Owner+" "+u.Contact)
		}
		for _, u := range answer.Problem.Unmet {
			got = append(got, u.Signal+" "+u.List+" "+u.Status+" "+u.Owner+" "+u.Contact)
		}
		if !slices.Equal(want, got) {
			return fmt.Sprintf("unmet is %q, the verdict's %q", got, want)
		}
	}
	return ""
}

func (q *question) admittedOtherwise(answer stage.Answer) string {
	if answer.Status != http.StatusOK || answer.Echo == nil {
		return fmt.Sprintf("status %d %s, the verdict is allow", answer.Status, answer.Reason())
	}
	subject := q.Who.Workload
	if q.Who.User != nil {
		subject = q.Who.User.Issuer + "/" + q.Who.User.Name
	}
	header := func(name string) string { return strings.Join(answer.Echo.Headers["x-tiergate-"+name], ", ") }
	got := []string{answer.Echo.Upstream, header("route"), header("tier"), header("subject"), answer.Echo.Method, answer.Echo.Path}
	want := []string{q.verdict.Upstream, q.verdict.Route, q.verdict.Tier, subject, q.method(), q.target()}
	if !slices.Equal(got, want) {
		return fmt.Sprintf("the upstream saw %q, expected %q", got, want)
	}
	return ""
}
