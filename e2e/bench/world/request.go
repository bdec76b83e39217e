package world

import (
	"net/url"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Principal is how Envoy names the laptop: its certificate has no SAN, so it is the subject.
const Principal = "CN=ana-laptop,serialNumber=C02ANA0001,O=Acme"

// headers are what a browser's request has when it comes through Envoy: fifteen.
func (w *World) headers() [][2]string {
	return [][2]string{
		{":authority", Host}, {":path", AskedPath}, {":method", "GET"}, {":scheme", "https"},
		{"user-agent", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Safari/605.1.15"},
		{"accept", "application/json"}, {"accept-language", "en-GB,en;q=0.9"}, {"accept-encoding", "gzip, deflate, br"},
		{"authorization", "Bearer " + w.Token}, {"referer", "https://" + Host + "/"}, {"sec-fetch-mode", "cors"},
		{"sec-fetch-site", "same-origin"}, {"x-forwarded-proto", "https"},
		{"x-request-id", "b7f0a4a2-6f0c-4a39-9b0d-6f1f7f0f6a11"}, {"priority", "u=3, i"},
	}
}

// WebRequest is the request that becomes the CheckRequest when it goes through a real Envoy.
func (w *World) WebRequest() []byte {
	var b strings.Builder
	b.WriteString("GET " + AskedPath + " HTTP/1.1\r\nhost: " + Host + "\r\n")
	for _, h := range w.headers() {
		if !strings.HasPrefix(h[0], ":") && !strings.HasPrefix(h[0], "x-") {
			b.WriteString(h[0] + ": " + h[1] + "\r\n")
		}
	}
	return []byte(b.String() + "\r\n")
}

// Extensions are the context extensions of the asked route, as tiergate's own xDS puts them on it.
func Extensions(tableDigest string) map[string]string {
	return map[string]string{"tiergate.route": AskedRoute, "tiergate.table": tableDigest}
}

// Message is the CheckRequest as an Envoy with encode_raw_headers and include_peer_certificate sends it.
func (w *World) Message(tableDigest string) *authv3.CheckRequest {
	list := w.headers()
	headers := make([]*corev3.HeaderValue, 0, len(list))
	for _, h := range list {
		headers = append(headers, &corev3.HeaderValue{Key: h[0], RawValue: []byte(h[1])})
	}
	socket := func(address string, port uint32) *corev3.Address {
		return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}}}}
	}
	// Envoy encodes as encodeURIComponent does: a space is %20.
	certificate := strings.ReplaceAll(url.QueryEscape(string(w.Laptop.CertificatePEM())), "+", "%20")
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: socket("192.0.2.17", 50132), Principal: Principal,
			Certificate: certificate},
		Destination: &authv3.AttributeContext_Peer{Address: socket("192.0.2.1", 8443)},
		Request: &authv3.AttributeContext_Request{
			Time: timestamppb.New(time.Unix(1_800_000_000, 123_456_000)),
			Http: &authv3.AttributeContext_HttpRequest{
				Id: "10246835817123345123", Method: "GET", Host: Host, Path: AskedPath, Scheme: "https", Protocol: "HTTP/2",
				HeaderMap: &corev3.HeaderMap{Headers: headers},
			},
		},
		ContextExtensions: Extensions(tableDigest),
		TlsSession:        &authv3.AttributeContext_TLSSession{Sni: Host},
	}}
}

func (w *World) request(tableDigest string) ([]byte, error) {
	return proto.Marshal(w.Message(tableDigest))
}
