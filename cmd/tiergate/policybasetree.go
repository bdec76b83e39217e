package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/config/policyfile"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// maxTreeEntries is how many files and directories a policy directory may have, as for policyfile.Read.
const maxTreeEntries = 5_000

// policyTree reads a policy directory as it was in a commit.
type policyTree struct {
	objects *gitObjects
	prefix  string // of the directory in the repository
}

// policyFile is one file of a commit.
type policyFile struct{ path, id string }

// base reads the policy of a commit with all its text. Its files are shown as git names them: "main:policy/a.yaml".
func (t *policyTree) base(c *gitCommit, rev string) ([]policyfile.Entry, error) {
	files, err := t.files(c)
	if err != nil {
		return nil, fmt.Errorf("the policy at %s cannot be read: %w", rev, err)
	}
	var all []policyfile.Entry
	var problems strictyaml.Problems
	for _, f := range files {
		data, err := t.objects.blob(f.id, policyfile.MaxFileBytes)
		if err != nil {
			return nil, fmt.Errorf("the policy at %s cannot be read: %s: %w", rev, f.path, err)
		}
		entries, bad := policyfile.Entries(f.path, rev+":"+f.path, data)
		all, problems = append(all, entries...), append(problems, bad...)
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("the policy at %s cannot be read, so nothing says whose it is; mend it there first:\n\n%s",
			rev, problems.Error())
	}
	return all, nil
}

// codeOwners lists the CODEOWNERS files of a commit, the one in force first.
func (t *policyTree) codeOwners(c *gitCommit) ([]policyFile, error) {
	var files []policyFile
	for _, place := range policyfile.CodeOwnersPlaces(t.prefix) {
		entry, ok, err := t.lookUp(c.tree, place.Path)
		switch {
		case err != nil:
			return nil, err
		case ok && !entry.regular():
			return nil, fmt.Errorf("in commit %s, %s is no regular file, so who owns what cannot be told",
				short(c.id), place.Path)
		case ok:
			files = append(files, policyFile{place.Path, entry.id})
		}
	}
	return files, nil
}

// files lists the policy files of a commit, as policyfile.Read would find them; none if there was no such directory.
func (t *policyTree) files(c *gitCommit) ([]policyFile, error) {
	dir, ok, err := t.dir(c)
	if err != nil || !ok {
		return nil, err
	}
	w := treeWalk{objects: t.objects}
	if err := w.below(dir, t.prefix); err != nil {
		return nil, fmt.Errorf("in commit %s: %w", short(c.id), err)
	}
	return w.files, nil
}

// dir is the id of the directory's tree in a commit.
func (t *policyTree) dir(c *gitCommit) (id string, ok bool, err error) {
	if t.prefix == "" {
		return c.tree, true, nil
	}
	entry, ok, err := t.lookUp(c.tree, t.prefix)
	return entry.id, ok && entry.mode == modeTree, err
}

// lookUp finds a path in a tree.
func (t *policyTree) lookUp(tree, name string) (gitEntry, bool, error) {
	at := gitEntry{mode: modeTree, id: tree}
	for segment := range strings.SplitSeq(name, "/") {
		if at.mode != modeTree {
			return gitEntry{}, false, nil
		}
		entries, err := t.objects.tree(at.id)
		if err != nil {
			return gitEntry{}, false, err
		}
		i := slices.IndexFunc(entries, func(e gitEntry) bool { return e.name == segment })
		if i < 0 {
			return gitEntry{}, false, nil
		}
		at = entries[i]
	}
	return at, true, nil
}

// treeWalk collects the policy files of a tree.
type treeWalk struct {
	objects *gitObjects
	files   []policyFile
	entries int
}

// below adds the files of a tree and of all below it. It counts entries, because a tree can hold the same tree many
// times over, and that as often again.
func (w *treeWalk) below(tree, dir string) error {
	entries, err := w.objects.tree(tree)
	if err != nil {
		return err
	}
	if w.entries += len(entries); w.entries > maxTreeEntries {
		return fmt.Errorf("more than %d files and directories in the policy directory", maxTreeEntries)
	}
	for _, e := range entries {
		name := path.Join(dir, e.name)
		switch {
		case strings.HasPrefix(e.name, "."):
		case e.mode == modeTree:
			if err := w.below(e.id, name); err != nil {
				return err
			}
		case e.mode == modeModule:
			return fmt.Errorf("%s is a submodule: check the policy in its own repository", name)
		case !policyfile.IsPolicy(e.name):
		case e.mode == modeLink:
			return fmt.Errorf("%s is a link, and who owns what it leads to cannot be told: put the file itself there", name)
		case len(w.files) == policyfile.MaxFiles:
			return fmt.Errorf("more than %d policy files", policyfile.MaxFiles)
		default:
			w.files = append(w.files, policyFile{name, e.id})
		}
	}
	return nil
}
