package stage

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// The transmitter of Shared Signals that the company's identity provider has.
const (
	TransmitterName     = "acme-signals"
	transmitterIssuer   = "https://login.acme.example/signals"
	transmitterAudience = "https://apps.acme.example/signals"
	sessionRevoked      = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
)

// transmitterSubstitution names the transmitter, which pushes.
var transmitterSubstitution = substitution{"sources:\n  - name: acme-mdm\n", `ssf:
  - name: ` + TransmitterName + `
    issuer: ` + transmitterIssuer + `
    audiences: [` + transmitterAudience + `]
    algorithms: [ES256]
    jwksFile: pki/` + TransmitterName + `-jwks.json
    pushTokenFiles: [secrets/` + TransmitterName + `.token]
    users: {issuer: corp}

sources:
  - name: acme-mdm
`}

// transmitter pushes Security Event Tokens (RFC 8935).
type transmitter struct {
	url, token string
	issuer     *devca.Issuer
}

// newTransmitter makes the transmitter's key and its token for pushes.
func (s *Stage) newTransmitter() error {
	issuer, err := devca.NewIssuer(transmitterIssuer, transmitterAudience)
	if err != nil {
		return err
	}
	s.transmitter = &transmitter{url: "http://" + s.Ports.Ingest + "/v1/ssf/" + TransmitterName, token: rand.Text(), issuer: issuer}
	if err := issuer.WriteJWKS(s.Path("pki", TransmitterName+"-jwks.json")); err != nil {
		return err
	}
	return os.WriteFile(s.Path("secrets", TransmitterName+".token"), []byte(s.transmitter.token+"\n"), 0o600)
}

// EndSessions has the identity provider say that all logins of somebody of the cast so far are void: a session-revoked
// (OpenID CAEP 1.0). An answer other than 202 is no error.
func (s *Stage) EndSessions(ctx context.Context, as string) (Receipt, error) {
	person, known := people[as]
	if !known {
		return Receipt{}, fmt.Errorf("there is nobody called %q", as)
	}
	issuer := IssuerURL
	if s.Provider != nil {
		issuer = s.Provider.Issuer()
	}
	set, id, err := s.transmitter.issuer.SET(sessionRevoked, map[string]any{"format": "iss_sub", "iss": issuer, "sub": person.subject})
	if err != nil {
		return Receipt{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.transmitter.url, strings.NewReader(set))
	if err != nil {
		return Receipt{}, err
	}
	req.Header.Set("Content-Type", "application/secevent+jwt")
	req.Header.Set("Authorization", "Bearer "+s.transmitter.token)
	return deliver(req, id)
}
