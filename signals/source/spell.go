package source

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tiergate/tiergate/signals"
)

// This file and spell_time.go read what every vendor spells in its own way. What is not understood is unknown, never
// false and never true: a word that a vendor adds next year must not make a device healthier.

// Truth reads a member that should be a boolean: true, "True", "Yes", "yes" and their opposites; anything else that
// stands there ("", "unknown", 1, an object) is unknown. said is false for null and for a member that is absent (raw is
// empty): the vendor makes no statement, and what it said before goes on ageing.
func Truth(raw json.RawMessage) (v signals.Value, said bool) {
	switch strings.TrimSpace(string(raw)) {
	case "", "null":
		return signals.Unknown, false
	case "true":
		return signals.Bool(true), true
	case "false":
		return signals.Bool(false), true
	}
	var word string
	if json.Unmarshal(raw, &word) != nil {
		return signals.Unknown, true
	}
	return TruthText(word), true
}

// TruthText is Truth for a text, as an element of XML has it: true/false and yes/no in any case, else unknown.
func TruthText(word string) signals.Value {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "true", "yes":
		return signals.Bool(true)
	case "false", "no":
		return signals.Bool(false)
	}
	return signals.Unknown
}

// Text is a fact that is free text: without the blanks around it, 1 to signals.MaxTextBytes bytes, all printable; else
// unknown.
func Text(s string) signals.Value {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > signals.MaxTextBytes || !utf8.ValidString(s) ||
		strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return signals.Unknown
	}
	return signals.Text(s)
}

// platforms are the vendors' names of the platforms, in lower case, without blanks, dashes and underscores. Workspace
// ONE's "Apple" is iOS there and a maker elsewhere, so it is that adapter's to know. An Apple TV or a watch is none.
var platforms = map[string]string{
	"mac": "macos", "macos": "macos", "macosx": "macos", "osx": "macos", "darwin": "macos", "appleosx": "macos",
	"winrt": "windows", "microsoftwindows": "windows",
	"iphone": "ios", "ios": "ios", "ipod": "ios", "ipodtouch": "ios", "ipad": "ipados", "ipados": "ipados",
	"android": "android", "chrome": "chromeos", "chromeos": "chromeos",
	"linux": "linux", "ubuntu": "linux", "debian": "linux", "rhel": "linux", "redhat": "linux",
	"redhatenterpriselinux": "linux", "centos": "linux", "fedora": "linux", "amzn": "linux", "amazonlinux": "linux",
	"arch": "linux", "manjaro": "linux", "kali": "linux", "linuxmint": "linux", "pop": "linux", "gentoo": "linux",
	"sles": "linux", "suse": "linux", "opensuse": "linux", "opensuseleap": "linux", "opensusetumbleweed": "linux",
	"nixos": "linux", "rocky": "linux", "almalinux": "linux", "ol": "linux", "raspbian": "linux", "void": "linux",
	"tuxedo": "linux", "endeavouros": "linux",
}

var platformBlanks = strings.NewReplacer(" ", "", "-", "", "_", "", ".", "")

// Platform reads the name of an operating system as any vendor writes it: macos, windows, linux, ios, ipados, android,
// chromeos, or unknown. What begins with "Windows" (Windows10, WindowsServer2019) is Windows.
func Platform(name string) signals.Value {
	bare := platformBlanks.Replace(strings.ToLower(strings.TrimSpace(name)))
	if found := platforms[bare]; found != "" {
		return signals.Text(found)
	}
	if strings.HasPrefix(bare, "windows") && !strings.HasPrefix(bare, "windowsphone") {
		return signals.Text("windows")
	}
	return signals.Unknown
}

// OS is what one text says of an operating system. Empty: it does not say.
type OS struct {
	Version string // digits and dots: 13.5
	Build   string // 20D74
	Patch   string // Android's security patch level: 2023-05-05
}

var (
	bracketed  = regexp.MustCompile(`\(([^()]*)\)`)
	buildShape = regexp.MustCompile(`^(?:[Bb]uild +)?([0-9][0-9A-Za-z.]{1,30})$`)
	dotted     = regexp.MustCompile(`^[0-9]{1,10}(\.[0-9]{1,10}){0,5}$`)
	androidOS  = regexp.MustCompile(`^([0-9]{1,3}(?:\.[0-9]{1,3}){0,2}):([0-9]{4}-[0-9]{2}-[0-9]{2})$`)
)

// SplitOS takes apart "macOS 13.5", "11.2.1 (20D74)", "Version 14.2 (Build 23C5030f)", "Ubuntu 22.04.2 LTS",
// "13:2023-05-05" (Android) and "Windows 11 Pro 23H2 10.0.22631.3593". platform is what Platform read, or unknown.
//
// Names are no versions: the 11 of "Windows 11" is more than the 10.0 of each Windows 11, and would pass every demand.
// So Windows has a version only where all its parts stand, from 10.0.x on, and where two numbers are left the text does
// not say which of them it is.
func SplitOS(platform signals.Value, text string) OS {
	text = strings.TrimSpace(text)
	if m := androidOS.FindStringSubmatch(text); m != nil {
		return OS{Version: m[1], Patch: m[2]}
	}
	var os OS
	os.Version = version(platform, strings.Fields(bracketed.ReplaceAllString(text, " ")))
	windows := isWindows(platform, text)
	for _, m := range bracketed.FindAllStringSubmatch(text, -1) {
		shape := buildShape.FindStringSubmatch(strings.TrimSpace(m[1]))
		if shape != nil && os.Build == "" && (os.Version != "" || windows) {
			os.Build = shape[1]
		}
	}
	return os
}

func isWindows(platform signals.Value, text string) bool {
	return platform == signals.Text("windows") || strings.Contains(strings.ToLower(text), "windows")
}

// version finds the one number among the words; of several the one with dots.
func version(platform signals.Value, words []string) string {
	windows := isWindows(platform, strings.Join(words, " "))
	var all, withDots []string
	for _, word := range words {
		if !dotted.MatchString(word) || windows && strings.Count(word, ".") < 2 {
			continue
		}
		all = append(all, word)
		if strings.Contains(word, ".") {
			withDots = append(withDots, word)
		}
	}
	switch {
	case len(all) == 1:
		return all[0]
	case len(withDots) == 1:
		return withDots[0]
	}
	return ""
}
