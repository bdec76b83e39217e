package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// gitTime bounds all that git is asked in one run. A history of 1,000 commits takes a second or two.
const gitTime = time.Minute

// gitRepository is the work tree that holds a policy directory.
//
// It may be somebody else's: its .git/config may name programs to run (core.fsmonitor, diff.external, a textconv, a
// hook, core.sshCommand for objects that a partial clone lacks), and its refs/replace and .mailmap may say that others
// wrote a commit. So git is asked only what reads neither index nor attributes, prints objects as they are, and runs
// nothing; no transport is allowed; and no name that the caller or the repository chose becomes an argument.
type gitRepository struct {
	program string
	root    string // of the work tree, links resolved
	shallow bool
	objects *gitObjects
}

// openGit finds the work tree that a directory lies in, and where in it: a path with slashes, "" for its root.
func openGit(ctx context.Context, dir string) (r *gitRepository, prefix string, err error) {
	root, prefix, err := workTree(dir)
	if err != nil {
		return nil, "", err
	}
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, "", fmt.Errorf("--base asks git who changed what, and git cannot be run: %w; install it", err)
	}
	r = &gitRepository{program: program, root: root}
	// git looks at .git in the root first. What it finds must be just that: not a bare repository whose files were
	// committed as a part of the work tree, nor a work tree that core.worktree of the repository puts elsewhere.
	out, err := r.run(ctx, "rev-parse", "--show-toplevel", "--is-shallow-repository")
	if err != nil {
		return nil, "", err
	}
	answer := strings.TrimSuffix(string(out), "\n")
	cut := max(0, strings.LastIndexByte(answer, '\n')) // a path may hold line ends, the second answer does not
	if top := answer[:cut]; top != root {
		return nil, "", fmt.Errorf("%s is not the work tree of its own repository: git says it is %q; "+
			"remove core.worktree from its configuration", root, top)
	}
	r.shallow = answer[cut:] != "\nfalse"
	r.objects, err = r.openObjects(ctx)
	return r, prefix, err
}

// workTree goes up from a directory to the one that holds .git, which nobody can commit. No link may lead through the
// work tree: what it leads to is a choice of the change that is to be judged.
func workTree(dir string) (root, prefix string, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", "", fmt.Errorf("the policy directory cannot be found: %w", err)
	}
	for at := abs; ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		switch {
		case err != nil:
			return "", "", fmt.Errorf("the policy directory cannot be found: %w", err)
		case info.Mode()&os.ModeSymlink != 0:
			return "", "", fmt.Errorf("%s is a link, and who owns what lies behind it cannot be told: "+
				"name the directory that it leads to", at)
		}
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			if root, err = filepath.EvalSymlinks(at); err != nil {
				return "", "", fmt.Errorf("the work tree cannot be found: %w", err)
			}
			prefix = strings.Trim(strings.TrimPrefix(abs, at), string(filepath.Separator))
			return root, filepath.ToSlash(prefix), nil
		}
		if at == filepath.Dir(at) {
			return "", "", fmt.Errorf("%s is not in a git work tree, so there is no base to compare with: "+
				"check it out with git, or leave out --base", dir)
		}
	}
}

// command is git with fixed arguments: what varies is the id of an object, in hex, or comes on standard input.
func (r *gitRepository) command(ctx context.Context, args ...string) *exec.Cmd {
	fixed := []string{"--no-pager", "--literal-pathspecs", "-c", "safe.bareRepository=explicit",
		"-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull, "-c", "core.commitGraph=false"}
	c := exec.CommandContext(ctx, r.program, append(fixed, args...)...) //nolint:gosec // git by its name, fixed words
	c.Dir = r.root
	c.Env = gitEnvironment(os.Environ())
	c.WaitDelay = time.Second
	return c
}

// gitEnvironment is the caller's, without what would lead git to another repository or have it run something. The
// caller's own settings of git stay: they say, for instance, which repositories of others are safe.
func gitEnvironment(caller []string) []string {
	kept := []string{"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"}
	var env []string
	for _, v := range caller {
		name, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(strings.ToUpper(name), "GIT_") || slices.Contains(kept, name) {
			env = append(env, v)
		}
	}
	return append(env, "LC_ALL=C", "LANGUAGE=C",
		"GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_PAGER=cat",
		"GIT_ALLOW_PROTOCOL=none", "GIT_NO_LAZY_FETCH=1", // a partial clone fetches nothing
		"GIT_NO_REPLACE_OBJECTS=1", "GIT_GRAFT_FILE="+filepath.Join(os.DevNull, "none")) // history as it is
}

// run asks git one thing.
func (r *gitRepository) run(ctx context.Context, args ...string) ([]byte, error) {
	c := r.command(ctx, args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return out, r.failure(args[0], err, stderr.Bytes())
	}
	return out, nil
}

// failure says what git said. The error wraps git's exit status.
func (r *gitRepository) failure(verb string, err error, stderr []byte) error {
	said := strings.TrimSpace(string(bytes.ToValidUTF8(stderr, []byte("\uFFFD"))))
	if said == "" {
		return fmt.Errorf("git %s failed in %s: %w", verb, r.root, err)
	}
	return fmt.Errorf("git %s failed in %s: %w: %s", verb, r.root, err, said)
}

// contains reports whether one commit is another or comes after it.
func (r *gitRepository) contains(ctx context.Context, later, earlier string) (bool, error) {
	_, err := r.run(ctx, "merge-base", "--is-ancestor", earlier, later)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return false, nil
	}
	return err == nil, err
}

// mergeBases are the best common ancestors of two commits.
func (r *gitRepository) mergeBases(ctx context.Context, a, b string) ([]string, error) {
	out, err := r.run(ctx, "merge-base", "--all", a, b)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return nil, nil // none
	}
	return strings.Fields(string(out)), err
}

// since lists at most n commits that lead from one to another, the newest first.
func (r *gitRepository) since(ctx context.Context, base, head string, n int) ([]string, error) {
	out, err := r.run(ctx, "rev-list", "--topo-order", fmt.Sprintf("--max-count=%d", n), head, "^"+base)
	return strings.Fields(string(out)), err
}

// userEmail is whom git would write down as the author of a commit; "" if it does not know.
func (r *gitRepository) userEmail(ctx context.Context) (string, error) {
	out, err := r.run(ctx, "config", "--get", "user.email")
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return "", nil
	}
	return strings.TrimSpace(string(out)), err
}
