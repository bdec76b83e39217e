package xds

import (
	"fmt"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	jwtauthnv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/emptypb"
)

const jwtFilter = "envoy.filters.http.jwt_authn"

// TokenIssuer is an issuer whose tokens' signatures Envoy verifies.
type TokenIssuer struct {
	Name      string        // in the settings
	Issuer    string        // the iss claim
	Audiences []string      // one of them must stand in aud
	JWKS      []byte        // its public keys, a JWK set (RFC 7517)
	Leeway    time.Duration // for exp and nbf; less than a second is Envoy's own minute, and authz judges by its own
}

// VouchedKey is where in the metadata of jwt_authn the claims of an issuer's token stand once its signature verified
// (payload_in_metadata).
func VouchedKey(issuer string) string { return "tiergate/" + issuer }

// jwtAuthn verifies the signatures of the issuers' tokens and refuses nobody: what it verified it tells to authz, as
// metadata, which no client can write, and authz refuses a token of these issuers that comes without. The token
// itself is passed on to authz, which compares. Tokens are looked for where authz takes them, and not in the query.
func (b *builder) jwtAuthn() *jwtauthnv3.JwtAuthentication {
	filter := &jwtauthnv3.JwtAuthentication{Providers: map[string]*jwtauthnv3.JwtProvider{}}
	var anyOf []*jwtauthnv3.JwtRequirement
	for i, issuer := range b.in.Settings.TokenIssuers {
		name := VouchedKey(issuer.Name)
		if _, twice := filter.Providers[name]; twice {
			b.settingsFault(fmt.Sprintf("identity.issuers[%d].name", i), fmt.Sprintf("two issuers are named %q", issuer.Name),
				"give each a name of its own")
		}
		filter.Providers[name] = &jwtauthnv3.JwtProvider{
			Issuer: issuer.Issuer, Audiences: issuer.Audiences, Forward: true, PayloadInMetadata: name,
			ClockSkewSeconds:    uint32((issuer.Leeway + time.Second - 1) / time.Second),
			JwksSourceSpecifier: &jwtauthnv3.JwtProvider_LocalJwks{LocalJwks: inlineText(string(issuer.JWKS))},
			FromHeaders: []*jwtauthnv3.JwtHeader{
				{Name: "Authorization", ValuePrefix: "Bearer "}, {Name: "Authorization", ValuePrefix: "DPoP "},
			},
		}
		anyOf = append(anyOf, &jwtauthnv3.JwtRequirement{
			RequiresType: &jwtauthnv3.JwtRequirement_ProviderName{ProviderName: name},
		})
	}
	anyOf = append(anyOf, &jwtauthnv3.JwtRequirement{
		RequiresType: &jwtauthnv3.JwtRequirement_AllowMissingOrFailed{AllowMissingOrFailed: &emptypb.Empty{}},
	})
	filter.Rules = []*jwtauthnv3.RequirementRule{{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		RequirementType: &jwtauthnv3.RequirementRule_Requires{Requires: &jwtauthnv3.JwtRequirement{
			RequiresType: &jwtauthnv3.JwtRequirement_RequiresAny{
				RequiresAny: &jwtauthnv3.JwtRequirementOrList{Requirements: anyOf},
			},
		}},
	}}
	return filter
}

// jwtAuthn wants a filter in front of ext_authz that hides nothing from it and moves no request.
func (c *checker) jwtAuthn(listener string, f *hcmv3.HttpFilter, namespaces []string) {
	var filter jwtauthnv3.JwtAuthentication
	if !c.unpack("listener "+listener, f.GetTypedConfig(), &filter) {
		return
	}
	for name, provider := range filter.GetProviders() {
		if !provider.GetForward() || provider.GetPayloadInMetadata() != name || provider.GetClearRouteCache() ||
			provider.GetForwardPayloadHeader() != "" || len(provider.GetClaimToHeaders()) > 0 {
			c.fail("listener %s: jwt_authn provider %q does more than tell ext_authz what it verified", listener, name)
		}
	}
	if f.GetDisabled() || len(namespaces) != 1 || namespaces[0] != jwtFilter {
		c.fail("listener %s: ext_authz is not told what jwt_authn verified, and nothing else", listener)
	}
}
