package evidence

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"
)

// applied is what Apply yields, in the words of read, and a result that is wrong.
func applied(from io.Reader, workers int) (said []string) {
	for r, err := range Apply(from, workers, func(r *Record) string { return "worked on " + r.ID }) {
		switch {
		case err != nil:
			said = append(said, err.Error())
		case r.ID == "":
			said = append(said, fmt.Sprintf("lost %d", r.Lost))
		case r.Result != "worked on "+r.ID:
			said = append(said, r.ID+" has the result of another: "+r.Result)
		case r.Annulled:
			said = append(said, "not "+r.ID)
		default:
			said = append(said, r.ID)
		}
	}
	return said
}

// TestApplyIsRead: the same records, errors and annulled ones in the same order as Read, whatever the number of workers and
// wherever a batch is cut.
func TestApplyIsRead(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for i := range 3 * applyLines {
		id := fmt.Sprintf("id%d", i)
		all.WriteString(linesOf(t, line{Record: sample(id)}))
		switch i % 97 {
		case 3:
			all.WriteString(linesOf(t, line{Annul: fmt.Sprintf("id%d", max(0, i-i%250))}))
		case 11:
			all.WriteString("no line\n")
		case 17:
			all.WriteString(linesOf(t, line{Lost: uint64(i)}))
		case 29:
			all.WriteString(linesOf(t, line{Annul: "nobody"}))
		case 31:
			all.WriteString(`{"v":1,"id":"two"} {"v":1}` + "\n" + `{"v":1,"v":2,"id":"x"}` + "\n")
		}
	}
	for name, text := range map[string]string{"whole": all.String(), "torn": all.String() + `{"v":1,`, "empty": "",
		"too long": linesOf(t, line{Record: sample("first")}) + strings.Repeat("x", maxLineBytes+2) + "\n" + linesOf(t, line{Record: sample("last")})} {
		want := read(strings.NewReader(text))
		for _, workers := range []int{0, 1, 2, 7} {
			got := applied(strings.NewReader(text), workers)
			if len(got) != len(want) {
				t.Fatalf("%s: %d yielded by %d workers, want %d", name, len(got), workers, len(want))
			}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("%s: %d workers: place %d: %q, want %q", name, workers, i, got[i], want[i])
				}
			}
		}
	}
}

// TestApplyEnds: a reader that fails is told once, and a caller that wants no more leaves no goroutine and little read.
func TestApplyEnds(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	good := linesOf(t, line{Record: sample("good")})
	broken := errors.New("the disk is gone")
	got := applied(io.MultiReader(strings.NewReader(good), iotest.ErrReader(broken)), 2)
	if len(got) != 2 || got[0] != "good" || got[1] != "line 2: the disk is gone" {
		t.Errorf("%q", got)
	}
	endless := &endlessReader{line: []byte(good)}
	n := 0
	for range Apply(endless, 2, func(*Record) int { return 0 }) {
		if n++; n == 1000 {
			break
		}
	}
	if most := int64(len(good)) * 20 * applyLines; endless.read.Load() > most {
		t.Errorf("%d bytes were read for 1000 records", endless.read.Load())
	}
}

// endlessReader repeats a line for ever.
type endlessReader struct {
	line []byte
	at   int
	read atomic.Int64
}

func (r *endlessReader) Read(p []byte) (int, error) {
	n := copy(p, r.line[r.at:])
	r.at = (r.at + n) % len(r.line)
	r.read.Add(int64(n))
	return n, nil
}
