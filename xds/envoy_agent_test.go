package xds

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/agent"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// fromAgent is a listener and upstreams whose certificates come from the Workload API.
func fromAgent(in Input, socket string) Input {
	in.Settings.WorkloadAPI = socket
	in.Settings.Client, in.Settings.UpstreamCA = &KeyPair{WorkloadAPI: true}, nil
	in.Settings.Listeners = slices.Clone(in.Settings.Listeners)
	in.Settings.Listeners[0].Certificate = KeyPair{WorkloadAPI: true}
	return in
}

func TestSecretsOfTheAgent(t *testing.T) {
	in := fromAgent(written(t), "/run/spire/agent/public/api.sock")
	snapshot, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := snapshot.Consistent(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range snapshot.Secrets() {
		names = append(names, s.GetName())
	}
	if got := strings.Join(names, " "); got != "contractors/certificate contractors/client-ca ingress/client-ca" {
		t.Errorf("secrets of ours: %s", got)
	}
	if plain, err := Build(written(t)); err != nil || slices.ContainsFunc(plain.Clusters(), isAgent) {
		t.Errorf("a way to an agent that nothing asks: %v", err)
	}
	in.Settings.WorkloadAPI = ""
	if _, err := Build(in); err == nil || !strings.Contains(err.Error(), "write identity.workloadAPI: {socket: PATH}") {
		t.Errorf("without a socket: %v", err)
	}
	in.Settings.WorkloadAPI = "relative.sock"
	if _, err := Build(in); err == nil || !strings.Contains(err.Error(), "identity.workloadAPI.socket") {
		t.Errorf("a relative socket: %v", err)
	}
}

// TestAwaitedListener: a listener whose clients are not known yet is not there, and all else is.
func TestAwaitedListener(t *testing.T) {
	in := written(t)
	in.Settings.Listeners[0].Awaited, in.Settings.Listeners[0].ClientCA = true, nil
	snapshot, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := snapshot.Consistent(); err != nil || len(snapshot.Listeners()) != len(in.Settings.Listeners)-1 {
		t.Errorf("%d listeners, %v", len(snapshot.Listeners()), err)
	}
}

// TestConsistentFindsAgentHoles: what could let keys or trust come from elsewhere is found.
func TestConsistentFindsAgentHoles(t *testing.T) {
	agentSource := func(t *testing.T, c *tlsv3.DownstreamTlsContext) *tlsv3.SdsSecretConfig {
		for _, config := range c.GetCommonTlsContext().GetTlsCertificateSdsSecretConfigs() {
			if config.GetSdsConfig().GetApiConfigSource() != nil {
				return config
			}
		}
		t.Fatal("nothing of the agent")
		return nil
	}
	for want, plant := range map[string]func(t *testing.T, r *resources){
		"no cluster leads to the agent's Unix socket": func(_ *testing.T, r *resources) {
			r.clusters = slices.DeleteFunc(slices.Clone(r.clusters), isAgent)
		},
		"no cluster leads to the agent's Unix": func(_ *testing.T, r *resources) {
			for i, c := range r.clusters {
				if isAgent(c) {
					tcp := &clusterv3.Cluster{Name: c.GetName(), LoadAssignment: r.endpoints[0]}
					r.clusters[i] = tcp
				}
			}
		},
		"no cluster leads to the agent's": func(_ *testing.T, r *resources) {
			for i, c := range r.clusters {
				if isAgent(c) {
					r.clusters[i] = &clusterv3.Cluster{Name: c.GetName(), LoadAssignment: c.GetLoadAssignment()}
					r.clusters[i].ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
				}
			}
		},
		`comes neither from here nor from the agent`: agentHole(agentSource, func(c *tlsv3.SdsSecretConfig) {
			c.GetSdsConfig().GetApiConfigSource().GetGrpcServices()[0].GetEnvoyGrpc().ClusterName = authzCluster
		}),
		`the agent is asked for "ALL"`: agentHole(agentSource, func(c *tlsv3.SdsSecretConfig) { c.Name = "ALL" }),
		"who may connect is not said by this process": agentTLSHole(func(c *tlsv3.DownstreamTlsContext) {
			c.GetCommonTlsContext().GetValidationContextSdsSecretConfig().SdsConfig =
				c.GetCommonTlsContext().GetTlsCertificateSdsSecretConfigs()[0].GetSdsConfig()
		}),
	} {
		snapshot, err := Build(fromAgent(written(t), "/run/agent.sock"))
		if err != nil {
			t.Fatal(err)
		}
		plant(t, &snapshot.resources)
		if err := snapshot.Consistent(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func agentHole(find func(*testing.T, *tlsv3.DownstreamTlsContext) *tlsv3.SdsSecretConfig,
	spoil func(*tlsv3.SdsSecretConfig),
) func(*testing.T, *resources) {
	return func(t *testing.T, r *resources) {
		agentTLSHole(func(c *tlsv3.DownstreamTlsContext) { spoil(find(t, c)) })(t, r)
	}
}

// agentTLSHole spoils the listener whose certificate is the agent's.
func agentTLSHole(spoil func(*tlsv3.DownstreamTlsContext)) func(*testing.T, *resources) {
	return func(t *testing.T, r *resources) {
		for _, l := range r.listeners {
			socket := l.GetFilterChains()[0].GetTransportSocket()
			var context tlsv3.DownstreamTlsContext
			if err := socket.GetTypedConfig().UnmarshalTo(&context); err != nil {
				t.Fatal(err)
			}
			if context.GetCommonTlsContext().GetTlsCertificateSdsSecretConfigs()[0].GetSdsConfig().GetApiConfigSource() == nil {
				continue
			}
			spoil(&context)
			if err := socket.GetTypedConfig().MarshalFrom(&context); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestEnvoyTakesItsSVIDFromTheAgent: a real Envoy shows the SVID that the agent gives it, to clients and to upstreams,
// and follows its rotation; it finds upstreams by the agent's bundle. An agent that is there later than Envoy does no harm.
func TestEnvoyTakesItsSVIDFromTheAgent(t *testing.T) {
	t.Parallel()
	for _, validator := range []bool{false, true} { // the two ways in which SPIRE serves bundles
		t.Run(fmt.Sprint("validator ", validator), func(t *testing.T) {
			t.Parallel()
			envoyFromAgent(t, validator)
		})
	}
}

func envoyFromAgent(t *testing.T, validator bool) {
	const envoyID, payrollID = "spiffe://acme.example/ns/edge/envoy", "spiffe://acme.example/payroll"
	ca, err := devca.New("mesh")
	if err != nil {
		t.Fatal(err)
	}
	mesh, err := agent.New(agent.Options{Socket: filepath.Join(shortDir(t), "agent.sock"), SPIFFEValidator: validator,
		TrustDomains: map[string]*devca.CA{"acme.example": ca, "partner.example": nil},
		Identities:   func(agent.Caller) []string { return []string{envoyID} }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mesh.Stop(); err != nil {
			t.Error(err)
		}
	})
	payroll, err := ca.SVID(payrollID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var callers []string
	upstreamServer := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		callers = append(callers, r.TLS.PeerCertificates[0].URIs[0].String())
	}))
	upstreamServer.TLS = &tls.Config{Certificates: []tls.Certificate{payroll.TLS()}, ClientCAs: devca.Pool(ca),
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	upstreamServer.StartTLS()
	t.Cleanup(upstreamServer.Close)
	staff := []string{"employees"}
	pki := newAuthority(t)
	r := newRig(t, pki, Input{Audiences: []policy.Audience{audience("employees", false)},
		Upstreams: []policy.Upstream{upstream("payroll", upstreamServer.Listener.Addr().String(), payrollID),
			upstream("impostor", upstreamServer.Listener.Addr().String(), "spiffe://acme.example/other")},
		Routes: []policy.Route{route("payroll", "payroll.acme.example", "/**", "payroll", staff),
			route("impostor", "impostor.acme.example", "/**", "impostor", staff)},
		Settings: Settings{Listeners: []Listener{{Name: "ingress"}}}})
	r.settled(r.build(r.in))
	snapshot := r.publish(fromAgent(r.in, mesh.Socket()))
	if err := mesh.Start(); err != nil {
		t.Fatal(err)
	}
	r.settled(snapshot)
	shown := func() (id, serial string, err error) {
		clientPair := pki.issue(t, ana)
		certificate, err := tls.X509KeyPair(clientPair.CertPEM, clientPair.KeyPEM)
		if err != nil {
			return "", "", err
		}
		conn, err := tls.Dial("tcp", r.in.Settings.Listeners[0].Address, &tls.Config{InsecureSkipVerify: true,
			Certificates: []tls.Certificate{certificate}})
		if err != nil {
			return "", "", err
		}
		defer conn.Close()
		leaf := conn.ConnectionState().PeerCertificates[0]
		return leaf.URIs[0].String(), leaf.SerialNumber.String(), nil
	}
	var first string
	r.eventually("Envoy's own SVID", func() error {
		id, serial, err := shown()
		if err == nil && id != envoyID {
			err = errors.New("it shows " + id)
		}
		first = serial
		return err
	})
	get := func(host string) int {
		response, err := r.freshClient().try("GET", host, "/", nil)
		if err != nil {
			return 0
		}
		return response.status
	}
	r.eventually("the upstream", func() error {
		if status := get("payroll.acme.example"); status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
	if status := get("impostor.acme.example"); status != http.StatusServiceUnavailable {
		t.Errorf("an upstream of another name: %d", status)
	}
	mu.Lock()
	if !slices.Contains(callers, envoyID) || len(slices.Compact(slices.Sorted(slices.Values(callers)))) != 1 {
		t.Errorf("upstreams saw %v", callers)
	}
	mu.Unlock()
	if err := mesh.SetTTL(30 * time.Minute); err != nil {
		t.Fatal(err)
	}
	r.eventually("the renewed SVID", func() error {
		_, serial, err := shown()
		if err == nil && serial == first {
			err = errors.New("still the first")
		}
		return err
	})
}

// freshClient is a client of the listener that looks at nothing the server shows.
func (r *rig) freshClient() *client {
	pair := r.pki.issue(r.t, ana)
	certificate, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		r.t.Fatal(err)
	}
	config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{certificate}}
	return r.clientWith("ingress", config, false)
}
