package evidence

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// linesOf writes records and other lines as the recorder does.
func linesOf(t testing.TB, all ...line) string {
	t.Helper()
	var e encoder
	for _, l := range all {
		l.V = Version
		if err := e.add(l); err != nil {
			t.Fatal(err)
		}
	}
	return e.buffer.String()
}

// read is what Read yields, in words.
func read(from io.Reader) (said []string) {
	for r, err := range Read(from) {
		switch {
		case err != nil:
			said = append(said, err.Error())
		case r.Change != nil:
			said = append(said, string(r.Change.Kind)+" "+r.Change.Policy)
		case r.ID == "":
			said = append(said, fmt.Sprintf("lost %d", r.Lost))
		case r.Annulled:
			said = append(said, "not "+r.ID)
		default:
			said = append(said, r.ID)
		}
	}
	return said
}

// TestReadSaysWhatIsWrong: which line, what, and goes on behind it.
func TestReadSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	good := linesOf(t, line{Record: sample("good")})
	for name, tt := range map[string]struct{ text, want string }{
		"an empty line":           {"\n", "line 2: it is no line of evidence: "},
		"no JSON":                 {"hello\n", "line 2: it is no line of evidence: "},
		"zeros":                   {"\x00\x00\n", "line 2: it is no line of evidence: "},
		"no version":              {"{}\n", "it has no version"},
		"a later version":         {strings.Replace(good, `"v":1`, `"v":2`, 1), "it has version 2, this tiergate reads 1; read it with the tiergate that wrote it"},
		"a version that is none":  {`{"v":"1"}` + "\n", "it is no line of evidence"},
		"a field of a later one":  {strings.Replace(good, `"request":{`, `"request":{"port":1,`, 1), `unknown field "port"`},
		"another outcome":         {strings.Replace(good, `"allow"`, `"perhaps"`, 1), `"perhaps" is no outcome`},
		"two lines in one":        {strings.TrimSuffix(good, "\n") + good, "line 2: it is no line of evidence: "},
		"half a byte":             {strings.Replace(good, "/reports", "/\uFFFDf", 1), "U+FFFD without the two hex digits"},
		"nothing":                 {`{"v":1}` + "\n", "it says not exactly one of"},
		"no id":                   {strings.Replace(good, `"id":"good",`, "", 1), "it says not exactly one of"},
		"two things":              {`{"v":1,"annul":"good","lost":1}` + "\n", "it says not exactly one of"},
		"annuls what is not here": {linesOf(t, line{Annul: "else"}), `line 2: it annuls "else", which is none of the 256 records before it`},
		"too long":                {strings.Repeat("x", maxLineBytes+2) + "\n", "line 2: it is longer than 16777216 bytes"},
		"far too long":            {strings.Repeat("x", 3*maxLineBytes) + "\n", "line 2: it is longer than 16777216 bytes"},
	} {
		got := read(strings.NewReader(good + tt.text + good))
		if len(got) != 3 || got[0] != "good" || !strings.Contains(got[1], tt.want) || got[2] != "good" {
			t.Errorf("%s: %q, want %q between two good ones", name, got, tt.want)
		}
	}
}

// TestReadEnds: half a line is told as such, and so is a reader that fails.
func TestReadEnds(t *testing.T) {
	t.Parallel()
	good := linesOf(t, line{Record: sample("good")})
	for _, torn := range []string{"x", good[:len(good)-1], strings.Repeat("x", maxLineBytes+2), strings.Repeat("x", 2*maxLineBytes)} {
		var last error
		n := 0
		for _, err := range Read(strings.NewReader(good + torn)) {
			last = err
			n++
		}
		if n != 2 || !errors.Is(last, ErrTorn) || last.Error() != "line 2: the last line is torn" {
			t.Errorf("%.20q: %v after %d", torn, last, n)
		}
	}
	fault := errors.New("the disk is gone")
	for _, rest := range []string{"", "half"} {
		got := read(io.MultiReader(strings.NewReader(good+rest), iotest.ErrReader(fault)))
		if len(got) != 2 || got[1] != "line 2: the disk is gone" {
			t.Errorf("%q", got)
		}
	}
	if got := read(iotest.OneByteReader(strings.NewReader(good + good))); len(got) != 2 {
		t.Errorf("byte by byte: %q", got)
	}
	if got := read(strings.NewReader("")); got != nil {
		t.Errorf("nothing is read as %q", got)
	}
}

// TestReadHonoursAnnulments: as far behind the record as the recorder writes them, of the newest record of that id, and
// also where the reader stops early.
func TestReadHonoursAnnulments(t *testing.T) {
	t.Parallel()
	late := []line{{Record: sample("late")}}
	for i := range batchEntries - 1 {
		late = append(late, line{Record: sample(fmt.Sprint(i))})
	}
	text := linesOf(t, append(late, line{Annul: "late"}, line{Annul: "7"}, line{Lost: 3}, line{Record: sample("late")})...)
	got := read(strings.NewReader(text))
	if len(got) != batchEntries+2 || got[0] != "not late" || got[8] != "not 7" || got[9] != "8" ||
		got[batchEntries] != "lost 3" || got[batchEntries+1] != "late" {
		t.Errorf("%q", got)
	}
	for stop := range 4 {
		n := 0
		for range Read(strings.NewReader(text)) {
			if n++; n > stop {
				break
			}
		}
	}
	far := linesOf(t, append(late, line{Record: sample("one more")}, line{Annul: "late"})...)
	if got := read(strings.NewReader(far)); got[0] != "late" || !strings.Contains(got[len(got)-1], "it annuls") {
		t.Errorf("too far behind: %q", got)
	}
}

// TestReadHoldsLittle: long lines are let go before there are many of them.
func TestReadHoldsLittle(t *testing.T) {
	t.Parallel()
	one := strings.Repeat("x", 1<<20) + "\n" // no line of ours, and held back like one
	yielded, from := 0, 0
	count := writerFunc(func(p []byte) (int, error) {
		from += len(p)
		if held := from/len(one) - yielded; held > heldBytes>>20+2 {
			t.Fatalf("%d MiB are held", held)
		}
		return len(p), nil
	})
	for range Read(io.TeeReader(strings.NewReader(strings.Repeat(one, 40)), count)) {
		yielded++
	}
	if yielded != 40 {
		t.Errorf("%d lines", yielded)
	}
}

// writerFunc is an io.Writer.
type writerFunc func(p []byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }

func FuzzReadNeverPanics(f *testing.F) {
	f.Add([]byte(linesOf(f, line{Record: sample("1")}, line{Annul: "1"}, line{Lost: 1})))
	f.Add([]byte(linesOf(f, line{Change: moved("sha256:01")}, line{Record: sample("1")}, line{Annul: "1"})))
	f.Add([]byte("{\"v\":1,\"id\":\"\uFFFDff\"}\n{\"v\":1,\"annul\":\"\\ufffd00\"}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for r, err := range Read(strings.NewReader(string(text))) {
			if said := r.ID != "" || r.Lost != 0; err == nil && said == (r.Change != nil) {
				t.Fatal("a record that says nothing, or two things")
			}
		}
	})
}
