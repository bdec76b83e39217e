package token

import (
	"time"

	"github.com/tiergate/tiergate/authz/identity"
)

// VerifyAfresh verifies as if the token had never been seen, for benchmarks.
func (v *Verifier) VerifyAfresh(raw string, at time.Time) (*identity.User, error) {
	b, err := v.verify(raw, nil, at)
	if err != nil {
		return nil, err
	}
	return b.proven.User, nil
}

// Verify judges a bearer token.
func (v *Verifier) Verify(raw string, shown identity.Thumbprint, at time.Time) (*identity.User, error) {
	proof, err := v.Judge(&Credential{Token: raw, Certificate: shown}, at)
	return proof.User, err
}
