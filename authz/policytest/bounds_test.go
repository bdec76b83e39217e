package policytest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/policytest"
)

// TestExampleHoldsEveryBound: whoever changes one bound of the ingress example, by a second where that is the least, fails one
// of its cases. So the cases say what the policy says, and not only that it compiles.
func TestExampleHoldsEveryBound(t *testing.T) {
	t.Parallel()
	const tiers, exceptions, laptops, phones = "access/tiers.yaml", "access/exceptions.yaml", "baselines/laptops.yaml", "baselines/phones.yaml"
	cases, err := policytest.Load("../../examples/ingress/cases")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, old, changed string }{
		{tiers, "offline: 8h, renewals: 1", "offline: 8h1s, renewals: 1"},
		{tiers, "offline: 8h, renewals: 1", "offline: 8h, renewals: 2"},
		{tiers, "offline: 8h, renewals: 1", "offline: 8h"},
		{tiers, "for: 30m", "for: 30m1s"},
		{tiers, "      grace: {offline: 1h}", "      grace: {offline: 1h1s}"},
		{tiers, "\n  grace: {offline: 1h}", "\n  grace: {offline: 1h1s}"},
		{tiers, "  onGap: deny", "  onGap: {last-known: {for: 10m}}"},
		{tiers, "maxDuration: 14d, maxRenewals: 1}\n  stricter", "maxDuration: 15d, maxRenewals: 1}\n  stricter"},
		{tiers, "maxDuration: 1d}", "maxDuration: 3d}"},
		{tiers, "acr: [phr], maxAge: 15m", "acr: [phr], maxAge: 15m1s"},
		{tiers, "acr: [phr], maxAge: 15m", "maxAge: 15m"},
		{tiers, "acr: [phr], maxAge: 4h", "acr: [phr], maxAge: 4h1s"},
		{tiers, "acr: [phr], maxAge: 5m", "acr: [phr], maxAge: 7m"},
		{tiers, "      require: [screen-lock]\n", ""},
		{tiers, "  mode: monitor\n", ""},
		{tiers, "maxAge: 15m, signals: [os-current]", "maxAge: 15m"},
		{exceptions, "until: 2026-11-27T18:00:00Z", "until: 2026-11-27T18:00:01Z"},
		{exceptions, "until: 2026-11-27T18:00:00Z", "until: 2026-11-27T17:59:59Z"},
		{exceptions, "from: 2026-11-06T08:00:00Z", "from: 2026-11-06T08:00:01Z"},
		{laptops, `version("15.6")`, `version("15.5")`},
		{laptops, `version("15.6")`, `version("15.6.1")`},
		{laptops, "22631.3593", "22631.3592"},
		{laptops, "maxAge: 2h", "maxAge: 2h1s"},
		{phones, "2026-09-05", "2026-09-06"},
		{phones, "2026-09-05", "2026-08-05"},
		{phones, " && device.screen_lock", ""},
		{phones, `"low"]`, `"low", "medium"]`},
		{phones, "device.mdm_managed && ", ""},
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("../../examples/ingress/policy")); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, filepath.FromSlash(c.file))
		raw, err := os.ReadFile(file)
		if err != nil || strings.Count(string(raw), c.old) != 1 {
			t.Fatalf("%s: %q stands there %d times: %v", c.file, c.old, strings.Count(string(raw), c.old), err)
		}
		if err := os.WriteFile(file, []byte(strings.Replace(string(raw), c.old, c.changed, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		results, err := policytest.Run(compile(t, dir), cases)
		if err != nil {
			t.Fatal(err)
		}
		failed := 0
		for _, r := range results {
			if len(r.Differences) > 0 {
				failed++
			}
		}
		if failed == 0 {
			t.Errorf("%s: %q became %q, and no case minds", c.file, c.old, c.changed)
		}
	}
}
