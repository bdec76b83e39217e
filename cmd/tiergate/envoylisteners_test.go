package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/xds"
)

func TestEnvoyClients(t *testing.T) {
	t.Parallel()
	domains := []config.TrustDomain{{Name: "file.example", BundleFile: "file.pem"}, {Name: "live.example"}, {Name: "late.example"},
		{Name: "unnamed.example", BundleFile: "unnamed.pem"}}
	read := func(setting, file string) []byte {
		if file == "" {
			return nil
		}
		return []byte(setting + "=" + file)
	}
	live := func(domain string) []byte {
		if domain == "live.example" {
			return []byte("live")
		}
		return nil
	}
	for name, c := range map[string]struct {
		in   config.Listener
		want xds.Listener
	}{
		"a pool": {config.Listener{Name: "l", ClientCAFile: "ca.pem"},
			xds.Listener{ClientCA: []byte("envoy.listeners[l].clientCAFile=ca.pem")}},
		"domains, each from where it comes": {
			config.Listener{Name: "l", ClientTrustDomains: []string{"late.example", "live.example", "file.example"},
				ClientSPIFFEIDs: []string{"spiffe://file.example/a"}, Serves: "workloads"},
			xds.Listener{TrustDomains: map[string][]byte{"late.example": nil, "live.example": []byte("live"),
				"file.example": []byte("identity.trustDomains[0].bundleFile=file.pem")},
				ClientSPIFFEIDs: []string{"spiffe://file.example/a"}, Serves: xds.ServesWorkloads}},
		"nobody yet": {config.Listener{Name: "l", ClientTrustDomains: []string{"late.example"}},
			xds.Listener{TrustDomains: map[string][]byte{"late.example": nil}, Awaited: true}},
		"a pool, and nobody else yet": {config.Listener{Name: "l", ClientCAFile: "ca.pem", ClientTrustDomains: []string{"late.example"}},
			xds.Listener{ClientCA: []byte("envoy.listeners[l].clientCAFile=ca.pem"), TrustDomains: map[string][]byte{"late.example": nil}}},
		"tokens alone": {config.Listener{Name: "l", ClientCertificates: "none", Serves: "users"},
			xds.Listener{ClientCertificates: xds.CertificateNone, Serves: xds.ServesUsers}},
		"certificates if they like": {config.Listener{Name: "l", ClientCertificates: "optional", Serves: "all"},
			xds.Listener{ClientCertificates: xds.CertificateOptional}},
		"certificates": {config.Listener{Name: "l", ClientCertificates: "required"}, xds.Listener{}},
	} {
		var got xds.Listener
		envoyClients(&got, &c.in, domains, read, live)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestEnvoyOutlets(t *testing.T) {
	t.Parallel()
	var none, all xds.Settings
	envoyOutlets(&none, &config.Envoy{})
	envoyOutlets(&all, &config.Envoy{Health: &config.EnvoyHealth{Address: "h"}, AccessLog: &config.AccessLog{File: "f",
		GRPC: &config.AccessLogService{Socket: "s", Address: "a", SPIFFEID: "i"}}})
	want := xds.Settings{Health: "h", AccessLog: "f", AccessLogService: &xds.AccessLogService{Socket: "s", Address: "a", SPIFFEID: "i"}}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(xds.Settings{}, none); diff != "" {
		t.Error(diff)
	}
}
