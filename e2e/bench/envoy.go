package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/template"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
	"github.com/tiergate/tiergate/e2e/bench/load"
	"github.com/tiergate/tiergate/e2e/bench/world"
)

// way is one listener of the Envoy: which server it asks, and with which headers.
type way struct {
	Key    string
	Name   string
	Server string // key of the server; empty: nobody is asked
	Few    bool   // send only the headers that a decision reads
	Socket string
}

// bootstrap is an Envoy of one worker: for each way a listener with mutual TLS whose route answers by itself, so that
// what differs between two listeners is the question alone.
var bootstrap = template.Must(template.New("envoy").Parse(`static_resources:
  listeners:
{{range .Ways}}  - name: {{.Key}}
    address: {pipe: {path: {{.Socket}}}}
    filter_chains:
    - transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: true
          common_tls_context:
            tls_certificates: [{certificate_chain: {filename: {{$.Cert}}}, private_key: {filename: {{$.Key}}}}]
            validation_context: {trusted_ca: {filename: {{$.CA}}}}
      filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {{.Key}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                direct_response: {status: 200, body: {inline_string: "fine\n"}}
{{if .Server}}                typed_per_filter_config:
                  envoy.filters.http.ext_authz:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                    check_settings:
                      context_extensions:
{{range $name, $value := $.Extensions}}                        {{$name}}: "{{$value}}"
{{end}}{{end}}          http_filters:
{{if .Server}}          - name: envoy.filters.http.ext_authz
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
              transport_api_version: V3
              grpc_service: {envoy_grpc: {cluster_name: {{.Server}}}, timeout: 5s}
              failure_mode_allow: false
              include_peer_certificate: true
              include_tls_session: true
              encode_raw_headers: true
              validate_mutations: true
{{if .Few}}              allowed_headers: {patterns: [{prefix: ":"}, {exact: authorization}]}
{{end}}{{end}}          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
{{end}}  clusters:
{{range $name, $socket := .Clusters}}  - name: {{$name}}
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: {{$name}}
      endpoints: [{lb_endpoints: [{endpoint: {address: {pipe: {path: {{$socket}}}}}}]}]
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
{{end}}`))

func (f *fleet) ways() []way {
	ways := []way{
		{Key: "none", Name: "no ext_authz"},
		{Key: "via-a", Name: "AlwaysOK grpc-go (a)", Server: "a"},
		{Key: "via-c", Name: "tiergate (c)", Server: "c"},
		{Key: "few-c", Name: "tiergate (c), only the headers it reads", Server: "c", Few: true},
	}
	for i := range ways {
		ways[i].Socket = f.path(ways[i].Key + ".sock")
	}
	return ways
}

// startEnvoy starts the Envoy where the system puts it: three processes share the cores, as they do in a pod.
func (f *fleet) startEnvoy(ctx context.Context, ways []way, c *world.Site) (pid int, err error) {
	certificate, key := f.world.Pair("envoy")
	clusters := map[string]string{}
	for _, w := range ways {
		if w.Server != "" {
			clusters[w.Server] = f.byKey(w.Server).socket
		}
	}
	var text bytes.Buffer
	if err := bootstrap.Execute(&text, map[string]any{
		"Ways": ways, "Clusters": clusters, "Cert": certificate, "Key": key, "CA": f.world.CA("devices"),
		"Extensions": world.Extensions(c.Policy.Table().Digest()),
	}); err != nil {
		return 0, err
	}
	config := f.path("envoy.yaml")
	if err := os.WriteFile(config, text.Bytes(), 0o600); err != nil {
		return 0, err
	}
	if err := f.processes.Start(ctx, stage.Process{
		Name: "envoy", Path: f.binaries.Envoy, Log: f.path("envoy.log"),
		Args:  []string{"-c", config, "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning"},
		Ready: func(ctx context.Context) error { return accepts(ctx, ways[len(ways)-1].Socket) },
	}); err != nil {
		return 0, err
	}
	return f.processes.Pid("envoy"), nil
}

// envoyConnections is how many clients there are, each with one request under way.
const envoyConnections = 32

// throughEnvoy measures the ways, interleaved, and prints their table.
func (f *fleet) throughEnvoy(ctx context.Context, out io.Writer, o options, c *world.Site) error {
	ways := f.ways()
	envoy, err := f.startEnvoy(ctx, ways, c)
	if err != nil {
		return err
	}
	measured := map[string][]sample{}
	for round := range o.rounds {
		for i := range ways {
			w := ways[(i+round)%len(ways)]
			one, err := f.askThrough(ctx, w, envoy, o)
			if err != nil {
				return fmt.Errorf("through Envoy, %s: %w", w.Name, err)
			}
			measured[w.Key] = append(measured[w.Key], one)
		}
	}
	f.printWays(out, ways, measured)
	return nil
}

// askThrough measures one way.
func (f *fleet) askThrough(ctx context.Context, w way, envoy int, o options) (one sample, err error) {
	pids := []int{envoy}
	if w.Server != "" {
		s := f.byKey(w.Server)
		if err := resume(s.pid); err != nil {
			return one, err
		}
		defer func() { err = errors.Join(err, pause(s.pid)) }()
		pids = append(pids, s.pid)
	}
	certificate, key := f.world.Pair("laptop")
	one.Result, err = driveOn(ctx, -1, order{
		Load: load.Options{Socket: w.Socket, Request: f.world.WebRequest(), Connections: envoyConnections, InFlight: 1,
			WarmUp: warmUp, Measure: o.measure, Pids: pids},
		Web: &webClient{CertFile: certificate, KeyFile: key, CAFile: f.world.CA("servers"), ServerName: world.Host},
	})
	return one, err
}

func (f *fleet) printWays(out io.Writer, ways []way, measured map[string][]sample) {
	fmt.Fprintf(out, "\nthrough a real Envoy, one worker, mutual TLS, %d connections × 1; "+
		"Envoy and driver share all cores, the server stays on its own\n", envoyConnections)
	fmt.Fprintf(out, "  %-44s %-22s %8s %8s  %-20s %-20s %-18s\n", "asked for each request",
		"requests/s (min–max)", "p50 ms", "p99 ms", "Envoy CPU µs/request", "server CPU µs/request", "requests/s × none")
	for _, w := range ways {
		all, server := measured[w.Key], "–"
		if w.Server != "" {
			server = tenths(of(all, func(s sample) float64 { return s.CPUMicros(1) }))
		}
		fmt.Fprintf(out, "  %-44s %-22s %8.2f %8.2f  %-20s %-20s %-18s\n", w.Name,
			whole(of(all, perSecond)), of(all, p50).median, of(all, p99).median, tenths(of(all, cpuMicros)), server,
			hundredths(ratio(all, measured["none"], perSecond)))
	}
}
