package drift

import (
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
)

// TestNoDrift: what Build makes and Bootstrap writes is what a real Envoy shows, and stays so over a change of the policy.
func TestNoDrift(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	report := r.look()
	if report.Envoy == "" || report.Node != "envoy-1" || report.Served == "" || report.Absent {
		t.Errorf("%+v", report)
	}
	r.input.Routes = append(r.input.Routes, aRoute("more", "*.more.example", "/a/*", "vault", "guests"))
	r.input.Upstreams[0].Endpoints = []string{"127.0.0.3:9"}
	r.input.Settings.Listeners[1].Address = freeport.For(t)
	r.publish()
	r.inSync()
	if again := r.look(); again.Served == report.Served {
		t.Error("another policy is served under the same version")
	}
}

const extraListener = `static_resources:
  listeners:
    - name: back-door
      address: {socket_address: {address: 127.0.0.1, port_value: 0}}
      filter_chains:
        - filters:
            - name: tcp
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
                stat_prefix: back
                cluster: back
`

const extraCluster = `  clusters:
    - name: back
      type: STATIC
`

// TestForeignBootstrap: what somebody adds to the bootstrap is found, all of it.
func TestForeignBootstrap(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(bootstrap string) string {
		text := strings.Replace(bootstrap, "static_resources:\n  clusters:\n", extraListener+extraCluster, 1)
		text = strings.Replace(text, "layers:\n", "layers:\n    - name: switches\n      admin_layer: {}\n", 1)
		return strings.Replace(text, "re2.max_program_size.error_level: 100000",
			"re2.max_program_size.error_level: 100000\n        envoy.reloadable_features.x: true", 1)
	}, "--drain-time-s", "600")
	r.look("bootstrap layered_runtime different layered_runtime.layers",
		"cluster back unexpected : Envoy holds it and was not given it",
		"listener back-door unexpected : Envoy holds it and was not given it",
		"runtime envoy.reloadable_features.x unexpected : is \"true\", meant is not to be set",
		"server drain_time different command_line_options.drain_time: is \"600s\", meant is at most 30s: start Envoy with")
}

// TestBehindOurBack: another control plane took over, or a resource was lost; each shows with the first field that differs.
func TestBehindOurBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	served, version := r.server.Serving()
	meant := r.input
	meant.Routes = append([]policy.Route{aRoute("gone", "gone.example", "/**", "app", "staff")}, meant.Routes...)
	meant.Upstreams = append([]policy.Upstream{}, meant.Upstreams...)
	meant.Upstreams[0].Endpoints = []string{"127.0.0.9:9"}
	meant.Upstreams = append(meant.Upstreams, policy.Upstream{Meta: policy.Meta{Name: "third"},
		Endpoints: []string{"127.0.0.1:3"}, Plaintext: true})
	meant.Routes = append(meant.Routes, aRoute("third", "third.example", "/**", "third", "staff"))
	meant.Settings.CheckTimeout = meant.Settings.CheckTimeout / 2
	other := selfSigned(t)
	meant.Settings.Client = &other
	r.intend(meant)
	r.look(
		"cluster ingress/third missing : Envoy was given it and does not hold it",
		"endpoints guests/app@",
		"endpoints ingress/app@",
		"endpoints ingress/third@",
		"listener guests different filter_chains[0].filters[0].typed_config.http_filters[1].typed_config.grpc_service.timeout: "+
			"is \"1s\", meant is \"0.500s\"",
		"listener ingress different filter_chains[0].filters[0].",
		"route ingress different virtual_hosts: has 1 items, meant are 3",
		"secret upstream-client different tls_certificate.certificate_chain.inline_bytes: is ",
	)
	r.serve(served, version)
	r.look()
}

// TestStateOfTheWorld: an Envoy may take all resources at every change; that is no difference.
func TestStateOfTheWorld(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(bootstrap string) string {
		return strings.Replace(bootstrap, "api_type: DELTA_GRPC", "api_type: GRPC", 1)
	})
	r.look()
}
