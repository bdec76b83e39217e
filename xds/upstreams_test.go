package xds

import (
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/proto"

	"github.com/tiergate/tiergate/authz/policy"
)

// everyUpstream has one of each: names and addresses, a SPIFFE ID, a DNS name and neither, HTTP/1.1 and HTTP/2.
func everyUpstream(t testing.TB) Input {
	in := written(t)
	in.Audiences = in.Audiences[:1]
	in.Settings.Listeners = in.Settings.Listeners[:1]
	in.Upstreams = []policy.Upstream{
		{Meta: policy.Meta{Name: "ledger"}, Endpoints: []string{"10.0.0.8:9443", "[2001:db8::8]:9443"},
			SPIFFEID: "spiffe://acme.example/ledger", Protocol: policy.ProtocolHTTP2},
		{Meta: policy.Meta{Name: "chat"}, Endpoints: []string{"chat.acme.example:443", "10.0.0.9:443"}, DNSName: "chat.acme.example"},
		{Meta: policy.Meta{Name: "metrics"}, Endpoints: []string{"127.0.0.1:4317"}, Plaintext: true, Protocol: policy.ProtocolHTTP2},
	}
	chat := route("chat", "chat.acme.example", "/socket", "chat", []string{"employees"}, "GET")
	chat.WebSocket = true
	in.Routes = []policy.Route{
		route("ledger", "ledger.acme.example", "/ledger.v1.Ledger/*", "ledger", []string{"employees"}, "POST"), chat,
		route("metrics", "metrics.acme.example", "/**", "metrics", []string{"employees"}, "POST"),
	}
	return in
}

// The listener and its secrets are in acme.yaml.
func TestGoldenUpstreams(t *testing.T) {
	snapshot := mustBuild(t, everyUpstream(t))
	shown := &Snapshot{resources: resources{endpoints: snapshot.Endpoints(), routes: snapshot.Routes()}}
	for _, c := range snapshot.Clusters() {
		if strings.HasPrefix(c.GetName(), "ingress/") {
			shown.resources.clusters = append(shown.resources.clusters, c)
		}
	}
	got, err := shown.YAML()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "upstreams.yaml", got)
}

// An edit of endpoints is an edit of their assignment and of nothing else; any other edit of an upstream gives the
// assignment a new name.
func TestEditOfEndpointsStaysThere(t *testing.T) {
	before := mustBuild(t, everyUpstream(t))
	in := everyUpstream(t)
	in.Upstreams[0].Endpoints = []string{"10.0.0.8:9443", "10.0.0.10:9443", "10.0.0.11:9443"}
	after := mustBuild(t, in)
	for kind, same := range map[string]bool{
		"clusters":  equal(before.Clusters(), after.Clusters()),
		"routes":    equal(before.Routes(), after.Routes()),
		"listeners": equal(before.Listeners(), after.Listeners()),
		"secrets":   equal(before.Secrets(), after.Secrets()),
	} {
		if !same {
			t.Errorf("%s changed with endpoints", kind)
		}
	}
	if equal(before.Endpoints(), after.Endpoints()) || before.Digest() == after.Digest() {
		t.Error("the endpoints did not change")
	}
	in.Upstreams[0].Protocol = policy.ProtocolHTTP1
	changed := mustBuild(t, in)
	if name := changed.Endpoints()[0].GetClusterName(); name == after.Endpoints()[0].GetClusterName() ||
		!strings.HasPrefix(name, "ingress/ledger@") {
		t.Errorf("a changed cluster takes its endpoints as %s", name)
	}
}

func equal[M proto.Message](a, b []M) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !proto.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func TestConsistentFindsEndpoints(t *testing.T) {
	for want, plant := range map[string]func(r *resources){
		"are missing": func(r *resources) { r.endpoints = r.endpoints[1:] },
		"no cluster takes them": func(r *resources) {
			r.endpoints = append(r.endpoints, &endpointv3.ClusterLoadAssignment{ClusterName: "ingress/x@1"})
		},
		"ingress/ledger: does not take its own": func(r *resources) {
			r.clusters[1].GetEdsClusterConfig().ServiceName = r.clusters[2].GetEdsClusterConfig().GetServiceName()
		},
		"ingress/metrics: does not take its own": func(r *resources) {
			r.clusters[2].GetEdsClusterConfig().EdsConfig = nil
		},
		"ingress/chat: has no endpoints": func(r *resources) {
			r.clusters[0].LoadAssignment = nil
		},
		"breaks a constraint": func(r *resources) {
			r.endpoints[0].GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress().Address = ""
		},
	} {
		good := mustBuild(t, everyUpstream(t))
		r := good.resources
		r.clusters, r.endpoints = nil, nil
		for _, c := range good.Clusters() {
			r.clusters = append(r.clusters, proto.CloneOf[*clusterv3.Cluster](c))
		}
		for _, e := range good.Endpoints() {
			r.endpoints = append(r.endpoints, proto.CloneOf[*endpointv3.ClusterLoadAssignment](e))
		}
		plant(&r)
		bad, err := newSnapshot(r, good.Table(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := bad.Consistent(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
