package xds

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	jwtauthnv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/go-jose/go-jose/v4"
	"google.golang.org/protobuf/proto"
)

// fixedIssuers are two issuers whose tokens Envoy verifies, the same in every run.
func fixedIssuers() []TokenIssuer {
	keys := []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)
	return []TokenIssuer{
		{Name: "corp", Issuer: "https://login.acme.example", Audiences: []string{"apps", "b"}, JWKS: keys,
			Leeway: 1500 * time.Millisecond},
		{Name: "birch", Issuer: "https://login.birch.example", Audiences: []string{"apps"}, JWKS: keys},
	}
}

// TestGoldenTokenIssuers: the golden file of TestGoldenSnapshot, and what token issuers put into it.
func TestGoldenTokenIssuers(t *testing.T) {
	in := written(t)
	in.Settings.TokenIssuers = fixedIssuers()
	in.Settings.Listeners = in.Settings.Listeners[:1]
	got, err := mustBuild(t, in).YAML()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "issuers.yaml", got)
	for range 5 { // maps of providers
		if again, err := mustBuild(t, in).YAML(); err != nil || string(again) != string(got) {
			t.Fatal("the same settings make other bytes", err)
		}
	}
	in.Settings.TokenIssuers = append(in.Settings.TokenIssuers, in.Settings.TokenIssuers[0])
	if _, err := Build(in); err == nil || !strings.Contains(err.Error(), `two issuers are named "corp"`) {
		t.Errorf("one name twice: %v", err)
	}
}

// TestConsistentFindsWhatVouchesTooMuch: a filter in front of ext_authz may tell what it verified, and that is all.
func TestConsistentFindsWhatVouchesTooMuch(t *testing.T) {
	in := written(t)
	in.Settings.TokenIssuers = fixedIssuers()
	nothing := func(*jwtauthnv3.JwtProvider) {}
	for name, c := range map[string]struct {
		change func(*jwtauthnv3.JwtProvider)
		deaf   bool
		want   string
	}{
		"the token is taken off": {func(p *jwtauthnv3.JwtProvider) { p.Forward = false }, false, "does more than tell"},
		"another key": {func(p *jwtauthnv3.JwtProvider) { p.PayloadInMetadata = "tiergate/birch" }, false,
			"does more than tell"},
		"a header for upstreams": {func(p *jwtauthnv3.JwtProvider) { p.ForwardPayloadHeader = "x-payload" }, false,
			"does more than tell"},
		"another route": {func(p *jwtauthnv3.JwtProvider) { p.ClearRouteCache = true }, false,
			"does more than tell"},
		"nothing":    {nothing, false, ""},
		"for nobody": {nothing, true, "is not told"},
	} {
		good := mustBuild(t, in)
		r := resources{clusters: good.Clusters(), endpoints: good.Endpoints(), routes: good.Routes(), secrets: good.Secrets()}
		for _, l := range good.Listeners() {
			r.listeners = append(r.listeners, proto.CloneOf(l))
		}
		hcmHole(func(h *hcmv3.HttpConnectionManager) {
			repack(t, h.GetHttpFilters()[1].GetTypedConfig(), &jwtauthnv3.JwtAuthentication{},
				func(f *jwtauthnv3.JwtAuthentication) {
					c.change(f.GetProviders()["tiergate/corp"])
				})
			if c.deaf {
				repack(t, h.GetHttpFilters()[2].GetTypedConfig(), &authzv3.ExtAuthz{}, func(a *authzv3.ExtAuthz) {
					a.MetadataContextNamespaces = nil
				})
			}
		})(t, &r)
		bad, err := newSnapshot(r, good.Table(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := bad.Consistent(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestEnvoyVouches: the real Envoy leaves its word where tiergate looks for it, only for what it verified, and refuses
// nobody; what clients send is no word.
func TestEnvoyVouches(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k",
		Algorithm: "ES256"}}})
	if err != nil {
		t.Fatal(err)
	}
	pki := newAuthority(t)
	in := acme(t, pki)
	in.Settings.Listeners = in.Settings.Listeners[:1]
	in.Settings.TokenIssuers = []TokenIssuer{
		{Name: "birch", Issuer: "https://login.birch.example", Audiences: []string{"apps"}, JWKS: keys, Leeway: time.Second},
		{Name: "corp", Issuer: "https://login.acme.example", Audiences: []string{"apps"}, JWKS: keys, Leeway: time.Second},
	}
	r := newRig(t, pki, in)
	r.settled(r.build(r.in))
	token := func(key *ecdsa.PrivateKey, change map[string]any) string {
		claims := map[string]any{"iss": "https://login.acme.example", "aud": "apps", "sub": "ü-1",
			"exp": time.Now().Unix() + 60,
			"big": uint64(1<<63 + 1), "small": 1e-300, "empty": map[string]any{}, "none": []any{}, "no": nil,
			"text": "\u2028<&\u0001\U0001F511",
			"deep": map[string]any{"a": []any{1.5, nil, true}}}
		for name, value := range change {
			claims[name] = value
		}
		return sealed(t, key, claims)
	}
	good := token(key, nil)
	for name, c := range map[string]struct {
		header http.Header
		query  string
		want   string // whose word
	}{
		"verified":        {http.Header{"Authorization": {"Bearer " + good}}, "", "tiergate/corp"},
		"with the scheme": {http.Header{"Authorization": {"DPoP " + good}}, "", "tiergate/corp"},
		"the second issuer": {http.Header{"Authorization": {"Bearer " + token(key,
			map[string]any{"iss": "https://login.birch.example"})}}, "", "tiergate/birch"},
		"none":             {http.Header{}, "", ""},
		"another's":        {http.Header{"Authorization": {"Bearer " + token(stranger, nil)}}, "", ""},
		"another audience": {http.Header{"Authorization": {"Bearer " + token(key, map[string]any{"aud": "x"})}}, "", ""},
		"expired":          {http.Header{"Authorization": {"Bearer " + token(key, map[string]any{"exp": 1})}}, "", ""},
		"no issuer of ours": {http.Header{"Authorization": {"Bearer " + token(key,
			map[string]any{"iss": "https://x.example"})}}, "", ""},
		"in the query":   {http.Header{}, "?access_token=" + good, ""},
		"a client's own": {http.Header{"Jwt-Payload": {good}, "X-Tiergate-Corp": {good}}, "", ""},
		"alg none": {http.Header{"Authorization": {"Bearer eyJhbGciOiJub25lIn0." + strings.Split(good,
			".")[1] + "."}}, "", ""},
	} {
		r.authz.last()
		if got := r.client("ingress", ana, true).do("GET", "app.acme.example", "/x"+c.query, c.header); got.status != 200 {
			t.Errorf("%s: status %d; nobody is refused here", name, got.status)
		}
		asked := r.authz.last().GetAttributes()
		words := asked.GetMetadataContext().GetFilterMetadata()["envoy.filters.http.jwt_authn"].GetFields()
		if c.want == "" && len(words) != 0 || c.want != "" && (len(words) != 1 || words[c.want].GetStructValue() == nil) {
			t.Errorf("%s: Envoy's word is %v, want it under %q", name, words, c.want)
		}
		if c.want != "" { // as authz compares it
			if said, sent := words[c.want].GetStructValue().AsMap(), payloadOf(t,
				c.header.Get("Authorization")); !reflect.DeepEqual(said, sent) {
				t.Errorf("%s: Envoy says %v of %v", name, said, sent)
			}
		}
		if len(asked.GetMetadataContext().GetFilterMetadata()) > 1 {
			t.Errorf("%s: more than jwt_authn's metadata: %v", name, asked.GetMetadataContext())
		}
		if c.header.Get("Authorization") != "" && !strings.Contains(asked.GetRequest().String(), "uthorization") {
			t.Errorf("%s: the token does not come to authz", name)
		}
	}
}

func payloadOf(t *testing.T, header string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(header, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func sealed(t *testing.T, key *ecdsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{}).WithHeader("kid", "k").WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
