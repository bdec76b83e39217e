package main

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/source"
)

// asking is how a type of vendor is asked where the settings do not say otherwise.
type asking struct {
	// endpoint is where a token is fetched with clientID or keyFile: a path below api.url, or an https URL.
	endpoint string
	scope    string
	form     url.Values // what goes into the form besides
	// login is the path of a login like Jamf Pro's, for username with passwordFile; empty: they go with each request.
	login     string
	word      string // before what tokenFile holds; empty: Bearer
	header    http.Header
	noContent bool // a 204 is an empty answer
}

// vendorClient asks the vendor. An error begins with the field.
func vendorClient(x *config.Source, how asking) (*source.Client, error) {
	client, err := apiClient(x.API, how)
	if err != nil {
		return nil, fmt.Errorf("api.%w", err)
	}
	return client, nil
}

func apiClient(a *config.API, how asking) (*source.Client, error) {
	options := source.ClientOptions{Base: a.URL, RedirectHosts: a.AllowedHosts, Rate: float64(a.Rate),
		UserAgent: "tiergate", NoContent: how.noContent}
	if a.CAFile != "" {
		pem, err := os.ReadFile(a.CAFile)
		if err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
		options.Roots = x509.NewCertPool()
		if !options.Roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("caFile: %s holds no PEM certificate", a.CAFile)
		}
	}
	if a.ProxyURL != "" {
		proxy, err := url.Parse(a.ProxyURL)
		if err != nil {
			return nil, fmt.Errorf("proxyURL: it cannot be read; write http://host:port")
		}
		options.Proxy = proxy
	}
	var err error
	if options.Header, err = apiHeader(a, how.header); err != nil {
		return nil, err
	}
	if options.Credentials, err = apiCredentials(a, how); err != nil {
		return nil, err
	}
	client, err := source.NewClient(options)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	return client, nil
}

// apiHeader is the type's own header with what the settings write over it.
func apiHeader(a *config.API, own http.Header) (http.Header, error) {
	header := http.Header{}
	for name, values := range own {
		header[http.CanonicalHeaderKey(name)] = values
	}
	for name, value := range a.Headers {
		header.Set(name, value)
	}
	for name, file := range a.HeaderFiles {
		value, err := readSecret(file)
		if err != nil {
			return nil, fmt.Errorf("headerFiles.%s: %w", name, err)
		}
		header.Set(name, value)
	}
	return header, nil
}

func apiCredentials(a *config.API, how asking) (source.Credentials, error) {
	token := config.APIToken{}
	if a.Token != nil {
		token = *a.Token
	}
	endpoint, scope := cmp.Or(token.URL, how.endpoint), cmp.Or(token.Scope, how.scope)
	if a.ClientID != "" && endpoint == "" {
		return nil, fmt.Errorf("token.url: this type has no token endpoint of its own; write where a token is fetched")
	}
	switch {
	case a.ServiceAccountFile != "":
		return serviceAccount(a, token, scope)
	case a.KeyFile != "":
		raw, err := readSecret(a.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("keyFile: %w", err)
		}
		key, err := source.ParseSigningKey([]byte(raw), a.KeyID)
		if err != nil {
			return nil, fmt.Errorf("keyFile: %w", err)
		}
		return source.PrivateKeyJWT{Endpoint: endpoint, ID: a.ClientID, Key: key, Audience: token.Audience, Scope: scope}, nil
	case a.ClientID != "":
		secret, err := readSecret(a.ClientSecretFile)
		if err != nil {
			return nil, fmt.Errorf("clientSecretFile: %w", err)
		}
		return source.ClientCredentials{Endpoint: endpoint, ID: a.ClientID, Secret: secret, Scope: scope,
			InHeader: token.InHeader, Form: how.form}, nil
	case a.Username != "":
		password, err := readSecret(a.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("passwordFile: %w", err)
		}
		if how.login == "" {
			return source.HTTPBasic{User: a.Username, Password: password}, nil
		}
		return source.BasicLogin{Endpoint: how.login, User: a.Username, Password: password}, nil
	}
	made, err := readSecret(a.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("tokenFile: %w", err)
	}
	return source.Word{Scheme: cmp.Or(how.word, "Bearer"), Token: made}, nil
}

func serviceAccount(a *config.API, token config.APIToken, scope string) (source.Credentials, error) {
	raw, err := readSecret(a.ServiceAccountFile)
	if err != nil {
		return nil, fmt.Errorf("serviceAccountFile: %w", err)
	}
	account, err := source.ServiceAccount([]byte(raw))
	if err != nil {
		return nil, fmt.Errorf("serviceAccountFile: %w", err)
	}
	account.Subject, account.Scope, account.Audience = token.Subject, scope, token.Audience
	account.Endpoint = cmp.Or(token.URL, account.Endpoint)
	return account, nil
}
