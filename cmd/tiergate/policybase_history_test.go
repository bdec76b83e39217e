package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestWhoChangedWhatInHistory: each commit is compared with its parents, document by document.
func TestWhoChangedWhatInHistory(t *testing.T) {
	old, loose := "[disk-encrypted]", "[]"
	loosen := by("eve", tiersFile, old, loose)
	eves := []string{evesTier}
	for _, tt := range []ownershipCase{
		{name: "an outsider's change that is undone", change: both(loosen, by("eve", tiersFile, loose, old)),
			fine: "no document changed"},
		{name: "an outsider's change that a member adds to", faults: eves,
			change: both(loosen, by("ana", tiersFile, "user+device", "device+user"),
				by("ana", tiersFile, "device+user", "user+device"))},
		{name: "a file that an outsider made unreadable", change: both(by("eve", tiersFile, old, "[\n"),
			by("ana", tiersFile, "[\n", loose)),
			faults: eves},
		{name: "a file that was unreadable before and after", faults: eves, change: both(by("ana", tiersFile, old, "[\n"),
			by("eve", tiersFile, "user+device", "user"), by("ana", tiersFile, "[\n", old))},
		{name: "a file that an outsider made too large", faults: eves, change: func(r *policyRepository) {
			r.write(tiersFile, strings.Repeat("#", 1<<20)+"\n"+policyAtBase[tiersFile])
			r.commit("eve")
			r.write(tiersFile, strings.ReplaceAll(policyAtBase[tiersFile], old, loose))
			r.commit("ana")
		}},
		{name: "merged by an outsider", change: both(func(r *policyRepository) { r.git("checkout", "-q", "-b", "side") },
			by("ana", tiersFile, old, loose), func(r *policyRepository) { r.git("checkout", "-q", "main") },
			by("emma", "policy/endpoint/baseline.yaml", "26h", "25h"), merge("eve", "side")),
			fine: "2 documents changed, by owners: ana@acme.example (1), emma@acme.example (1)"},
		{name: "changed in a merge by an outsider", faults: eves, change: both(
			func(r *policyRepository) { r.git("checkout", "-q", "-b", "side") },
			by("ana", "policy/iam/routes.yaml", "/**", "/x/**"), func(r *policyRepository) { r.git("checkout", "-q", "main") },
			by("emma", "policy/endpoint/baseline.yaml", "26h", "25h"), func(r *policyRepository) {
				r.git("merge", "-q", "--no-commit", "--no-ff", "side")
				r.replace(tiersFile, old, loose)
				r.commit("eve")
			})},
		{name: "undone in a merge by an outsider", faults: eves, change: both(
			func(r *policyRepository) { r.git("checkout", "-q", "-b", "side") }, loosen, // behind the base, so nobody sees it
			func(r *policyRepository) {
				r.git("checkout", "-q", "main")
				r.git("merge", "-q", "--ff-only", "side")
				r.git("checkout", "-q", "-b", "late")
			}, by("emma", "policy/endpoint/baseline.yaml", "26h", "25h"),
			func(r *policyRepository) { r.git("checkout", "-q", "main") },
			by("ana", tiersFile, loose, old), func(r *policyRepository) { r.git("tag", "-f", "base") },
			func(r *policyRepository) { r.git("checkout", "-q", "late") }, func(r *policyRepository) {
				r.git("merge", "-q", "--no-commit", "-s", "ours", "main")
				r.commit("eve")
			})},
		{name: "both sides changed it", faults: eves, change: both(
			func(r *policyRepository) { r.git("checkout", "-q", "-b", "side") }, by("ana", tiersFile, old, loose),
			func(r *policyRepository) { r.git("checkout", "-q", "main") },
			by("cho", tiersFile, "[not-compromised]", "[{signal: not-compromised, onUnknown: note}]"),
			func(r *policyRepository) {
				r.git("merge", "-q", "--no-commit", "-s", "ours", "side")
				r.commit("eve")
			})},
		{name: "joined with a history of its own", faults: eves, change: func(r *policyRepository) {
			r.git("checkout", "-q", "--orphan", "other")
			r.replace(tiersFile, old, loose)
			r.commit("ana")
			r.git("checkout", "-q", "main")
			r.git("merge", "-q", "--no-commit", "--allow-unrelated-histories", "-s", "ours", "other")
			r.git("checkout", "other", "--", tiersFile)
			r.commit("eve")
		}},
		{name: "with two authors in one line", change: both(loosen, func(r *policyRepository) {
			text := r.git("cat-file", "commit", "HEAD") + "\n"
			text = strings.ReplaceAll(text, "<eve@acme.example>", "<eve@acme.example> <ana@acme.example>")
			r.write(".git/made", strings.ReplaceAll(text, "tree ", "tree "))
			r.git("reset", "-q", "--soft", r.git("hash-object", "-t", "commit", "-w", "--literally", ".git/made"))
		}), faults: []string{
			`policy/iam/tiers.yaml:3:18: Tier "internal" was changed by somebody without an e-mail address: ` +
				`author of commit ID`}},
	} {
		t.Run(tt.name, tt.run)
	}
}

func merge(whom, branch string) func(*policyRepository) {
	return func(r *policyRepository) {
		r.git("merge", "-q", "--no-commit", "--no-ff", branch)
		r.commit(whom)
	}
}

// TestWhoHasNotCommitted: what is not committed is whose git says, and --as replaces everybody.
func TestWhoHasNotCommitted(t *testing.T) {
	edit := func(email string) func(*policyRepository) {
		return func(r *policyRepository) {
			r.replace(tiersFile, "[disk-encrypted]", "[]")
			if email != "" {
				r.git("config", "user.email", email)
			}
		}
	}
	for _, tt := range []ownershipCase{
		{name: "a member", change: edit("ana@acme.example"), fine: "1 document changed, by owners: ana@acme.example (1)"},
		{name: "an outsider", change: edit("eve@acme.example"),
			faults: []string{tierAt + "eve@acme.example (git's user.email, not committed)" + notIAM}},
		{name: "nobody", change: edit(""), faults: []string{
			`policy/iam/tiers.yaml:3:18: Tier "internal" was changed by somebody without an e-mail address: ` +
				`git's user.email, not committed`}},
		{name: "after a member's commit", change: both(by("ana", tiersFile, "[not-c", "[ not-c"), edit("eve@acme.example")),
			faults: []string{tierAt + "eve@acme.example (git's user.email, not committed)" + notIAM}},
		{name: "after a commit that cannot be read", change: both(by("ana", tiersFile, "[disk-encrypted]", "["),
			func(r *policyRepository) {
				r.write(tiersFile, strings.ReplaceAll(policyAtBase[tiersFile], "[disk-encrypted]", "[]"))
				r.git("config", "user.email", "eve@acme.example")
			}), faults: []string{tierAt + "eve@acme.example (git's user.email, not committed)" + notIAM}},
		{name: "a file that git ignores", change: func(r *policyRepository) {
			r.write(".gitignore", "more.yaml\n")
			r.commit("boss")
			r.write("policy/iam/more.yaml", moreOf("iam"))
			r.git("config", "user.email", "eve@acme.example")
		}, faults: []string{`policy/iam/more.yaml:4:31: Route "more" was added by ` +
			`eve@acme.example (git's user.email, not committed)` + notIAM}},
		{name: "as a member", change: both(by("eve", tiersFile, "[disk-encrypted]", "[]")),
			flags: []string{"--as", "ANA@ACME.example"},
			fine:  "1 document changed, by owners: ANA@ACME.example (1)\nnot checked without --config"},
		{name: "as an outsider", change: by("ana", tiersFile, "[disk-encrypted]", "[]"),
			flags:  []string{"--as", "eve@acme.example"},
			faults: []string{tierAt + "eve@acme.example (--as)" + notIAM}},
		{name: "as nobody known", flags: []string{"--as", "eve@acme.example"}, fine: "no document changed"},
	} {
		t.Run(tt.name, tt.run)
	}
}

// TestHistoryIsBounded: 1,000 commits are judged, in seconds; with one more it says so, unless the forge says who.
func TestHistoryIsBounded(t *testing.T) {
	r := newPolicyRepository(t, nil)
	var stream strings.Builder
	stream.WriteString("reset refs/heads/main\nfrom refs/heads/main^0\n\n")
	tier := strings.ReplaceAll(policyAtBase[tiersFile], "[disk-encrypted]", "[]")
	for i := range maxCommits {
		text := strings.ReplaceAll(tier, "metadata", fmt.Sprintf("# %d\nmetadata", i))
		fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter C <ana@acme.example> %d +0000\n"+
			"data 1\nx\nM 644 inline %s\ndata %d\n%s\n",
			1_700_000_000+i, tiersFile, len(text), text)
	}
	r.gitWith(stream.String(), "fast-import", "--quiet")
	r.git("reset", "-q", "--hard")
	start := time.Now()
	r.fine("1 document changed, by owners: ana@acme.example (1)")
	took := time.Since(start)
	t.Logf("%d commits took %v", maxCommits, took)
	if took > 20*time.Second {
		t.Errorf("%d commits took %v", maxCommits, took)
	}
	r.commit("ana")
	r.refused([]string{"more than 1000 commits lead from the base to HEAD: name a later base, " +
		"or say whom the forge authenticated with --as EMAIL"})
	r.fine("1 document changed", "--as", "ana@acme.example")
}

// TestWhereThereIsNoBase: what cannot be compared is refused, with what to do.
func TestWhereThereIsNoBase(t *testing.T) {
	r := newPolicyRepository(t, nil)
	by("ana", tiersFile, "[disk-encrypted]", "[]")(r)
	r.git("checkout", "-q", "-b", "behind", "base")
	by("emma", "policy/endpoint/baseline.yaml", "26h", "25h")(r)
	says := func(want string, status int, flags ...string) {
		t.Helper()
		got, stdout, stderr := r.checkDir(r.path("policy"), flags...)
		if got != status || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%q: status %d\n%s%s\nwant %s", flags, got, stdout, stderr, want)
		}
	}
	for _, rev := range []string{"none", "--output=" + r.path("made"), "-x", "base:policy", "base^{tree}", "base base",
		"^base",
		"base missing", "0000000000000000000000000000000000000000", "$(touch made)"} {
		says("is no commit of the repository in ROOT", exitNo, "--base="+rev)
	}
	says("HEAD does not contain main, so what was changed there meanwhile would seem to be undone here: "+
		"merge main or rebase on it",
		exitNo, "--base", "main", "--as", "emma@acme.example")
	says("--base is empty: name a commit", exitUsage, "--base", "")
	says("--base is empty: name a commit", exitUsage, "--base", " ")
	says(`--base "base\n-x" is no name of a commit`, exitUsage, "--base", "base\n-x")
	says("--as says who changed what since --base REV: add it", exitUsage, "--as", "ana@acme.example")
	for _, as := range []string{"", "ana", "@acme.example", "ana@", "ana@acme.example,eve@acme.example",
		"a b@c", "<ana@acme.example>"} {
		says("is no e-mail address", exitUsage, "--base", "base", "--as", as)
	}
	r.git("tag", "main") // as whoever may push tags could: git takes the tag
	says("--base main may mean commit", exitNo, "--base", "main")
	r.git("tag", r.git("rev-parse", "base")[:7], "main")
	says("which is commit", exitNo, "--base", r.git("rev-parse", "base")[:7])

	r.write("elsewhere/policy.yaml", policyAtBase["policy/governance.yaml"])
	outside := t.TempDir()
	if err := os.CopyFS(outside, os.DirFS(r.path("policy"))); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := r.checkDir(outside, "--base", "base")
	if status != exitNo || !strings.Contains(stderr, "is not in a git work tree") {
		t.Errorf("status %d: %s", status, stderr)
	}
	t.Setenv("PATH", outside)
	says("--base asks git who changed what, and git cannot be run", exitNo, "--base", "base")
}

// TestShallowClone: older commits are missing, and with them whoever made them.
func TestShallowClone(t *testing.T) {
	r := newPolicyRepository(t, nil)
	for _, with := range []string{"[ ]", "[]"} {
		r.write(tiersFile, strings.ReplaceAll(policyAtBase[tiersFile], "[disk-encrypted]", with))
		r.commit("ana")
	}
	clone := &policyRepository{T: t, root: t.TempDir()}
	clone.git("clone", "-q", "--depth=2", "file://"+r.root, ".")
	clone.refused([]string{"--base base is no commit of the repository in ROOT: there is no such object: git says " +
		`"base^{commit} missing"; fetch it, or correct the name; this clone lacks older commits: git fetch --unshallow`})
	clone.git("fetch", "-q", "--depth=1", "origin", "tag", "base")
	clone.refused([]string{"HEAD does not contain base, so what was changed there meanwhile would seem to be undone " +
		"here: merge base or rebase on it, then check again; this clone lacks older commits: git fetch --unshallow"})
	clone.git("tag", "-f", "base", "HEAD~1")
	by("ana", tiersFile, "[]", "[ disk-encrypted ]")(clone)
	clone.refused([]string{"this clone lacks older commits, so who changed what cannot be told: git fetch --unshallow, " +
		"or say whom the forge authenticated with --as EMAIL"})
	clone.fine("1 document changed, by owners: ana@acme.example (1)", "--as", "ana@acme.example")
}

// TestGitIsStopped: when time is up, or somebody interrupts, it says so and leaves no process behind.
func TestGitIsStopped(t *testing.T) {
	r := newPolicyRepository(t, nil)
	bin := t.TempDir()
	if err := os.WriteFile(bin+"/git", []byte("#!/bin/sh\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	start := time.Now()
	_, err := (&ownership{base: "base"}).enforce(ctx, r.path("policy"), nil)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "git was stopped (it may take 1m0s)") {
		t.Error(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestTreesThatGrow: a tree that holds another ten times, and that as often again, costs no more than its limit.
func TestTreesThatGrow(t *testing.T) {
	r := newPolicyRepository(t, nil)
	r.write(".git/none", "")
	entry := "100644 blob " + r.git("hash-object", "-w", ".git/none")
	for range 10 {
		var tree strings.Builder
		for i := range 10 {
			fmt.Fprintf(&tree, "%s\td%d\n", entry, i)
		}
		entry = "040000 tree " + r.gitWith(tree.String(), "mktree")
	}
	policy := r.gitWith(r.git("ls-tree", "base:policy")+"\n"+entry+"\tmore\n", "mktree")
	root := r.gitWith(r.git("ls-tree", "base", "CODEOWNERS")+"\n040000 tree "+policy+"\tpolicy\n", "mktree")
	r.git("update-ref", "refs/heads/main", r.git("commit-tree", "-p", "base", "-m", "x", root))
	by("ana", tiersFile, "[disk-encrypted]", "[]")(r) // the index never saw it
	start := time.Now()
	r.refused([]string{"in commit ID: more than 5000 files and directories in the policy directory"})
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
