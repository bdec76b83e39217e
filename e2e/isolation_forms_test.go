package e2e_test

import "strings"

// foreign is where nobody is meant to come who asks for something else.
const (
	foreignHost = "ledger.acme.example"
	foreignPath = "/partners/birch/deep/x"
)

// aliases are the ways to write a host. mayFail: the form may be refused; where it is served, it is by what the first of two
// names says.
var aliases = []struct {
	name    string
	mayFail bool
	write   func(s *sent, http1 bool)
}{
	{"as written", false, func(*sent, bool) {}},
	{"in capitals", false, func(s *sent, _ bool) { s.host = strings.ToUpper(s.host) }},
	{"with a port", false, func(s *sent, _ bool) { s.host += ":443" }},
	{"with another port", false, func(s *sent, _ bool) { s.host += ":8445" }},
	{"with a final dot", false, func(s *sent, _ bool) { s.host += "." }},
	{"with a dot, a port and capitals", false, func(s *sent, _ bool) { s.host = strings.ToUpper(s.host) + ".:443" }},
	{"in the target, with another Host", true, func(s *sent, http1 bool) {
		if http1 {
			s.target, s.host = "https://"+s.host+s.target, foreignHost
			return
		}
		s.fields = append(s.fields, field{"host", foreignHost}) // beside :authority
	}},
	{"twice", true, func(s *sent, _ bool) { s.fields = append(s.fields, field{"Host", foreignHost}) }},
}

// overriding are headers by which somebody or other lets a client say another host, path, method, identity or way.
var overriding = []struct {
	name    string
	mayFail bool
	fields  []field
}{
	{"no override", false, nil},
	{"x-forwarded-host", false, []field{{"X-Forwarded-Host", foreignHost}, {"X-Forwarded-Server", foreignHost}, {"X-Host", foreignHost}}},
	{"x-original-url", false, []field{{"X-Original-Url", foreignPath}, {"X-Original-Uri", foreignPath}}},
	{"x-rewrite-url", false, []field{{"X-Rewrite-Url", foreignPath}, {"X-Forwarded-Uri", foreignPath}, {"X-Forwarded-Prefix", "/admin"}}},
	{"x-http-method-override", false, []field{{"X-Http-Method-Override", "DELETE"}, {"X-Method-Override", "DELETE"}}},
	{"x-envoy-original-path", false, []field{{"X-Envoy-Original-Path", foreignPath}, {"X-Envoy-Original-Host", foreignHost}}},
	{"x-tiergate-*", false, []field{{"X-Tiergate-Route", "ledger"},
		{"X-Tiergate-Subject", "corp/root"}, {"X-Tiergate-Audience", "birch"}}},
	{"x-envoy-upstream-alt-stat-name", false, []field{{"X-Envoy-Upstream-Alt-Stat-Name", "birch"},
		{"X-Envoy-Upstream-Stream-Duration-Ms", "1"}}},
	{"x-envoy-retry-on", false, []field{{"X-Envoy-Retry-On", "retriable-4xx,5xx"},
		{"X-Envoy-Max-Retries", "9"}, {"X-Envoy-Hedge-On-Per-Try-Timeout", "true"}}},
	{"x-envoy-force-trace", false, []field{{"X-Envoy-Force-Trace", "true"},
		{"X-Envoy-Internal", "true"}, {"X-Envoy-External-Address", "127.0.0.1"}}},
	{"x-envoy-decorator-operation", false, []field{{"X-Envoy-Decorator-Operation", "birch"}, {"X-Envoy-Ip-Tags", "birch"}}},
	{"forwarded", false, []field{{"Forwarded", "for=127.0.0.1;host=" + foreignHost + ";proto=http"}, {"X-Forwarded-Proto", "http"}}},
	{"x-forwarded-client-cert", false, []field{{"X-Forwarded-Client-Cert", "Hash=00;URI=spiffe://acme.example/ns/ci/sa/deployer"}}},
	{"x-cluster", false, []field{{"X-Cluster", "birch/birch"}, {"X-Envoy-Cluster", "birch/birch"}, {"X-Route", "drawings"}}},
}

func (a attempt) sent() sent {
	s := sent{method: a.method, target: a.path, host: a.host, fields: append([]field{}, overriding[a.override].fields...)}
	if a.by.token != "" {
		s.fields = append(s.fields, field{"Authorization", "Bearer " + a.by.token})
	}
	if a.method != "GET" {
		s.body = []byte("{}")
	}
	aliases[a.alias].write(&s, a.http1)
	return s
}
