package policy

import (
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals"
)

// statusOf compiles an expression as a policy's and judges it over the texts that are known of a device.
func statusOf(t *testing.T, text string, device map[string]string) Status {
	t.Helper()
	environment, err := newEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	e, faults := compileExpression(environment, text)
	if faults != nil {
		t.Fatalf("%s: %v", text, faults)
	}
	return e.judge(func(name string) signals.Value {
		switch known, found := device[name]; {
		case !found:
			return signals.Unknown
		case known == "true" || known == "false":
			return signals.Bool(known == "true")
		default:
			return signals.Text(known)
		}
	})
}

// TestVersionSignalIsThreeValued goes through CEL, as a signal does: what is not known, no version or of another kind
// is unknown, and unknown is neither true nor false under any operator.
func TestVersionSignalIsThreeValued(t *testing.T) {
	t.Parallel()
	const bound = ` version("15.6")`
	for _, c := range []struct {
		expr, osVersion string // "" is not known
		want            Status
	}{
		{"version(device.os_version) <" + bound, "15.5", StatusPassing},
		{"version(device.os_version) <" + bound, "15.6", StatusFailing},
		{"version(device.os_version) <=" + bound, "15.6.0", StatusPassing},
		{"version(device.os_version) <=" + bound, "15.10", StatusFailing},
		{"version(device.os_version) >" + bound, "15.10", StatusPassing},
		{"version(device.os_version) >" + bound, "15.6", StatusFailing},
		{"version(device.os_version) >=" + bound, "15.6.1 (a)", StatusPassing},
		{"version(device.os_version) >=" + bound, "9.9", StatusFailing},
		{"version(device.os_version) ==" + bound, "15.06.0", StatusPassing},
		{"version(device.os_version) ==" + bound, "15.6.1", StatusFailing},
		{"version(device.os_version) !=" + bound, "15.6.1", StatusPassing},
		{"version(device.os_version) !=" + bound, "15.6.0", StatusFailing},
		{bound + " <= version(device.os_version)", "15.7", StatusPassing},
		{"!(version(device.os_version) <" + bound + ")", "15.7", StatusPassing},
		{`["15.5", "15.6"].exists(v, version(device.os_version) == version(v))`, "15.6.0", StatusPassing},
		{`["15.5", "15.6"].exists(v, version(device.os_version) == version(v))`, "15.7", StatusFailing},
		{`["15.5", "15.6"].all(v, version(device.os_version) != version(v))`, "15.7", StatusPassing},
		{`["24G90", "15.6"].exists(v, version(device.os_version) == version(v))`, "15.6", StatusPassing},
		{`["24G90", "15.6"].exists(v, version(device.os_version) == version(v))`, "15.7", StatusUnknown},
		{`["24G90", "15.6"].all(v, version(device.os_version) != version(v))`, "15.7", StatusUnknown},
	} {
		if got := statusOf(t, c.expr, map[string]string{"os_version": c.osVersion}); got != c.want {
			t.Errorf("%s with %q is %v, want %v", c.expr, c.osVersion, got, c.want)
		}
	}
	devices := map[string]map[string]string{
		"not known": {}, "no version": {"os_version": "Monterey (12)"}, "of another kind": {"os_version": "24G90"},
	}
	for what, device := range devices {
		for _, operator := range []string{"<", "<=", ">", ">=", "==", "!="} {
			x := "version(device.os_version) " + operator + bound
			mirrored := bound + " " + operator + " version(device.os_version)"
			for expr, want := range map[string]Status{
				x: StatusUnknown, mirrored: StatusUnknown, "!(" + x + ")": StatusUnknown, "!!(" + x + ")": StatusUnknown,
				"true || " + x: StatusPassing, x + " || true": StatusPassing,
				"false || " + x: StatusUnknown, x + " || false": StatusUnknown,
				"false && " + x: StatusFailing, x + " && false": StatusFailing,
				"true && " + x: StatusUnknown, x + " && true": StatusUnknown,
				"(" + x + ") == true": StatusUnknown, "(" + x + ") != true": StatusUnknown, "(" + x + ") != false": StatusUnknown,
				"(" + x + ") ? true : true":  StatusUnknown, // CEL does not look into the branches
				"true ? (" + x + ") : false": StatusUnknown, "false ? (" + x + ") : false": StatusFailing,
				"(" + x + ") || !(" + x + ")": StatusUnknown,
				"[" + x + "].exists(b, b)":    StatusUnknown, "true in [" + x + "]": StatusUnknown,
				"[true, false].exists(b, b || " + x + ")": StatusPassing, "[true, false].all(b, b && " + x + ")": StatusFailing,
			} {
				if got := statusOf(t, expr, device); got != want {
					t.Errorf("os_version %s: %s is %v, want %v", what, expr, got, want)
				}
			}
		}
	}
}

// TestOSCurrentByPlatform is the signal of the design, on every device that it may meet.
func TestOSCurrentByPlatform(t *testing.T) {
	t.Parallel()
	const expr = `device.platform == "macos" ? version(device.os_version) >= version("15.6") :
		version(device.os_version) >= version("10.0.22631.3593")`
	const either = `version(device.os_version) >=
		(device.platform == "macos" ? version("15.6") : version("10.0.22631.3593"))`
	for _, c := range []struct {
		platform, osVersion string
		want                Status
	}{
		{"macos", "15.6.1", StatusPassing},
		{"macos", "15.5", StatusFailing},
		{"macos", "Sequoia", StatusUnknown},
		{"macos", "", StatusUnknown},
		{"windows", "10.0.22631.3593", StatusPassing},
		{"windows", "10.0.22621.9999", StatusFailing},
		{"windows", "22H2", StatusUnknown},
		{"windows", "", StatusUnknown},
		{"", "15.6.1", StatusUnknown}, // with both branches true, and
		{"", "9.0", StatusUnknown},    // with both false
		{"", "", StatusUnknown},
	} {
		device := map[string]string{}
		if c.platform != "" {
			device["platform"] = c.platform
		}
		if c.osVersion != "" {
			device["os_version"] = c.osVersion
		}
		for _, e := range []string{expr, either} {
			if got := statusOf(t, e, device); got != c.want {
				t.Errorf("%q %q is %v, want %v: %s", c.platform, c.osVersion, got, c.want, e)
			}
		}
	}
}

// TestVersionFaultsSayWhere: what can be seen when the policy is read does not wait for a device.
func TestVersionFaultsSayWhere(t *testing.T) {
	t.Parallel()
	environment, err := newEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ expr, at, message string }{
		{`version(device.os_version) >= version("Sequoia")`, `"Sequoia"`, `"Sequoia" is no version`},
		{`device.platform == "é" || version("15.6 ") > version(device.os_version)`, `"15.6 "`, "is no version"},
		{"device.firewall &&\n  version(device.os_version) == version('')", "''", "is no version"},
		{`["x"].exists(v, version(v) < version("6.8.0-rc1"))&&device.firewall`, `"6.8.0-rc1"`, "is no version"},
		{`device.firewall && version("15.6") < version("24G90")`, `< version("24`, "two kinds"},
		{`device.firewall && version("22H2") != version("22F76")`, `!= version("22F`, "two kinds"},
		{`version(device.os_version) in [version("15.6")]`, `(device.os_version)`, "nothing but a side of"},
		{`[version(device.os_version)] == [version("15.6")]`, `(device.os_version)`, "nothing but a side of"},
		{`[version(device.os_version)].exists(v, v == version("15.6"))`, `(device.os_version)`, "nothing but a side of"},
		{`(device.firewall ? version(device.os_version) : version("1")) in [version("2")]`, `(device.os_version)`,
			"nothing but a side of"},
		{`device.os_version >= "15.6"`, ">=", `"9" stands behind "15"`},
		{`"15.6" < device.os_version`, "<", `"9" stands behind "15"`},
		{`device.firewall && version(device.os_version) > "15.6"`, `> "15`, "no matching overload"},
		{`version(device.firewall) == version("1")`, "(device.f", "no matching overload"},
		{`version(device.edr_risk_score) == version("1")`, "(device.e", "no matching overload"},
		{`version(device.os_version)`, "version", "gives a tiergate.version"},
	} {
		_, faults := compileExpression(environment, c.expr)
		if len(faults) == 0 {
			t.Errorf("%s was accepted", c.expr)
			continue
		}
		runes := []rune(c.expr)
		if rest := string(runes[faults[0].offset:]); !strings.HasPrefix(rest, c.at) {
			t.Errorf("%s: the fault stands at %q, want at %q", c.expr, rest, c.at)
		}
		if !strings.Contains(faults[0].message, c.message) {
			t.Errorf("%s: %q does not say %q", c.expr, faults[0].message, c.message)
		}
	}
	if _, faults := compileExpression(environment,
		`version("x") == version("y") || version(device.os_version) == version("z")`); len(faults) != 3 {
		t.Errorf("%d faults are found in one run, want all 3: %v", len(faults), faults)
	}
}
