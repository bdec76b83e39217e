package prove_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/policytest"
	"github.com/tiergate/tiergate/xds/prove"
)

// Pieces of the static configuration: a route of the contractors' listener and of the common one, up to its cluster.
const (
	theirCluster = "cluster: contractors/tracker\n                            max_stream"
	theirRoute   = "                        - match:\n                            safe_regex:"
	theirAddress = "port_value: 9002"
	commonRoute  = "                            prefix: /\n                          name: portal\n"
	commonRoutes = "                      name: app.acme.example\n                      routes:\n"
	portalName   = "                                  tiergate.route: portal\n" + "                                  tiergate.upstream: portal\n"
	theirName    = "                                  tiergate.route: tracker\n"
	aListener    = "  listeners:\n"
	aCluster     = "  clusters:\n"
)

// toCluster is a route without a name, switched off.
func toCluster(match, cluster, name string) string {
	return "                        - match: {" + match + "}\n                          name: " + name +
		"\n                          route: {cluster: " + cluster + "}\n"
}

const perRoute = `                          typed_per_filter_config:
                            envoy.filters.http.ext_authz:
                              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
`

func tcpListener(name, address, cluster string) string {
	return `    - name: ` + name + `
      ` + address + `
      filter_chains:
        - filters:
            - name: tcp
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
                stat_prefix: x
                cluster: ` + cluster + "\n"
}

// edits are what somebody did to the configuration that follows from the policy, by the name of the file in testdata/wrong.
var edits = map[string][][2]string{
	"untrusted": {{"filename: /pki/contractors.pem\n", "filename: /pki/contractors.pem\n        trust_chain_verification: ACCEPT_UNTRUSTED\n"}},
	"disabled-by-route": {{portalName, portalName + "                              disabled: true\n"},
		{"                              check_settings:\n                                context_extensions:\n" + portalName, "                              #\n"}},
	"fail-open": {{"charge_cluster_response_stats: false", "failure_mode_allow: true"}, {"charge_cluster_response_stats: false", "failure_mode_allow: true"}},
	"extra-route": {{commonRoutes, commonRoutes + toCluster(`prefix: "/hidden"`, "contractors/tracker", "hidden") + perRoute +
		"                              disabled: true\n"}},
	"tcp-proxy": {{aListener, aListener + tcpListener("bytes", `address: {socket_address: {address: 127.0.0.1, port_value: 9999}}`, "ingress/portal")}},
	"internal-hop": {{theirCluster, "cluster: hop\n                            max_stream"},
		{aCluster, aCluster + `    - name: hop
      type: STATIC
      load_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: {envoy_internal_address: {server_listener_name: inner}}}}]}]}
`},
		{aListener, aListener + tcpListener("inner", "internal_listener: {}", "ingress/portal")}},
	"another-cluster": {{theirCluster, "cluster: ingress/portal\n                            max_stream"}},
	"mirror": {{theirCluster, "cluster: contractors/tracker\n                            request_mirror_policies: [{cluster: ingress/portal}]\n" +
		"                            max_stream"}},
	"own-listener-beyond": {{theirRoute, toCluster(`prefix: "/x"`, "ingress/portal", "portal") + perRoute +
		"                              check_settings: {context_extensions: {tiergate.route: portal}}\n" + theirRoute}},
	"changed-endpoint": {{theirAddress, "port_value: 9009"}},
	"cluster-header":   {{theirCluster, "cluster_header: x-to\n                            max_stream"}},
	"nameless-route":   {{theirName, "                                  other: x\n"}, {theirCluster, "cluster: ingress/portal\n                            max_stream"}},
	"nameless-on-common": {{"                        - app.acme.example\n", "                        - app.acme.example\n                        - \"*\"\n"},
		{portalName, "                                  other: x\n"}},
}

func edited(t *testing.T, name, text string) string {
	t.Helper()
	for _, edit := range edits[name] {
		if !strings.Contains(text, edit[0]) {
			t.Fatalf("%s: the configuration has no\n%s", name, edit[0])
		}
		text = strings.Replace(text, edit[0], edit[1], 1)
	}
	return text
}

// TestTheRightOneIsProved: what the wrong ones are made of holds, and so it is the fault that is found.
func TestTheRightOneIsProved(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"testdata/right.txtar", "testdata/right-workloads.txtar"} {
		w := worldOf(t, file)
		report := w.check(t, w.envoy)
		if !report.Isolated || report.Looked.Paths < 2 || len(report.Audiences[0].Listeners) != 1 {
			t.Errorf("%s: %+v", file, report)
		}
	}
}

// TestWrong: each deliberately wrong policy or Envoy yields its counterexamples and no other, with all that names the way, and
// with a case on which the policy agrees.
func TestWrong(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/wrong/*.txtar")
	if err != nil || len(files) < 12 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := worldOf(t, file)
			report := w.check(t, edited(t, name, w.envoy))
			var got []string
			for i := range report.Counterexamples {
				c := &report.Counterexamples[i]
				got = append(got, strings.TrimSpace(string(c.Kind)+" "+c.Route))
				complete(t, &w, c)
			}
			if name == "exception-is-the-way" && !strings.Contains(report.Counterexamples[0].Case, "serial:C02LOANER01") {
				t.Error(report.Counterexamples[0].Case)
			}
			want := strings.Split(w.finds, ",")
			slices.Sort(want)
			slices.Sort(got)
			if report.Isolated || !slices.Equal(slices.Compact(got), want) {
				t.Errorf("found %q, want %q\n%+v", got, want, report.Counterexamples)
			}
		})
	}
}

// complete wants the whole way, and runs the case as `tiergate policy test` does.
func complete(t *testing.T, w *world, c *prove.Counterexample) {
	t.Helper()
	for what, text := range map[string]string{"what": c.What, "fix": c.Fix, "who": c.Who, "request": c.Request, "audience": c.Audience, "case": c.Case} {
		if text == "" {
			t.Errorf("%s %s: nothing says %s: %+v", c.Kind, c.Route, what, c)
		}
	}
	if c.Kind != prove.NoListener && (c.Listener == "" || c.Cluster == "" && c.Kind != prove.Open || c.Endpoint == "" && c.Kind != prove.Open) {
		t.Errorf("the way is not told: %+v", c)
	}
	cases, problems := policytest.Parse("case.yaml", []byte(c.Case))
	if len(problems) > 0 {
		t.Fatalf("%v\n%s", problems, c.Case)
	}
	results, err := policytest.Run(w.policy, cases)
	if err != nil || len(results) != 1 || len(results[0].Differences) > 0 {
		t.Fatalf("%v: %+v\n%s", err, results, c.Case)
	}
	if want := map[prove.Kind]string{prove.Admitted: "allow", prove.Shared: "allow", prove.NoListener: "allow", prove.Elsewhere: "allow"}[c.Kind]; want != "" &&
		results[0].Verdict.Outcome.String() != want {
		t.Errorf("%s: %s %s\n%s", c.Kind, results[0].Verdict.Outcome, results[0].Verdict.Detail, c.Case)
	}
}
