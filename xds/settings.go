package xds

import (
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// Input is all that a snapshot is made of.
type Input struct {
	Routes    []policy.Route
	Audiences []policy.Audience
	Upstreams []policy.Upstream
	Tiers     []policy.Tier // of the routes
	// TableDigest names the route table. Every check carries it back, so that authz compares Envoy's match with its
	// own in the generation in which Envoy made it.
	TableDigest string
	Settings    Settings
}

// Settings is what the process settings say, with files already read.
type Settings struct {
	AuthzSocket  string        // absolute path of the ext_authz service's Unix socket
	CheckTimeout time.Duration // how long Envoy waits for a decision; more than 0, at most 2s
	Listeners    []Listener    // none: Envoy is given nothing to listen on
	Client       *KeyPair      // what Envoy shows to upstreams; needed where one names a spiffeID
	// UpstreamCA, PEM, are who may sign the certificates of those upstreams; nil where Client comes from the Workload API:
	// the CA certificates of Envoy's own trust domain, which come from there too.
	UpstreamCA []byte
	// Forwarders: authz believes some peers that others are behind them. Envoy then leaves x-forwarded-client-cert to authz
	// as they sent it, and no upstream gets it.
	Forwarders bool
	// WorkloadAPI is the absolute path of the Unix socket of a SPIFFE agent that serves SDS there too, as SPIRE's does;
	// needed where a KeyPair comes from it.
	WorkloadAPI string
	AccessLog   string // "": none; /dev/stdout or /dev/stderr; else the absolute path of a file
	// AccessLogService is where access logs are streamed to; nil: nowhere.
	AccessLogService *AccessLogService
	// Health is the ip:port on which Envoy answers probes; "": none.
	Health string
	// TokenIssuers are those whose tokens' signatures Envoy verifies.
	TokenIssuers []TokenIssuer
}

// Listener is one address that Envoy serves over TLS.
type Listener struct {
	Name    string // a DNS label; names the route configuration and prefixes the clusters
	Address string // ip:port
	// Audience makes it the own listener of that isolated audience: only routes that list the audience exist here.
	// Empty: every route that lists an audience which is not isolated.
	Audience    string
	Certificate KeyPair
	ClientCA    []byte // PEM: who may connect
	// TrustDomains are the CA certificates (PEM) of trust domains whose workloads may connect, each for its own names only;
	// beside a ClientCA all of them are one pool. A domain without any is left out until it has some.
	TrustDomains map[string][]byte
	// ClientSPIFFEIDs are SPIFFE IDs or patterns (identity.ParseSPIFFEPattern), one of which a client must have; none: anybody.
	ClientSPIFFEIDs    []string
	ClientCertificates ClientCertificates
	Serves             Serves
	// Awaited: whom ClientCA is to admit is not known yet. Envoy is not given the listener until it is.
	Awaited bool
}

// ClientCertificates says whether clients of a listener show a certificate.
type ClientCertificates int

// The zero value demands one.
const (
	CertificateRequired ClientCertificates = iota
	CertificateOptional                    // one that is shown must be good
	CertificateNone
)

// Serves says which routes exist on a listener, by what their tier identifies.
type Serves int

// The zero value serves all routes whose audiences the listener serves.
const (
	ServesAll Serves = iota
	ServesUsers
	ServesWorkloads
)

// AccessLogService takes envoy.service.accesslog.v3 streams: on a Unix socket, or at an address over mTLS from exactly one
// SPIFFE ID. Requests come as TCPAccessLogEntry messages, whose custom tags are the fields of the file's lines.
type AccessLogService struct {
	Socket            string
	Address, SPIFFEID string
}

// KeyPair is a certificate chain and its private key, both PEM, or the SVID that Envoy itself gets of the Workload API.
type KeyPair struct {
	CertPEM, KeyPEM []byte
	WorkloadAPI     bool
}

// Keys of the context_extensions that every check carries (envoy.service.auth.v3.AttributeContext.context_extensions).
const (
	ContextRoute    = policy.ContextRoute    // the policy route's name; empty where Envoy proxies nothing
	ContextTable    = policy.ContextTable    // Input.TableDigest
	ContextUpstream = policy.ContextUpstream // where the route leads
	ContextListener = "tiergate.listener"    // Listener.Name
)

// HeaderPrefix is what only tiergate says to upstreams: removed from every client's request before anything reads it.
const HeaderPrefix = "x-tiergate-"

// MaxCheckTimeout bounds CheckTimeout: a client does not wait longer than this for a decision that does not come.
const MaxCheckTimeout = 2 * time.Second
