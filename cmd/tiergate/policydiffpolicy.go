package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/policyfile"
)

// policyOf compiles a policy by what it is called: a directory, git:REV:DIR, or the digest of one that is kept.
func (o *policyDiff) policyOf(ctx context.Context, name string) (*policy.Policy, error) {
	files, clean, err := o.filesOf(ctx, name)
	if err != nil {
		return nil, err
	}
	defer clean()
	compiled, problems := policyfile.Compile(files, o.world)
	if len(problems) > 0 {
		return nil, fmt.Errorf("it does not compile, so there is nothing to compare:\n\n%w\n\n%s", problems, count(len(problems), "fault"))
	}
	return compiled, nil
}

func (o *policyDiff) filesOf(ctx context.Context, name string) (files *policyfile.Files, clean func(), err error) {
	clean = func() {}
	switch {
	case strings.HasPrefix(name, digestPrefix):
		if o.settings == nil {
			return nil, clean, errNoConfig
		}
		kept := &policyKeeper{dir: o.settings.Policy.History.Dir}
		entry, err := kept.find(name)
		if err != nil {
			return nil, clean, fmt.Errorf("%w (policy.history.dir is %s)", err, kept.dir)
		}
		_, files, err = kept.read(entry)
		return files, clean, err
	case strings.HasPrefix(name, "git:"):
		rev, dir, ok := strings.Cut(strings.TrimPrefix(name, "git:"), ":")
		if !ok || rev == "" || dir == "" || strings.ContainsAny(rev, "\n\r\x00") {
			return nil, clean, usageError{fmt.Errorf("%q names no commit and directory: write git:REV:DIR, for instance git:main:policy", name)}
		}
		at, err := checkedOut(ctx, rev, dir)
		if err != nil {
			return nil, clean, err
		}
		clean = func() { _ = os.RemoveAll(at) } // a copy of what git has
		files, err = policyfile.Read(at)
		return files, clean, err
	}
	files, err = policyfile.Read(name)
	return files, clean, err
}

// checkedOut lays a policy directory as it was in a commit into a directory of its own, which the caller removes.
func checkedOut(ctx context.Context, rev, dir string) (at string, err error) {
	ctx, stop := context.WithTimeout(ctx, gitTime)
	defer stop()
	repo, prefix, err := openGit(ctx, dir)
	if err != nil {
		return "", err
	}
	defer repo.objects.close()
	commit, err := repo.objects.commit(rev)
	if err != nil {
		return "", fmt.Errorf("%s is no commit of the repository in %s: %w; fetch it, or correct the name", rev, repo.root, err)
	}
	tree := &policyTree{objects: repo.objects, prefix: prefix}
	files, err := tree.files(commit)
	if err != nil {
		return "", fmt.Errorf("the policy at %s cannot be read: %w", rev, err)
	}
	if len(files) == 0 {
		return "", fmt.Errorf("commit %s has no policy files in %s", rev, dir)
	}
	if at, err = os.MkdirTemp("", "tg"); err != nil {
		return "", err
	}
	for _, f := range files {
		data, err := repo.objects.blob(f.id, policyfile.MaxFileBytes)
		if err == nil {
			err = layFile(at, strings.TrimPrefix(strings.TrimPrefix(f.path, prefix), "/"), data)
		}
		if err != nil {
			_ = os.RemoveAll(at) // half of it is of no use
			return "", fmt.Errorf("the policy at %s cannot be read: %s: %w", rev, f.path, err)
		}
	}
	return at, nil
}

// layFile writes one file below a directory, and nowhere else: the names are a repository's.
func layFile(dir, name string, data []byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	name = filepath.FromSlash(name)
	if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return root.WriteFile(name, data, 0o600)
}
