package main

import (
	"testing"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
)

// TestWorldSaysWhatUsersAre: what the settings say of a source's users reaches the policy, and settings without a source are
// known settings all the same, by which nobody names users.
func TestWorldSaysWhatUsersAre(t *testing.T) {
	t.Parallel()
	if w := world(&config.Settings{}); w.Sources == nil {
		t.Error("without a source the policy is told that sources are not known")
	}
	w := world(&config.Settings{Sources: []config.Source{
		{Name: "mdm", EnrolledUser: &config.EnrolledUser{Issuer: "corp", Is: "email"}}, {Name: "edr"},
	}})
	want := policy.EnrolledAs{Issuer: "corp", Is: policy.EnrolledIsEmail}
	if w.Sources["mdm"].EnrolledUser != want || w.Sources["edr"].EnrolledUser != (policy.EnrolledAs{}) {
		t.Errorf("%+v", w.Sources)
	}
}
