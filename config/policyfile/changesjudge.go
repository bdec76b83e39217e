package policyfile

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// Ownership judges a change of the policy: whether everybody who changed a document was one of those who may.
//
// Who may is what the base says, never what the change itself says, or it could grant itself the right:
//   - a document is its owner team's: metadata.owner at the base, for a new document its own. Who changes it must be
//     among that team's members, and CODEOWNERS must give the file to that team or to that person. A document that
//     moves needs this for both files; one that is handed to another team is judged by the file that it leaves.
//   - Governance and CODEOWNERS are those people's whom CODEOWNERS names for their files.
//
// Apart from who changed what, the policy as it is now must say the same as the CODEOWNERS that is beside it now:
// every file has owners, and they are of the team that owns the documents in it.
type Ownership struct {
	Base, Now  *Listing
	BaseOwners *CodeOwners // nil: ownership was not enforced at the base, so who changed what is not judged
	NowOwners  *CodeOwners // nil: there is no CODEOWNERS now
}

// Person is somebody who changed something.
type Person struct {
	Email string // empty: nobody could say
	How   string // by what we know, for instance "author of commit 1a2b3c4d5e6f"
	Help  string // what else there is to do if this person may not; may be empty
}

func (p Person) orElse() string {
	if p.Help == "" {
		return ""
	}
	return "; " + p.Help
}

// Judge names every fault; by says who changed what, for each key of Changed.
func (o *Ownership) Judge(by map[string][]Person) strictyaml.Problems {
	j := &judge{Ownership: o, told: map[string]bool{}}
	if o.NowOwners != nil {
		j.agree()
	}
	if o.BaseOwners == nil {
		return j.problems.Sorted()
	}
	var governed bool
	if j.teams, j.governance, governed = o.Base.governance(); !governed {
		// The first policy of this directory: whoever may write its Governance says who the teams are.
		j.first, j.governance, _ = o.Now.governance()
	}
	for _, key := range Changed(o.Base, o.Now) {
		j.change(key, by[key])
	}
	return j.problems.Sorted()
}

type judge struct {
	*Ownership
	teams      map[string]policy.Team // at the base
	first      map[string]policy.Team // of now, where the base has no Governance
	governance Entry                  // where the teams stand
	told       map[string]bool        // files that agree found without an owner, and keys with the wrong one
	problems   strictyaml.Problems
}

func (j *judge) fault(p strictyaml.Problem) { j.problems = append(j.problems, p) }

// agree compares the owners that are written now with those of CODEOWNERS now.
func (j *judge) agree() {
	teams, _, _ := j.Now.governance()
	type given struct {
		owners []string
		line   int
	}
	files := map[string]given{} // a file has many documents
	for _, e := range j.Now.documents() {
		if _, known := files[e.File]; !known {
			owners, line := j.NowOwners.Owners(e.File)
			files[e.File] = given{owners, line}
		}
		owners, line := files[e.File].owners, files[e.File].line
		if len(owners) == 0 {
			j.told[e.File] = true
			j.fault(unowned(j.NowOwners, e, line))
			continue
		}
		team, known := teams[e.Owner]
		if !known || teamIsAmong(team, owners) {
			continue // Compile has said that the owner is no team, or that it is missing
		}
		j.told[e.Key()] = true
		j.fault(e.at("metadata.owner", fmt.Sprintf("%s is owned by team %q (%s), but %s gives its file to %s", e, e.Owner,
			handles(team), j.NowOwners.at(line), strings.Join(owners, " ")),
			"move it to a file of its team, or correct CODEOWNERS or the codeOwners of the team"))
	}
}

func unowned(c *CodeOwners, e Entry, line int) strictyaml.Problem {
	p := strictyaml.Problem{Position: strictyaml.Position{File: e.shown}}
	p.Message = fmt.Sprintf("no pattern of %s covers this file, so nobody owns it", c.shown)
	p.Help = fmt.Sprintf("add a line to %s that gives it to a team", c.shown)
	if line > 0 {
		p.Message = fmt.Sprintf("%s leaves this file without an owner", c.at(line))
		p.Help = "name a team in that line, or give the file to one in a later line"
	}
	return p
}

// teamIsAmong reports whether owners name a team by a handle, or one of its members by e-mail.
func teamIsAmong(team policy.Team, owners []string) bool {
	return slices.ContainsFunc(owners, func(owner string) bool {
		return among(owner, team.CodeOwners) || among(owner, team.Members)
	})
}

func among(name string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return sameName(n, name) })
}

func handles(team policy.Team) string {
	if len(team.CodeOwners) == 0 {
		return "which has no codeOwners"
	}
	return strings.Join(team.CodeOwners, " ")
}

// change judges one entry and all who changed it.
func (j *judge) change(key string, people []Person) {
	before, after := j.Base.entries[key], j.Now.entries[key]
	verb, shown := "changed", slices.Concat(after, before)[0]
	switch {
	case len(after) == 0:
		verb = "removed"
	case len(before) == 0:
		verb = "added"
	}
	if len(people) == 0 {
		j.fault(shown.at("metadata.name", fmt.Sprintf("%s was %s, and nothing says by whom", shown, verb),
			"commit the change, or say whom the forge authenticated with --as EMAIL"))
	}
	for _, person := range people {
		c := change{shown: shown, verb: verb, person: person, before: before, after: after}
		switch {
		case person.Email == "":
			j.fault(shown.at("metadata.name", fmt.Sprintf("%s was %s by somebody without an e-mail address: %s", shown, verb,
				person.How), "set git's user.email and commit again, or say whom the forge authenticated with --as EMAIL"))
		case shown.Kind == "" || shown.Kind == policy.KindGovernance:
			for _, e := range slices.Concat(before, after) {
				j.fileIsTheirs(c, e)
			}
		default:
			j.documentIsTheirs(c)
		}
	}
}

// change is what one person did to one entry.
type change struct {
	shown         Entry
	verb          string
	person        Person
	before, after []Entry
}

func (c change) String() string {
	return fmt.Sprintf("%s was %s by %s (%s)", c.shown, c.verb, c.person.Email, c.person.How)
}

// fileIsTheirs judges what has no owner team: CODEOWNERS alone says whose it is.
func (j *judge) fileIsTheirs(c change, e Entry) {
	owners, line := j.BaseOwners.Owners(e.File)
	if len(owners) == 0 {
		j.nobodys(e, line)
		return
	}
	mine := func(team policy.Team) bool {
		return among(c.person.Email, team.Members) &&
			slices.ContainsFunc(owners, func(owner string) bool { return among(owner, team.CodeOwners) })
	}
	for _, team := range j.teams {
		if mine(team) {
			return
		}
	}
	if among(c.person.Email, owners) {
		return
	}
	j.fault(c.shown.at("metadata.name", fmt.Sprintf("%s, but %s gives %s to %s", c, j.BaseOwners.at(line), e.File,
		strings.Join(owners, " ")), "have one of them change it; who they are, the members and codeOwners of the teams say "+
		"that Governance has at the base"+c.person.orElse()))
}

// nobodys is the fault of a file without owners at the base, unless agree has said the same of now.
func (j *judge) nobodys(e Entry, line int) {
	if !j.told[e.File] {
		p := unowned(j.BaseOwners, e, line)
		p.Help += ", and merge that first"
		j.fault(p)
	}
}

// documentIsTheirs judges a document that has an owner team.
func (j *judge) documentIsTheirs(c change) {
	var owners []string
	for _, e := range c.before {
		owners = append(owners, e.Owner)
	}
	files := slices.Clone(c.before)
	for _, e := range c.after {
		if len(c.before) == 0 {
			owners = append(owners, e.Owner)
		}
		if slices.Contains(owners, e.Owner) {
			files = append(files, e) // not handed to another team
		}
	}
	slices.Sort(owners)
	for _, owner := range slices.Compact(owners) {
		team, ok := j.member(c, owner)
		if !ok {
			continue
		}
		for i, e := range files {
			if !slices.ContainsFunc(files[:i], func(f Entry) bool { return f.File == e.File }) {
				j.fileIsTeams(c, e, owner, team)
			}
		}
	}
}

// member judges whether the person is of the owner team.
func (j *judge) member(c change, owner string) (policy.Team, bool) {
	team, known := j.teams[owner]
	if !known {
		team, known = j.first[owner]
	}
	switch {
	case !known:
		j.fault(c.shown.at("metadata.owner", fmt.Sprintf("%s, and its owner %q is no team at the base, so nobody is of it",
			c, owner), "merge the change that adds the team first"))
	case len(team.Members) == 0:
		j.fault(j.governance.at(fmt.Sprintf("spec.teams[%q]", owner),
			fmt.Sprintf("team %q names no members, so nobody may change what it owns", owner),
			"add members: [e-mail addresses] to the team, and merge that first"))
	case !among(c.person.Email, team.Members):
		j.fault(c.shown.at("metadata.owner", fmt.Sprintf("%s, who is not of its owner team %q", c, owner),
			"have one of the team change it: "+some(team.Members)+c.person.orElse()))
	default:
		return team, true
	}
	return team, false
}

func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// fileIsTeams judges whether CODEOWNERS lets a member of the owner team change the file that the document stands in.
func (j *judge) fileIsTeams(c change, e Entry, owner string, team policy.Team) {
	owners, line := j.BaseOwners.Owners(e.File)
	byTeam := slices.ContainsFunc(owners, func(o string) bool { return among(o, team.CodeOwners) })
	switch {
	case len(owners) == 0:
		j.nobodys(e, line)
	case byTeam || among(c.person.Email, owners) || j.told[e.Key()] && slices.ContainsFunc(c.after, e.sameFile):
		// Fine, or agree has said it.
	case teamIsAmong(team, owners):
		j.fault(c.shown.at("metadata.owner", fmt.Sprintf("%s, but of team %q %s lets only others change %s: %s", c, owner,
			j.BaseOwners.at(line), path.Base(e.File), strings.Join(owners, " ")), "have one of them change it"))
	default:
		j.fault(c.shown.at("metadata.owner", fmt.Sprintf("%s for team %q (%s), but %s gives %s to %s", c, owner,
			handles(team), j.BaseOwners.at(line), e.File, strings.Join(owners, " ")),
			"leave the document in a file of its team, or have CODEOWNERS changed and merge that first"))
	}
}

func (e Entry) sameFile(other Entry) bool { return e.File == other.File }

// By counts who changed how many entries, by e-mail address in sorted order, each address in the form first met.
func By(by map[string][]Person) (emails []string, changed map[string]int) {
	first, changed := map[string]string{}, map[string]int{}
	for _, key := range slices.Sorted(maps.Keys(by)) {
		seen := map[string]bool{}
		for _, person := range by[key] {
			folded := lowerASCII(person.Email)
			if _, met := first[folded]; !met {
				first[folded] = person.Email
			}
			if !seen[folded] {
				seen[folded] = true
				changed[first[folded]]++
			}
		}
	}
	return slices.Sorted(maps.Keys(changed)), changed
}
