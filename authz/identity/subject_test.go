package identity_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

func TestAssemble(t *testing.T) {
	ana := &identity.User{Issuer: "corp", Name: "ana"}
	peer := identity.Peer{Device: signals.Alias{Kind: signals.AliasSerial, Value: "C02"}, Certificate: usual}
	doubted := identity.Peer{Certificate: usual, Doubts: append(make([]identity.Doubt, 0, 4),
		identity.Doubt{Code: identity.DoubtCertificate, Detail: "x"})}
	unknown := fmt.Errorf("no keys: %w", identity.ErrUnchecked)
	tokenDoubt := identity.Doubt{Code: identity.DoubtToken, Detail: "expired"}
	for name, c := range map[string]struct {
		peer identity.Peer
		user *identity.User
		err  error
		want identity.Subject
	}{
		"nobody":       {identity.Peer{}, nil, nil, identity.Subject{}},
		"device, user": {peer, ana, nil, identity.Subject{Device: peer.Device, Certificate: usual, User: ana}},
		"workload":     {identity.Peer{Workload: deployer}, nil, nil, identity.Subject{Workload: deployer}},
		"bad token": {peer, nil, errors.New("expired"), identity.Subject{Device: peer.Device, Certificate: usual,
			Doubts: []identity.Doubt{tokenDoubt}}},
		"nobody can tell": {peer, ana, unknown, identity.Subject{Device: peer.Device, Certificate: usual,
			Doubts: []identity.Doubt{{Code: identity.DoubtUnchecked, Detail: unknown.Error()}}}},
		"user and fault": {identity.Peer{}, ana, errors.New("expired"),
			identity.Subject{Doubts: []identity.Doubt{tokenDoubt}}},
		"two doubts": {doubted, nil, errors.New("expired"), identity.Subject{Certificate: usual,
			Doubts: []identity.Doubt{doubted.Doubts[0], tokenDoubt}}},
	} {
		if diff := cmp.Diff(c.want, identity.Assemble(c.peer, identity.Proven{User: c.user}, c.err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if spare := doubted.Doubts[:2][1]; spare != (identity.Doubt{}) {
		t.Error("Assemble wrote into the peer's doubts")
	}
}
