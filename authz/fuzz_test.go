package authz

import (
	"errors"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/signals"
)

// keyHolder is onePerson with tokens that may be bound to a key, counts once with each proof, and names a device.
type keyHolder struct{}

func (keyHolder) Judge(c *token.Credential, at time.Time) (token.Proof, error) {
	proof, err := onePerson{}.Judge(c, at)
	if err != nil || c.Scheme != token.SchemeDPoP {
		return proof, err
	}
	if len(c.Proofs) != 1 || c.Target.Scheme != "https" || proto.Unmarshal(c.Vouched, &structpb.Struct{}) != nil {
		return token.Proof{}, errors.New("the proof does not count")
	}
	proof.Once = token.Once{Key: c.Proofs[0], Until: at.Add(time.Minute)}
	proof.User.Held, proof.User.Device, proof.User.DeviceBinds = identity.HeldByKey, signals.Alias{Kind: "serial", Value: c.Proofs[0]}, true
	return proof, nil
}

// fuzzSeeds are requests of whoever is believed, and of others.
func fuzzSeeds(f *testing.F, ana []byte) {
	f.Helper()
	f.Add([]byte("garbage"))
	f.Add(ana)
	for _, token := range []string{"good", "bad", "panic", ""} {
		f.Add(marshal(f, request(token, map[string]string{extensionRoute: "app", extensionTable: "x", extensionUpstream: "app"})))
	}
	byKeyOf := byKey("DPoP good")
	headers := byKeyOf.Attributes.Request.Http.HeaderMap
	f.Add(marshal(f, byKeyOf)) // with two proofs
	headers.Headers = headers.Headers[:3]
	f.Add(marshal(f, byKeyOf)) // with one
	headers.Headers[2].RawValue = nil
	f.Add(marshal(f, byKeyOf)) // with an empty one
	for _, forwarded := range []string{"By=spiffe://acme.example/ns/people/ana;URI=spiffe://acme.example/ns/people/ben", "By=x", "\xff", ""} {
		for _, bearer := range []string{"Bearer good", "DPoP good"} {
			told := &authv3.CheckRequest{} // over ana's connection
			if err := proto.Unmarshal(ana, told); err != nil {
				f.Fatal(err)
			}
			http := told.Attributes.Request.Http
			http.Scheme = "https"
			http.HeaderMap.Headers = []*corev3.HeaderValue{{Key: "authorization", Value: bearer}, {Key: "x-forwarded-client-cert", RawValue: []byte(forwarded)},
				{Key: "dpop", Value: "p"}}
			f.Add(marshal(f, told))
		}
	}
}

// FuzzCheckAlwaysAnswers: whatever bytes a CheckRequest has, there is an answer, it can be sent, it is the same with both
// readers, and it is an allow only for the one token that is believed, with a proof that counts once only once.
func FuzzCheckAlwaysAnswers(f *testing.F) {
	c := newPeople(f, "ana")
	fuzzSeeds(f, c.messages["ana"])
	proxies, err := identity.ParseSPIFFEPattern("spiffe://acme.example/ns/people/*")
	if err != nil {
		f.Fatal(err)
	}
	peers, err := identity.NewAuthority(identity.AuthorityOptions{TrustDomains: map[string][]byte{"acme.example": c.ca.PEM()},
		Forwarders: []identity.SPIFFEPattern{proxies}})
	if err != nil {
		f.Fatal(err)
	}
	devices := &shelf{byAlias: map[signals.Alias]*signals.Posture{{Kind: "serial", Value: "p"}: {Device: "d1", Revision: 1}}}
	p := compiled(f, "app", "/**")
	f.Fuzz(func(t *testing.T, raw []byte) {
		told := map[bool]string{}
		for _, stock := range []bool{false, true} {
			s := New(Options{Tokens: keyHolder{}, Peers: peers, Devices: devices, StockCodec: stock,
				Replays: NewReplays(&notebook{}, ReplayOptions{Within: time.Hour})})
			s.SetPolicy(p)
			response := answerTo(t, s, raw)
			code := codes.Code(response.GetStatus().GetCode())
			told[stock] = code.String() + " " + reasonOf(response) + " " + challengeOf(response)
			call, _ := readWithProto(raw)
			if code == codes.OK && (call == nil || len(call.Authorization) != 1) {
				t.Fatal("allowed without exactly one token")
			}
			if code == codes.OK && call.sentByKey() && (len(call.Proofs) != 1 || reasonOf(answerTo(t, s, raw)) != "identity-doubted") {
				t.Fatal("allowed without exactly one proof, or twice with it")
			}
		}
		if told[false] != told[true] {
			t.Fatalf("our reader: %s; protobuf's: %s", told[false], told[true])
		}
	})
}

// FuzzReaderAgreesWithProto: our reader and protobuf take the same bytes, refuse the same bytes, and read the same Call.
func FuzzReaderAgreesWithProto(f *testing.F) {
	for _, odd := range oddMessages(f) {
		f.Add(odd.message)
	}
	f.Fuzz(func(t *testing.T, message []byte) { compareReaders(t, message) })
}
