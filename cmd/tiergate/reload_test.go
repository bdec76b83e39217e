package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/xds"
)

// versionText is a policy in two files that name each other: what is read half is either refused or looser.
func versionText(version string) map[string]string {
	const head = "apiVersion: tiergate.dev/v1alpha1\n"
	return map[string]string{
		"teams.yaml": head + `kind: Governance
metadata: {name: acme}
spec: {accountable: {name: Head, contact: head@acme.example}, teams: {iam: {contact: iam@acme.example}}}
---
` + head + `kind: Audience
metadata: {name: staff, owner: iam}
spec: {members: [{issuer: corp, group: staff}]}
---
` + head + `kind: Upstream
metadata: {name: app, owner: iam}
spec: {endpoints: ["127.0.0.1:9001"], plaintext: true}
---
` + head + `kind: Baseline
metadata: {name: all, owner: iam}
spec: {platforms: [macos], signals: {fit: {expr: "!device.compromised", maxAge: 1h, fix: {text: Hand it in.}}}}
`,
		"tiers.yaml": head + "kind: Tier\nmetadata: {name: tier-" + version + ", owner: iam}\nspec:\n  identify: user+device\n" +
			"  denyUnless: [fit]\n",
		"routes.yaml": head + "kind: Route\nmetadata: {name: route-" + version + ", owner: iam}\nspec: {hosts: [app.acme.example], " +
			"path: /**, tier: tier-" + version + ", audiences: [staff], upstream: app}\n",
	}
}

// followed is a reloader that runs on a directory, with what it brought into force and what it told.
type followed struct {
	dir string
	r   *reloader

	mu       sync.Mutex
	versions []string // the names of tier and route of each policy in force
	told     []string
}

func followDir(t *testing.T) *followed {
	t.Helper()
	f := &followed{dir: t.TempDir()}
	f.r = &reloader{
		dir:         f.dir,
		build:       func(*policy.Policy) (*xds.Snapshot, error) { return nil, nil },
		watchFailed: func(err error) { t.Error(err) },
		publish: func(_ context.Context, p *policy.Policy, _ *xds.Snapshot) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			s := p.Spec()
			f.versions = append(f.versions, fmt.Sprintf("%s %s %d", s.Tiers[0].Meta.Name, s.Routes[0].Meta.Name, len(s.Tiers[0].DenyUnless)))
			return nil
		},
		told: func(fault string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.told = append(f.told, fault)
		},
	}
	return f
}

func (f *followed) run(t *testing.T) {
	t.Helper()
	if err := f.r.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- f.r.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (f *followed) inForce() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.versions[len(f.versions)-1]
}

func (f *followed) await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("%s: in force is %s, told %q", what, f.inForce(), f.r.policyStatus().Fault)
}

func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAHalfWrittenFileIsNotBelieved: up to "identify" a tier is a policy of its own, and one that denies nothing.
func TestAHalfWrittenFileIsNotBelieved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // where nobody who writes is kept from it for longer than settleFor
		f := followDir(t)
		put(t, f.dir, versionText("a"))
		must(t, f.r.load(t.Context()))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for pause(ctx, time.Millisecond) {
				f.r.look(ctx)
			}
		}()
		slow := versionText("a")["tiers.yaml"] + "  recheckEvery: 5m\n"
		file, err := os.Create(filepath.Join(f.dir, "tiers.yaml"))
		must(t, err)
		for i := 0; i < len(slow); i += 4 {
			_, err := file.WriteString(slow[i:min(i+4, len(slow))])
			must(t, err)
			time.Sleep(5 * time.Millisecond)
		}
		must(t, file.Close())
		time.Sleep(3 * settleFor)
		stop()
		<-ended
		if !slices.Equal(f.versions, []string{versionA, versionA}) {
			t.Errorf("in force were %q", f.versions)
		}
	})
}

// TestTheLastGoodPolicyStays through every way in which a directory can be wrong, and no fault is told twice running.
func TestTheLastGoodPolicyStays(t *testing.T) {
	t.Parallel()
	f := followDir(t)
	put(t, f.dir, versionText("a"))
	f.run(t)
	good := versionText("a")
	tiers := filepath.Join(f.dir, "tiers.yaml")
	for _, c := range []struct {
		name  string
		spoil func() error
		want  string
	}{
		{"cut in the middle", func() error { return os.WriteFile(tiers, []byte(good["tiers.yaml"][:70]), 0o600) }, "tiers.yaml:"},
		{"emptied", func() error { return os.WriteFile(tiers, nil, 0o600) }, `there is no Tier "tier-a"`},
		{"removed", func() error { return os.Remove(tiers) }, `there is no Tier "tier-a"`},
		{"binary", func() error { return os.WriteFile(tiers, []byte("\x00\xff"), 0o600) }, "tiers.yaml"},
		{"all removed", func() error {
			for name := range good {
				if err := os.RemoveAll(filepath.Join(f.dir, name)); err != nil {
					return err
				}
			}
			return nil
		}, "has no .yaml file"},
	} {
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		f.await(t, c.name, func() bool { return strings.Contains(f.r.policyStatus().Fault, c.want) })
		if got := f.inForce(); got != "tier-a route-a 1" {
			t.Errorf("%s: in force is %s", c.name, got)
		}
		put(t, f.dir, good)
		f.await(t, c.name+", mended", func() bool { return f.r.policyStatus().Fault == "" })
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := 1; i < len(f.told); i++ {
		if f.told[i] != "" && f.told[i] == f.told[i-1] {
			t.Errorf("told twice: %q", f.told[i])
		}
	}
}

// TestSwapsOfAConfigMapNeverMix: a mounted ConfigMap is a link that is swapped; each policy in force is wholly one or the
// other.
func TestSwapsOfAConfigMapNeverMix(t *testing.T) {
	t.Parallel()
	f := followDir(t)
	for _, version := range []string{"a", "b"} {
		dir := filepath.Join(f.dir, "..v-"+version)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, dir, versionText(version))
	}
	swap := func(version string) {
		next := filepath.Join(f.dir, "..data_tmp")
		if err := os.Symlink("..v-"+version, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(f.dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap("a")
	for name := range versionText("a") {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(f.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	f.run(t)
	for i := range 60 {
		swap([]string{"b", "a"}[i%2])
		time.Sleep(time.Duration(i%4) * 30 * time.Millisecond)
	}
	for _, version := range []string{"b", "a", "b"} { // however few of those were seen
		swap(version)
		f.await(t, "the last swap", func() bool { return f.inForce() == "tier-"+version+" route-"+version+" 1" })
	}
	f.await(t, "each is told", func() bool { // after it has come into force
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.told) == len(f.versions)
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := map[string]int{}
	for _, version := range f.versions {
		seen[version]++
	}
	if len(seen) != 2 || seen["tier-a route-a 1"] < 2 {
		t.Errorf("in force were %v; told %q", seen, f.told)
	}
}
