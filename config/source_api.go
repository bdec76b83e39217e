package config

// API is where a vendor is asked: for one device when a webhook points at it, for all of them by Sync. The environment's
// proxy is not used. Which kinds of credentials a type of source takes is in its README; exactly one stands: clientID with
// clientSecretFile (OAuth 2.0 client credentials, RFC 6749 section 4.4), clientID with keyFile (the same with a signed
// assertion, RFC 7523 section 2.2), serviceAccountFile (Google, RFC 7523 section 2.1), username with passwordFile, and
// tokenFile. A token is renewed before it expires.
type API struct {
	URL    string `yaml:"url"`              // https://host[:port][/path]; http only on a loopback host
	CAFile string `yaml:"caFile,omitempty"` // who signs its certificate (PEM); default: the system's CAs
	// AllowedHosts are other hosts that the vendor may redirect to; credentials never go there. Default: none.
	AllowedHosts     []string `yaml:"allowedHosts,omitempty"`
	ClientID         string   `yaml:"clientID,omitempty"`
	ClientSecretFile string   `yaml:"clientSecretFile,omitempty"`
	// KeyFile is a PEM private key, RSA of 2048 bits or more, or P-256; KeyID the name (kid) that the vendor gave it.
	KeyFile            string    `yaml:"keyFile,omitempty"`
	KeyID              string    `yaml:"keyID,omitempty"`
	ServiceAccountFile string    `yaml:"serviceAccountFile,omitempty"` // the JSON key file that Google Cloud makes
	Token              *APIToken `yaml:"token,omitempty"`              // of what fetches a token
	Username           string    `yaml:"username,omitempty"`
	PasswordFile       string    `yaml:"passwordFile,omitempty"`
	TokenFile          string    `yaml:"tokenFile,omitempty"`
	// Headers are sent with each request for data, and to no other host; of HeaderFiles each file holds a secret value.
	Headers     map[string]string `yaml:"headers,omitempty"`
	HeaderFiles map[string]string `yaml:"headerFiles,omitempty"`
	Rate        int               `yaml:"rate,omitempty"`     // requests per second, 1 to 1000; default 5
	ProxyURL    string            `yaml:"proxyURL,omitempty"` // an HTTP proxy for these requests; default: none
}

// APIToken says where a token is fetched, and for what. What is left out is the type's own.
type APIToken struct {
	// URL is a path below api.url, or https://host[:port]/path of another host; nothing but the request for the token goes
	// there. http only on a loopback host.
	URL      string `yaml:"url,omitempty"`
	Scope    string `yaml:"scope,omitempty"`    // scopes, separated by blanks
	Subject  string `yaml:"subject,omitempty"`  // with serviceAccountFile: the administrator on whose behalf we ask
	Audience string `yaml:"audience,omitempty"` // with keyFile or serviceAccountFile: the assertion's aud; default: the URL
	InHeader bool   `yaml:"inHeader,omitempty"` // clientID and secret go in Authorization: Basic, not in the form
}
