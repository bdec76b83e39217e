package policy

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Versions are compared by our own rules. The libraries take the tail of 6.8.0-31-generic for text, where "9" stands
// behind "31", and so let an old kernel pass for a newer one.
//
//	kind      example                          ordered by
//	dotted    10.0.22631.3593, 15.6, 17        its numbers; missing ones are 0
//	rapid     15.6.1 (a), 13.4.1(c)            its numbers, then the letter; 15.6.1 < 15.6.1 (a) < 15.6.2
//	kernel    6.8.0-31-generic                 its numbers, then the tail's, see kernelTail
//	build     24G90, 22F76a, 23C5030f          release train, seeds before what was released, number, letter
//	release   22H2                             year and half
//	date      2026-10-05                       a day of the calendar
//
// Two versions are comparable if they are of one kind, or if one is dotted and the other a kernel or a rapid response.
// Anything else (a marketing name, "macOS 13.5", "14.5 (23F79)", a release candidate) is no version at all.

type versionKind uint8

const (
	versionDotted versionKind = iota + 1
	versionRapid
	versionKernel
	versionBuild
	versionRelease
	versionDate
)

// version is one parsed version. Its groups of numbers are compared one after the other; a number is written in decimal
// digits without leading zeros, so that none is too large, and 0 is "".
type version struct {
	kind   versionKind
	groups [3][]string
}

// parseVersion reads text, which may be anything. It reports false for what is no version.
func parseVersion(text string) (version, bool) {
	for _, parse := range []func(string) (version, bool){parseDate, parseRelease, parseBuild, parseDotted} {
		if v, ok := parse(text); ok {
			return v, true
		}
	}
	return version{}, false
}

// compare orders v and w as cmp.Compare does, and reports false if they cannot be compared.
func (v version) compare(w version) (int, bool) {
	if !v.comparable(w) {
		return 0, false
	}
	for i := range v.groups {
		if order := compareNumbers(v.groups[i], w.groups[i]); order != 0 {
			return order, true
		}
	}
	return 0, true
}

func (v version) comparable(w version) bool {
	extendsDotted := func(k versionKind) bool { return k == versionRapid || k == versionKernel }
	switch {
	case v.kind == 0 || w.kind == 0:
		return false
	case v.kind == w.kind:
		return true
	}
	return v.kind == versionDotted && extendsDotted(w.kind) || extendsDotted(v.kind) && w.kind == versionDotted
}

// compareNumbers takes a missing number for 0.
func compareNumbers(a, b []string) int {
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if order := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); order != 0 {
			return order
		}
	}
	return 0
}

// parseDate reads an Android security patch level.
func parseDate(text string) (version, bool) {
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return version{}, false
	}
	return version{kind: versionDate, groups: [3][]string{{number(text[:4]), number(text[5:7]), number(text[8:])}}}, true
}

// parseRelease reads a name of a Windows feature update. It would pass for an Apple build, whose numbers are greater.
func parseRelease(text string) (version, bool) {
	if len(text) != 4 || text[2] != 'H' || text[3] != '1' && text[3] != '2' {
		return version{}, false
	}
	year, rest := cutDigits(text)
	if rest != text[2:] {
		return version{}, false
	}
	return version{kind: versionRelease, groups: [3][]string{{year, text[3:]}}}, true
}

// parseBuild reads a build of Apple's: the train (22F), a number, and for seeds and rapid responses a letter. The
// number of a seed is 5000 and more, yet every seed (23C5030f) is older than what its train released (23C64).
func parseBuild(text string) (version, bool) {
	major, rest := cutDigits(text)
	if len(rest) == len(text) || rest == "" || rest[0] < 'A' || rest[0] > 'Z' {
		return version{}, false
	}
	train := ordinal(rest[0] - 'A')
	build, suffix := cutDigits(rest[1:])
	switch {
	case len(suffix) == len(rest)-1, len(suffix) > 1:
		return version{}, false
	case suffix == "":
		return version{kind: versionBuild, groups: [3][]string{{major, train, "1", build}}}, true
	case suffix[0] < 'a' || suffix[0] > 'z':
		return version{}, false
	}
	released := "1"
	if len(build) == 4 && build[0] == '5' {
		released = ""
	}
	letter := ordinal(suffix[0] - 'a')
	return version{kind: versionBuild, groups: [3][]string{{major, train, released, build, letter}}}, true
}

// parseDotted reads dotted numbers and what may follow two of them or more: the letter of a rapid response in
// parentheses, or the tail of a kernel.
func parseDotted(text string) (version, bool) {
	var numbers []string
	rest := text
	for {
		n, after := cutDigits(rest)
		if len(after) == len(rest) {
			return version{}, false
		}
		numbers, rest = append(numbers, n), after
		if !strings.HasPrefix(rest, ".") {
			break
		}
		rest = rest[1:]
	}
	switch {
	case rest == "":
		return version{kind: versionDotted, groups: [3][]string{numbers}}, true
	case len(numbers) < 2:
		return version{}, false
	case rest[0] == '-' || rest[0] == '+':
		abi, flavour, ok := kernelTail(rest)
		return version{kind: versionKernel, groups: [3][]string{numbers, abi, flavour}}, ok
	}
	letter := strings.TrimPrefix(rest, " ")
	if len(letter) != 3 || letter[0] != '(' || letter[1] < 'a' || letter[1] > 'z' || letter[2] != ')' {
		return version{}, false
	}
	return version{kind: versionRapid, groups: [3][]string{numbers, {ordinal(letter[1] - 'a')}}}, true
}

// architectures are words of a kernel's tail whose digits are no numbers.
var architectures = []string{"aarch64", "amd64", "arm64", "armv6l", "armv7l", "i386", "i586", "i686", "loong64",
	"loongarch64", "ppc64", "ppc64el", "ppc64le", "riscv64", "s390x", "x86", "x86_64"}

// unreleased are words of a tail that stand for something older than the numbers before it say.
var unreleased = []string{"alpha", "beta", "canary", "dev", "git", "next", "pre", "preview", "rc", "snapshot"}

// kernelTail reads what follows the dotted numbers of a kernel's release: -31-generic, -427.13.1.el9_4.x86_64,
// -microsoft-standard-WSL2, +deb13-amd64. The numbers that it begins with are the ABI and count first; then the
// numbers in its words count (arch2-1 is newer than arch1-1), but for those in an architecture's name. The words
// themselves do not count: kernels of two flavours are compared by their numbers.
func kernelTail(tail string) (abi, flavour []string, ok bool) {
	tail = strings.TrimSuffix(tail, "+") // a kernel built from a changed tree: 6.1.58+
	leading := true
	for tail != "" {
		word := tail[1:]
		word = word[:span(word, func(c byte) bool { return c != '.' && c != '-' && c != '+' })]
		tail = tail[1+len(word):]
		numbers, pure, ok := wordNumbers(word)
		leading = leading && pure
		switch {
		case !ok:
			return nil, nil, false
		case leading:
			abi = append(abi, numbers...)
		case len(numbers) > 0 && !slices.Contains(architectures, word):
			flavour = append(flavour, numbers...)
		}
	}
	return abi, flavour, true
}

// wordNumbers returns the numbers in a word and whether it is nothing but one number.
func wordNumbers(word string) (numbers []string, pure, ok bool) {
	for rest := word; rest != ""; {
		n, after := cutDigits(rest)
		if len(after) < len(rest) {
			numbers, rest = append(numbers, n), after
			continue
		}
		length := span(rest, func(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' })
		switch {
		case length > 0:
			if slices.Contains(unreleased, strings.ToLower(rest[:length])) {
				return nil, false, false
			}
			rest = rest[length:]
		case rest[0] == '_':
			rest = rest[1:]
		default:
			return nil, false, false
		}
	}
	_, rest := cutDigits(word)
	return numbers, rest == "", word != ""
}

// cutDigits cuts the number off that text begins with; rest is text if there is none.
func cutDigits(text string) (n, rest string) {
	length := span(text, func(c byte) bool { return '0' <= c && c <= '9' })
	return number(text[:length]), text[length:]
}

// span is how many bytes at the beginning of text are such ones.
func span(text string, such func(byte) bool) int {
	for i := range len(text) {
		if !such(text[i]) {
			return i
		}
	}
	return len(text)
}

func number(digits string) string { return strings.TrimLeft(digits, "0") }

// ordinal numbers the letters of the alphabet from 10, so that none is taken for "no letter" and all have two digits.
func ordinal(letter byte) string { return strconv.Itoa(int(letter) + 10) }
