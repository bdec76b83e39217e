package oidc

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// The clients of the provider, by what their access tokens are bound to.
const (
	ClientBearer      = "demo"             // nothing
	ClientCertificate = "demo-certificate" // the certificate of the login (RFC 8705, section 3)
	ClientDPoP        = "demo-dpop"        // a key (RFC 9449)
)

// redirectURI is where the provider sends the browser back to. Where there is no Application, nobody listens there: the client
// reads the answer off the redirect.
const redirectURI = "https://apps.acme.example/signed-in"

// RedirectHost is the host of redirectURI, on which an Application stands.
const RedirectHost = "apps.acme.example"

// The ways to log in, of provider.mjs.
const (
	ByPassword = "password" // no acr, amr pwd
	ByKey      = "key"      // acr phr, amr pwd, hwk and user
)

// User is one who can log in.
type User struct {
	Password string   `json:"password"`
	Groups   []string `json:"groups"`
	Email    string   `json:"email,omitempty"` // empty: tokens have no email
}

// Config is what provider.mjs is started with. Its comment says what each field is.
type Config struct {
	Modules      string            `json:"modules"`
	Listen       string            `json:"listen"`
	CertFile     string            `json:"certFile"`
	KeyFile      string            `json:"keyFile"`
	ClientCAFile string            `json:"clientCAFile"`
	Audience     string            `json:"audience"`
	Resources    []string          `json:"resources,omitempty"` // other audiences, for who asks for them (Login.Resource)
	TokenTTL     int               `json:"tokenTTL"`            // seconds
	RedirectURI  string            `json:"redirectURI"`
	Clients      map[string]string `json:"clients"`
	Users        map[string]User   `json:"users"`
	Control      string            `json:"control"`
	// AuthTimeMoves: every token says that its user logged in just now, a refreshed one too.
	AuthTimeMoves bool `json:"authTimeMoves"`
}

// Provider is a provider as those who use it see it. Its methods may be called concurrently.
type Provider struct {
	issuer, control string
	roots           *x509.CertPool
	passwords       map[string]string
}

// Write completes a configuration (clients, redirect, fresh passwords and control secret) and writes it to a file that only
// the owner can read. It returns the provider that will run with it. roots are who signs its server certificate.
func (c Config) Write(file string, roots *x509.CertPool) (*Provider, error) {
	c.RedirectURI, c.Control = redirectURI, rand.Text()
	c.Clients = map[string]string{ClientBearer: "bearer", ClientCertificate: "certificate", ClientDPoP: "dpop"}
	users := make(map[string]User, len(c.Users))
	p := &Provider{issuer: "https://" + c.Listen, control: c.Control, roots: roots, passwords: map[string]string{}}
	for name, user := range c.Users {
		user.Password = rand.Text()
		users[name], p.passwords[name] = user, user.Password
	}
	c.Users = users
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the provider's configuration: %w", err)
	}
	return p, os.WriteFile(file, text, 0o600)
}

// Issuer is the iss of the tokens, a URL without a slash at its end.
func (p *Provider) Issuer() string { return p.issuer }

// KeysURL is where the provider publishes its keys.
func (p *Provider) KeysURL() string { return p.issuer + "/jwks" }

// Answers returns nil once the provider answers.
func (p *Provider) Answers(ctx context.Context) error {
	_, err := p.Browser().discover(ctx, p.client(nil))
	return err
}

// RotateKeys makes the provider sign with a new key from now on; the one before stays published.
func (p *Provider) RotateKeys(ctx context.Context) error { return p.order(ctx, "rotate", nil) }

// PutInto makes a user a member of these groups and no others; tokens that are issued from now on say so.
func (p *Provider) PutInto(ctx context.Context, user string, groups ...string) error {
	return p.order(ctx, "groups", url.Values{"user": {user}, "groups": {strings.Join(groups, " ")}})
}

func (p *Provider) order(ctx context.Context, what string, form url.Values) error {
	request, err := formRequest(ctx, p.issuer+"/control/"+what, form)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+p.control)
	client := p.client(nil)
	defer client.CloseIdleConnections()
	_, err = read(client, request, http.StatusOK)
	return err
}

// client follows no redirect and shows a certificate, if there is one.
func (p *Provider) client(certificate *tls.Certificate) *http.Client {
	config := &tls.Config{RootCAs: p.roots, MinVersion: tls.VersionTLS12}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: config},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       10 * time.Second,
	}
}

func formRequest(ctx context.Context, address string, form url.Values) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err == nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return request, err
}

// maxBody bounds what is read of an answer.
const maxBody = 1 << 20

// read wants an answer with a status and returns its body.
func read(client *http.Client, request *http.Request, status int) (_ []byte, err error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != status {
		return nil, fmt.Errorf("%s %s answered %s: %.500s", request.Method, request.URL.Path, response.Status, body)
	}
	return body, nil
}
