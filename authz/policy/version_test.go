package policy

import (
	"strings"
	"testing"
)

// TestVersionsCompare holds what vendors send against each other. "?" is: not comparable.
func TestVersionsCompare(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("9", 400)
	for _, c := range []struct{ a, order, b string }{
		{"15.6", "=", "15.6"},
		{"15.6", "<", "15.10"}, // texts would say otherwise
		{"9", "<", "15.6"},
		{"15.6", "=", "15.6.0.0"},
		{"15", "=", "15.0"},
		{"0", "=", "0.0"},
		{"15.06", "=", "15.6"},
		{"15.6", "<", "15.6.1"},
		{"10.12.6", "<", "11.6.1"},
		{"12.0.1", "<", "14.7.0"},
		{"101.0.4951.59", "<", "125.0.6422.141"},
		{"20.4", "<", "22.04.2"},
		{"10.0.22621.2428", "<", "10.0.22631.3593"},
		{"10.0.22631.3593", "<", "10.0.22631.6199"},
		{"10.0.19042", "<", "10.0.22631.3593"},
		{"10.0.22631", "<", "10.0.22631.3593"},
		{"1083", "<", "1379"},
		{"1." + long, "<", "1.1" + strings.Repeat("0", 400)},
		{"1.18446744073709551616", ">", "1.18446744073709551615"}, // beyond 64 bits
		{"1.18446744073709551616", ">", "1.0"},                    // which would overflow to 0
		{strings.Repeat("0", 300) + "7.1", "=", "7.1"},
		{strings.Repeat("1.", 300) + "1", "<", strings.Repeat("1.", 300) + "2"},

		{"15.6.1", "<", "15.6.1 (a)"},
		{"15.6.1 (a)", "<", "15.6.1 (c)"},
		{"15.6.1 (z)", "<", "15.6.2"},
		{"13.4.1(c)", "=", "13.4.1 (c)"},
		{"13.4 (c)", "=", "13.4.0 (c)"},
		{"16.5.1 (a)", "<", "16.6"},

		{"24G84", "<", "24G90"},
		{"24G90", "<", "24G325"},
		{"16G29", "<", "20D74"},
		{"9A405", "<", "13A603"},
		{"24G90", "<", "25A1"},
		{"24F400", "<", "24G10"},
		{"22F76", "<", "22F76a"},
		{"22F76a", "<", "22F76b"},
		{"22F82", "<", "22F770820b"}, // the rapid response after it
		{"23C5030f", "<", "23C64"},   // a seed of what was released
		{"23C5030f", "<", "23C5041e"},
		{"23C5030e", "<", "23C5030f"},
		{"23B92", "<", "23C5030f"},
		{"20A8372", ">", "20A362"},
		{"24G0090", "=", "24G90"},

		{"21H2", "<", "22H2"},
		{"22H1", "<", "22H2"},
		{"25H2", "=", "25H2"},

		{"2026-10-05", ">", "2026-09-05"},
		{"2024-05-05", "<", "2026-01-01"},
		{"2026-10-05", "=", "2026-10-05"},

		{"6.8.0-31-generic", ">", "6.8.0-9-generic"}, // texts would say otherwise
		{"6.8.0-31-generic", ">", "6.8.0"},
		{"6.8.0-31-generic", "<", "6.8.1"},
		{"6.8.0-31-generic", "=", "6.8.0-31"},
		{"6.8.0-31-generic", "=", "6.8.0-31-aws"}, // flavours: the numbers count
		{"6.8.0-31-lowlatency", "<", "6.8.0-100-generic"},
		{"6.8.0-31-generic", "=", "6.8.0-31-amd64"}, // an architecture is no number
		{"5.4.0-1103-aws", "<", "5.15.0-1057-azure"},
		{"6.1.0-9-amd64", "<", "6.1.0-21-cloud-arm64"},
		{"6.1.0-0.deb11.9-amd64", "<", "6.1.0-0.deb11.21-amd64"},
		{"6.12.43+deb13-amd64", ">", "6.12.9-amd64"},
		{"5.15.153.1-microsoft-standard-WSL2", ">", "5.15.90.1-microsoft-standard-WSL2"},
		{"5.15.153.1-microsoft-standard-WSL2", ">", "5.15"},
		{"5.14.0-427.el9.x86_64", "<", "5.14.0-427.8.1.el9_4.x86_64"}, // 9 is of el9, not of the ABI
		{"5.14.0-427.13.1.el9_4.x86_64", ">", "5.14.0-427.9.1.el9_4.x86_64"},
		{"5.14.0-362.24.1.el9_3.x86_64", "<", "5.14.0-427.el9.aarch64"},
		{"4.18.0-553.el8_10.x86_64", ">", "4.18.0-553.el8_9.x86_64"},
		{"6.8.9-300.fc40.x86_64", ">", "6.8.9-200.fc39.x86_64"},
		{"4.14.336-257.562.amzn2.x86_64", ">", "4.14.336-257.99.amzn2.x86_64"},
		{"6.4.0-150600.23.7-default", ">", "6.4.0-150600.21-default"},
		{"6.9.1-arch1-1", "<", "6.9.1-arch1-2"},
		{"6.9.1-arch1-2", "<", "6.9.1-arch2-1"},
		{"6.1.0-rpi7-rpi-v8", "<", "6.1.0-rpi10-rpi-v8"},
		{"6.1.58+", "=", "6.1.58"},
		{"6.1.21-v8+", ">", "6.1.20-v8+"},

		{"15.6", "?", "24G90"},
		{"15.6", "?", "22H2"},
		{"15.6", "?", "2026-10-05"},
		{"22H2", "?", "22F76"}, // a Windows feature update looks like an Apple build
		{"24G90", "?", "2026-10-05"},
		{"6.8.0-31-generic", "?", "2026-10-05"},
		{"6.8.0-31-generic", "?", "15.6.1 (a)"},
		{"15.6.1 (a)", "?", "24G90"},
		{"15.6", "?", ""},
		{"", "?", ""},
		{"Other", "?", "Other"}, // what is no version does not even equal itself
	} {
		a, _ := parseVersion(c.a)
		b, _ := parseVersion(c.b)
		if got := relation(a, b); got != c.order {
			t.Errorf("%.60s %s %.60s, want %s", c.a, got, c.b, c.order)
		}
		mirrored := map[string]string{"<": ">", ">": "<"}
		want, swapped := mirrored[c.order]
		if !swapped {
			want = c.order
		}
		if got := relation(b, a); got != want {
			t.Errorf("%.60s %s %.60s, want %s", c.b, got, c.a, want)
		}
	}
}

func relation(a, b version) string {
	order, ok := a.compare(b)
	if !ok {
		return "?"
	}
	return [...]string{"<", "=", ">"}[order+1]
}

// TestNoVersion lists what vendors send beside versions, and what is nearly one.
func TestNoVersion(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "Other", "Linux", "null", "unknown", "macOS 13.5", "macOS 10.15.7", "Monterey (12)", "Windows 7",
		"Ubuntu 22.04.2 LTS", "11.2.1 (20D74)", "14.5 (23F79)", "13:2023-05-05", "Version 14.2 (Build 23C5030f)",
		"Os Version value", "Android Security Patch Level value",
		"15.", ".6", "15..6", "15.6 ", " 15.6", "15.6\n", "v15.6", "15,6", "-1", "+1", "15.-6", "1e3", "0x10", "15.6\x00",
		"１５.６", "15.6.1 (A)", "15.6.1 (ab)", "15.6.1 ()", "15.6.1 (1)", "15.6.1  (a)", "15.6.1 (a) ", "15.6.1 a", "15 (a)",
		"24g90", "24G", "G90", "24GG90", "24G90ab", "24G90A", "24G90-1", "22H2 ", "22H2a2",
		"2026-10", "2026-10-5", "2026-13-01", "2026-02-30", "2026-10-05T00:00:00Z", "2026/10/05", "20261005-1",
		"6.8.0-", "6.8.0--31", "6.8.0-31-", "6.8.0-31..1", "6.8.0-31~1", "6.8.0-31 generic", "6.8.0-é", "6.8.0 -31", "6-31",
		"6.8.0-rc1", "6.8.0-rc7-generic", "6.8.0-060800rc3-generic", "6.9.0-0.rc3.31.fc41.x86_64", "15.6-beta",
		"15.6-Beta2", "6.10.0-next-20260101", "1.2.3-alpha.1",
	} {
		if v, ok := parseVersion(text); ok {
			t.Errorf("%q is taken for a version: %v", text, v)
		}
	}
}
