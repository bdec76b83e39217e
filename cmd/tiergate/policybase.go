package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/config/policyfile"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// ownershipHelp is what `policy check --help` says of --base.
const ownershipHelp = "With --base REV every document that was added, removed, moved or changed since REV must have\n" +
	"been changed by its owner team. DIR lies in a git work tree whose HEAD contains REV; what counts is the policy as\n" +
	"the files are now. Who is in a team, and which file is whose, is what REV says: teams.NAME.members and\n" +
	"teams.NAME.codeOwners of its Governance, and its CODEOWNERS (in DIR, .github, the root or docs; the patterns of\n" +
	"the first are relative to DIR). Governance and CODEOWNERS are changed by those whom CODEOWNERS names. Without\n" +
	"CODEOWNERS nothing is enforced.\n" +
	"Who changed it are the authors and the committers of the commits since REV, and for what is not committed git's\n" +
	"user.email. Anybody can write what they like there: let the forge say whom it authenticated, with --as EMAIL,\n" +
	"which replaces all of them. E-mail addresses are compared byte for byte, but for the case of A to Z."

// ownership are the flags by which `policy check` enforces owners.
type ownership struct{ base, as string }

func (o *ownership) addTo(c *cobra.Command) {
	c.Flags().StringVar(&o.base, "base", "", "refuse what since `REV` was changed by others than its owners")
	c.Flags().StringVar(&o.as, "as", "", "with --base: all of it was changed by `EMAIL`")
}

// usage refuses flags that are empty, as those are whose variable a pipeline failed to set, rather than check nothing.
func (o *ownership) usage(c *cobra.Command) error {
	var message string
	switch flags := c.Flags(); {
	case flags.Changed("as") && !flags.Changed("base"):
		message = "--as says who changed what since --base REV: add it"
	case flags.Changed("base") && strings.TrimSpace(o.base) == "":
		message = "--base is empty: name a commit, a branch or a tag"
	case strings.ContainsFunc(o.base, unicode.IsControl):
		message = fmt.Sprintf("--base %q is no name of a commit", o.base)
	case flags.Changed("as") && !policyfile.IsEmail(o.as):
		message = fmt.Sprintf("--as %q is no e-mail address", o.as)
	default:
		return nil
	}
	return usageError{fmt.Errorf("%s; see '%s --help'", message, c.CommandPath())}
}

// enforce judges who changed the policy since the base, beside the faults that were found in it: all are told in one
// error. Said is what a run without fault found, in whole lines.
func (o *ownership) enforce(ctx context.Context, dir string, compiled error) (said string, err error) {
	if o.base == "" {
		return "", compiled
	}
	var faults, unread strictyaml.Problems
	if compiled != nil && !errors.As(compiled, &faults) {
		return "", compiled
	}
	ctx, stop := context.WithTimeout(ctx, gitTime)
	defer stop()
	said, found, err := o.judge(ctx, dir)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("git was stopped (it may take %v): %w: %w", gitTime, ctx.Err(), err)
	}
	switch {
	case compiled != nil && errors.As(err, &unread):
		return "", fmt.Errorf("%w\n\nnot judged before these are mended: who changed what since %s", compiled, o.base)
	case compiled != nil && err != nil:
		return "", fmt.Errorf("%w\n\n%w", compiled, err)
	case err != nil:
		return "", err
	case len(faults)+len(found) > 0:
		faults = append(faults, found...).Sorted()
		return "", fmt.Errorf("%w\n\n%s", faults, count(len(faults), "fault"))
	}
	return said + "\n", nil
}

// judge compares the policy now with the base. The error is strictyaml.Problems where a file of now cannot be read.
func (o *ownership) judge(ctx context.Context, dir string) (said string, found strictyaml.Problems, err error) {
	repo, prefix, err := openGit(ctx, dir)
	if err != nil {
		return "", nil, err
	}
	defer repo.objects.close()
	base, head, err := o.ends(ctx, repo)
	if err != nil {
		return "", nil, err
	}
	tree := &policyTree{objects: repo.objects, prefix: prefix}
	was, err := tree.ownersAt(base, o.base)
	if err != nil {
		return "", nil, err
	}
	is, err := ownersNow(repo.root, dir, prefix)
	if err != nil {
		return "", nil, err
	}
	if was.rules == nil && is.rules == nil {
		return "ownership is written but not enforced: there is no CODEOWNERS in " + dir +
			", nor in .github, the root or docs of the repository", nil, nil
	}
	entries, err := tree.base(base, o.base)
	if err != nil {
		return "", nil, err
	}
	now, err := entriesNow(dir, prefix)
	if err != nil {
		return "", nil, err
	}
	judged := policyfile.Ownership{BaseOwners: was.rules, NowOwners: is.rules,
		Base: policyfile.List(append(entries, was.judgedWith(was)...)),
		Now:  policyfile.List(append(now, is.judgedWith(was)...))}
	keys := policyfile.Changed(judged.Base, judged.Now)
	by := map[string][]policyfile.Person{}
	if was.rules != nil {
		if by, err = o.who(ctx, repo, newPolicyHistory(tree, keys), base, head, judged.Now, keys); err != nil {
			return "", nil, err
		}
	}
	return o.summary(keys, by, was.rules != nil), append(judged.Judge(by), is.problems...), nil
}

// ends are the commits between which the change lies. HEAD must contain the base: what others changed there meanwhile
// would seem to be undone by this change.
func (o *ownership) ends(ctx context.Context, repo *gitRepository) (base, head *gitCommit, err error) {
	hint := ""
	if repo.shallow {
		hint = "; this clone lacks older commits: git fetch --unshallow"
	}
	base, err = repo.objects.commit(o.base)
	if errors.Is(err, errNoObject) {
		return nil, nil, fmt.Errorf("--base %s is no commit of the repository in %s: %w; fetch it, or correct the name%s",
			o.base, repo.root, err, hint)
	}
	if err != nil {
		return nil, nil, err
	}
	if err := o.unambiguous(repo, base); err != nil {
		return nil, nil, err
	}
	if head, err = repo.objects.commit("HEAD"); err != nil {
		return nil, nil, fmt.Errorf("HEAD of the repository in %s cannot be read: %w", repo.root, err)
	}
	contained, err := repo.contains(ctx, head.id, base.id)
	if err == nil && !contained {
		err = fmt.Errorf("HEAD does not contain %s, so what was changed there meanwhile would seem to be undone here: "+
			"merge %s or rebase on it, then check again%s", o.base, o.base, hint)
	}
	return base, head, err
}

// unambiguous refuses a base that more than one ref is called. Whoever may push a tag could call it origin/main, and
// git would take that.
func (o *ownership) unambiguous(repo *gitRepository, base *gitCommit) error {
	for _, namespace := range []string{"refs/", "refs/tags/", "refs/heads/", "refs/remotes/"} {
		other, err := repo.objects.commit(namespace + o.base)
		switch {
		case errors.Is(err, errNoObject):
		case err != nil:
			return err
		case other.id != base.id || shortened(base.id, o.base):
			return fmt.Errorf("--base %s may mean commit %s or %s%s, which is commit %s: write out which",
				o.base, short(base.id), namespace, o.base, short(other.id))
		}
	}
	return nil
}

// shortened reports whether a name could be the beginning of an id.
func shortened(id, name string) bool {
	return len(name) >= 4 && len(name) < len(id) && strings.Trim(strings.ToLower(name), "0123456789abcdef") == ""
}

// who says who changed each of the keys.
func (o *ownership) who(ctx context.Context, repo *gitRepository, history *policyHistory, base, head *gitCommit,
	now *policyfile.Listing, keys []string) (map[string][]policyfile.Person, error) {
	by := map[string][]policyfile.Person{}
	if o.as != "" {
		for _, key := range keys {
			by[key] = []policyfile.Person{{Email: o.as, How: "--as"}}
		}
		return by, nil
	}
	if len(keys) == 0 {
		return by, nil
	}
	if repo.shallow {
		return nil, errors.New("this clone lacks older commits, so who changed what cannot be told: " +
			"git fetch --unshallow, or say whom the forge authenticated with --as EMAIL")
	}
	by, err := history.who(ctx, repo, base, head, keys)
	if err != nil {
		return nil, err
	}
	committed, err := history.at(head)
	if err != nil {
		return nil, err
	}
	email, err := repo.userEmail(ctx)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if committed.listing.State(key) != now.State(key) {
			by[key] = addPerson(by[key], policyfile.Person{Email: email, How: "git's user.email, not committed"})
		}
	}
	return by, nil
}

// summary is what a run without fault found.
func (o *ownership) summary(keys []string, by map[string][]policyfile.Person, enforced bool) string {
	if !enforced {
		return fmt.Sprintf("ownership is not enforced before the next base: %s has no CODEOWNERS yet", o.base)
	}
	documents := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return strings.HasPrefix(key, "/") })
	changed := "no document"
	if len(documents) > 0 {
		changed = count(len(documents), "document")
	}
	if len(documents) < len(keys) {
		changed += " and CODEOWNERS"
	}
	if len(keys) == 0 {
		return fmt.Sprintf("since %s: %s changed", o.base, changed)
	}
	emails, each := policyfile.By(by)
	var people []string
	for _, email := range emails {
		people = append(people, fmt.Sprintf("%s (%d)", email, each[email]))
	}
	text := fmt.Sprintf("since %s: %s changed, by owners: %s", o.base, changed, strings.Join(people, ", "))
	if o.as == "" {
		text += "\nnot checked without --as: that they are who git says they are"
	}
	return text
}
