package e2e_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
	"github.com/tiergate/tiergate/config"
)

// TestIsolation: through the real Envoy and the real tiergate, whoever asks whatever at whichever listener, under whichever
// spelling of a host and with whichever headers, is served by the route that the documents give them, by that route's
// upstream, over that listener's own cluster, or not at all. TIERGATE_PROVE=1 asks 200,000 times.
func TestIsolation(t *testing.T) {
	t.Parallel()
	p := play(t, example{name: "../e2e/testdata/isolation", envoy: "spiffe://acme.example/ns/edge/sa/envoy",
		clients: map[string][]string{"employees": {"laptops"}, "workloads": {"acme.example"}, "birch": {"birch"}, "cedar": {"cedar"}}})
	i := &isolation{t: t, p: p, oracle: oracle{spec: p.policy.Spec(), clients: p.clients}, served: map[string]int{}}
	i.callers = i.cast()
	i.untilKnown()
	i.before = i.requests()
	all := i.everyRoute()
	many := 1000
	if os.Getenv("TIERGATE_PROVE") != "" {
		many = 200_000
	}
	all = append(all, i.drawn(many)...)
	began := time.Now()
	i.askAll(all)
	t.Logf("leaks %d of %d, %d served, %d owed and not served, in %v; %d callers, %d listeners, %d routes", i.leaks, len(all),
		i.admitted, i.missed, time.Since(began).Round(time.Millisecond), len(i.callers), len(p.settings.Envoy.Listeners),
		len(i.oracle.spec.Routes))
	if i.admitted < len(all)/20 {
		t.Errorf("%d of %d were served: where nobody passes, nothing is proved", i.admitted, len(all))
	}
	i.ownClusters()
	i.isWhatWasMeant()
}

// isolation is one run of the matrix.
type isolation struct {
	t       *testing.T
	p       *played
	oracle  oracle
	callers []*caller
	before  map[string]int // requests by cluster, before the matrix

	mu                      sync.Mutex
	leaks, admitted, missed int
	served                  map[string]int // by listener/upstream
}

// cast is everybody: the right ones, those with another's token, laptop or guest account, and strangers.
func (i *isolation) cast() []*caller {
	t, p := i.t, i.p
	laptop := func(authority string) *devca.Pair {
		return made(p.authorities[authority].Device("laptop", "C02"+authority, forAnHour))(t)
	}
	token := func(issuer string, groups ...string) string {
		return made(p.issuers[issuer].Token("kim", groups, forAnHour, nil))(t)
	}
	ours, birch, cedar := laptop("laptops"), laptop("birch"), laptop("cedar")
	p.report(t, "mdm", ours, time.Minute, map[string]any{"platform": "macos", "compromised": false, "enrolled_user": "kim"})
	staff, birchToken, cedarToken := token("corp", "staff"), token("birch", "staff"), token("cedar", "staff")
	guest, both := token("corp", "staff", "birch-guests"), token("corp", "staff", "birch-guests", "cedar-guests")
	stranger := made(ca(t, "stranger").SVID("spiffe://stranger.example/ns/ci/sa/deployer", forAnHour))(t)
	all := []*caller{
		{name: "an employee", authority: "laptops", pair: ours, token: staff, issuer: "corp", groups: []string{"staff"}, known: true},
		{name: "a laptop alone", authority: "laptops", pair: ours},
		{name: "Birch", authority: "birch", pair: birch, token: birchToken, issuer: "birch", groups: []string{"staff"}},
		{name: "Cedar", authority: "cedar", pair: cedar, token: cedarToken, issuer: "cedar", groups: []string{"staff"}},
		{name: "a guest from Birch in staff", authority: "birch", pair: birch, token: guest, issuer: "corp",
			groups: []string{"staff", "birch-guests"}},
		{name: "the same on an employee's laptop", authority: "laptops", pair: ours, token: guest, issuer: "corp",
			groups: []string{"staff", "birch-guests"}, known: true},
		{name: "a guest of both", authority: "cedar", pair: cedar, token: both, issuer: "corp",
			groups: []string{"staff", "birch-guests", "cedar-guests"}},
		{name: "an employee on Birch's laptop", authority: "birch", pair: birch, token: staff, issuer: "corp", groups: []string{"staff"}},
		{name: "Birch on Cedar's laptop", authority: "cedar", pair: cedar, token: birchToken, issuer: "birch"},
		{name: "Cedar on an employee's laptop", authority: "laptops", pair: ours, token: cedarToken, issuer: "cedar"},
		{name: "an employee without a certificate", token: staff, issuer: "corp", groups: []string{"staff"}},
		{name: "nobody"},
		{name: "a stranger's workload", authority: "stranger", pair: stranger, spiffe: "spiffe://stranger.example/ns/ci/sa/deployer"},
	}
	for _, id := range []string{"ns/ci/sa/deployer", "ns/web/sa/frontend", "ns/ci/sa/deployer/x"} {
		id = "spiffe://acme.example/" + id
		all = append(all, &caller{name: id, authority: "acme.example", pair: p.svid(id)(t), spiffe: id})
	}
	return all
}

// untilKnown waits for the MDM's report.
func (i *isolation) untilKnown() {
	i.t.Helper()
	ctx := soon(i.t, 30*time.Second)
	for ctx.Err() == nil {
		answer := i.p.client.Ask(ctx, stage.Request{Address: i.p.settings.Envoy.Listeners[0].Address, Host: "intranet.acme.example",
			Path: "/x", Pair: i.callers[0].pair, Token: i.callers[0].token})
		if answer.Status == http.StatusOK {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	i.t.Fatal("an employee on a healthy laptop is never served")
}

// attempt is one request of the matrix.
type attempt struct {
	listener config.Listener
	by       *caller
	host     string // as the documents have it, but for a label in the place of a star
	path     string
	method   string
	alias    int
	override int
	http1    bool
	sni      string
}

func (a attempt) String() string {
	version := "HTTP/2"
	if a.http1 {
		version = "HTTP/1.1"
	}
	return fmt.Sprintf("%s at %s (SNI %s), %s %s %s%s, %s, %s", a.by.name, a.listener.Name, a.sni, version, a.method, a.host, a.path,
		aliases[a.alias].name, overriding[a.override].name)
}

// places are the host of every route with a path that it covers, and of wider routes paths that closer ones take.
func (i *isolation) places() (hosts, paths []string) {
	for _, r := range i.oracle.spec.Routes {
		hosts = append(hosts, strings.Replace(r.Hosts[0], "*", "one", 1))
		paths = append(paths, strings.NewReplacer("{id}", "7", "/**", "/deep/x", "*", "s").Replace(r.Path))
	}
	return hosts, paths
}

// everyRoute is each route at each listener by each caller who gets in there, under each alias, in both versions of HTTP; and
// by those who do not get in, once each.
func (i *isolation) everyRoute() []attempt {
	var all []attempt
	hosts, paths := i.places()
	for _, l := range i.p.settings.Envoy.Listeners {
		for _, by := range i.callers {
			for n, r := range i.oracle.spec.Routes {
				for alias := range aliases {
					a := attempt{listener: l, by: by, host: hosts[n], path: paths[n], method: r.Methods[len(all)%len(r.Methods)],
						alias: alias, override: len(all) % len(overriding), sni: hosts[len(all)%len(hosts)]}
					if !slices.Contains(i.p.clients[l.Name], by.authority) && (n+alias)%24 != 0 {
						continue
					}
					for _, a.http1 = range []bool{true, false} {
						// Envoy holds a connection of HTTP/2 for a second after a request that it does not understand.
						if a.http1 || !aliases[alias].mayFail || n%8 == 0 {
							all = append(all, a)
						}
					}
				}
			}
		}
	}
	return all
}

// drawn mixes everything with everything.
func (i *isolation) drawn(many int) []attempt {
	dice := rand.New(rand.NewPCG(8, 8))
	hosts, paths := i.places()
	methods := []string{"GET", "GET", "POST", "PUT", "DELETE"}
	all := make([]attempt, many)
	for n := range all {
		l := i.p.settings.Envoy.Listeners[dice.IntN(len(i.p.settings.Envoy.Listeners))]
		by := i.callers[dice.IntN(len(i.callers))]
		for !slices.Contains(i.p.clients[l.Name], by.authority) && dice.IntN(20) > 0 {
			by = i.callers[dice.IntN(len(i.callers))]
		}
		all[n] = attempt{listener: l, by: by, host: hosts[dice.IntN(len(hosts))], path: paths[dice.IntN(len(paths))],
			method: methods[dice.IntN(len(methods))], alias: dice.IntN(len(aliases)), override: dice.IntN(len(overriding)),
			http1: dice.IntN(2) == 0, sni: hosts[dice.IntN(len(hosts))]}
	}
	return all
}

// askAll sends all attempts over connections that are used again.
func (i *isolation) askAll(all []attempt) {
	queue := make(chan attempt, len(all))
	for _, a := range all {
		queue <- a
	}
	close(queue)
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			wires := map[string]*wire{}
			defer func() {
				for _, w := range wires {
					w.close()
				}
			}()
			for a := range queue {
				key := fmt.Sprint(a.listener.Name, a.by.name, a.http1, len(a.sni)%3) // a few names for each, not one connection a host
				if wires[key] == nil {
					wires[key] = i.wire(a)
				}
				i.judge(a, wires[key].ask(a.sent()))
			}
		})
	}
	group.Wait()
}

func (i *isolation) wire(a attempt) *wire {
	protocol := "h2"
	if a.http1 {
		protocol = "http/1.1"
	}
	w := &wire{address: a.listener.Address, http1: a.http1, config: &tls.Config{RootCAs: devca.Pool(i.p.servers),
		ServerName: a.sni, MinVersion: tls.VersionTLS13, NextProtos: []string{protocol}}}
	if a.by.pair != nil {
		certificate := a.by.pair.TLS()
		w.config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	}
	return w
}

// judge holds an answer to the oracle's word.
func (i *isolation) judge(a attempt, answer got) {
	route, upstream := i.oracle.served(a.listener, a.by, a.host, a.path, a.method)
	var echo stage.Echo
	reached := answer.Status == http.StatusOK && json.Unmarshal(answer.Body, &echo) == nil && echo.Upstream != ""
	i.mu.Lock()
	defer i.mu.Unlock()
	switch by := strings.Join(echo.Headers["x-tiergate-route"], ", "); {
	case reached && (echo.Upstream != upstream || by != route):
		i.leaks++
		if i.leaks < 20 {
			i.t.Errorf("LEAK: %s: reached %s by route %q; owed is %q by route %q", a, echo.Upstream, by, upstream, route)
		}
	case !reached && answer.Status == http.StatusOK:
		i.t.Errorf("%s: somebody answers 200: %s", a, answer.Body)
	case !reached && route != "" && !aliases[a.alias].mayFail && !overriding[a.override].mayFail:
		i.missed++
		if i.missed < 20 {
			i.t.Errorf("%s: owed route %s, got %d %s %v", a, route, answer.Status, answer.Body, answer.Err)
		}
	}
	if reached {
		i.admitted++
		i.served[a.listener.Name+"/"+echo.Upstream]++
	}
}

// requests are what each cluster has sent, as Envoy counts them.
func (i *isolation) requests() map[string]int {
	i.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", i.p.path("run", "envoy.sock"))
	}}
	request := made(http.NewRequestWithContext(soon(i.t, 10*time.Second), http.MethodGet,
		"http://envoy/stats?filter=^cluster\\..*\\.upstream_rq_total$", nil))(i.t)
	response := made(transport.RoundTrip(request))(i.t)
	defer response.Body.Close()
	counts := map[string]int{}
	for line := range strings.Lines(string(made(io.ReadAll(response.Body))(i.t))) {
		name, count, _ := strings.Cut(strings.TrimSpace(line), ": ")
		name = strings.TrimSuffix(strings.TrimPrefix(name, "cluster."), ".upstream_rq_total")
		if strings.Contains(name, "/") {
			counts[name] = made(strconv.Atoi(count))(i.t)
		}
	}
	return counts
}

// ownClusters: each request went over the cluster of its own listener, and no listener has a cluster for another's upstream.
func (i *isolation) ownClusters() {
	i.t.Helper()
	after := i.requests()
	for name, count := range after {
		if sent := count - i.before[name]; sent != i.served[name] {
			i.t.Errorf("cluster %s sent %d requests, %d were answered by that upstream at that listener", name, sent, i.served[name])
		}
	}
	for name := range i.served {
		if _, there := after[name]; !there {
			i.t.Errorf("%d requests were served over %s, which Envoy does not have", i.served[name], name)
		}
	}
	for _, foreign := range []string{"birch/corp", "birch/cedar", "cedar/corp", "cedar/birch", "employees/birch", "employees/cedar"} {
		if _, there := after[foreign]; there {
			i.t.Errorf("Envoy has a cluster %s", foreign)
		}
	}
}

// isWhatWasMeant: after all that, the running Envoy is still what it was given, by tiergate's own word.
func (i *isolation) isWhatWasMeant() {
	i.t.Helper()
	command := exec.CommandContext(soon(i.t, time.Minute), made(stage.FindBinaries())(i.t).Tiergate, "envoy", "diff", "--config",
		i.p.path("settings.yaml"))
	if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), "is what was meant") {
		i.t.Errorf("envoy diff: %v\n%s", err, out)
	}
}
