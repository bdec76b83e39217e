package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tiergate/tiergate/config/strictyaml"
)

// Vocabulary is what the rest of the product knows and this package does not.
type Vocabulary struct {
	// Attributes are the names that a source may attest. Empty: attests is not checked.
	Attributes []string
	// Path says why a text is no path of the mapping source's language, or nil. Nil itself: paths are not checked.
	Path func(text string) error
	// Events are the names of Shared Signals that may void logins. Empty: they are not checked.
	Events []string
}

// Defaults of what a settings file leaves out.
const (
	DefaultIngestListen        = "127.0.0.1:8090"
	DefaultMetricsListen       = "127.0.0.1:9464"
	DefaultIngestMetricsListen = "127.0.0.1:9465"
	DefaultMaxBody             = 1 << 20
	DefaultMaxInbox            = 100_000
	DefaultMaxRemembered       = 1_000_000
	DefaultCheckTimeout        = 250 * time.Millisecond
	DefaultLeeway              = 30 * time.Second
	DefaultDPoPWindow          = time.Minute
	DefaultCheckpointMaxAge    = 15 * time.Minute
	DefaultJWKSStale           = 6 * time.Hour
	DefaultAlgorithm           = "ES256"
	DefaultBind                = "certificate"
	DefaultUserClaim           = "sub"
	DefaultGroupsClaim         = "groups"
	DefaultACRClaim            = "acr"
	DefaultAMRClaim            = "amr"
	DefaultAuthTimeClaim       = "auth_time"
	DefaultSessionClaim        = "sid"
	DefaultAuthTime            = AuthTimeRefreshed
	DefaultSessionLife         = 30 * 24 * time.Hour
	DefaultRevocationsStale    = time.Hour
	DefaultSenderConstrained   = ConstrainedOptional
	DefaultVerifiedBy          = VerifiedByTiergate
	DefaultLogLevel            = "info"
	DefaultLogFormat           = "json"
	DefaultReader              = ReaderFast
	DefaultTransport           = TransportOwn
)

// The readers of Authz.
const (
	ReaderFast  = "fast"
	ReaderProto = "proto"
)

// The transports of Authz.
const (
	TransportOwn    = "tiergate"
	TransportGRPCGo = "grpc-go"
)

// What Issuer.SenderConstrained says of tokens that are bound to no certificate.
const (
	ConstrainedOptional = "optional"
	ConstrainedRequired = "required"
)

// Load reads a settings file, fills in the defaults, makes its paths absolute and checks every field. The error is
// strictyaml.Problems, all faults at once with their places, or a sentence about a file that cannot be read.
func Load(file string, words Vocabulary) (*Settings, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, err
	}
	base, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("the directory of the settings file %s is not known: %w", file, err)
	}
	return parse(file, data, base, words)
}

// readFile reads one byte more than may be, so that a file that is too large is told from one that just fits.
func readFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("there is no settings file %s: write one or name another with --config", file)
	case err != nil:
		return nil, fmt.Errorf("the settings file cannot be read: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("the settings file %s is no regular file: name a YAML file with --config", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("the settings file cannot be read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, strictyaml.MaxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("the settings file cannot be read: %w", err)
	}
	return data, nil
}

func parse(file string, data []byte, base string, words Vocabulary) (*Settings, error) {
	documents, problems := strictyaml.Parse(file, data)
	switch {
	case len(documents) == 0 && len(problems) == 0:
		return nil, strictyaml.Problems{{
			Position: strictyaml.Position{File: file},
			Message:  "the settings are empty",
			Help:     "state at least the store",
		}}
	case len(documents) == 0:
		return nil, problems
	case len(documents) > 1:
		second := documents[1]
		problems = append(problems, second.Problem("", "a second document", "write all settings into one document"))
	}
	document := documents[0]
	document.Title = "the settings"
	settings := &Settings{}
	problems = append(problems, document.Decode("", settings)...)
	c := &check{document: document, base: base, words: words}
	for _, p := range problems {
		c.known = append(c.known, p.Path)
	}
	settings.setDefaults(document)
	settings.Assertion.setDefaults(document)
	settings.setSSFDefaults(document)
	settings.setOutletDefaults()
	c.settings(settings)
	if problems = append(problems, c.problems...); len(problems) > 0 {
		return nil, problems.Sorted()
	}
	return settings, nil
}

// setDefaults fills in what is not written. Where zero is a value of its own (leeway: 0s), only an absent field gets the
// default.
func (s *Settings) setDefaults(written *strictyaml.Document) {
	orDefault(&s.RuntimeDir, runtimeDir())
	orDefault(&s.Ingest.Listen, DefaultIngestListen)
	orDefault(&s.Metrics.Listen, DefaultMetricsListen)
	orDefault(&s.Ingest.Metrics.Listen, DefaultIngestMetricsListen)
	orDefault(&s.Log.Level, DefaultLogLevel)
	orDefault(&s.Log.Format, DefaultLogFormat)
	orDefault(&s.Authz.Reader, DefaultReader)
	orDefault(&s.Authz.Transport, DefaultTransport)
	if !written.Has("ingest.maxBodyBytes") {
		s.Ingest.MaxBody = DefaultMaxBody
	}
	if !written.Has("ingest.maxInbox") {
		s.Ingest.MaxInbox = DefaultMaxInbox
	}
	if !written.Has("ingest.maxRemembered") {
		s.Ingest.MaxRemembered = DefaultMaxRemembered
	}
	if !written.Has("envoy.checkTimeout") {
		s.Envoy.CheckTimeout = DefaultCheckTimeout
	}
	if a := s.Ingest.Approvals; a != nil && !written.Has("ingest.approvals.rate") {
		a.Rate = DefaultApprovalsRate
	}
	if r := s.Store.Redis; r != nil && r.Seal != nil && !written.Has("store.redis.seal.checkpointMaxAge") {
		r.Seal.CheckpointMaxAge = DefaultCheckpointMaxAge
	}
	for i := range s.Sources {
		s.Sources[i].setDefaults(written, fmt.Sprintf("sources[%d]", i))
	}
	s.Identity.setDefaults(written)
}

func (x *Identity) setDefaults(written *strictyaml.Document) {
	if x.Devices != nil {
		orDefault(&x.Devices.Bind, DefaultBind)
	}
	if !written.Has("identity.revocationsStale") {
		x.RevocationsStale = DefaultRevocationsStale
	}
	if !written.Has("identity.dpopWindow") {
		x.DPoPWindow = DefaultDPoPWindow
	}
	if !written.Has("identity.sessionLife") {
		x.SessionLife = DefaultSessionLife
	}
	if x.JWTSVIDs != nil && !written.Has("identity.jwtSVIDs.leeway") {
		x.JWTSVIDs.Leeway = DefaultLeeway
	}
	for i := range x.Issuers {
		issuer := &x.Issuers[i]
		orDefault(&issuer.Claims.User, DefaultUserClaim)
		orDefault(&issuer.Claims.Groups, DefaultGroupsClaim)
		orDefault(&issuer.Claims.ACR, DefaultACRClaim)
		orDefault(&issuer.Claims.AMR, DefaultAMRClaim)
		orDefault(&issuer.Claims.AuthTime, DefaultAuthTimeClaim)
		orDefault(&issuer.Claims.Session, DefaultSessionClaim)
		orDefault(&issuer.AuthTime, DefaultAuthTime)
		orDefault(&issuer.SenderConstrained, DefaultSenderConstrained)
		orDefault(&issuer.VerifiedBy, DefaultVerifiedBy)
		if issuer.JWKSURL != "" && !written.Has(fmt.Sprintf("identity.issuers[%d].jwksStale", i)) {
			issuer.JWKSStale = DefaultJWKSStale
		}
		if !written.Has(fmt.Sprintf("identity.issuers[%d].leeway", i)) {
			issuer.Leeway = DefaultLeeway
		}
		if !written.Has(fmt.Sprintf("identity.issuers[%d].algorithms", i)) {
			issuer.Algorithms = []string{DefaultAlgorithm}
		}
	}
}

func orDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// runtimeDir follows the XDG base directory specification, which wants an absolute path or none.
func runtimeDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "tiergate")
	}
	return "/run/tiergate"
}
