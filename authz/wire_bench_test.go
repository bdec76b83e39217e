package authz

import (
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// typicalRequest is what an Envoy of ours sends: 15 headers of which one is a bearer token of 800 bytes, principal,
// certificate, context extensions. The headers as they come, or in a map.
func typicalRequest(raw bool, bearer string) *authv3.CheckRequest {
	headers := map[string]string{
		":authority": "payroll.acme.example", ":method": "GET", ":path": "/admin/reports/2026?quarter=3", ":scheme": "https",
		"accept": "application/json, text/plain, */*", "accept-encoding": "gzip, deflate, br", "accept-language": "en-GB,en;q=0.9",
		"authorization": "Bearer " + bearer, "cookie": "session=" + strings.Repeat("c", 40),
		"referer": "https://payroll.acme.example/admin", "user-agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)",
		"x-envoy-internal": "true", "x-forwarded-for": "10.1.2.3", "x-forwarded-proto": "https",
		"x-request-id": "6f8d1f0e-5f0c-4bb4-9f1e-1c2d3e4f5a6b",
	}
	http := &authv3.AttributeContext_HttpRequest{Id: "1234567890123456789", Method: "GET", Host: "payroll.acme.example",
		Path: "/admin/reports/2026?quarter=3", Scheme: "https", Protocol: "HTTP/2"}
	if raw {
		http.HeaderMap = &corev3.HeaderMap{}
		for name, value := range headers {
			http.HeaderMap.Headers = append(http.HeaderMap.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
		}
	} else {
		http.Headers = headers
	}
	address := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: "10.1.2.3",
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 50123}}}}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: address, Principal: "spiffe://acme.example/ns/laptops/sa/ana",
			Certificate: "-----BEGIN%20CERTIFICATE-----%0A" + strings.Repeat("M", 300) + "%0A-----END%20CERTIFICATE-----%0A"},
		Destination: &authv3.AttributeContext_Peer{Address: address, Principal: "spiffe://acme.example/ingress"},
		Request:     &authv3.AttributeContext_Request{Time: &timestamppb.Timestamp{Seconds: 1, Nanos: 1}, Http: http},
		ContextExtensions: map[string]string{extensionRoute: "payroll-admin", extensionTable: "sha256:" + strings.Repeat("0", 64),
			extensionUpstream: "payroll"},
	}}
}

// BenchmarkReader reads one typical message; what stands above it in the table is what it replaces.
func BenchmarkReader(b *testing.B) {
	for _, headers := range []struct {
		name string
		raw  bool
	}{{"header_map", true}, {"headers", false}} {
		message := marshal(b, typicalRequest(headers.raw, strings.Repeat("a", 800)))
		b.Run("proto/"+headers.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(message)))
			for b.Loop() {
				if _, err := readWithProto(message); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("ours/"+headers.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(message)))
			r := &reader{}
			for b.Loop() {
				r.clear()
				if err := r.read(message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAnswer writes one answer of an allowed request.
func BenchmarkAnswer(b *testing.B) {
	d := allowedDecision()
	b.Run("proto", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			respondWire(nil, d)
		}
	})
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			respondFast(nil, d)
		}
	})
}

// BenchmarkCheck is all that is ours of one Check: from the bytes of a message to the bytes of its answer.
func BenchmarkCheck(b *testing.B) {
	for _, c := range []struct {
		name  string
		stock bool
	}{{"proto", true}, {"ours", false}} {
		b.Run(c.name, func(b *testing.B) {
			s := New(Options{Tokens: onePerson{}, StockCodec: c.stock})
			s.SetPolicy(compiled(b, "app", "/**"))
			typical := typicalRequest(true, "good") // the one token that is believed here
			typical.Attributes.Request.Http.Id += strings.Repeat("0", 800)
			typical.Attributes.Request.Http.Host, typical.Attributes.ContextExtensions = "app.example", nil
			typical.Attributes.Source.Certificate = ""
			message := marshal(b, typical)
			if response := answerTo(b, s, message); reasonOf(response) != "allowed" {
				b.Fatal(response)
			}
			receive := received(message)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := handleCheck(s, b.Context(), receive, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestReaderAllocatesNothing: once its slices have grown, the reader takes messages without a single allocation.
func TestReaderAllocatesNothing(t *testing.T) {
	for _, raw := range []bool{true, false} {
		message := marshal(t, typicalRequest(raw, strings.Repeat("a", 800)))
		if len(message) < 1900 || len(message) > 2300 {
			t.Errorf("the message has %d bytes", len(message))
		}
		r := &reader{}
		if n := testing.AllocsPerRun(100, func() {
			r.clear()
			if err := r.read(message); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("raw %v: %v allocations", raw, n)
		}
	}
}
