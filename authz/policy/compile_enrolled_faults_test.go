package policy

import (
	"slices"
	"strings"
	"testing"
)

func TestFaultsOfEnrolledUsers(t *testing.T) {
	t.Parallel()
	const user = "Tier/person spec."
	refuse(t, []broken{
		{atTier + "enrolledUser", "write required or whenKnown", tierOf(func(t *Tier) { t.EnrolledUser = "whenknown" })},
		{atTier + "enrolledUser", "whom they are enrolled for is not judged", tierOf(func(t *Tier) {
			t.SharedDevices, t.EnrolledUser = true, EnrolledRequired
		})},
		{atTier + "enrolledUser", "remove enrolledUser or sharedDevices", tierOf(func(t *Tier) {
			t.SharedDevices, t.EnrolledUser = true, EnrolledWhenKnown
		})},
		{user + "enrolledUser", "nobody is compared", func(s *Spec) { s.Tiers[1].EnrolledUser = EnrolledWhenKnown }},
		{user + "sharedDevices", "none is shared", func(s *Spec) { s.Tiers[1].SharedDevices = true }},
	})
}

// A tier that would refuse everybody is a fault, which names the sources that say for whom a device is enrolled, or
// rather do not; where some do, policy check names the others.
func TestATierThatNobodyNamesAUserFor(t *testing.T) {
	t.Parallel()
	mapped, attests := EnrolledAs{Issuer: "corp", Is: EnrolledIsName}, []string{"enrolled_user"}
	names := Source{Attests: attests, EnrolledUser: mapped}
	for name, c := range map[string]struct {
		sources map[string]Source
		change  func(*Spec)
		fault   string
		without string
	}{
		"not known":           {nil, nil, "", ""},
		"no source":           {map[string]Source{}, nil, "the settings have no source that could say", ""},
		"no mapping":          {map[string]Source{"mdm": {Attests: attests}, "edr": {}}, nil, "(edr, mdm), so this tier", ""},
		"not attested":        {map[string]Source{"mdm": {EnrolledUser: mapped}}, nil, "is enrolled (mdm), so this tier", ""},
		"one does":            {map[string]Source{"mdm": names, "edr": {}, "a": {}}, nil, "", "a, edr"},
		"all do":              {map[string]Source{"mdm": names}, nil, "", ""},
		"none, whenKnown":     {map[string]Source{"mdm": {}}, whenKnown, "", "mdm"},
		"none, and shared":    {map[string]Source{"mdm": {}}, shared, "", ""},
		"none, no such tier":  {map[string]Source{"mdm": {}}, func(s *Spec) { s.Tiers[0].Identify = IdentifyUser }, "", ""},
		"none, and no source": {map[string]Source{}, whenKnown, "", ""},
	} {
		spec := sampleSpec()
		spec.Baselines[0].Signals, spec.Tiers[0] = nil, Tier{Meta: spec.Tiers[0].Meta, Identify: IdentifyUserDevice}
		spec.Baselines = nil
		if c.change != nil {
			c.change(&spec)
		}
		p, faults := New(spec, World{Sources: c.sources})
		switch {
		case c.fault == "" && len(faults) > 0:
			t.Errorf("%s: %+v", name, faults)
		case c.fault == "":
			if got := strings.Join(p.WithoutEnrolledUser(), ", "); got != c.without {
				t.Errorf("%s: without are %q, wanted %q", name, got, c.without)
			}
		case len(faults) != 1 || !strings.Contains(faults[0].Message, c.fault) || faults[0].Field != "spec.identify" ||
			!strings.Contains(faults[0].Help, "sharedDevices: true"):
			t.Errorf("%s: %+v", name, faults)
		}
	}
	if p := compileSample(t, nil); !slices.Equal(p.WithoutEnrolledUser(), []string{"edr"}) {
		t.Error(p.WithoutEnrolledUser())
	}
}
