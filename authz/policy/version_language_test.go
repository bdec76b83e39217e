package policy

import (
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/tiergate/tiergate/signals"
)

// unguarded compiles an expression without what refuses it when a policy is read: only what stops a program is left.
func unguarded(t *testing.T, environment *cel.Env, text string) *expression {
	t.Helper()
	checked, issues := environment.Compile(text)
	if issues.Err() != nil {
		t.Fatalf("%.80s: %v", text, issues.Err())
	}
	program, err := environment.Program(checked, cel.EvalOptions(cel.OptPartialEval, cel.OptOptimize),
		cel.CostLimit(costLimit))
	if err != nil {
		t.Fatal(err)
	}
	return &expression{program: program, attributes: referencedAttributes(checked)}
}

// loops nests six loops over ten numbers around a body.
func loops(body string) string {
	var text strings.Builder
	for i := range 6 {
		fmt.Fprintf(&text, "[1,2,3,4,5,6,7,8,9,10].all(x%d, ", i)
	}
	return text.String() + body + strings.Repeat(")", 6) + " && device.disk_encryption"
}

// laughs builds a list of lists of lists … whose equality takes 4 to the power of depth comparisons, at the price of
// four.
func laughs(depth int) string {
	text, inner := "", "device.os_version"
	for i := range depth {
		text += fmt.Sprintf("[[%[1]s,%[1]s,%[1]s,%[1]s]].exists(a%[2]d, ", inner, i)
		inner = fmt.Sprintf("a%d", i)
	}
	return text + inner + " == " + inner + strings.Repeat(")", depth)
}

// hostile are expressions that would run for long if nobody stopped them; with some levels more, until the end of the
// world.
func hostile() map[string]string {
	return map[string]string{
		"loops":           loops("true"),
		"free operators":  loops("(" + strings.Repeat("false||", 185) + "true)"),
		"ternaries":       loops(strings.Repeat("true?(", 80) + "true" + strings.Repeat("):false", 80)),
		"long lists":      loops("[" + strings.Repeat("x0,", 350) + "x0].all(z, true)"),
		"many lists":      loops("[" + strings.Repeat("[],", 350) + "[]].all(z, true)"),
		"long search":     loops("!('" + strings.Repeat("a", 3000) + "'.contains('" + strings.Repeat("a", 100) + "b'))"),
		"membership":      loops("!(1001 in [" + strings.Repeat("x0,", 350) + "x0])"),
		"long version":    loops("version('" + strings.Repeat("1.", 1500) + "1') > version('1')"),
		"long kernel":     loops("version('6.8.0-" + strings.Repeat("a.", 1500) + "1') > version('1')"),
		"errors":          loops("(version('x') > version('1') || true)"),
		"billion laughs":  laughs(11),
		"laughs within":   strings.Replace(laughs(11), "a10 == a10", "a10 in [a10, a10]", 1),
		"laughs the same": strings.Replace(laughs(11), "a10 == a10", "!(a10 != a10)", 1),
	}
}

// TestHostileExpressionIsStopped is for what gets past the compiler: it ends within a millisecond or so and counts as
// unknown.
func TestHostileExpressionIsStopped(t *testing.T) {
	bound := 4 * time.Millisecond // the worst takes 0.8 on a machine of 2026, and 5 at ten times the limit
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "-race" && setting.Value == "true" {
				bound *= 20
			}
		}
	}
	environment, err := newEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range hostile() {
		e := unguarded(t, environment, text)
		best := time.Hour // of many: other tests take processors away
		for range 50 {
			begin := time.Now()
			got := e.judge(func(attribute string) signals.Value {
				if attribute == "os_version" {
					return signals.Text(strings.Repeat("a", maxAttributeText))
				}
				return signals.Bool(true)
			})
			best = min(best, time.Since(begin))
			if got != StatusUnknown {
				t.Errorf("%s: %v after %v, want unknown", name, got, best)
				break
			}
		}
		t.Logf("%s: %d bytes end after %v", name, len(text), best)
		if best > bound {
			t.Errorf("%s: ends after %v, later than %v", name, best, bound)
		}
	}
}

// TestHostileExpressionIsAFault: and none of them gets past it.
func TestHostileExpressionIsAFault(t *testing.T) {
	t.Parallel()
	environment, err := newEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range hostile() {
		if _, faults := compileExpression(environment, text); len(faults) == 0 {
			t.Errorf("%s was accepted", name)
		}
	}
	for text, want := range map[string]string{
		loops("true"): "may cost 4555552 steps; the limit is 1000",
		"device.firewall && [[1], [2]].exists(l, true)":                  "no list",
		"[1, 2] == [1, 2] && device.firewall":                            "lists are not compared",
		"device.firewall && {1: true}.all(k, true)":                      "no use for a map",
		"device.firewall && (" + strings.Repeat("true&&", 500) + "true)": "limit",
	} {
		_, faults := compileExpression(environment, text)
		if len(faults) == 0 || !strings.Contains(faults[0].message, want) {
			t.Errorf("%.60s: %v does not say %q", text, faults, want)
		}
	}
}

// TestCostBoundHolds: what the compiler lets through never meets the limit, with texts as long as a device may have.
func TestCostBoundHolds(t *testing.T) {
	t.Parallel()
	environment, err := newEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	builds := `"` + strings.Join(strings.Split(strings.Repeat("24G90 ", 100), " "), `", "`) + `"`
	platform := `device.platform == "%s" ? version(device.os_version) >= version("%s") : `
	for _, text := range []string{
		"device.disk_encryption",
		fmt.Sprintf(platform, "macos", "15.6") + fmt.Sprintf(platform, "windows", "10.0.22631.3593") +
			fmt.Sprintf(platform, "ios", "18.6") + fmt.Sprintf(platform, "linux", "6.8.0-31-generic") +
			fmt.Sprintf(platform, "android", "15") + "false",
		"device.os_build in [" + builds + "]",
		`["15.6", "15.6.1", "15.7", "15.7.1", "26.0"].exists(v, version(device.os_version) == version(v))`,
		strings.TrimSuffix(strings.Repeat(`version(device.os_version) != version("15.6") && `, 20), "&& "),
		`["Ubuntu", "Debian", "Fedora"].exists(p, device.os_version.startsWith(p) || device.os_version.contains(p))`,
		`device.edr_risk_score <= 50 && device.threat_level in ["none", "low"] && !device.compromised`,
		`device.patch_level != "" && version(device.patch_level) >= version("2026-10-05")`,
	} {
		checked, issues := environment.Compile(text)
		if issues.Err() != nil {
			t.Fatal(issues.Err())
		}
		if fault := costFault(environment, checked); fault != nil {
			t.Errorf("%.60s: %s", text, fault.message)
			continue
		}
		estimate, err := environment.EstimateCost(checked, attributeSizes{})
		if err != nil {
			t.Fatal(err)
		}
		program, err := environment.Program(checked, cel.CostTracking(nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, osVersion := range []string{"15.6", strings.Repeat("1.", maxAttributeText/2-1) + "1",
			strings.Repeat("é", maxAttributeText/2)} {
			vars := map[string]any{"device.disk_encryption": true, "device.platform": "android", "device.os_version": osVersion,
				"device.os_build": osVersion, "device.patch_level": osVersion, "device.edr_risk_score": 10.0,
				"device.threat_level": "low", "device.compromised": false}
			_, details, _ := program.Eval(vars) // an error has its cost as well
			if actual := *details.ActualCost(); actual > estimate.Max {
				t.Errorf("%.60s costs %d, more than the estimate of %d", text, actual, estimate.Max)
			}
		}
		t.Logf("%.60s may cost %d", text, estimate.Max)
	}
}

// TestSignalLanguageIsSmall: what is left out of CEL is not there.
func TestSignalLanguageIsSmall(t *testing.T) {
	t.Parallel()
	environment, err := newEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`timestamp("2026-01-01T00:00:00Z").getFullYear("Europe/Berlin") > 2025`, // reads a disk
		`device.os_version.matches("(a{1,30}){1,30}")`, "duration(\"1h\") > duration(\"1m\")",
		"[1].map(x, x) != []", "[1].filter(x, true) != []", "[1].exists_one(x, true)", "[1] + [2] != []",
		"dyn(device.firewall) == 1", "type(device.firewall) == bool", "size(device.os_version) > 1", "string(1) == \"1\"",
		"has(device.firewall)", "{1: 2}[1] == 2", "[1][0] == 1", "1 + 1 == 2", "1 in {1: 2}",
	} {
		if _, issues := environment.Compile(text); issues.Err() == nil {
			t.Errorf("%s compiles", text)
		}
	}
	// Past the compiler, == on lists must not be what CEL makes of it: two that cannot be compared would be equal.
	for _, text := range []string{`[version(device.os_version)] == [version("24G90")]`,
		`[version(device.os_version)] != [version("24G90")]`, `version(device.os_version) in [version("24G90")]`,
		`!(version(device.os_version) in [version("24G90")])`} {
		got := unguarded(t, environment, text).judge(func(string) signals.Value { return signals.Text("15.6") })
		if got != StatusUnknown {
			t.Errorf("%s is %v, want unknown", text, got)
		}
	}
}
