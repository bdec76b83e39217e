package stage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// newStage lays one out; nothing is started.
func newStage(t *testing.T, store string) *Stage {
	t.Helper()
	s, err := New(Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestSettingsKeepInStep: a stage's settings are the example's in every line but those that it must replace.
func TestSettingsKeepInStep(t *testing.T) {
	for _, store := range []string{StoreRedis, StoreEmbedded} {
		s := newStage(t, store)
		example := read(t, filepath.Join(s.binaries.Example, "settings.yaml"))
		text := read(t, s.Settings())
		for _, old := range []string{":8443", ":8444", ":8090", ":9464", ":9465", ":6379"} {
			if !strings.Contains(example, old) || strings.Contains(text, "127.0.0.1"+old+"\n") {
				t.Errorf("%s: %s is not in the example, or still in the stage", store, old)
			}
		}
		restored := text
		for _, sub := range s.settingsSubstitutions() {
			if strings.Count(restored, sub.to) != 1 {
				t.Errorf("%s: %q occurs %d times", store, sub.to, strings.Count(restored, sub.to))
			}
			restored = strings.Replace(restored, sub.to, sub.from, 1)
		}
		if restored != example {
			t.Errorf("%s: the stage's settings differ in more than what is replaced:\n%s", store, text)
		}
	}
}

// TestFilesOfSettings: every file that the settings name is there, and secrets are for their owner alone.
func TestFilesOfSettings(t *testing.T) {
	s := newStage(t, StoreRedis)
	named := 0
	for word := range strings.FieldsFuncSeq(read(t, s.Settings()), func(r rune) bool { return strings.ContainsRune(" \n{}[],", r) }) {
		if !strings.HasPrefix(word, "pki/") && !strings.HasPrefix(word, "secrets/") {
			continue
		}
		named++
		info, err := os.Stat(s.Path(word))
		if err != nil {
			t.Error(err)
			continue
		}
		secret := strings.HasSuffix(word, ".key") || strings.HasPrefix(word, "secrets/")
		if secret && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", word, info.Mode().Perm())
		}
	}
	if named < 12 {
		t.Errorf("the settings name only %d files", named)
	}
	for _, name := range []string{"run", "secrets", "tokens"} {
		if info, err := os.Stat(s.Path(name)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestPolicyIsCopied(t *testing.T) {
	s := newStage(t, StoreRedis)
	for _, name := range []string{"governance.yaml", "baselines/laptops.yaml", "access/tiers.yaml", "access/audiences.yaml",
		"access/routes.yaml", "access/exceptions.yaml", "monitors/posture.yaml", "identities.yaml"} {
		if read(t, s.Path("policy", name)) != read(t, filepath.Join(s.binaries.Example, "policy", name)) {
			t.Errorf("%s is not the example's", name)
		}
	}
	upstreams := read(t, s.Path("policy", "upstreams.yaml"))
	for _, address := range []string{s.Ports.Portal, s.Ports.Payroll, s.Ports.ContractorPortal} {
		if strings.Count(upstreams, address) != 1 {
			t.Errorf("upstreams.yaml names %s %d times", address, strings.Count(upstreams, address))
		}
	}
	for name, id := range workloads {
		if id == EnvoyID || name == "deployer" || name == "reporter" {
			continue
		}
		if !strings.Contains(upstreams, "spiffeID: "+id+"\n") {
			t.Errorf("upstreams.yaml does not name %s", id)
		}
	}
}

func TestCloseRemoves(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Store != StoreRedis || len(s.Dir) > maxDir {
		t.Errorf("store %s in %s", s.Store, s.Dir)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(s.Dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there", s.Dir)
	}
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if s, err = New(Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.Settings()); err != nil {
		t.Error("a directory that was given was removed")
	}
	if _, err := New(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("laid out over another stage: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("long/", 20))
	if _, err := New(Options{Dir: long}); err == nil || !strings.Contains(err.Error(), "sockets") {
		t.Errorf("a directory too long for sockets: %v", err)
	}
	if _, err := New(Options{Store: "mysql"}); err == nil || !strings.Contains(err.Error(), "mysql") {
		t.Errorf("an unknown store: %v", err)
	}
	if _, err := New(Options{Binaries: Binaries{Example: t.TempDir()}}); err == nil {
		t.Error("an example without settings")
	}
	missing := Binaries{Tiergate: "/nonexistent/tiergate", Example: t.TempDir()}
	err := missing.Check(StoreRedis)
	for _, part := range []string{"/nonexistent/tiergate is not there: run make build", "make tools"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v lacks %q", err, part)
		}
	}
}

func TestFindBinaries(t *testing.T) {
	t.Setenv("TIERGATE_TOOLS", "/opt/tools")
	found, err := FindBinaries()
	if err != nil || found.Envoy != "/opt/tools/envoy" || found.Valkey != "/opt/tools/valkey-server" ||
		found.Node != "/opt/tools/node" || found.Packages != "/opt/tools/oidc" {
		t.Errorf("found %+v: %v", found, err)
	}
	t.Chdir(t.TempDir())
	if _, err := FindBinaries(); err == nil && os.Getenv("GOTMPDIR") == "" {
		t.Error("found a checkout around a temporary directory")
	}
}

func TestEditPolicy(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	const file = "access/routes.yaml"
	files, err := os.ReadDir(s.Path("policy", "access"))
	if err != nil {
		t.Fatal(err)
	}
	before := read(t, s.Path("policy", file))
	mark, err := s.EditPolicy(file, "tier: internal", "tier: internl")
	if err != nil {
		t.Fatal(err)
	}
	after := read(t, s.Path("policy", file))
	if after != strings.Replace(before, "tier: internal", "tier: internl", 1) {
		t.Error("it changed something else")
	}
	if at := mark.Within("tier: internl", "internl"); at.String() != "access/routes.yaml:9:9" {
		t.Errorf("the typo stands at %s", at)
	}
	lines := strings.Split(after, "\n")
	if lines[mark.Line-1][mark.Column-1:] != "tier: internl" {
		t.Errorf("nothing of that kind stands at %s", mark)
	}
	for name, err := range map[string]error{
		"not there":   editError(s, file, "no such text"),
		"twice there": editError(s, file, "kind: Route"),
		"no file":     editError(s, "none.yaml", "x"),
	} {
		if err == nil {
			t.Errorf("%s: edited", name)
		}
	}
	if entries, _ := os.ReadDir(s.Path("policy", "access")); len(entries) != len(files) {
		t.Error("an edit left something behind")
	}
}

func editError(s *Stage, file, old string) error { _, err := s.EditPolicy(file, old, "y"); return err }

// TestMarkWithin: the place found by arithmetic is the place found by counting.
func TestMarkWithin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-c \n]{0,12}X[a-c \n]{0,12}`).Draw(t, "text")
		start := Mark{"f", rapid.IntRange(1, 9).Draw(t, "line"), rapid.IntRange(1, 9).Draw(t, "column")}
		want := start
		for _, r := range text[:strings.IndexByte(text, 'X')] {
			if want.Column++; r == '\n' {
				want.Line, want.Column = want.Line+1, 1
			}
		}
		if got := start.Within(text, "X"); got != want {
			t.Fatalf("%q from %v: %v, want %v", text, start, got, want)
		}
		if start.Within(text, "") != start || start.Within(text, "missing") != start {
			t.Fatal("nothing to find moved the mark")
		}
	})
}

func TestSubstitute(t *testing.T) {
	got, err := substitute("a b", []substitution{{"a", "b"}, {"b", "a"}})
	if err != nil || got != "b a" {
		t.Errorf("%q, %v: what was filled in was replaced again", got, err)
	}
	if _, err := substitute("a a", []substitution{{"a", "x"}, {"c", "y"}}); err == nil ||
		!strings.Contains(err.Error(), "2 times") || !strings.Contains(err.Error(), "0 times") {
		t.Errorf("both faults must be told: %v", err)
	}
}
