package config

import "time"

// Settings are the settings of one tiergate process, `serve` or `ingest`. Paths are absolute after Load: a relative path is
// taken from the settings file's directory.
type Settings struct {
	// RuntimeDir holds the sockets. It must belong to the user that runs tiergate, mode 0700. Default:
	// $XDG_RUNTIME_DIR/tiergate, else /run/tiergate.
	RuntimeDir string   `yaml:"runtimeDir,omitempty"`
	Policy     Policy   `yaml:"policy,omitempty"`
	Store      Store    `yaml:"store"`
	Identity   Identity `yaml:"identity,omitempty"`
	Sources    []Source `yaml:"sources,omitempty"`
	SSF        []SSF    `yaml:"ssf,omitempty"`
	Outlets    []Outlet `yaml:"outlets,omitempty"` // where findings are told
	Ingest     Ingest   `yaml:"ingest,omitempty"`
	Metrics    Metrics  `yaml:"metrics,omitempty"`
	Authz      Authz    `yaml:"authz,omitempty"`
	// Assertion has upstreams told who calls in a way that they can verify.
	Assertion *Assertion `yaml:"assertion,omitempty"`
	// Login is shared with the login application of routes that have one.
	Login    *Login   `yaml:"login,omitempty"`
	Evidence Evidence `yaml:"evidence,omitempty"`
	Answers  Answers  `yaml:"answers,omitempty"`
	Census   Census   `yaml:"census,omitempty"`
	Envoy    Envoy    `yaml:"envoy,omitempty"`
	Log      Log      `yaml:"log,omitempty"`
}

// Policy says where the policy directory is, and where `serve` keeps what was in force.
type Policy struct {
	Dir     string        `yaml:"dir"`
	History PolicyHistory `yaml:"history,omitempty"`
}

// Store is one of the two stores.
type Store struct {
	Embedded *EmbeddedStore `yaml:"embedded,omitempty"`
	Redis    *RedisStore    `yaml:"redis,omitempty"`
}

// EmbeddedStore is the bbolt file of a sidecar that shares nothing; the receiver then runs inside `serve`.
type EmbeddedStore struct {
	File string `yaml:"file"`
}

// RedisStore is Redis (6.2 or newer) or Valkey: one server, a primary that Sentinels watch over, or a Cluster. Exactly one of
// Address, Sentinels and Cluster stands.
type RedisStore struct {
	Address string `yaml:"address,omitempty"` // host:port, or the absolute path of a Unix socket
	// Sentinels (host:port) are asked which server is the primary of Master, the name in their `sentinel monitor`.
	Sentinels            []string `yaml:"sentinels,omitempty"`
	Master               string   `yaml:"master,omitempty"`
	SentinelUsername     string   `yaml:"sentinelUsername,omitempty"`
	SentinelPasswordFile string   `yaml:"sentinelPasswordFile,omitempty"`
	// Cluster are some of its nodes (host:port); the others are learned from them.
	Cluster []string `yaml:"cluster,omitempty"`

	Username     string `yaml:"username,omitempty"`
	PasswordFile string `yaml:"passwordFile,omitempty"`
	CAFile       string `yaml:"caFile,omitempty"` // set: TLS to every server and Sentinel, verified against this CA
	// ServerName is what their certificates are verified for. Default: the host that each is reached at, which in a Cluster
	// or behind Sentinels is what these announce.
	ServerName string `yaml:"serverName,omitempty"`
	// WaitAOF: the number of local append-only files (0 or 1) that must have synced before a write counts as durable.
	// Needs Redis 7.2 or Valkey with appendonly yes. Default 0: durable is what the server's appendfsync makes of it.
	WaitAOF int `yaml:"waitAOF,omitempty"`
	// WaitReplicas: the number of replicas (0 to 5) that must have synced a write to their append-only files before it counts
	// as durable. Default 0: what a primary had not sent yet when it died is lost by the failover.
	WaitReplicas int `yaml:"waitReplicas,omitempty"`
	// Seal says with which key receivers sign what they write, and whose signatures count. One of Seal and Unsealed stands.
	Seal *Seal `yaml:"seal,omitempty"`
	// Unsealed: nothing is signed, so that whoever can write to the server decides which devices are healthy.
	Unsealed bool `yaml:"unsealed,omitempty"`
}

// Seal are Ed25519 keys (RFC 8032), each alone in its PEM file: `openssl genpkey -algorithm ed25519 -out KEY` makes one,
// `openssl pkey -in KEY -pubout` tells its public half.
type Seal struct {
	// KeyFile is the private key (PKCS #8, RFC 8410) of a receiver, mode 0600. `serve` never reads it: leave it out there.
	KeyFile string `yaml:"keyFile,omitempty"`
	// TrustFiles are the public keys (SubjectPublicKeyInfo) of all receivers whose word counts: several while a key is
	// rotated. The new one first stands here, everywhere, and is then used; the old one goes once nothing is signed with it.
	TrustFiles []string `yaml:"trustFiles"`
	// CheckpointMaxAge is the age from which a sidecar tells that the receivers' list of devices and revisions is late: they are
	// down, or somebody put an old list back. 2m to 24h, default 15m. It serves nevertheless, and facts age by themselves.
	CheckpointMaxAge time.Duration `yaml:"checkpointMaxAge,omitempty"`
}

// Identity says whom to trust for which names.
type Identity struct {
	TrustDomains []TrustDomain `yaml:"trustDomains,omitempty"`
	Devices      *Devices      `yaml:"devices,omitempty"`
	Issuers      []Issuer      `yaml:"issuers,omitempty"`
	// Forwarders are SPIFFE IDs or patterns of the proxies that pass requests of others on to Envoy over mTLS: their
	// x-forwarded-client-cert says who is behind them, and a JWT-SVID may come through them. Nobody else's counts. They must
	// write that header anew (SANITIZE_SET) and should send Cert; what they say nothing of is a request of their own. Their
	// trust domains stand in TrustDomains.
	Forwarders []string `yaml:"forwarders,omitempty"`
	// WorkloadAPI is where this process gets its own SVID and the bundles of trust domains that name no bundleFile.
	WorkloadAPI *WorkloadAPI `yaml:"workloadAPI,omitempty"`
	// JWTSVIDs lets workloads show a JWT-SVID; without it none counts. Its keys come from the Workload API.
	JWTSVIDs *JWTSVIDs `yaml:"jwtSVIDs,omitempty"`
	// SessionLife is the longest for which a session of any issuer may not be used and still go on there, as with a refresh
	// token: so long is remembered when it was first seen (Issuer.AuthTime). 1h to 8760h, default 720h.
	SessionLife time.Duration `yaml:"sessionLife,omitempty"`
	// DPoPWindow is how old a DPoP proof may be, and for how long its jti is remembered (RFC 9449, section 11.1): 5s to 5m,
	// default 1m. The port of a proof's htu is not compared: Envoy takes it off the host (strip_any_host_port).
	DPoPWindow time.Duration `yaml:"dpopWindow,omitempty"`
	// RevocationsStale is for how long users are admitted while nobody can tell what has ended of their logins since, because
	// the store is out of reach; after that they are answered 503. 5s to 24h, default 1h.
	RevocationsStale time.Duration `yaml:"revocationsStale,omitempty"`
}

// WorkloadAPI is a SPIFFE Workload API, such as a SPIRE agent's.
type WorkloadAPI struct {
	Socket string `yaml:"socket"` // the path of its Unix socket
}

// JWTSVIDs says which JWT-SVIDs count.
type JWTSVIDs struct {
	Audiences []string      `yaml:"audiences"`        // one of them must stand in aud
	Leeway    time.Duration `yaml:"leeway,omitempty"` // for exp, nbf and iat; default 30s, at most 5m
}

// TrustDomain is a SPIFFE trust domain, with the CA certificates (PEM) that may sign its X.509-SVIDs. Without a file its
// bundle comes from the Workload API and follows every rotation; a federated domain's does too, and counts only if it is
// named here.
type TrustDomain struct {
	Name       string `yaml:"name"`
	BundleFile string `yaml:"bundleFile,omitempty"`
}

// Devices says which CA certificates (PEM) sign device certificates and what in a device certificate names the device.
type Devices struct {
	BundleFile string `yaml:"bundleFile"`
	// Bind: "certificate" (the SHA-256 of the certificate, as the MDM reports it; the default) or "serialNumber" (the
	// hardware serial number in the subject's serialNumber attribute, RFC 4519 section 2.31).
	Bind string `yaml:"bind,omitempty"`
	// IgnoreURINames are beginnings of URI names that a device certificate may carry and that say nothing here, such as
	// Intune's tag:microsoft.com,2022-09-14:sid:. Any other URI name makes a certificate an SVID, or nobody's: one with a
	// SPIFFE ID beside such a name is refused. Each has at least 5 bytes and none could begin a SPIFFE ID.
	IgnoreURINames []string `yaml:"ignoreURINames,omitempty"`
}

// Issuer is an OIDC issuer of JWT access tokens.
type Issuer struct {
	Name       string   `yaml:"name"` // how policies name it
	Issuer     string   `yaml:"issuer"`
	Audiences  []string `yaml:"audiences"`
	Algorithms []string `yaml:"algorithms,omitempty"` // default ES256, RS256 refused unless listed here
	// The issuer's keys, a JWK set (RFC 7517), stand in JWKSFile, which is followed, or are fetched from JWKSURL.
	JWKSFile string `yaml:"jwksFile,omitempty"`
	// JWKSURL is https, or http on a loopback host; redirects are not followed and no proxy is used. The keys are fetched
	// before they cease to be fresh (Cache-Control max-age, 1m to 24h; 5m where the issuer does not say), and sooner if a
	// token names another key, but never twice within 10s. Until a first fetch succeeds the issuer's tokens are refused.
	JWKSURL    string `yaml:"jwksURL,omitempty"`
	JWKSCAFile string `yaml:"jwksCAFile,omitempty"` // who signs the certificate of JWKSURL (PEM); default: the system's CAs
	// JWKSStale is for how long keys that are no longer fresh count while fetching them fails, 0s to 24h; default 6h. After
	// that every token of the issuer is refused until a fetch succeeds.
	JWKSStale time.Duration `yaml:"jwksStale,omitempty"`
	// Type is the typ that tokens must have, for instance at+jwt; empty: any but none of JOSE's others.
	Type   string        `yaml:"type,omitempty"`
	Leeway time.Duration `yaml:"leeway,omitempty"` // for exp, nbf, iat; default 30s, at most 5m
	// SenderConstrained: "optional" (the default: a token that is bound to nothing counts for whoever holds it, as a bearer
	// token, and serve says so when it starts) or "required" (such a token is refused). A token that is bound to a certificate
	// (cnf x5t#S256, RFC 8705 section 3) or to a key (cnf jkt, RFC 9449 section 6) counts with that only, under both; one that
	// is bound in any other way is refused.
	SenderConstrained string `yaml:"senderConstrained,omitempty"`
	Claims            Claims `yaml:"claims,omitempty"`
	// Device says which claim names the user's device. Without it none does.
	Device *DeviceClaim `yaml:"device,omitempty"`
	// VerifiedBy: "tiergate" (the default), or "envoy": the jwt_authn filter of the Envoy that this process programs checks
	// signatures, and tiergate takes a token only with that filter's word on the very same claims. Everything else that is
	// said here of a token is checked by tiergate under both.
	VerifiedBy string `yaml:"verifiedBy,omitempty"`
	// AuthTime says what moves the auth_time of this issuer's tokens: "login" (a login with a factor and nothing else), or
	// "refreshed" (also what takes none, such as a refreshed token; the default, since it is safe whatever the issuer does), or
	// "never" (it stays that of the session's first login, or is not written). Under the last two a process remembers in the
	// store when a session, and each acr and amr in it, was first seen, and a login is never fresher than that. See
	// authz/token/README.md for the usual providers.
	AuthTime string `yaml:"authTime,omitempty"`
}

// DeviceClaim says what a token says of the device that it is used on.
type DeviceClaim struct {
	Claim string `yaml:"claim"` // a text of 1 to 200 bytes
	Names string `yaml:"names"` // what it is: serial, uuid, directory or certificate (SHA-256 of the DER, hex)
	// Bearer lets the claim bind the request to the device also where the token is bound to no key, so that a stolen token
	// brings a healthy device along. Default false: only sender-constrained tokens bind.
	Bearer bool `yaml:"bearer,omitempty"`
}

// Claims says which claims of a token are what. Each is the name of a claim of the token itself, as it stands there: letters,
// digits, '_', '-' and ':', or a whole URL. Paths into objects (realm_access.roles) are not read, and a claim has one meaning.
// A claim of another type than said here, or outside of its bounds, is a refusal and never an absent claim.
type Claims struct {
	User     string `yaml:"user,omitempty"`     // a text of 1 to 256 bytes; default sub
	Groups   string `yaml:"groups,omitempty"`   // an array of at most 500 such texts, or one; default groups
	ACR      string `yaml:"acr,omitempty"`      // a text, how strong the login was; default acr
	AMR      string `yaml:"amr,omitempty"`      // an array of at most 32 texts, or one: how the user logged in; default amr
	AuthTime string `yaml:"authTime,omitempty"` // seconds since 1970, when the user logged in; default auth_time
	// Session is a text of 1 to 256 bytes: the session in which the user logged in; default sid. It need not be there, but
	// without it no second login is told from the first where Issuer.AuthTime is refreshed.
	Session string `yaml:"session,omitempty"`
	// Email is a text of 1 to 256 bytes, for comparison with what MDMs call the user; default none. A token that says
	// email_verified: false has none.
	Email string `yaml:"email,omitempty"`
}

// Source is where facts come from.
type Source struct {
	Name    string   `yaml:"name"`
	Type    string   `yaml:"type"`    // standard, mapping, jamf, fleet …: the README lists them
	Attests []string `yaml:"attests"` // the attributes that it may state; others are dropped and counted
	// Every is the longest that this source takes to report a device again, for instance 24h for a daily inventory. A policy
	// that wants fresher facts than its sources deliver is then refused. Default: not known, and not judged.
	Every time.Duration `yaml:"every,omitempty"`
	// EnrolledUser says what the users are that this source names (attribute enrolled_user). Without it, what it says of
	// users is not compared with anything.
	EnrolledUser *EnrolledUser `yaml:"enrolledUser,omitempty"`
	// SecretFiles each hold one whsec_ secret; any of them verifies, so that a secret can be rotated. Of a standard source.
	SecretFiles []string `yaml:"secretFiles,omitempty"`
	// Webhook, API and Sync are of vendors that are asked: how they show who they are, where they are asked, how often all
	// their devices are listed.
	Webhook *Webhook `yaml:"webhook,omitempty"`
	API     *API     `yaml:"api,omitempty"`
	Sync    *Sync    `yaml:"sync,omitempty"`
	// CloudEvents is for sources that take the envelope: standard, mapping.
	CloudEvents *CloudEvents `yaml:"cloudEvents,omitempty"`
	Mapping     *Mapping     `yaml:"mapping,omitempty"` // of type mapping
	SentinelOne *SentinelOne `yaml:"sentinelone,omitempty"`
	Jamf        *Jamf        `yaml:"jamf,omitempty"`        // of type jamf
	Fleet       *Fleet       `yaml:"fleet,omitempty"`       // of type fleet
	Kolide      *Kolide      `yaml:"kolide,omitempty"`      // of type kolide
	Google      *Google      `yaml:"google,omitempty"`      // of type google
	CrowdStrike *CrowdStrike `yaml:"crowdstrike,omitempty"` // of type crowdstrike
	Intune      *Intune      `yaml:"intune,omitempty"`
	Defender    *Defender    `yaml:"defender,omitempty"`
	Kandji      *Kandji      `yaml:"kandji,omitempty"`
	Okta        *Okta        `yaml:"okta,omitempty"`
	Osquery     *Osquery     `yaml:"osquery,omitempty"`
	// WorkspaceOne is of type workspace-one.
	WorkspaceOne *WorkspaceOne `yaml:"workspaceOne,omitempty"`
}

// EnrolledUser says which claim of which issuer a source's word on a device's user is compared with.
type EnrolledUser struct {
	Issuer string `yaml:"issuer"` // an issuer's name
	Is     string `yaml:"is"`     // name (claims.user), subject (sub) or email (claims.email, letters in any case)
}

// Ingest is the receiver of webhooks.
type Ingest struct {
	Listen  string  `yaml:"listen,omitempty"` // default 127.0.0.1:8090
	Metrics Metrics `yaml:"metrics,omitempty"`
	MaxBody int     `yaml:"maxBodyBytes,omitempty"` // default 1 MiB, at most 16 MiB
	// MaxInbox is how many deliveries of one source may wait to be applied, MaxRemembered how many new ones it may bring in
	// four days, for which their ids are remembered, so that none can be replayed. More of that source are answered 429 with
	// Retry-After; other sources are not touched. Defaults 100,000 and 1,000,000.
	MaxInbox      int `yaml:"maxInbox,omitempty"`
	MaxRemembered int `yaml:"maxRemembered,omitempty"`
	// Rate is how many deliveries per second each receiver takes of one source; a second's worth may come at once. More are
	// answered 429. Default 0: as many as come.
	Rate int `yaml:"rate,omitempty"`
	// Links is the directory of DeviceLink documents, which forbid or force that names belong to one device: see the package
	// comment of config/linkfile. It is followed; a broken edit keeps the last good documents in force.
	Links string `yaml:"links,omitempty"`
	// Approvals is where people ask and approve. Default: over the admin socket alone.
	Approvals *Approvals `yaml:"approvals,omitempty"`
	// Evidence is where `tiergate ingest` records what people did about exceptions, grace and clearances.
	Evidence IngestEvidence `yaml:"evidence,omitempty"`
}

// Metrics is where probes and metrics are served: /healthz /readyz /metrics. Default 127.0.0.1:9464, of ingest
// 127.0.0.1:9465.
type Metrics struct {
	Listen string `yaml:"listen,omitempty"`
}

// Authz is how Check is answered.
type Authz struct {
	// Reader: "fast" (tiergate's own reader of the wire bytes of a CheckRequest; the default) or "proto" (protobuf's code,
	// for requests and answers, at several times the cost). Both decide alike; proto is there for the case that fast is
	// ever suspected of a fault.
	Reader string `yaml:"reader,omitempty"`
	// Transport: "tiergate" (our own server of gRPC over HTTP/2, package authz/unary; the default) or "grpc-go", at several
	// times the cost. Both carry the same bytes; grpc-go is there for the case that ours is ever suspected of a fault.
	Transport string `yaml:"transport,omitempty"`
	// Listen answers Envoys over TCP too, besides the Unix socket.
	Listen *MutualTLS `yaml:"listen,omitempty"`
}

// MutualTLS is an address that is served over mTLS with the SVID that the Workload API gives this process.
type MutualTLS struct {
	Address string   `yaml:"address"` // ip:port
	Envoys  []string `yaml:"envoys"`  // SPIFFE IDs or patterns of those who may connect; of trust domains that are named
}

// Envoy is what the Envoy beside tiergate is programmed with. No listeners: tiergate only answers Check.
type Envoy struct {
	Listeners []Listener `yaml:"listeners,omitempty"`
	// Client is what Envoy shows to upstreams; those that name a spiffeID demand it.
	Client *KeyPair `yaml:"client,omitempty"`
	// UpstreamCA is who may sign the certificates of upstreams (PEM); it can stand alone where every upstream has a dnsName.
	UpstreamCA   string        `yaml:"upstreamCAFile,omitempty"`
	CheckTimeout time.Duration `yaml:"checkTimeout,omitempty"` // default 250ms, at most 2s
	// Health is where Envoy answers probes in plaintext: GET /healthz is 200 while it takes requests and reaches tiergate.
	Health *EnvoyHealth `yaml:"health,omitempty"`
	// AccessLog is what Envoy writes of every request. Default: nothing.
	AccessLog *AccessLog `yaml:"accessLog,omitempty"`
	// Binary is Envoy's executable, the one that runs. With it, every configuration is shown to `envoy --mode validate` before
	// it comes into force, and refused as a faulty policy is if Envoy would refuse it. One that is missing, older than
	// MinVersion, crashes or takes more than 20s refuses every change, and is tried again. Default: Envoy is not asked before.
	Binary string `yaml:"binary,omitempty"`
	// MinVersion is the lowest Envoy version that is programmed, such as 1.40.0; it can only raise MinEnvoyVersion.
	MinVersion string `yaml:"minVersion,omitempty"`
	// AdminSocket is the Unix socket of Envoy's admin interface. What Envoy says there to hold is compared with what was
	// intended. Default: envoy-admin.sock in the runtime directory, as `tiergate envoy bootstrap` has it.
	AdminSocket string `yaml:"adminSocket,omitempty"`
}

// EnvoyHealth is Envoy's address for probes.
type EnvoyHealth struct {
	Address string `yaml:"address"` // ip:port
}

// AccessLog says where Envoy's access log goes; both may stand. A line has the decision's id, subject, tier, outcome and
// policy digest, and never a query or a credential.
type AccessLog struct {
	File string            `yaml:"file,omitempty"` // /dev/stdout, /dev/stderr or an absolute path: a line of JSON each
	GRPC *AccessLogService `yaml:"grpc,omitempty"`
}

// AccessLogService takes envoy.service.accesslog.v3.AccessLogService streams: a TCPAccessLogEntry for each request, whose
// custom_tags have the fields of the file's lines. Exactly one of Socket and Address stands.
type AccessLogService struct {
	Socket string `yaml:"socket,omitempty"` // the absolute path of a Unix socket
	// Address (ip:port) is spoken to over mTLS: Envoy shows envoy.client, and the other side must be SPIFFEID.
	Address  string `yaml:"address,omitempty"`
	SPIFFEID string `yaml:"spiffeID,omitempty"`
}

// Listener is one address of Envoy. With an audience it is that isolated audience's own and serves nothing else.
type Listener struct {
	Name         string  `yaml:"name"`
	Address      string  `yaml:"address"` // ip:port
	Audience     string  `yaml:"audience,omitempty"`
	TLS          KeyPair `yaml:"tls"`
	ClientCAFile string  `yaml:"clientCAFile,omitempty"` // who may connect (PEM)
	// ClientTrustDomains are trust domains of identity.trustDomains whose workloads may connect, as their bundles rotate. Without
	// a ClientCAFile each domain's CAs can write names of that domain alone; beside one, all of these CAs are one pool for Envoy,
	// and only tiergate tells the domains apart: better give devices and workloads a listener each.
	ClientTrustDomains []string `yaml:"clientTrustDomains,omitempty"`
	// ClientSPIFFEIDs are SPIFFE IDs or patterns: a client whose certificate has none of them is not let in, whoever signed it.
	// Without them whoever has a certificate of those CAs may connect, and authz alone tells them apart.
	ClientSPIFFEIDs []string `yaml:"clientSPIFFEIDs,omitempty"`
	// ClientCertificates: "required" (the default), "optional" (whoever shows one must show a good one; users with tokens need
	// none; only with a ClientCAFile and without ClientSPIFFEIDs, since Envoy demands one otherwise) or "none" (nobody is asked
	// for one, and no CA is named).
	ClientCertificates string `yaml:"clientCertificates,omitempty"`
	// Serves: "all" (the default), "users" (only routes whose tier identifies a user) or "workloads" (only routes whose tier
	// identifies a workload, and nothing else). The other routes do not exist on this address.
	Serves string `yaml:"serves,omitempty"`
}

// KeyPair is a certificate chain and its key: PEM files, or the SVID that the Workload API gives to Envoy itself, over SDS
// and renewed as it rotates.
type KeyPair struct {
	CertFile    string `yaml:"certFile,omitempty"`
	KeyFile     string `yaml:"keyFile,omitempty"`
	WorkloadAPI bool   `yaml:"workloadAPI,omitempty"`
}

// Log says how much is logged and how.
type Log struct {
	Level  string `yaml:"level,omitempty"`  // debug, info, warn, error; default info
	Format string `yaml:"format,omitempty"` // json or console; default json
}
