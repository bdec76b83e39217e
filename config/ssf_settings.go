package config

import (
	"fmt"
	"time"
)

// SSF is a transmitter of Shared Signals (OpenID SSF 1.0), whose Security Event Tokens the receiver takes at POST /v1/ssf/NAME or
// polls. The README of signals/ssf explains it, transmitter by transmitter.
type SSF struct {
	Name string `yaml:"name"` // also what policies call it where it attests something; no source has the same
	// Issuer is the iss of its SETs, its streams and its metadata, byte for byte.
	Issuer     string   `yaml:"issuer"`
	Audiences  []string `yaml:"audiences"`            // one of them must stand in aud
	Algorithms []string `yaml:"algorithms,omitempty"` // default RS256; none and HS* cannot be named
	// The keys stand in JWKSFile, or are fetched from JWKSURL; without both from the jwks_uri of its metadata.
	JWKSFile string `yaml:"jwksFile,omitempty"`
	JWKSURL  string `yaml:"jwksURL,omitempty"`
	CAFile   string `yaml:"caFile,omitempty"` // who signs the certificates of its servers (PEM); default: the system's CAs
	// Delivery: "push" (the default) or "poll".
	Delivery string `yaml:"delivery,omitempty"`
	// PushTokenFiles each hold one token; the transmitter must send one as a bearer token with every push, and a stream that
	// we make is told the first. Default: the signature of a SET is all that counts.
	PushTokenFiles []string        `yaml:"pushTokenFiles,omitempty"`
	Transmitter    *SSFTransmitter `yaml:"transmitter,omitempty"`
	Poll           *SSFPoll        `yaml:"poll,omitempty"` // of delivery poll
	// SubjectInEvent takes the subject from the event where a SET has no sub_id, in the spelling of earlier drafts.
	SubjectInEvent bool `yaml:"subjectInEvent,omitempty"`
	// SubjectIssuers are the iss that subjects may have besides Issuer and the issuer of Users.
	SubjectIssuers []string `yaml:"subjectIssuers,omitempty"`
	Tenant         string   `yaml:"tenant,omitempty"` // our tenant there; events about another become dead letters
	// Users has events void logins. Default: they void none.
	Users *SSFUsers `yaml:"users,omitempty"`
	// Devices and Attests have events state facts: config_compliance and threat_level. Default: they state none.
	Devices *SSFDevices `yaml:"devices,omitempty"`
	Attests []string    `yaml:"attests,omitempty"`
}

// SSFTransmitter is the transmitter's API. Credentials are tokenFile, or tokenURL with clientID and clientSecretFile (OAuth 2.0
// client credentials); they go to the host of the metadata, to tokenURL and to allowedHosts.
type SSFTransmitter struct {
	MetadataURL      string   `yaml:"metadataURL,omitempty"` // default: .well-known/ssf-configuration of the issuer
	AllowedHosts     []string `yaml:"allowedHosts,omitempty"`
	TokenFile        string   `yaml:"tokenFile,omitempty"`
	TokenURL         string   `yaml:"tokenURL,omitempty"`
	ClientID         string   `yaml:"clientID,omitempty"`
	ClientSecretFile string   `yaml:"clientSecretFile,omitempty"`
	Scope            string   `yaml:"scope,omitempty"`
	// ReceiverURL is where the transmitter reaches POST /v1/ssf/NAME. With it, or with delivery poll, the stream is found or
	// made, kept as it is wanted and verified. Without it a pushed stream is made by hand at the transmitter.
	ReceiverURL string        `yaml:"receiverURL,omitempty"`
	StreamID    string        `yaml:"streamID,omitempty"`    // of a stream that was made by hand; default: found or made
	Unmanaged   bool          `yaml:"unmanaged,omitempty"`   // leave the stream as it is: poll.url says where to poll
	Events      []string      `yaml:"events,omitempty"`      // URIs to ask for; default: all that mean something here
	VerifyEvery time.Duration `yaml:"verifyEvery,omitempty"` // 1m to 168h, 0s: never; default 1h
}

// SSFPoll says how a stream is polled.
type SSFPoll struct {
	URL   string        `yaml:"url,omitempty"`   // default: what the stream names
	Every time.Duration `yaml:"every,omitempty"` // after an answer without SETs, 1s to 1h; default 5s
	Max   int           `yaml:"max,omitempty"`   // SETs of one answer, 1 to 1000; default 100
	// Dialect: "rfc8936" (the default) or "kolide", which wants a TokenFile of its own.
	Dialect   string `yaml:"dialect,omitempty"`
	TokenFile string `yaml:"tokenFile,omitempty"`
}

// SSFUsers says whose logins events void.
type SSFUsers struct {
	Issuer string `yaml:"issuer"` // the name of an issuer of identity.issuers
	// Revoke are the events that void the subject's logins so far, by the last part of their URIs. Default: session-revoked,
	// sessions-revoked, account-disabled, account-purged, account-credential-change-required, credential-compromise,
	// identifier-recycled.
	Revoke []string `yaml:"revoke,omitempty"`
	// RiskRevokes is the level of a user's or session's risk that voids its logins so far: low, medium, high (the default) or
	// never.
	RiskRevokes string `yaml:"riskRevokes,omitempty"`
	// RiskRefuses is the level from which a user or session is refused with any login, until the transmitter says less or for
	// maxTokenLife: low, medium, high or never (the default).
	RiskRefuses string `yaml:"riskRefuses,omitempty"`
	// MaxTokenLife is for how long a token of the issuer, or a login that it renews, can live: 5m to 8760h, default 24h. A
	// revocation is kept for so long.
	MaxTokenLife time.Duration `yaml:"maxTokenLife,omitempty"`
}

// SSFDevices says what the transmitter calls devices by.
type SSFDevices struct {
	Names  string `yaml:"names"`            // serial, uuid, directory, certificate, or vendor: the ids of Source
	Source string `yaml:"source,omitempty"` // of names: vendor, the name of a source; default: the stream's own ids
}

// The ways of delivery and the dialects of polling.
const (
	DeliveryPush   = "push"
	DeliveryPoll   = "poll"
	DialectRFC8936 = "rfc8936"
	DialectKolide  = "kolide"
)

// Defaults of a transmitter of Shared Signals.
const (
	DefaultSETAlgorithm = "RS256"
	DefaultVerifyEvery  = time.Hour
	DefaultPollEvery    = 5 * time.Second
	DefaultPollMax      = 100
	DefaultMaxTokenLife = 24 * time.Hour
	DefaultRiskRevokes  = "high"
	DefaultRiskRefuses  = "never"
)

// Managed tells whether the stream is found or made at the transmitter.
func (s *SSF) Managed() bool {
	t := s.Transmitter
	return t != nil && !t.Unmanaged && (s.Delivery == DeliveryPoll || t.ReceiverURL != "")
}

func (s *SSF) setDefaults(written interface{ Has(path string) bool }, at string) {
	orDefault(&s.Delivery, DeliveryPush)
	if !written.Has(at + ".algorithms") {
		s.Algorithms = []string{DefaultSETAlgorithm}
	}
	if t := s.Transmitter; t != nil && !written.Has(at+".transmitter.verifyEvery") {
		t.VerifyEvery = DefaultVerifyEvery
	}
	if s.Delivery == DeliveryPoll && s.Poll == nil {
		s.Poll = &SSFPoll{}
	}
	if p := s.Poll; p != nil {
		orDefault(&p.Dialect, DialectRFC8936)
		if !written.Has(at + ".poll.every") {
			p.Every = DefaultPollEvery
		}
		if !written.Has(at + ".poll.max") {
			p.Max = DefaultPollMax
		}
	}
	if u := s.Users; u != nil {
		orDefault(&u.RiskRevokes, DefaultRiskRevokes)
		orDefault(&u.RiskRefuses, DefaultRiskRefuses)
		if !written.Has(at + ".users.maxTokenLife") {
			u.MaxTokenLife = DefaultMaxTokenLife
		}
	}
	if d := s.Devices; d != nil && d.Names == "vendor" {
		orDefault(&d.Source, s.Name)
	}
}

// setSSFDefaults fills in what is not written of any transmitter.
func (s *Settings) setSSFDefaults(written interface{ Has(path string) bool }) {
	for i := range s.SSF {
		s.SSF[i].setDefaults(written, fmt.Sprintf("ssf[%d]", i))
	}
}
