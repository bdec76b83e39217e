package e2e_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

const forged = "forged"

// saidOfOneself is what clients say of themselves, where they come from and where they want to. All of it is Envoy's or
// tiergate's to say.
func saidOfOneself() []field {
	var all []field
	for _, name := range []string{"subject", "device", "tier", "route", "decision-id", "upstream", "groups", "email", "acr", "assertion", "", "x"} {
		all = append(all, field{"x-tiergate-" + name, forged}, field{"X-TIERGATE-" + strings.ToUpper(name), forged})
	}
	for _, name := range []string{"x-envoy-upstream-stream-duration-ms", "x-envoy-upstream-rq-timeout-ms", "x-envoy-max-retries",
		"x-envoy-retry-on", "x-envoy-retry-grpc-on", "x-envoy-original-path", "x-envoy-original-host", "x-envoy-internal",
		"x-envoy-external-address", "x-envoy-decorator-operation", "x-envoy-force-trace",
		"x-envoy-expected-rq-timeout-ms", "x-envoy-hedge-on-per-try-timeout", "x-envoy-ip-tags", "x-envoy-downstream-service-cluster",
		"x-envoy-downstream-service-node"} {
		all = append(all, field{name, forged}, field{name, "1" + forged})
	}
	for _, value := range []string{forged, `By=x;Hash=forged;URI=spiffe://acme.example/ns/ci/sa/deployer`, `Hash=forged,Hash="forged\"";URI=x`} {
		all = append(all, field{"x-forwarded-client-cert", value}, field{"X-Forwarded-Client-Cert", value})
	}
	return all
}

// tricks are whole sets of headers: doubled, with underscores, hop by hop, in other cases.
func tricks() map[string][]field {
	const mine = "x-tiergate-subject"
	sets := map[string][]field{
		"doubled":              {{mine, forged}, {mine, forged}, {"X-Tiergate-Subject", forged}},
		"underscores":          {{"x_tiergate_subject", forged}},
		"mixed underscores":    {{"x-tiergate_subject", forged}},
		"blank before colon":   {{"x-tiergate-subject ", forged}},
		"blank before name":    {{" x-tiergate-subject", forged}},
		"folded":               {{"x-a", "b\r\n x-tiergate-subject: forged"}},
		"injected":             {{"x-a", "b\r\nx-tiergate-subject: forged"}},
		"injected by LF":       {{"x-a", "b\nx-tiergate-subject: forged"}},
		"injected by CR":       {{"x-a", "b\rx-tiergate-subject: forged"}},
		"injected by NUL":      {{"x-a", "b\x00x-tiergate-subject: forged"}},
		"the name injected":    {{"x-a: b\r\nx-tiergate-subject", forged}},
		"not ASCII":            {{"x-tiergate-\u017fubject", forged}},
		"two authorities":      {{"host", "payroll.acme.example"}},
		"a pseudo-header":      {{":path", "/vault/x"}},
		"a second scheme":      {{":scheme", "http"}},
		"upgrade":              {{"connection", "upgrade, x-tiergate-subject"}, {"upgrade", "h2c"}, {"http2-settings", "AAMAAABkAAQAAP__"}},
		"websocket":            {{"connection", "upgrade"}, {"upgrade", "websocket"}, {"sec-websocket-version", "13"}, {"sec-websocket-key", "x"}},
		"a body of two sizes":  {{"content-length", "0"}, {"content-length", "5"}},
		"a body of two kinds":  {{"content-length", "5"}, {"transfer-encoding", "chunked"}},
		"transfer-encoding":    {{"transfer-encoding", "chunked, identity"}},
		"transfer-encoding, x": {{"transfer-encoding", "x-chunked"}},
		"method override":      {{"x-http-method-override", "POST"}, {"x-http-method", "POST"}},
	}
	// What is named here is taken off before the request goes on (RFC 9110, section 7.6.1): none of ours may be.
	for _, name := range []string{mine, "x-tiergate-route", "x-tiergate-decision-id", "x-tiergate-tier", "x-tiergate-device", "x-forwarded-client-cert",
		"authorization", "x-forwarded-for", "x-forwarded-proto", "host", "te, x-tiergate-subject", "close, X-Tiergate-Subject, keep-alive"} {
		sets["connection: "+name] = []field{{"connection", name}, {mine, forged}}
		sets["proxy-connection: "+name] = []field{{"proxy-connection", name}}
		sets["keep-alive: "+name] = []field{{"keep-alive", name}}
		sets["te: "+name] = []field{{"te", name}}
	}
	return sets
}

// proved is what an upstream must be told of ana, whatever was said beside. Her device has a number of its own in each
// company.
var proved = map[string]string{"x-tiergate-subject": "corp/ana@acme.example", "x-tiergate-route": "portal", "x-tiergate-tier": "internal",
	"x-forwarded-proto": "https"}

// said is one request of ana's that says more than it should.
type said struct {
	name             string
	fields, trailers []field
	must             bool // reach the upstream
}

// allSaid is the corpus, with what is harmless before and behind it.
func allSaid() []said {
	all := []said{{name: "nothing, for control", must: true}}
	for _, f := range saidOfOneself() {
		all = append(all, said{name: f.name + ": " + f.value, fields: []field{f}, must: f.name[len(f.name)-1] != '-'},
			said{name: "trailer " + f.name, trailers: []field{f}},
			said{name: "announced trailer " + f.name, fields: []field{{"trailer", f.name}}, trailers: []field{f}})
	}
	for name, fields := range tricks() {
		all = append(all, said{name: name, fields: fields})
	}
	return append(all, said{name: "nothing again", must: true})
}

// TestHeaderSpoofing: who the upstream sees is who proved it, and of what a client said of itself it sees nothing, over
// both versions of HTTP, in headers, in trailers, and where Connection names what is ours.
func TestHeaderSpoofing(t *testing.T) { //nolint:tparallel // its subtests share one company and take turns
	t.Parallel()
	w := aWitnessedCompany(t, stage.StoreEmbedded)
	for _, http1 := range []bool{true, false} {
		t.Run(fmt.Sprintf("of oneself, HTTP/1 %t", http1), func(t *testing.T) { testSaid(t, w, allSaid(), http1) })
		t.Run(fmt.Sprintf("of the way, HTTP/1 %t", http1), func(t *testing.T) { testSaid(t, w, saidOfTheWay(), http1) })
	}
}

func testSaid(t *testing.T, w *witnessed, all []said, http1 bool) {
	answers := make([]got, len(all))
	queue := make(chan int, len(all))
	for i := range all {
		queue <- i
	}
	close(queue)
	var group sync.WaitGroup
	for range 24 { // Envoy holds a connection on which it understood nothing for a second
		pipe := newWire(t, w.Stage, w.Ports.Ingress, w.Cast.Pairs["ana-laptop"].TLS(), http1)
		group.Go(func() {
			for i := range queue {
				r := sent{method: "GET", target: "/x", host: askers[0].host, trailers: all[i].trailers}
				r.fields = append(askers[0].fields(w.Stage, strconv.Itoa(i)), all[i].fields...)
				if r.trailers != nil {
					r.body = []byte("hello")
				}
				answers[i] = pipe.ask(r)
			}
		})
	}
	group.Wait()
	reached, device := map[int]bool{}, ""
	for _, s := range w.seen() {
		i, err := strconv.Atoi(s.header(caseHeader))
		if err != nil || i >= len(all) {
			t.Errorf("a request that nobody sent: %+v", s)
			continue
		}
		reached[i] = true
		if device == "" {
			device = s.header("x-tiergate-device")
		}
		if fault := asProved(s, device); fault != "" {
			t.Errorf("%s: the upstream saw %s", all[i].name, fault)
		}
	}
	for i, a := range answers {
		if all[i].must && !reached[i] {
			t.Errorf("%s: %d %s %v", all[i].name, a.Status, a.Body, a.Err)
		}
	}
	t.Logf("%d of %d reached the upstream", len(reached), len(all))
}

// asProved says what is wrong with what an upstream sees of ana.
func asProved(s sighting, device string) string {
	if got := s.Headers["x-tiergate-device"]; device == "" || !slices.Equal(got, []string{device}) {
		return fmt.Sprintf("x-tiergate-device: %q, and not %q", got, device)
	}
	for name, want := range proved {
		if got := s.Headers[name]; !slices.Equal(got, []string{want}) {
			return fmt.Sprintf("%s: %q, and not %q", name, got, want)
		}
	}
	for name, values := range s.Headers {
		if name == "x-a" {
			continue // the client's own header, whose value holds what was to become another
		}
		if all := name + " " + strings.Join(values, " "); strings.Contains(all, forged) {
			return strconv.Quote(name + ": " + strings.Join(values, ", "))
		}
	}
	for name, values := range s.Trailers {
		if len(values) > 0 { // what was announced and did not come has no value
			return fmt.Sprintf("trailer %s: %q", name, values)
		}
	}
	if s.Path != "/x" || s.Method != "GET" || s.Host != askers[0].host {
		return fmt.Sprintf("%s %s at %s", s.Method, s.Path, s.Host)
	}
	if xfcc := s.Headers["x-forwarded-client-cert"]; len(xfcc) != 1 || strings.Count(xfcc[0], "Hash=") != 1 || strings.Contains(xfcc[0], "deployer") {
		return fmt.Sprintf("x-forwarded-client-cert: %q", xfcc)
	}
	return ""
}

// saidOfTheWay are headers by which proxies tell where a request came from and what it asked for. Clients write them, too;
// an upstream that believes them must find nobody's word but Envoy's.
func saidOfTheWay() (all []said) {
	for _, f := range []field{{"x-forwarded-for", forged}, {"x-forwarded-for", "10.0.0.1, forged"}, {"x-forwarded-proto", forged},
		{"x-forwarded-host", forged}, {"x-forwarded-port", forged}, {"x-forwarded-prefix", forged}, {"x-forwarded-scheme", forged},
		{"x-forwarded-server", forged}, {"x-forwarded-uri", forged}, {"x-forwarded-user", forged}, {"x-forwarded-email", forged},
		{"forwarded", "for=forged;host=forged"}, {"x-real-ip", forged}, {"x-client-ip", forged}, {"true-client-ip", forged},
		{"x-original-url", "/forged"}, {"x-rewrite-url", "/forged"}, {"x-original-host", forged}, {"x-host", forged},
		{"x-envoy-peer-metadata", forged}, {"x-envoy-auth-failure-mode-allowed", forged}, {"x-envoy-attempt-count", forged}} {
		all = append(all, said{name: f.name + ": " + f.value, fields: []field{f}})
	}
	return all
}
