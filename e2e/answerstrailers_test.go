package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// boastful says as tiergate whatever it can, in headers and in trailers, where it answers and where it refuses.
type boastful struct {
	testgrpc.UnimplementedTestServiceServer
}

var (
	boast       = metadata.Pairs("x-tiergate-decision-id", forged, "x-tiergate-decision-id", forged, "X-Tiergate-Subject", forged, "x-app", "kept")
	boastedLast = metadata.Pairs("x-tiergate-decision-id", forged, "x-tiergate-reason", forged, "x-last", "kept")
)

func (boastful) UnaryCall(ctx context.Context, r *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	if err := grpc.SetTrailer(ctx, boastedLast); err != nil {
		return nil, err
	}
	if s := r.GetResponseStatus(); s != nil { // with nothing but trailers
		return nil, status.Error(codes.Code(s.GetCode()), s.GetMessage())
	}
	return &testgrpc.SimpleResponse{}, grpc.SetHeader(ctx, boast)
}

// boasting is the same of an application that speaks HTTP.
func boasting(w http.ResponseWriter, r *http.Request) {
	for name, values := range boast {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	_, _ = io.WriteString(w, "steady")
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	for name, values := range boastedLast {
		w.Header()[http.TrailerPrefix+name] = values
	}
	w.Header().Set(http.TrailerPrefix+"X-Asked", r.Proto)
}

// TestNoUpstreamSpeaksAsTiergate: what an upstream says in headers and trailers of names that are ours never reaches a client,
// whatever the client and the upstream speak; all else that it says does.
func TestNoUpstreamSpeaksAsTiergate(t *testing.T) {
	t.Parallel()
	p := layOut(t, example{name: "../e2e/testdata/streams", envoy: "spiffe://acme.example/ns/edge/sa/envoy",
		clients: map[string][]string{"ingress": {"acme.example", "laptops"}}})
	calls := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(calls, boastful{})
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	app := listening(t, &http.Server{Handler: http.HandlerFunc(boasting), Protocols: protocols, ReadHeaderTimeout: 5 * time.Second})
	var policy strings.Builder
	for name, spec := range map[string]string{
		"plain": fmt.Sprintf("endpoints: [%q], plaintext: true", app),
		"newer": fmt.Sprintf("endpoints: [%q], plaintext: true, protocol: http2", app),
		"calls": fmt.Sprintf("endpoints: [%q], plaintext: true, protocol: http2", listening(t, calls)),
	} {
		fmt.Fprintf(&policy, churnDocument, "Upstream", name, spec)
		path := map[string]string{"calls": "/grpc.testing.TestService/*"}[name]
		if path == "" {
			path = "/" + name + "/**"
		}
		fmt.Fprintf(&policy, churnDocument, "Route", name,
			"hosts: [person.acme.example], tier: person, audiences: [staff], path: "+path+", upstream: "+name)
	}
	for i, tier := range []string{"machine", "device", "login", "recheck"} { // which nothing else here uses
		audience := map[bool]string{true: "automation", false: "staff"}[tier == "machine"]
		fmt.Fprintf(&policy, churnDocument, "Route", fmt.Sprint("unused-", i), fmt.Sprintf(
			"hosts: [%s.acme.example], tier: %s, audiences: [%s], path: /**, upstream: plain", tier, tier, audience))
	}
	p.write(t, "policy/routes.yaml", []byte(policy.String()))
	p.load(t)
	p.start(t)
	desk := made(p.authorities["laptops"].Device("desk", "DESK", forAnHour))(t)
	e := &ending{host: "person", pair: desk, token: made(p.issuers["corp"].Token("ana", []string{"staff"}, forAnHour, nil))(t)}
	boastedCall(t, p, e)
	for _, http1 := range []bool{true, false} {
		for _, to := range []string{"plain", "newer"} {
			boastedAnswer(t, p, e, http1, to)
		}
	}
}

// oursAlone wants one id of a decision, where there is one at all, and nothing else of ours.
func oursAlone(t *testing.T, what string, said map[string][]string, decided bool) {
	t.Helper()
	ids := 0
	for name, values := range said {
		switch lower := strings.ToLower(name); {
		case lower == "x-tiergate-decision-id" && decided && len(values) == 1 && len(values[0]) == 36:
			ids++
		case strings.HasPrefix(lower, "x-tiergate-") || slices.Contains(values, forged):
			t.Errorf("%s: the client is told %s: %q", what, name, values)
		}
	}
	if decided && ids != 1 {
		t.Errorf("%s: no id: %v", what, slices.Sorted(maps.Keys(said)))
	}
}

func boastedCall(t *testing.T, p *played, e *ending) {
	t.Helper()
	conn := made(grpc.NewClient("passthrough:///"+p.settings.Envoy.Listeners[0].Address,
		grpc.WithTransportCredentials(credentials.NewTLS(e.config(p))), grpc.WithAuthority("person.acme.example")))(t)
	defer conn.Close()
	client := testgrpc.NewTestServiceClient(conn)
	for _, refuses := range []bool{false, true} {
		request := &testgrpc.SimpleRequest{}
		if refuses {
			request.ResponseStatus = &testgrpc.EchoStatus{Code: int32(codes.FailedPrecondition), Message: "no"}
		}
		var header, trailer metadata.MD
		ctx := metadata.AppendToOutgoingContext(soon(t, 10*time.Second), "authorization", "Bearer "+e.token)
		_, err := client.UnaryCall(ctx, request, grpc.Header(&header), grpc.Trailer(&trailer))
		if (status.Code(err) == codes.FailedPrecondition) != refuses || !refuses && err != nil {
			t.Fatalf("refuses %t: %v", refuses, err)
		}
		if got := trailer.Get("x-last"); !slices.Equal(got, []string{"kept"}) {
			t.Errorf("refuses %t: the upstream's own trailer came as %q: the rest shows nothing", refuses, got)
		}
		if refuses { // headers and trailers are one, which have the id of the decision
			oursAlone(t, "an answer of trailers alone", trailer, true)
			continue
		}
		oursAlone(t, "the headers of a call", header, true)
		oursAlone(t, "the trailers of a call", trailer, false)
	}
}

func boastedAnswer(t *testing.T, p *played, e *ending, http1 bool, to string) {
	t.Helper()
	transport := e.transport(p, http1)
	defer transport.CloseIdleConnections()
	request := made(e.request(soon(t, 10*time.Second), http.MethodGet, "/"+to+"/x", "", nil))(t)
	request.Header.Set("Te", "trailers")
	response := made(transport.RoundTrip(request))(t)
	defer response.Body.Close()
	body := made(io.ReadAll(bufio.NewReader(response.Body)))(t)
	if response.StatusCode != 200 || string(body) != "steady" || response.Header.Get("X-App") != "kept" {
		t.Fatalf("%d %q %v", response.StatusCode, body, response.Header)
	}
	how := fmt.Sprintf(" over HTTP/1 (%t) from %s", http1, to)
	oursAlone(t, "headers"+how, response.Header, true)
	oursAlone(t, "trailers"+how, response.Trailer, false)
	// Envoy passes trailers on only where all speak HTTP/2.
	if last := response.Trailer.Get("X-Last"); (last == "kept") != (!http1 && to == "newer") {
		t.Errorf("the upstream's own trailer came as %q of %v", last, response.Trailer)
	}
}
