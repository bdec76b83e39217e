package agent

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretv3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

func sds(t *testing.T, w *world) secretv3.SecretDiscoveryServiceClient {
	t.Helper()
	connection, err := grpc.NewClient("unix://"+w.Socket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return secretv3.NewSecretDiscoveryServiceClient(connection)
}

func secretOf(t *testing.T, packed *anypb.Any) *tlsv3.Secret {
	t.Helper()
	secret := &tlsv3.Secret{}
	if err := packed.UnmarshalTo(secret); err != nil {
		t.Fatal(err)
	}
	if err := secret.ValidateAll(); err != nil {
		t.Error(err)
	}
	return secret
}

// serialIn is the certificate that a secret shows.
func serialIn(t *testing.T, packed *anypb.Any) string {
	t.Helper()
	block, _ := pem.Decode(secretOf(t, packed).GetTlsCertificate().GetCertificateChain().GetInlineBytes())
	if block == nil {
		t.Fatalf("no certificate in %v", packed)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate.SerialNumber.String()
}

// TestSecretNames: what each name gives, with plain CAs and with validators.
func TestSecretNames(t *testing.T) {
	for _, validator := range []bool{false, true} {
		w := newWorld(t, Options{SPIFFEValidator: validator}, deployer, partner)
		client := sds(t, w)
		mine := serial(t, w.source(t))
		for name, row := range map[string]struct {
			own     bool
			domains string // those of a validator
		}{
			"default":                  {own: true},
			deployer:                   {own: true},
			partner:                    {},
			"ROOTCA":                   {domains: "acme.example"},
			"spiffe://acme.example":    {domains: "acme.example"},
			"spiffe://partner.example": {domains: "partner.example"},
			"ALL":                      {domains: "acme.example partner.example"},
		} {
			response, err := client.FetchSecrets(soon(t), &discoveryv3.DiscoveryRequest{ResourceNames: []string{name}})
			if err != nil || len(response.GetResources()) != 1 {
				t.Errorf("%s: %v, %v", name, response, err)
				continue
			}
			secret := secretOf(t, response.GetResources()[0])
			if secret.GetName() != name {
				t.Errorf("%s is called %s", name, secret.GetName())
			}
			if row.domains == "" {
				if is := serialIn(t, response.GetResources()[0]) == mine; is != row.own {
					t.Errorf("%s is the default SVID: %v", name, is)
				}
				continue
			}
			checkValidation(t, secret, row.domains, validator || name == "ALL")
		}
		for _, name := range []string{reporter, "spiffe://elsewhere.example", "", "nonsense"} {
			_, err := client.FetchSecrets(soon(t), &discoveryv3.DiscoveryRequest{ResourceNames: []string{name}})
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "not authorized") {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
}

func checkValidation(t *testing.T, secret *tlsv3.Secret, domains string, validator bool) {
	t.Helper()
	validation := secret.GetValidationContext()
	if !validator {
		if pool := x509.NewCertPool(); !pool.AppendCertsFromPEM(validation.GetTrustedCa().GetInlineBytes()) {
			t.Errorf("%s: no CA in %v", secret.GetName(), validation)
		}
		return
	}
	config := &tlsv3.SPIFFECertValidatorConfig{}
	if err := validation.GetCustomValidatorConfig().GetTypedConfig().UnmarshalTo(config); err != nil {
		t.Fatalf("%s: %v", secret.GetName(), err)
	}
	var names []string
	for _, domain := range config.GetTrustDomains() {
		names = append(names, domain.GetName())
		if pool := x509.NewCertPool(); !pool.AppendCertsFromPEM(domain.GetTrustBundle().GetInlineBytes()) {
			t.Errorf("%s: no CA for %s", secret.GetName(), domain.GetName())
		}
	}
	if got := strings.Join(names, " "); got != domains {
		t.Errorf("%s validates %q, want %q", secret.GetName(), got, domains)
	}
}

// TestStreamSecrets: an acknowledgement is not answered, a renewal is pushed, and so is what is newly asked for.
func TestStreamSecrets(t *testing.T) {
	w := newWorld(t, Options{}, deployer)
	stream, err := sds(t, w).StreamSecrets(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	say := func(names []string, last *discoveryv3.DiscoveryResponse, fault string) {
		t.Helper()
		r := &discoveryv3.DiscoveryRequest{TypeUrl: secretType, ResourceNames: names, ResponseNonce: last.GetNonce(),
			VersionInfo: last.GetVersionInfo()}
		if fault != "" {
			r.ErrorDetail = &rpcstatus.Status{Code: int32(codes.Internal), Message: fault}
		}
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(n int) *discoveryv3.DiscoveryResponse {
		t.Helper()
		response, err := stream.Recv()
		if err != nil || len(response.GetResources()) != n || response.GetTypeUrl() != secretType {
			t.Fatalf("%v, %v; want %d secrets", response, err, n)
		}
		return response
	}
	say([]string{"default"}, nil, "")
	first := hear(1)
	say([]string{"default"}, first, "")
	if err := w.SetTTL(time.Minute); err != nil {
		t.Fatal(err)
	}
	second := hear(1) // the acknowledgement was not answered, or this would be the first again
	if serialIn(t, first.GetResources()[0]) == serialIn(t, second.GetResources()[0]) ||
		first.GetVersionInfo() == second.GetVersionInfo() {
		t.Error("the same certificate was pushed twice")
	}
	say([]string{"default"}, first, "")                  // too late: it answers what was replaced
	say([]string{"default"}, second, "no room for more") // refused: not sent again until it is another
	say([]string{"default", "ROOTCA"}, second, "")
	third := hear(2)
	if third.GetNonce() == second.GetNonce() {
		t.Error("a nonce came twice")
	}
	if err := w.PrepareCA("partner.example"); err != nil { // none of what is asked for
		t.Fatal(err)
	}
	if err := w.PrepareCA("acme.example"); err != nil {
		t.Fatal(err)
	}
	fourth := hear(2)
	if bundle := secretOf(t, fourth.GetResources()[0]).GetValidationContext().GetTrustedCa().GetInlineBytes(); strings.Count(string(bundle), "BEGIN") != 2 {
		t.Errorf("the new CA is not published: %s", bundle)
	}
	w.mu.Lock()
	if len(w.rejected) != 1 || w.rejected[0] != "no room for more" {
		t.Errorf("rejected: %q", w.rejected)
	}
	w.mu.Unlock()
	say([]string{reporter}, fourth, "")
	if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("somebody else's SVID: %v", err)
	}
}

// TestDeltaSecrets: only what has changed is sent.
func TestDeltaSecrets(t *testing.T) {
	w := newWorld(t, Options{}, deployer)
	stream, err := sds(t, w).DeltaSecrets(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	say := func(r *discoveryv3.DeltaDiscoveryRequest) {
		t.Helper()
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(names string) *discoveryv3.DeltaDiscoveryResponse {
		t.Helper()
		response, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range response.GetResources() {
			got = append(got, r.GetName())
		}
		if strings.Join(got, " ") != names {
			t.Fatalf("sent %q, want %q", got, names)
		}
		return response
	}
	say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: secretType, ResourceNamesSubscribe: []string{"default", "ROOTCA"}})
	first := hear("ROOTCA default")
	say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: secretType, ResponseNonce: first.GetNonce()})
	if err := w.SetTTL(time.Minute); err != nil {
		t.Fatal(err)
	}
	second := hear("default")
	say(&discoveryv3.DeltaDiscoveryRequest{ResponseNonce: second.GetNonce(), ResourceNamesUnsubscribe: []string{"default"}})
	say(&discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"ROOTCA"}})
	hear("ROOTCA")
	if err := w.SetTTL(time.Hour); err != nil { // nobody wants to know
		t.Fatal(err)
	}
	if err := w.PrepareCA("acme.example"); err != nil {
		t.Fatal(err)
	}
	root := hear("ROOTCA").GetResources()[0]
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err == nil {
		t.Error("it goes on after its end")
	}

	back, err := sds(t, w).DeltaSecrets(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	stream = back
	say(&discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"default", "ROOTCA"},
		InitialResourceVersions: map[string]string{"ROOTCA": root.GetVersion()}})
	hear("default")
	say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster"})
	if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("clusters: %v", err)
	}
}

// TestSecretsOfNobody: secrets need no header, but a registration.
func TestSecretsOfNobody(t *testing.T) {
	w := newWorld(t, Options{})
	_, fetched := sds(t, w).FetchSecrets(soon(t), &discoveryv3.DiscoveryRequest{ResourceNames: []string{"default"}})
	stream, err := sds(t, w).StreamSecrets(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	_, streamed := stream.Recv()
	delta, err := sds(t, w).DeltaSecrets(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	_, changed := delta.Recv()
	for name, err := range map[string]error{"fetched": fetched, "streamed": streamed, "changed": changed} {
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.register(deployer)
	if _, err := sds(t, w).FetchSecrets(soon(t), &discoveryv3.DiscoveryRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no names: %v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.refused) != 3 {
		t.Errorf("refused: %q", w.refused)
	}
}
