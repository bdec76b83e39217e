package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var commitIDs = regexp.MustCompile(`\b[0-9a-f]{12}\b`)

const (
	tierAt   = `policy/iam/tiers.yaml:3:35: Tier "internal" was changed by `
	notIAM   = `, who is not of its owner team "iam"`
	eveOnce  = "eve@acme.example (author of commit ID)"
	evesTier = tierAt + eveOnce + notIAM
)

// ownershipCase is a change of the policy at base. Each fault is the first line of what is said.
type ownershipCase struct {
	name   string
	files  map[string]string // of the base, in place of policyAtBase
	change func(r *policyRepository)
	flags  []string
	fine   string   // what a run without fault prints, or
	faults []string // what is wrong
}

func (tt ownershipCase) run(t *testing.T) {
	r := newPolicyRepository(t, tt.files)
	if tt.change != nil {
		tt.change(r)
	}
	if tt.fine != "" {
		r.fine(tt.fine, tt.flags...)
	} else {
		r.refused(tt.faults, tt.flags...)
	}
}

// by makes one change and commits it.
func by(whom, file, old, with string) func(*policyRepository) {
	return func(r *policyRepository) {
		r.replace(file, old, with)
		r.commit(whom)
	}
}

func both(changes ...func(*policyRepository)) func(*policyRepository) {
	return func(r *policyRepository) {
		for _, change := range changes {
			change(r)
		}
	}
}

// TestDocumentsBelongToTheirTeams: who changed which document, and whether that was one of its owner team.
func TestDocumentsBelongToTheirTeams(t *testing.T) {
	for _, tt := range []ownershipCase{
		{name: "nothing", fine: "since base: no document changed\n"},
		{name: "by a member", change: by("ana", tiersFile, "[disk-encrypted]", "[]"),
			fine: "since base: 1 document changed, by owners: ana@acme.example (1)\n" +
				"not checked without --as: that they are who git says they are\n"},
		{name: "case of A to Z does not matter", change: by("CHO", tiersFile, "[disk-encrypted]", "[]"),
			fine: "by owners: CHO@acme.example (1)"},
		{name: "the Kelvin sign is no k", files: map[string]string{"policy/governance.yaml": strings.ReplaceAll(
			policyAtBase["policy/governance.yaml"], "ana@", "kim@")},
			change: by("\u212Aim", tiersFile, "[disk-encrypted]", "[]"),
			faults: []string{tierAt + "\u212Aim@acme.example (author of commit ID)" + notIAM}},
		{name: "by an outsider", change: by("eve", tiersFile, "[disk-encrypted]", "[]"), faults: []string{evesTier}},
		{name: "by a member of another team", change: by("emma", tiersFile, "[disk-encrypted]", "[]"),
			faults: []string{tierAt + "emma@acme.example (author of commit ID)" + notIAM}},
		{name: "written by a member, committed by an outsider", change: by("ana/eve", tiersFile, "[disk-encrypted]", "[]"),
			faults: []string{tierAt + "eve@acme.example (committer of commit ID)" + notIAM}},
		{name: "written by an outsider, committed by a member", change: by("eve/ana", tiersFile, "[disk-encrypted]", "[]"),
			faults: []string{evesTier}},
		{name: "laid out anew by an outsider", fine: "since base: no document changed", change: func(r *policyRepository) {
			r.write(tiersFile, "# new\r\nkind: \"Tier\"\nspec:\n  denyUnless:\n  - not-compromised\n  "+
				"require: &x\n  - 'disk-encrypted'\n"+
				"  identify: user+device\nmetadata:\n  owner: iam\n  name: internal\napiVersion: tiergate.dev/v1alpha1\n")
			r.commit("eve")
		}},
		{name: "one word of the metadata", change: by("eve", tiersFile, "owner: iam}", "owner: endpoint}"),
			faults: []string{
				`policy/iam/tiers.yaml:3:35: Tier "internal" is owned by team "endpoint" (@acme/endpoint), ` +
					`but CODEOWNERS:2 gives its file to @acme/iam`,
				tierAt + eveOnce + notIAM}},
		{name: "two teams in one file, each its own", change: both(
			by("pia", "policy/shared.yaml", "9001", "9003"), by("ana", "policy/shared.yaml", "staff", "people")),
			fine: "since base: 2 documents changed, by owners: ana@acme.example (1), pia@acme.example (1)\n"},
		{name: "two teams in one file, one both", change: both(
			by("pia", "policy/shared.yaml", "9001", "9003"), by("pia", "policy/shared.yaml", "staff", "people")),
			faults: []string{`policy/shared.yaml:3:36: Audience "employees" was changed by ` +
				`pia@acme.example (author of commit ID)` + notIAM}},
		{name: "removed by an outsider", change: func(r *policyRepository) {
			r.write("policy/endpoint/baseline.yaml", r.text("policy/endpoint/baseline.yaml")+moreOf("endpoint"))
			r.commit("emma")
			r.git("tag", "-f", "base")
			r.write("policy/endpoint/baseline.yaml", policyAtBase["policy/endpoint/baseline.yaml"])
			r.commit("eve")
		}, faults: []string{`base:policy/endpoint/baseline.yaml:12:31: Route "more" was removed by ` + eveOnce +
			`, who is not of its owner team "endpoint"`}},
		{name: "added by an outsider", change: func(r *policyRepository) {
			r.write("policy/iam/more.yaml", moreOf("iam"))
			r.commit("eve")
		}, faults: []string{`policy/iam/more.yaml:4:31: Route "more" was added by ` + eveOnce + notIAM}},
		{name: "added by a member", change: func(r *policyRepository) {
			r.write("policy/iam/more.yaml", moreOf("iam"))
			r.commit("ana")
		}, fine: "1 document changed, by owners: ana@acme.example (1)"},
		{name: "added by a member, to the file of others", change: func(r *policyRepository) {
			r.write("policy/endpoint/more.yaml", moreOf("iam"))
			r.commit("ana")
		}, faults: []string{`policy/endpoint/more.yaml:4:31: Route "more" is owned by team "iam" (@acme/iam), ` +
			`but CODEOWNERS:3 gives its file to @acme/endpoint`}},
		{name: "moved by an outsider", change: func(r *policyRepository) {
			r.git("mv", tiersFile, "policy/iam/levels.yaml")
			r.commit("eve")
		}, faults: []string{`policy/iam/levels.yaml:3:35: Tier "internal" was changed by ` + eveOnce + notIAM}},
		{name: "moved by a member", change: func(r *policyRepository) {
			r.git("mv", tiersFile, "policy/iam/levels\n.yaml")
			r.commit("ana")
		}, fine: "1 document changed, by owners: ana@acme.example (1)"},
		{name: "handed to another team", change: func(r *policyRepository) {
			if err := os.Remove(r.path(tiersFile)); err != nil {
				r.Fatal(err)
			}
			r.write("policy/endpoint/tiers.yaml", strings.ReplaceAll(policyAtBase[tiersFile], "owner: iam", "owner: endpoint"))
			r.commit("ana")
		}, fine: "1 document changed, by owners: ana@acme.example (1)"},
	} {
		t.Run(tt.name, tt.run)
	}
}

// TestNobodyGrantsHimselfTheRight: who may is what the base says, and Governance and CODEOWNERS are not for all to
// change.
func TestNobodyGrantsHimselfTheRight(t *testing.T) {
	governance := `policy/governance.yaml:3:18: Governance "acme" was changed by `
	owners := "CODEOWNERS: CODEOWNERS was changed by " + eveOnce +
		", but base:CODEOWNERS:6 gives CODEOWNERS to boss@acme.example @acme/platform"
	join := func(whom string) func(*policyRepository) {
		return by(whom, "policy/governance.yaml", "[ana@acme.example,", "[eve@acme.example, ana@acme.example,")
	}
	loosen := by("eve", tiersFile, "[disk-encrypted]", "[]")
	for _, tt := range []ownershipCase{
		{name: "joins the team", change: both(join("eve"), loosen), faults: []string{
			governance + eveOnce + ", but base:CODEOWNERS:5 gives policy/governance.yaml to boss@acme.example", evesTier}},
		{name: "is made a member in the same change", change: both(join("boss"), loosen), faults: []string{evesTier}},
		{name: "is made a member before", change: both(join("boss"),
			func(r *policyRepository) { r.git("tag", "-f", "base") }, loosen),
			fine: "by owners: eve@acme.example (1)"},
		{name: "a member of any team changes Governance", change: join("ana"), faults: []string{governance +
			"ana@acme.example (author of commit ID), but base:CODEOWNERS:5 gives policy/governance.yaml to boss@acme.example"}},
		{name: "its owner changes Governance", change: join("boss"),
			fine: "1 document changed, by owners: boss@acme.example (1)"},
		{name: "CODEOWNERS", change: by("eve", "CODEOWNERS", "boss@", "eve@"), faults: []string{owners}},
		{name: "CODEOWNERS, by a team that owns it", change: by("pat", "CODEOWNERS", "* @acme", "# all\n* @acme"),
			fine: "no document and CODEOWNERS changed, by owners: pat@acme.example (1)"},
		{name: "another CODEOWNERS that goes before", change: func(r *policyRepository) {
			r.write(".github/CODEOWNERS", policyAtBase["CODEOWNERS"])
			r.commit("eve")
		}, faults: []string{".github/CODEOWNERS: .github/CODEOWNERS was added by " + eveOnce +
			", but base:CODEOWNERS:1 gives .github/CODEOWNERS to @acme/platform"}},
		{name: "another CODEOWNERS that goes behind", change: func(r *policyRepository) {
			r.write("docs/CODEOWNERS", "* @eve\n")
			r.commit("eve")
		}, fine: "no document changed"},
		{name: "CODEOWNERS away", change: func(r *policyRepository) {
			r.git("rm", "-q", "CODEOWNERS")
			r.commit("eve")
		}, faults: []string{"base:" + strings.Replace(owners, "changed", "removed", 1)}},
		{name: "CODEOWNERS with other line ends", change: func(r *policyRepository) {
			r.write("CODEOWNERS", strings.ReplaceAll(policyAtBase["CODEOWNERS"], "\n", "\r\n"))
			r.commit("eve")
		}, fine: "no document changed"},
		{name: "the first policy, by others than CODEOWNERS says", change: func(r *policyRepository) {
			r.git("rm", "-q", "-r", "policy")
			r.commit("boss")
			r.git("tag", "-f", "base")
			r.git("checkout", "-q", "base~1", "--", "policy")
			r.commit("ana")
		}, faults: []string{
			`policy/endpoint/baseline.yaml:3:34: Baseline "laptops" was added by ana@acme.example (author of commit ID), ` +
				`who is not of its owner team "endpoint"`,
			`policy/governance.yaml:3:18: Governance "acme" was added by ana@acme.example (author of commit ID), ` +
				`but base:CODEOWNERS:5 gives policy/governance.yaml to boss@acme.example`,
			`policy/shared.yaml:8:30: Upstream "app" was added by ana@acme.example (author of commit ID), ` +
				`who is not of its owner team "payroll"`}},
	} {
		t.Run(tt.name, tt.run)
	}
}

// TestWrittenOwnersAreEnforcedOnes: what metadata.owner says and what CODEOWNERS says is the same, for everything.
func TestWrittenOwnersAreEnforcedOnes(t *testing.T) {
	loosen := by("ana", tiersFile, "[disk-encrypted]", "[]")
	without := func(old, with string) map[string]string {
		return map[string]string{"CODEOWNERS": strings.ReplaceAll(policyAtBase["CODEOWNERS"], old, with)}
	}
	for _, tt := range []ownershipCase{
		{name: "no CODEOWNERS", files: map[string]string{"CODEOWNERS": ""},
			change: by("eve", tiersFile, "[disk-encrypted]", "[]"),
			fine:   "ownership is written but not enforced: there is no CODEOWNERS in policy, nor in .github, the root or docs"},
		{name: "CODEOWNERS is new", files: map[string]string{"CODEOWNERS": ""}, change: func(r *policyRepository) {
			r.write("CODEOWNERS", policyAtBase["CODEOWNERS"])
			r.commit("eve")
		}, fine: "ownership is not enforced before the next base: base has no CODEOWNERS yet"},
		{name: "in the directory, relative to it", change: loosen, files: map[string]string{"CODEOWNERS": "",
			"policy/CODEOWNERS": "* boss@acme.example\n/iam/ ana@acme.example\n" +
				"/shared.yaml @acme/payroll @acme/iam\n/endpoint @acme/endpoint"},
			fine: "by owners: ana@acme.example (1)"},
		{name: "in .github before the root", change: loosen, files: map[string]string{
			".github/CODEOWNERS": strings.ReplaceAll(policyAtBase["CODEOWNERS"], "/policy/iam/ ", "/policy/i?m "),
			"CODEOWNERS":         "* @nobody\n"},
			fine: "by owners: ana@acme.example (1)"},
		{name: "another team owns these files", change: loosen, files: without("/policy/iam/ ", "/policies/iam/ "),
			faults: []string{
				`policy/iam/routes.yaml:3:30: Route "app" is owned by team "iam" (@acme/iam), ` +
					`but CODEOWNERS:1 gives its file to @acme/platform`,
				`policy/iam/tiers.yaml:3:35: Tier "internal" is owned by team "iam" (@acme/iam), ` +
					`but CODEOWNERS:1 gives its file to @acme/platform`}},
		{name: "nobody owns a file", change: loosen, files: without("* @acme/platform\n/policy/iam/ ", "/policy/iam/r* "),
			faults: []string{
				"policy/iam/tiers.yaml: no pattern of CODEOWNERS covers this file, so nobody owns it"}},
		{name: "without an owner", change: loosen, files: without("@acme/iam\n", "# @acme/iam\n"), faults: []string{
			"policy/iam/routes.yaml: CODEOWNERS:2 leaves this file without an owner",
			"policy/iam/tiers.yaml: CODEOWNERS:2 leaves this file without an owner"}},
		{name: "only another of the team", change: loosen, files: without("@acme/iam\n", "cho@acme.example\n"),
			faults: []string{
				tierAt + `ana@acme.example (author of commit ID), but of team "iam" ` +
					`base:CODEOWNERS:2 lets only others change tiers.yaml: cho@acme.example`}},
		{name: "a team without members", change: loosen,
			files: map[string]string{"policy/governance.yaml": strings.ReplaceAll(
				policyAtBase["policy/governance.yaml"], "      members: [ana@acme.example, Cho@acme.example]\n", "")},
			faults: []string{`base:policy/governance.yaml:7:5: team "iam" names no members, so nobody may change what it owns`}},
		{name: "a team that is new", change: both(
			by("boss", "policy/governance.yaml", "    payroll:", "    new: {contact: n@acme.example, "+
				"members: [pia@acme.example], "+
				"codeOwners: [\"@acme/payroll\"]}\n    payroll:"),
			func(r *policyRepository) {
				r.write("policy/shared.yaml", policyAtBase["policy/shared.yaml"]+moreOf("new"))
				r.commit("pia")
			}), faults: []string{`policy/shared.yaml:13:31: Route "more" was added by pia@acme.example (author of commit ID), ` +
			`and its owner "new" is no team at the base, so nobody is of it`}},
		{name: "lines that a forge leaves out", change: both(loosen,
			by("boss", "CODEOWNERS", "* @acme", "!x @acme/iam\n* @acme"),
			by("boss", "CODEOWNERS", "* @acme", "x acme\n* @acme")), faults: []string{
			"CODEOWNERS:1:1: a pattern cannot be negated with !, so a forge leaves this line out",
			`CODEOWNERS:2:1: "acme" is no owner, so a forge leaves this line out`}},
		{name: "and all else that is wrong", change: func(r *policyRepository) {
			r.replace(tiersFile, "[disk-encrypted]", "[disk-encryptd]")
			r.commit("eve")
		}, faults: []string{evesTier, `policy/iam/tiers.yaml:6:13: no baseline defines signal "disk-encryptd"`}},
		{name: "but not before the files can be read", change: func(r *policyRepository) {
			r.replace(tiersFile, "[disk-encrypted]", "[disk-encrypted")
			r.commit("eve")
		}, faults: []string{`policy/iam/tiers.yaml:7:13: not valid YAML: did not find expected ',' or ']' ` +
			`while parsing a flow sequence`,
			"not judged before these are mended: who changed what since base"}},
	} {
		t.Run(tt.name, tt.run)
	}
}
