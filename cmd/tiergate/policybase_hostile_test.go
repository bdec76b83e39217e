package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hostileConfig are settings of a repository that name a program, for whatever git might do with it.
const hostileConfig = `
[core]
	fsmonitor = PROGRAM
	sshCommand = PROGRAM
	gitProxy = PROGRAM
	askPass = PROGRAM
	pager = PROGRAM
	editor = PROGRAM
	alternateRefsCommand = PROGRAM
	hooksPath = HOOKS
	attributesFile = ATTRIBUTES
[diff]
	external = PROGRAM
[diff "x"]
	textconv = PROGRAM
	command = PROGRAM
[filter "x"]
	clean = PROGRAM
	smudge = PROGRAM
	process = PROGRAM
	required = true
[merge "x"]
	driver = PROGRAM
[alias]
	rev-parse = !PROGRAM
	rev-list = !PROGRAM
	cat-file = !PROGRAM
	merge-base = !PROGRAM
	config = !PROGRAM
[credential]
	helper = !PROGRAM
[gpg]
	program = PROGRAM
[log]
	showSignature = true
[uploadpack]
	packObjectsHook = PROGRAM
[extensions]
	partialClone = origin
[protocol]
	allow = always
[protocol "ext"]
	allow = always
[remote "origin"]
	url = URL
	promisor = true
	partialclonefilter = blob:none
`

// TestNothingOfTheRepositoryRuns: whatever program the configuration of the repository names, it is not run, not even
// to fetch an object that is missing. Plain git, asked the same, does run it: so the test would see it.
func TestNothingOfTheRepositoryRuns(t *testing.T) {
	for name, url := range map[string]string{"ssh": "ssh://host.invalid/x", "helper": "ext::PROGRAM x", "local": "LOCAL"} {
		t.Run(name, func(t *testing.T) {
			r := newPolicyRepository(t, map[string]string{".gitattributes": "* diff=x filter=x merge=x\n"})
			by("eve", tiersFile, "[disk-encrypted]", "[]")(r)
			base := r.git("rev-parse", "base:"+tiersFile)
			ran, program := r.path(".git/ran"), r.path(".git/program")
			r.write(".git/program", "#!/bin/sh\necho \"$0 $@\" >>'"+ran+"'\nexit 1\n")
			r.write(".git/attributes", "* diff=x filter=x\n")
			for _, hook := range []string{"post-index-change", "reference-transaction", "pre-auto-gc", "fsmonitor-watchman"} {
				r.write(".git/traps/"+hook, r.text(".git/program"))
				if err := os.Chmod(r.path(".git/traps/"+hook), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(program, 0o700); err != nil {
				t.Fatal(err)
			}
			r.git("clone", "-q", "--bare", ".", ".git/local")
			config := strings.ReplaceAll(hostileConfig, "URL", url)
			r.write(".git/config", r.text(".git/config")+strings.NewReplacer("LOCAL", r.path(".git/local"), "PROGRAM", program,
				"HOOKS", r.path(".git/traps"), "ATTRIBUTES", r.path(".git/attributes")).Replace(config))
			r.refused([]string{evesTier})
			if err := os.Remove(r.path(".git/objects/" + base[:2] + "/" + base[2:])); err != nil {
				t.Fatal(err)
			}
			status, stdout, stderr := r.check()
			if status != exitNo || stdout != "" || !strings.Contains(stderr, "the policy at base cannot be read") {
				t.Errorf("status %d: %s%s", status, stdout, stderr)
			}
			if text, err := os.ReadFile(ran); err == nil {
				t.Errorf("run was:\n%s", text)
			}
			if _, err := os.Stat(r.path(".git/objects/" + base[:2] + "/" + base[2:])); err == nil {
				t.Error("the missing object was fetched")
			}
			plain := exec.CommandContext(t.Context(), "git", "-c", "safe.directory=*", "diff", "base")
			plain.Dir = r.root
			_ = plain.Run() // it fails, having run the program
			if _, err := os.Stat(ran); err != nil {
				t.Error("plain git does not run the program either, so this test sees nothing:", err)
			}
		})
	}
}

// TestHistoryCannotBeRewritten: neither the repository nor the environment leads git to another history.
func TestHistoryCannotBeRewritten(t *testing.T) {
	loosen := by("eve", tiersFile, "[disk-encrypted]", "[]")
	for _, tt := range []struct {
		name string
		make func(r *policyRepository)
	}{
		{"refs/replace", func(r *policyRepository) {
			text := strings.ReplaceAll(r.git("cat-file", "commit", "HEAD"), "eve@", "ana@") + "\n"
			r.write(".git/made", text)
			r.git("replace", "HEAD", r.git("hash-object", "-t", "commit", "-w", ".git/made"))
			if !strings.Contains(r.git("cat-file", "commit", "HEAD"), "ana@") {
				r.Error("plain git is not led astray")
			}
		}},
		{"grafts", func(r *policyRepository) {
			by("ana", tiersFile, "[not-c", "[ not-c")(r)
			r.write(".git/info/grafts", r.git("rev-parse", "HEAD")+" "+r.git("rev-parse", "base")+"\n")
			if r.git("rev-list", "--count", "base..HEAD") != "1" {
				r.Error("plain git is not led astray")
			}
		}},
		{"mailmap", func(r *policyRepository) {
			r.write(".mailmap", "Ana <ana@acme.example> <eve@acme.example>\n")
			r.commit("boss")
			if r.git("log", "-1", "--format=%aE", "HEAD~1") != "ana@acme.example" {
				r.Error("plain git is not led astray")
			}
		}},
		{"environment", func(r *policyRepository) {
			other := r.TempDir()
			r.git("clone", "-q", "--bare", ".", other)
			exec.CommandContext(r.Context(), "git", "-C", other, "tag", "-f", "base", "HEAD").Run()
			for name, value := range map[string]string{
				"GIT_DIR": other, "GIT_WORK_TREE": r.root, "GIT_COMMON_DIR": other, "GIT_OBJECT_DIRECTORY": other + "/objects",
				"GIT_INDEX_FILE": other + "/index", "GIT_NAMESPACE": "x", "GIT_CEILING_DIRECTORIES": r.root,
				"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.worktree", "GIT_CONFIG_VALUE_0": other, "GIT_PREFIX": "x/",
				"GIT_CONFIG_PARAMETERS": "'core.bare'='true'", "GIT_TRACE": "1", "GIT_EXEC_PATH": other,
				"GIT_ALTERNATE_OBJECT_DIRECTORIES": other,
			} {
				r.Setenv(name, value)
			}
		}},
		{"a bare repository that was committed", func(r *policyRepository) {
			other := filepath.Join(r.TempDir(), "bare")
			r.git("clone", "-q", "--bare", ".", other)
			exec.CommandContext(r.Context(), "git", "-C", other, "tag", "-f", "base", "HEAD").Run()
			if err := os.CopyFS(r.path("policy"), os.DirFS(other)); err != nil {
				r.Fatal(err)
			}
			r.write("policy/refs/keep", "")
			if r.git("-C", "policy", "rev-parse", "--git-dir") != "." {
				r.Error("plain git is not led astray")
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newPolicyRepository(t, nil)
			loosen(r)
			tt.make(r)
			r.refused([]string{evesTier})
		})
	}
}

// TestPlacesThatCannotBeTrusted: links, submodules and work trees elsewhere are refused, because the owners of what
// lies there are others than the path says.
func TestPlacesThatCannotBeTrusted(t *testing.T) {
	link := func(r *policyRepository, target, name string) {
		if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o700); err != nil {
			r.Fatal(err)
		}
		if err := os.Symlink(target, r.path(name)); err != nil {
			r.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		make func(r *policyRepository)
		want string
	}{
		{"the directory is a link", func(r *policyRepository) {
			r.git("mv", "policy", "mine")
			link(r, "mine", "policy")
		}, "policy is a link, and who owns what lies behind it cannot be told: name the directory that it leads to"},
		{"a file is a link", func(r *policyRepository) {
			r.git("mv", tiersFile, "policy/iam/.tiers")
			link(r, ".tiers", tiersFile)
		}, "policy/iam/tiers.yaml is a link, and who owns what it leads to cannot be told: put the file itself there"},
		{"a file was a link in between", func(r *policyRepository) {
			r.git("mv", tiersFile, "policy/iam/.tiers")
			link(r, ".tiers", tiersFile)
			r.commit("ana")
			r.git("rm", "-q", tiersFile)
			r.git("mv", "policy/iam/.tiers", tiersFile)
			r.replace(tiersFile, "[disk-encrypted]", "[]")
			r.commit("ana")
		}, "policy/iam/tiers.yaml is a link, and who owns what it leads to cannot be told: put the file itself there"},
		{"a submodule", func(r *policyRepository) {
			r.git("update-index", "--add", "--cacheinfo", "160000,"+r.git("rev-parse", "HEAD")+",policy/more")
			r.replace(tiersFile, "[disk-encrypted]", "[]")
			r.git("commit", "-q", "-m", "x")
		}, "policy/more is a submodule: check the policy in its own repository"},
		{"CODEOWNERS is a link", func(r *policyRepository) {
			r.git("mv", "CODEOWNERS", "owners")
			link(r, "owners", "CODEOWNERS")
		}, "CODEOWNERS cannot be read, so who owns what cannot be told: it is no regular file"},
		{"CODEOWNERS was a link", func(r *policyRepository) {
			r.git("mv", "CODEOWNERS", "owners")
			link(r, "owners", "CODEOWNERS")
			r.commit("boss")
			r.git("tag", "-f", "base")
		}, "CODEOWNERS is no regular file, so who owns what cannot be told"},
		{"CODEOWNERS behind a link is away", func(r *policyRepository) {
			r.git("rm", "-q", "CODEOWNERS")
			r.write(".github/CODEOWNERS", policyAtBase["CODEOWNERS"])
			r.commit("boss")
			r.git("tag", "-f", "base")
			r.git("mv", ".github", "other")
			link(r, "other", ".github")
			r.commit("eve")
		}, "base:.github/CODEOWNERS: .github/CODEOWNERS was removed by eve@acme.example"},
		{"a work tree elsewhere", func(r *policyRepository) { r.git("config", "core.worktree", r.TempDir()) },
			"ROOT is not the work tree of its own repository: git says it is"},
		{"a .git that is none", func(r *policyRepository) { r.write("policy/.git/x", "") },
			"policy is not the work tree of its own repository: git says it is"},
		{"a damaged repository", func(r *policyRepository) { r.write(".git/HEAD", "x") },
			"git rev-parse failed in ROOT: exit status 128: fatal:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newPolicyRepository(t, nil)
			tt.make(r)
			status, stdout, stderr := r.check()
			if status != exitNo || stdout != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("status %d: %s%s\nwant %s", status, stdout, stderr, tt.want)
			}
		})
	}
}
