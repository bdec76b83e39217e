package identity

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tiergate/tiergate/signals"
)

// ErrUnchecked is wrapped by an error that does not say that a token is bad but that nobody can tell now.
var ErrUnchecked = errors.New("whether it counts cannot be found out now")

// Assemble puts together who is asking: what the TLS peer proved and what the token proved. proven and tokenErr are what
// the verifier of the token answered; both zero: no token was offered. An error leaves nothing of the token and a
// DoubtToken, or a DoubtUnchecked if it wraps ErrUnchecked, so that a bad token never counts as no token.
//
// Proofs that name two workloads are a doubt, but for a peer that only forwards: a JWT-SVID travels through proxies, and
// those whose word counts are named in the settings (AuthorityOptions.Forwarders). A device claim that does not bind
// still contradicts a certificate.
func Assemble(peer Peer, proven Proven, tokenErr error) Subject {
	subject := Subject{Workload: peer.Workload, Device: peer.Device, Certificate: peer.Certificate,
		Forwarder: peer.Forwarder, User: proven.User, Doubts: slices.Clone(peer.Doubts)}
	if tokenErr != nil {
		code := DoubtToken
		if errors.Is(tokenErr, ErrUnchecked) {
			code = DoubtUnchecked
		}
		subject.User = nil
		subject.Doubts = append(subject.Doubts, Doubt{Code: code, Detail: tokenErr.Error()})
		return subject
	}
	subject.addWorkload(peer, proven)
	subject.addDevice(proven.User)
	return subject
}

func (s *Subject) addWorkload(peer Peer, proven Proven) {
	switch {
	case proven.Workload == "":
	case proven.Workload == peer.Workload:
		s.SVID = proven.SVID
	case peer.Workload == "" || peer.Forwards:
		if peer.Workload != "" {
			s.Forwarder = peer.Workload
		}
		s.Workload, s.WorkloadToken = proven.Workload, proven.Window
	default:
		s.Doubts = append(s.Doubts, Doubt{Code: DoubtWorkload, Detail: fmt.Sprintf("the certificate is of %.200q and the "+
			"JWT-SVID of %.200q: name the peer in identity.forwarders if it forwards the proofs of others",
			peer.Workload, proven.Workload)})
	}
}

func (s *Subject) addDevice(user *User) {
	switch {
	case user == nil || user.Device == signals.Alias{} || user.Device == s.Device:
	case s.Device != signals.Alias{}:
		s.Claimed = user.Device
	case user.DeviceBinds:
		s.Device = user.Device
	}
}
