package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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
	"github.com/tiergate/tiergate/signals"
)

// question is a golden case with the verdict that policytest comes to. What the case expects is not compared again: the
// answer through Envoy must be that verdict.
type question struct {
	policytest.Result
	pair *devca.Pair
}

func (q *question) name() string { return q.Case.Name }

// questions reads the cases of an example, each with the verdict that policytest comes to.
func (p *played) questions(t *testing.T) []*question {
	t.Helper()
	var all []*question
	for _, r := range made(policytest.Run(p.policy, made(policytest.Load(p.path("cases")))(t)))(t) {
		if len(r.Differences) > 0 {
			t.Errorf("%s %q: with the settings' sources: %v", r.Place, r.Case.Name, r.Differences)
		}
		all = append(all, &question{Result: r})
	}
	return all
}

// unsendable says why a case cannot be asked through Envoy; empty: it can.
func (p *played) unsendable(q *question) string {
	who := &q.Input.Subject
	laptop, alone := who.Device != (signals.Alias{}), who.Device == (signals.Alias{}) && who.Workload == ""
	switch {
	case !q.Input.At.Equal(policytest.DefaultAt):
		return "it names an instant; the sidecar's clock is the real one"
	case len(q.Input.Granted)+len(q.Input.Device.Renewals) > 0:
		return "it was granted at run time; what is not in the policy or the facts does not come with a request"
	case q.Input.Device.Gap == policy.GapUnreachable:
		return "the store would have to fail for everybody; outage_test.go does that"
	case q.Input.Device.Gap == policy.GapContested:
		return "no delivery makes two devices carry one name; the receiver keeps that from happening"
	case laptop && who.Workload != "":
		return "one connection shows one certificate"
	case alone && who.User != nil && strings.HasPrefix(q.Verdict.Detail, "the tier looks at a device"):
		return "a user without a device; a listener demands a certificate, and this one admits laptops only"
	case alone && p.servesWorkloadsOnly(q.Input.Request.Host):
		return "nobody's host: a listener that serves workloads admits who has a SPIFFE ID, and no other has the host"
	case !p.lasting(q):
		return "a source is silent, which its report here would end, or an end is nearer than the question"
	}
	return ""
}

// lasting reports that the verdict is the same a minute later, and with sources that have reported something meanwhile: the
// reports of all cases are made at one time, and the questions are asked after that.
func (p *played) lasting(q *question) bool {
	later := q.Input
	later.At = later.At.Add(time.Minute)
	later.Device.AsOf, later.Device.Heard = later.At, map[string]time.Time{}
	for source := range q.Input.Device.Heard {
		later.Device.Heard[source] = later.At
	}
	then := p.policy.Evaluate(&later)
	names := func(v *policy.Verdict) (list []string) {
		for _, u := range v.Unmet {
			list = append(list, u.Signal)
		}
		for _, w := range v.Waived {
			list = append(list, w.Signal+" by "+string(w.By))
		}
		return list
	}
	return then.Reason == q.Verdict.Reason && slices.Equal(names(&then), names(&q.Verdict))
}

// door is the listener on which a case is asked: one that serves the audience of the host's routes and lets the caller
// connect, and the authority of the caller's certificate.
func (p *played) door(t *testing.T, q *question) (listener config.Listener, authority string) {
	t.Helper()
	domain, _, _ := strings.Cut(strings.TrimPrefix(string(q.Input.Subject.Workload), "spiffe://"), "/")
	for _, l := range p.settings.Envoy.Listeners {
		for _, authority := range p.clients[l.Name] {
			laptops := !strings.Contains(authority, ".")
			if p.serves(l, q.Input.Request.Host) && (authority == domain || domain == "" && laptops) {
				return l, authority
			}
		}
	}
	t.Fatalf("%s: no listener serves %s to this caller", q.name(), q.Input.Request.Host)
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

// servesWorkloadsOnly reports a host all of whose tiers identify a workload, where each listener says whom it serves.
func (p *played) servesWorkloadsOnly(host string) bool {
	spec, tiers := p.policy.Spec(), map[string]policy.Identify{}
	for _, tier := range spec.Tiers {
		tiers[tier.Meta.Name] = tier.Identify
	}
	known := false
	for _, r := range spec.Routes {
		if slices.Contains(r.Hosts, host) {
			known = true
			if tiers[r.Tier] != policy.IdentifyWorkload {
				return false
			}
		}
	}
	return known && !slices.ContainsFunc(p.settings.Envoy.Listeners, func(l config.Listener) bool { return l.Serves == "" })
}

// prepare gives a case a certificate of its own and reports what the case says of the laptop: no case sees another's facts.
// Facts name the laptop by its certificate, which is what the settings bind it by.
func (p *played) prepare(t *testing.T, q *question, authority string) {
	t.Helper()
	if id := string(q.Input.Subject.Workload); id != "" {
		q.pair = p.svid(id)(t)
		return
	}
	q.pair = made(p.authorities[authority].Device("laptop", "C02CASE", forAnHour))(t)
	if q.Input.Device.Posture == nil {
		return
	}
	type report struct {
		source string
		age    time.Duration
	}
	reports := map[report]map[string]any{} // what a source saw at one instant goes into one delivery
	for _, f := range q.Input.Device.Posture.Facts {
		r := report{f.Source, q.Input.At.Sub(f.Observed)}
		if reports[r] == nil {
			reports[r] = map[string]any{}
		}
		reports[r][f.Attribute] = f.Value
	}
	for r, attributes := range reports {
		p.report(t, r.source, q.pair, r.age, attributes)
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
	ctx := soon(t, time.Minute)
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
	r := &q.Input.Request
	return p.client.Ask(soon(t, 10*time.Second), stage.Request{Address: listener.Address, Method: r.Method, Host: r.Host,
		Path: r.Path, Pair: q.pair, Token: p.token(t, q)})
}

// mark is the first case that is admitted for what was reported.
func (p *played) mark(t *testing.T, all []*question) *question {
	t.Helper()
	i := slices.IndexFunc(all, func(q *question) bool {
		return q.Verdict.Outcome == policy.Allow && q.Input.Device.Posture != nil && p.unsendable(q) == ""
	})
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
	switch u := q.Input.Subject.User; {
	case len(q.Input.Subject.Doubts) > 0:
		stranger := made(devca.NewIssuer("https://login.acme.example", "https://apps.acme.example"))(t)
		return made(stranger.Token("ana@acme.example", nil, forAnHour, nil))(t)
	case u != nil:
		claims := map[string]any{}
		if u.ACR != "" {
			claims["acr"] = u.ACR
		}
		if len(u.AMR) > 0 {
			claims["amr"] = u.AMR
		}
		if !u.AuthTime.IsZero() {
			claims["auth_time"] = time.Now().Add(-q.Input.At.Sub(u.AuthTime)).Unix()
		}
		return made(p.issuers[u.Issuer].Token(u.Name, u.Groups, forAnHour, claims))(t)
	}
	return ""
}

// differs compares an answer through Envoy with the verdict; empty: they are the same.
func (q *question) differs(answer stage.Answer) string {
	v := &q.Verdict
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
		return q.challengedOtherwise(answer)
	}
	return ""
}

// challengedOtherwise compares the login that is asked for (RFC 9470).
func (q *question) challengedOtherwise(answer stage.Answer) string {
	if q.Verdict.Outcome != policy.StepUp {
		return ""
	}
	got, wanted := answer.Header.Get("WWW-Authenticate"), []string{`error="insufficient_user_authentication"`}
	if c := q.Verdict.Challenge; len(c.ACR) > 0 {
		wanted = append(wanted, fmt.Sprintf("acr_values=%q", strings.Join(c.ACR, " ")))
	}
	if c := q.Verdict.Challenge; c.MaxAge > 0 {
		wanted = append(wanted, fmt.Sprintf(`max_age="%d"`, int(c.MaxAge.Seconds())))
	}
	for _, part := range wanted {
		if !strings.Contains(got, part) || answer.Status != http.StatusUnauthorized {
			return fmt.Sprintf("status %d, WWW-Authenticate %q; the verdict wants %s", answer.Status, got, part)
		}
	}
	return ""
}

func (q *question) admittedOtherwise(answer stage.Answer) string {
	if answer.Status != http.StatusOK || answer.Echo == nil {
		return fmt.Sprintf("status %d %s, the verdict is allow", answer.Status, answer.Reason())
	}
	subject := string(q.Input.Subject.Workload)
	if user := q.Input.Subject.User; user != nil {
		subject = user.Issuer + "/" + user.Name
	}
	header := func(name string) string { return strings.Join(answer.Echo.Headers["x-tiergate-"+name], ", ") }
	got := []string{answer.Echo.Upstream, header("route"), header("tier"), header("subject"), answer.Echo.Method, answer.Echo.Path}
	want := []string{q.Verdict.Upstream, q.Verdict.Route, q.Verdict.Tier, subject, q.Input.Request.Method, q.Input.Request.Path}
	if !slices.Equal(got, want) {
		return fmt.Sprintf("the upstream saw %q, expected %q", got, want)
	}
	return ""
}
