package source_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// Every spelling of SIGNALS: JSON bool, "True"/"False", "Yes"/"No", yes/no/unknown, "", null, absent.
func TestTruth(t *testing.T) {
	for raw, want := range map[string]signals.Value{
		`true`: signals.Bool(true), `"True"`: signals.Bool(true), `"Yes"`: signals.Bool(true),
		`"yes"`:  signals.Bool(true),
		` true `: signals.Bool(true), `"\u0074rue"`: signals.Bool(true),
		`false`: signals.Bool(false), `"False"`: signals.Bool(false), `"No"`: signals.Bool(false),
		`"no"`:      signals.Bool(false),
		`"unknown"`: signals.Unknown, `""`: signals.Unknown, `"not supported"`: signals.Unknown, `1`: signals.Unknown,
		`0`: signals.Unknown, `"1"`: signals.Unknown, `{}`: signals.Unknown, `[true]`: signals.Unknown,
		`"null"`: signals.Unknown, `"on"`: signals.Unknown, `"untrue"`: signals.Unknown, `"yes, but"`: signals.Unknown,
	} {
		if got, said := source.Truth(json.RawMessage(raw)); got != want || !said {
			t.Errorf("%s is %v, said %v; want %v", raw, got, said, want)
		}
	}
	for _, raw := range []string{``, `null`, ` null `} {
		if got, said := source.Truth(json.RawMessage(raw)); got.Known() || said {
			t.Errorf("%q is %v, said %v: it is no statement", raw, got, said)
		}
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]signals.Value{
		"15.6": signals.Text("15.6"), " a b ": signals.Text("a b"), "é": signals.Text("é"),
		"": signals.Unknown, " \t": signals.Unknown, "a\nb": signals.Unknown, "a\u202eb": signals.Unknown,
		"\xff": signals.Unknown, strings.Repeat("x", signals.MaxTextBytes+1): signals.Unknown,
		strings.Repeat("x", signals.MaxTextBytes): signals.Text(strings.Repeat("x", signals.MaxTextBytes)),
	} {
		if got := source.Text(in); got != want {
			t.Errorf("%q is %v, want %v", in, got, want)
		}
	}
}

func TestPlatform(t *testing.T) {
	for want, names := range map[string]string{
		"macos":    "Mac,macOS,darwin,AppleOsX,MAC_OS,MAC_OS_X,Mac OS X,MACOS",
		"windows":  "WinRT,Windows,Windows10,WindowsServer2019,WINDOWS,Microsoft Windows",
		"ipados":   "iPad,iPadOS",
		"ios":      "ios,iOS,IOS,iPhone",
		"linux":    "ubuntu,rhel,Debian,RedHatEnterpriseLinux,Linux,amzn,opensuse-leap",
		"android":  "ANDROID,Android",
		"chromeos": "chrome,ChromeOS,CHROME_OS",
		"":         "Apple,AppleTV,,unknown,not windows,WindowsPhone,darwin2",
	} {
		for name := range strings.SplitSeq(names, ",") {
			got, _ := source.Platform(name).AsText()
			if got != want {
				t.Errorf("%q is %q, want %q", name, got, want)
			}
		}
	}
}

func TestSplitOS(t *testing.T) {
	for _, tt := range []struct {
		platform, text string
		want           source.OS
	}{
		{"macos", "macOS 13.5", source.OS{Version: "13.5"}},
		{"macos", "11.2.1 (20D74)", source.OS{Version: "11.2.1", Build: "20D74"}},
		{"", "14.5 (23F79)", source.OS{Version: "14.5", Build: "23F79"}},
		{"macos", "Version 14.2 (Build 23C5030f)", source.OS{Version: "14.2", Build: "23C5030f"}},
		{"macos", "macOS 13.4.1 (a) (22F770820d)", source.OS{Version: "13.4.1", Build: "22F770820d"}},
		{"macos", "Monterey (12)", source.OS{}},
		{"macos", "macOS Sonoma 14.5", source.OS{Version: "14.5"}},
		{"android", "13:2023-05-05", source.OS{Version: "13", Patch: "2023-05-05"}},
		{"linux", "Ubuntu 22.04.2 LTS", source.OS{Version: "22.04.2"}},
		{"linux", "Ubuntu 20.04.6 LTS (Focal Fossa)", source.OS{Version: "20.04.6"}},
		{"linux", "Amazon Linux 2 2.0.0", source.OS{Version: "2.0.0"}},
		{"linux", "SUSE Linux Enterprise Server 15 SP4", source.OS{Version: "15"}},
		{"linux", "Two 1.2 versions 3.4", source.OS{}},
		{"windows", "Windows 11 Pro 23H2 10.0.22631.3593", source.OS{Version: "10.0.22631.3593"}},
		{"windows", "Windows 11 Enterprise", source.OS{}},
		{"", "Microsoft Windows 11 Pro", source.OS{}},
		{"windows", "11", source.OS{}},
		{"windows", "22H2 (19045)", source.OS{Build: "19045"}},
		{"chromeos", "101.0.4951.59", source.OS{Version: "101.0.4951.59"}},
		{"", "", source.OS{}}, {"", "rolling", source.OS{}}, {"", "99999999999999", source.OS{}}, {"", "1..2", source.OS{}},
		{"macos", "13.5 (not a build)", source.OS{Version: "13.5"}}, {"macos", "13.5 (((", source.OS{Version: "13.5"}},
	} {
		if got := source.SplitOS(source.Platform(tt.platform), tt.text); got != tt.want {
			t.Errorf("%s %q is %+v, want %+v", tt.platform, tt.text, got, tt.want)
		}
	}
}

func TestInstant(t *testing.T) {
	for raw, want := range map[string]string{
		`1391182403986`:                         "2014-01-31T15:33:23.986Z",
		`"1391182403986"`:                       "2014-01-31T15:33:23.986Z",
		`1692892514`:                            "2023-08-24T15:55:14Z",
		`"1692892514"`:                          "2023-08-24T15:55:14Z",
		`1700566364.184953`:                     "2023-11-21T11:32:44.184953Z",
		`15203800012`:                           "2451-10-15T21:46:52Z", // an example of SSF; refused later
		`"2020-08-03T12:24:29.968+0000"`:        "2020-08-03T12:24:29.968Z",
		`"2023-08-23T15:51:09Z"`:                "2023-08-23T15:51:09Z",
		`"2024-11-05T10:15:30.123456789-05:00"`: "2024-11-05T15:15:30.123456789Z",
		`"2023-04-21T17:23:15.0716210Z"`:        "2023-04-21T17:23:15.071621Z",
		`"2022-06-24 14:20:19.961496+00:00"`:    "2022-06-24T14:20:19.961496Z",
		`"2022-08-15 13:51:01 +0000"`:           "2022-08-15T13:51:01Z",
		`"\/Date(1391182403986)\/"`:             "2014-01-31T15:33:23.986Z",
	} {
		got, err := source.Instant(json.RawMessage(raw))
		if err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s is %v, %v; want %s", raw, got, err, want)
		}
	}
	for _, raw := range []string{``, `null`, `""`, `0`, `"0"`, `"0001-01-01T00:00:00Z"`, `"0001-01-01T00:00:00.000"`,
		`"9999-12-31 23:59:59.9999999"`, `"1970-01-01T00:00:00Z"`, `"0000-00-00T00:00:00Z"`, `"1969-12-31T16:00:00-08:00"`,
		`1`, `-5`, `"\/Date(-62135596800000)\/"`, `9e15`} {
		if got, err := source.Instant(json.RawMessage(raw)); err != nil || !got.IsZero() {
			t.Errorf("%s is %v, %v: it stands for no date", raw, got, err)
		}
	}
	for _, raw := range []string{`"18 minutes ago"`, `"2020-08-03 12:24:29"`, `"2021-06-28T04:35:20.150"`, `{}`, `[1]`,
		`true`, `1e300`, `"1.2.3"`, `"."`, `"2023-02-30T00:00:00Z"`, `"2023-08-23"`,
		`"/Date(99999999999999999999)/"`, `"NaN"`} {
		if got, err := source.Instant(json.RawMessage(raw)); err == nil || !got.IsZero() {
			t.Errorf("%s is %v: it cannot be read", raw, got)
		}
	}
}

func TestInstantUTC(t *testing.T) {
	for text, want := range map[string]string{
		"2021-06-28T04:35:20.150":      "2021-06-28T04:35:20.15Z",
		"2023-10-26 12:23:58.7994868":  "2023-10-26T12:23:58.7994868Z",
		"2023-10-26T12:23:58.7+02:00":  "2023-10-26T10:23:58.7Z",
		" 2023-10-26T12:23:58.7+0200 ": "2023-10-26T10:23:58.7Z",
	} {
		if got, err := source.InstantUTC(text); err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s is %v, %v; want %s", text, got, err, want)
		}
	}
	if got, err := source.InstantUTC("yesterday"); err == nil {
		t.Errorf("yesterday is %v", got)
	}
}

// FuzzSpellNeverInvents: whatever a vendor writes, no reader panics, a truth is one of the four words, what is read
// fits the vocabulary, every part of an OS stands in its text, and an instant is in UTC, can be stored, and reads back
// alike.
func FuzzSpellNeverInvents(f *testing.F) {
	for _, seed := range []string{"true", `"Yes"`, "null", "macOS 13.5", "11.2.1 (20D74)", "13:2023-05-05",
		`"2023-08-23T15:51:09Z"`, "1391182403986", `"\/Date(1391182403986)\/"`, "AppleOsX",
		"Windows 11 Pro 23H2 10.0.22631.3593", "((1.2)(", "-1e11"} {
		f.Add(seed)
	}
	platform, _ := signals.LookupAttribute("platform")
	f.Fuzz(func(t *testing.T, text string) {
		v, said := source.Truth(json.RawMessage(text))
		if v.Known() && (!said || !strings.Contains("true false yes no", wordOf(text))) {
			t.Fatalf("%q is %v, said %v", text, v, said)
		}
		if p := source.Platform(text); !platform.Accepts(p) {
			t.Fatalf("%q is the platform %v", text, p)
		}
		for _, p := range []signals.Value{signals.Unknown, signals.Text("windows")} {
			os := source.SplitOS(p, text)
			for _, part := range []string{os.Version, os.Build, os.Patch} {
				if !strings.Contains(text, part) || len(part) > signals.MaxTextBytes {
					t.Fatalf("%q has %+v", text, os)
				}
			}
			if p.Known() && os.Patch == "" && os.Version != "" && strings.Count(os.Version, ".") < 2 {
				t.Fatalf("a Windows %q has %+v: a name is no version", text, os)
			}
		}
		at, err := source.Instant(json.RawMessage(text))
		if err != nil {
			if !at.IsZero() {
				t.Fatalf("%q is %v and %v", text, at, err)
			}
			return
		}
		stored, err := at.MarshalJSON()
		if err != nil || at.Location() != time.UTC {
			t.Fatalf("%q is %v: %v", text, at, err)
		}
		if again, err := source.Instant(stored); err != nil || !again.Equal(at) {
			t.Fatalf("%q is %v, and stored %v: %v", text, at, again, err)
		}
	})
}

// wordOf is the text of a JSON string, or raw itself, in lower case without the blanks around it.
func wordOf(raw string) string {
	word := raw
	_ = json.Unmarshal([]byte(raw), &word) // what is no string stays as it is
	return strings.ToLower(strings.TrimSpace(word))
}
