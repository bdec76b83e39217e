package stage

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
)

// writeProvider lays out the OpenID provider: its server certificate and its configuration, with everybody who has a token
// as a user.
func (s *Stage) writeProvider() error {
	pair, err := s.Cast.Servers.Server(lifetime, "127.0.0.1")
	if err != nil {
		return err
	}
	cert, key := s.Path("pki", "login.pem"), s.Path("pki", "login.key")
	if err := pair.WriteFiles(cert, key); err != nil {
		return err
	}
	users := map[string]oidc.User{}
	for name, person := range people {
		if name == tokenOwner(name) {
			users[person.subject] = oidc.User{Groups: person.groups, Email: person.subject}
		}
	}
	s.Provider, err = oidc.Config{
		Modules: s.binaries.Packages, Listen: s.Ports.Login, CertFile: cert, KeyFile: key,
		ClientCAFile: s.Path("pki", "ingress-clients-ca.pem"), Audience: IssuerAudience, Resources: []string{approvalsAudience},
		TokenTTL: int(lifetime / time.Second), Users: users, AuthTimeMoves: s.authTimeMoves,
	}.Write(s.Path("secrets", "login.json"), devca.Pool(s.Cast.Servers))
	return err
}

// tokenOwner is the name of the first token of whoever has several.
func tokenOwner(token string) string { owner, _, _ := strings.Cut(token, "-"); return owner }

// loginSubstitutions make the provider the issuer of the settings.
func (s *Stage) loginSubstitutions() []substitution {
	all := []substitution{
		{"issuer: " + IssuerURL, "issuer: " + s.Provider.Issuer()},
		{"jwksFile: pki/corp-jwks.json", "jwksURL: " + s.Provider.KeysURL() + "\n      jwksCAFile: pki/servers-ca.pem"},
	}
	if s.authTimeMoves {
		all = append(all, substitution{"authTime: login", "authTime: refreshed"})
	}
	return all
}

func (s *Stage) login() Process {
	return Process{
		Name: "login", Path: s.binaries.Node, Args: []string{s.binaries.Login, s.Path("secrets", "login.json")},
		Log: s.log("login"), Ready: s.Provider.Answers,
	}
}

// SignIn logs somebody of the cast in at the provider, in a browser of their own. bound: the token is bound to the
// certificate of their laptop (RFC 8705). The user of l is the caller's.
func (s *Stage) SignIn(ctx context.Context, as string, bound bool, l oidc.Login) (oidc.Token, error) {
	caller, err := s.Caller(as)
	if err != nil {
		return oidc.Token{}, err
	}
	person, known := people[caller.Token]
	if s.Provider == nil || !known {
		return oidc.Token{}, fmt.Errorf("%s cannot sign in: there is no provider, or they are no user", as)
	}
	l.User = person.subject
	if bound {
		shown := s.Cast.Pairs[caller.Certificate].TLS()
		l.Certificate = &shown
	}
	return s.Provider.Browser().Login(ctx, l)
}

// logIn replaces every token of the cast by one of the provider's, if there is one.
func (s *Stage) logIn(ctx context.Context) error {
	if s.Provider == nil {
		return nil
	}
	for name, person := range people {
		if err := s.Provider.PutInto(ctx, person.subject, person.groups...); err != nil {
			return fmt.Errorf("put %s into %s: %w", person.subject, person.groups, err)
		}
		login := oidc.Login{User: person.subject, Age: person.login}
		if person.acr == strong {
			login.Method, login.ACR = oidc.ByKey, strong
		}
		token, err := s.Provider.Browser().Login(ctx, login)
		if err != nil {
			return err
		}
		s.Cast.Tokens[name] = token.Access
		if err := os.WriteFile(s.Path("tokens", name+".jwt"), []byte(token.Access), 0o600); err != nil {
			return err
		}
	}
	for name, person := range people { // whoever logs in from now on is in the groups of their first token
		if name == tokenOwner(name) {
			if err := s.Provider.PutInto(ctx, person.subject, person.groups...); err != nil {
				return err
			}
		}
	}
	return nil
}
