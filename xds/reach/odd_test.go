package reach_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/xds/dump"
	"github.com/tiergate/tiergate/xds/reach"
)

var update = flag.Bool("update", false, "write the golden files")

func read(t *testing.T, text string) *dump.Config {
	t.Helper()
	c, err := dump.Read([]byte(text), t.Name())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func line(p reach.Path) string {
	guard := "guarded"
	if !p.Guarded {
		guard = "UNGUARDED (" + p.Unguarded + ")"
	}
	text := fmt.Sprintf("%s %v chain %s", p.Listener, p.Addresses, p.Chain)
	if p.Match != "" {
		text += " {" + p.Match + "}"
	}
	text += fmt.Sprintf("\n   certificate %s of %v named %v %s\n   %s %s %v %v route %s of %s, %s\n   -> %s %v",
		p.Trust.Certificate, p.Trust.Authorities, p.Trust.Names, p.Trust.Loose, p.Host, p.Request, p.Methods, p.Conditions,
		p.Route, p.Table, guard, p.Cluster, p.Endpoints)
	if p.Open != "" {
		text += "\n   OPEN " + p.Open
	}
	return text + "\n"
}

// TestOdd: of an Envoy full of what is not usual, everything is listed, and what cannot be known is open.
func TestOdd(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/odd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := reach.All(read(t, string(raw)))
	var got strings.Builder
	for _, p := range all {
		got.WriteString(line(p))
	}
	const golden = "testdata/odd.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("other paths than in %s; judge them, then go test ./xds/reach -update:\n%s", golden, got.String())
	}
	for i := range 20 {
		again := reach.All(read(t, string(raw)))
		if !slices.EqualFunc(all, again, func(a, b reach.Path) bool { return line(a) == line(b) && a.Where == b.Where }) {
			t.Fatalf("another order or content at the %dth time", i+2)
		}
	}
}

// TestThroughListeners: what one listener leads to counts for whoever leads to it.
func TestThroughListeners(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/odd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := reach.All(read(t, string(raw)))
	ends, open := reach.Reaches(all, "loop")
	want := []string{"10.0.0.1:1", "[::ffff:127.0.0.1]:8000", "db.example:5432", "internal:inner", "unix:/run/two"}
	if !slices.Equal(ends, want) || len(open) != 1 || !strings.Contains(open[0], "DNS says which addresses") {
		t.Errorf("from loop: %v, open %q", ends, open)
	}
	if got := reach.To(all, "unix:/run/two"); !slices.Equal(got, []string{"datagrams", "front", "inner", "loop", "sni", "transparent"}) {
		t.Errorf("to /run/two: %v", got)
	}
	if ends, open := reach.Reaches(all, "no such listener"); len(ends)+len(open) > 0 {
		t.Errorf("from nowhere: %v, %v", ends, open)
	}
}

// TestGuards: each way in which ext_authz is there and does not decide is found; the plain filter is a guard.
func TestGuards(t *testing.T) {
	t.Parallel()
	const router = "{name: router, typed_config: {'@type': t/envoy.extensions.filters.http.router.v3.Router}}"
	filter := func(more string) string {
		return "{name: a, typed_config: {'@type': t/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz" + more + "}}"
	}
	per := func(fields string) string {
		return "typed_per_filter_config: {a: {'@type': t/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, " + fields + "}}"
	}
	for name, c := range map[string]struct{ filters, table, host, route, why string }{
		"plain":       {filter("") + "," + router, "", "", "", ""},
		"context":     {filter("") + "," + router, "", per("check_settings: {context_extensions: {a: b}}"), "", ""},
		"none":        {router, "", "", "", "there is no ext_authz filter"},
		"too late":    {router + "," + filter(""), "", "", "", "there is no ext_authz filter"},
		"fail open":   {filter(", failure_mode_allow: true") + "," + router, "", "", "", "failure_mode_allow is true"},
		"camel case":  {filter(", failureModeAllow: true") + "," + router, "", "", "", "failure_mode_allow is true"},
		"shadow":      {filter(", shadow_mode: true") + "," + router, "", "", "", "shadow_mode is true"},
		"sometimes":   {filter(", filter_enabled: {default_value: {numerator: 100}}") + "," + router, "", "", "", "filter_enabled"},
		"by metadata": {filter(", filter_enabled_metadata: {filter: x}") + "," + router, "", "", "", "filter_enabled_metadata"},
		"off":         {strings.Replace(filter(""), "{", "{disabled: true, ", 1) + "," + router, "", "", "", ".disabled is true"},
		"ecds": {"{name: a, config_discovery: {type_urls: [t/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz]}}," +
			router, "", "", "", "ECDS"},
		"off for table": {filter("") + "," + router, per("disabled: true"), "", "", ".disabled is true"},
		"off for host":  {filter("") + "," + router, "", per("disabled: true"), "", ".disabled is true"},
		"off for route": {filter("") + "," + router, "", "", per("disabled: true"), ".disabled is true"},
		"off in general": {filter("") + "," + router, "", "",
			"typed_per_filter_config: {a: {'@type': t/envoy.config.route.v3.FilterConfig, disabled: true}}", ".disabled is true"},
		"wrapped": {filter("") + "," + router, "", "",
			"typed_per_filter_config: {a: {'@type': t/envoy.config.route.v3.FilterConfig, " +
				"config: {'@type': t/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, disabled: true}}}", ".disabled is true"},
		"other service": {filter("") + "," + router, "", "",
			per("check_settings: {grpc_service: {envoy_grpc: {cluster_name: x}}}"), "another service is asked"},
		"one of two": {filter(", failure_mode_allow: true") + "," + filter("") + "," + router, "", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			field := func(text string) string {
				if text == "" {
					return ""
				}
				return ", " + text
			}
			all := reach.All(read(t, "static_resources: {listeners: [{name: l, filter_chains: [{filters: [{name: h, typed_config: "+
				"{'@type': t/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, http_filters: ["+c.filters+
				"], route_config: {name: t, virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: c}"+
				field(c.route)+"}]"+field(c.host)+"}]"+field(c.table)+"}}}]}]}], clusters: [{name: c}]}"))
			i := slices.IndexFunc(all, func(p reach.Path) bool { return p.Cluster == "c" })
			if i < 0 {
				t.Fatalf("no path: %+v", all)
			}
			if p := all[i]; p.Guarded != (c.why == "") || !strings.Contains(p.Unguarded, c.why) || p.Guarded != (p.Unguarded == "") {
				t.Errorf("guarded %v: %s; want %q", p.Guarded, p.Unguarded, c.why)
			}
		})
	}
}
