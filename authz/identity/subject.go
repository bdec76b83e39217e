package identity

import "slices"

// Assemble puts together who is asking: what the TLS peer proved and what the token proved. user and tokenErr are what
// the verifier of the token answered; both nil: no token was offered. An error leaves no user and a DoubtToken, so
// that a bad token never counts as no token.
func Assemble(peer Peer, user *User, tokenErr error) Subject {
	subject := Subject{Workload: peer.Workload, Device: peer.Device, Certificate: peer.Certificate,
		User: user, Doubts: slices.Clone(peer.Doubts)}
	if tokenErr != nil {
		subject.User = nil
		subject.Doubts = append(subject.Doubts, Doubt{Code: DoubtToken, Detail: tokenErr.Error()})
	}
	return subject
}
