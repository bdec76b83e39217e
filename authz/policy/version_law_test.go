package policy

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// versionTexts draws texts of each kind, near misses and anything at all. Numbers are few, so that equal ones meet. The
// first three are of dotted numbers.
func versionTexts() []*rapid.Generator[string] {
	digits := rapid.OneOf(rapid.StringMatching(`0{0,2}[0-3]`), rapid.StringMatching(`[0-9]{1,24}`))
	dotted := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(digits, 1, 5).Draw(t, "numbers"), ".")
	})
	followed := func(pattern string) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			return dotted.Draw(t, "dotted") + rapid.StringMatching(pattern).Draw(t, "tail")
		})
	}
	return []*rapid.Generator[string]{
		dotted,
		followed(` ?\([a-c]\)`),
		followed(`[-+]([0-3]{1,2}[-.]){0,3}(generic|amd64|x86_64|el[89]_[12]|arch[12]-[12]|WSL2|fc40)?\+?`),
		rapid.StringMatching(`[12]{1,2}[A-C](5[0-2]{3}|[0-3]{1,3})[a-c]?`),
		rapid.StringMatching(`2[0-3]H[12]`),
		rapid.StringMatching(`202[0-3]-0[0-3]-[0-3][0-9]`),
		rapid.StringMatching(`[0-9A-Ha-c.()+_ -]{0,10}`),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	}
}

// checkVersionLaws holds three texts to what an order is: total within a kind, antisymmetric, and transitive as
// far as it goes.
func checkVersionLaws(t interface{ Errorf(string, ...any) }, texts [3]string) {
	var v [3]version
	for i, text := range texts {
		parsed, ok := parseVersion(text)
		v[i] = parsed
		if ok == (parsed.kind == 0) {
			t.Errorf("%q: parsed %v, yet its kind is %v", text, ok, parsed.kind)
		}
		if got, want := relation(parsed, parsed), map[bool]string{true: "=", false: "?"}[ok]; got != want {
			t.Errorf("%q %s itself, want %s", text, got, want)
		}
	}
	mirror := map[string]string{"<": ">", ">": "<", "=": "=", "?": "?"}
	for i, a := range v {
		for j, b := range v {
			if ab, ba := relation(a, b), relation(b, a); ab != mirror[ba] {
				t.Errorf("%q %s %q, yet %q %s %q", texts[i], ab, texts[j], texts[j], ba, texts[i])
			}
			if a.kind != 0 && a.kind == b.kind && relation(a, b) == "?" {
				t.Errorf("%q and %q are of one kind and have no order", texts[i], texts[j])
			}
			for k, c := range v {
				ab, bc, ac := relation(a, b), relation(b, c), relation(a, c)
				want := bc
				switch {
				case ab == "?" || bc == "?" || ac == "?", ab != "=" && ab == mirror[bc]:
					continue
				case ab != "=":
					want = ab
				}
				if ac != want {
					t.Errorf("%q %s %q %s %q, yet the first %s the last", texts[i], ab, texts[j], bc, texts[k], ac)
				}
			}
		}
	}
}

func TestVersionsAreOrdered(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		kinds := versionTexts()
		text := rapid.SampledFrom(append(kinds, rapid.OneOf(kinds...))).Draw(t, "kind")
		checkVersionLaws(t, [3]string{text.Draw(t, "a"), text.Draw(t, "b"), text.Draw(t, "c")})
	})
}

// TestVersionPaddingChangesNothing holds .0 at the end of the numbers and 0 before each to be nothing.
func TestVersionPaddingChangesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		kinds := versionTexts()
		text, other := rapid.OneOf(kinds[:3]...).Draw(t, "text"), rapid.OneOf(kinds...).Draw(t, "other")
		v, ok := parseVersion(text)
		if !ok {
			return // one number, and a tail
		}
		end := len(text) - len(strings.TrimLeft(text, "0123456789."))
		padded := "00" + strings.ReplaceAll(text[:end], ".", ".0") + strings.Repeat(".0", rapid.IntRange(0, 3).Draw(t, "n"))
		w, _ := parseVersion(padded + text[end:])
		if got := relation(v, w); got != "=" {
			t.Fatalf("%q %s %q", text, got, padded+text[end:])
		}
		o, _ := parseVersion(other)
		if relation(v, o) != relation(w, o) {
			t.Fatalf("%q is %s than %q, but %q is %s", text, relation(v, o), other, padded+text[end:], relation(w, o))
		}
	})
}

// TestDottedVersionsAreTheirNumbers compares with the obvious: big integers, one by one.
func TestDottedVersionsAreTheirNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.OneOf(rapid.StringMatching(`[0-2]`), rapid.StringMatching(`[0-9]{1,40}`)), 1, 6)
		a, b := numbers.Draw(t, "a"), numbers.Draw(t, "b")
		want := "="
		for i := 0; i < max(len(a), len(b)) && want == "="; i++ {
			want = [...]string{"<", "=", ">"}[bigAt(a, i).Cmp(bigAt(b, i))+1]
		}
		v, ok := parseVersion(strings.Join(a, "."))
		w, okToo := parseVersion(strings.Join(b, "."))
		if got := relation(v, w); !ok || !okToo || got != want {
			t.Fatalf("%v %s %v, want %s", a, got, b, want)
		}
	})
}

func bigAt(numbers []string, i int) *big.Int {
	n := new(big.Int)
	if i < len(numbers) {
		n.SetString(numbers[i], 10)
	}
	return n
}

// TestKernelABIsAreNumbers is the fault that the libraries have.
func TestKernelABIsAreNumbers(t *testing.T) {
	t.Parallel()
	flavour := rapid.SampledFrom([]string{"", "-generic", "-aws", "-amd64", "-cloud-arm64", ".el9_4.x86_64",
		".fc40.x86_64", "-microsoft-standard-WSL2", "-arch1-1"})
	rapid.Check(t, func(t *rapid.T) {
		older := rapid.Uint32().Draw(t, "older")
		newer := uint64(older) + 1 + uint64(rapid.Uint32().Draw(t, "more"))
		a, _ := parseVersion(fmt.Sprintf("6.8.0-%d%s", older, flavour.Draw(t, "flavour")))
		b, _ := parseVersion(fmt.Sprintf("6.8.0-%d%s", newer, flavour.Draw(t, "flavour")))
		if got := relation(a, b); got != "<" {
			t.Fatalf("%v %s %v", a, got, b)
		}
	})
}

// FuzzVersionsCompare: whatever a device says, reading it ends, and the order is one.
func FuzzVersionsCompare(f *testing.F) {
	for _, texts := range [][3]string{
		{"15.6", "15.6.0", "15.10"}, {"10.0.22631.3593", "10.0.22631", "1379"}, {"15.6.1 (a)", "15.6.1", "13.4.1(c)"},
		{"24G90", "22F76a", "23C5030f"}, {"22H2", "22F76", "21H2"}, {"2026-10-05", "2024-05-05", "2026-02-30"},
		{"6.8.0-31-generic", "6.8.0-9-generic", "6.8.0"},
		{"5.14.0-427.13.1.el9_4.x86_64", "5.14.0-427.el9.x86_64", "6.1.58+"},
		{"", "macOS 13.5", "6.8.0-rc1"}, {"\xff\xfe", "１５", "1." + strings.Repeat("9", 99)},
	} {
		f.Add(texts[0], texts[1], texts[2])
	}
	f.Fuzz(func(t *testing.T, a, b, c string) { checkVersionLaws(t, [3]string{a, b, c}) })
}
