package policyfile_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/policyfile"
)

// Each directory of testdata/unkept is a policy that only the settings make bad: by how often the sources report, or by
// recording no decisions. Where the settings are not known nothing is said; where they are, its want.txt, word for
// word.
func TestPoliciesThatTheSettingsCannotKeep(t *testing.T) {
	recorded := false
	unkept := world()
	mdm := unkept.Sources["mdm"]
	mdm.Every = 24 * time.Hour
	unkept.Sources, unkept.Evidence, unkept.Logins = map[string]policy.Source{"mdm": mdm}, &recorded, &recorded
	unkept.Outlets = []string{"pager", "siem"}
	entries, err := os.ReadDir("testdata/unkept")
	if err != nil || len(entries) < 3 {
		t.Fatal(len(entries), err)
	}
	for _, entry := range entries {
		t.Run(entry.Name(), func(t *testing.T) {
			dir := filepath.Join("testdata/unkept", entry.Name())
			for _, known := range []policy.World{{}, world()} {
				if compiled, problems := policyfile.Compile(read(t, dir), known); compiled == nil || len(problems) > 0 {
					t.Error("settings that do not say so:", problems)
				}
			}
			isRefused(t, dir, unkept)
		})
	}
}

// Where the sources of the settings name no users, a tier that wants the user of its devices would refuse everybody.
func TestAPolicyForWhoseDevicesNobodyNamesAUser(t *testing.T) {
	named := world()
	if compiled, problems := policyfile.Compile(read(t, "testdata/unenrolled"), named); compiled == nil {
		t.Fatal(problems)
	}
	attested := policy.Source{Attests: named.Sources["mdm"].Attests} // and nothing is said of what its users are
	named.Sources = map[string]policy.Source{"mdm": attested, "edr": {Attests: []string{"edr_healthy"}}}
	isRefused(t, "testdata/unenrolled", named)
}
