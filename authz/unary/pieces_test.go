package unary_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/unary"
)

// one request of a session, and how it is cut into frames.
type asked struct {
	path, text string
	frames     []int // lengths of DATA frames; what is left goes into a last one
	padded     int
	trailers   bool
	split      int // where its header block is cut, 0: nowhere
}

func drawAsked(t *rapid.T) asked {
	a := asked{path: rapid.SampledFrom([]string{echoPath, echoPath, slowPath}).Draw(t, "path"),
		text:   strings.Repeat(rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "word"), rapid.SampledFrom([]int{0, 1, 40, 400, 4000}).Draw(t, "times")),
		frames: rapid.SliceOfN(rapid.IntRange(0, 3000), 0, 4).Draw(t, "frames"), padded: rapid.IntRange(0, 255).Draw(t, "padded"),
		trailers: rapid.Bool().Draw(t, "trailers"), split: rapid.IntRange(0, 5).Draw(t, "split")}
	return a
}

// frames are a session's bytes, with requests interleaved, and the text that each stream asks for.
func frames(t *rapid.T, requests []asked) (wire []byte, want map[uint32]string) {
	var out bytes.Buffer
	c := &client{framer: http2.NewFramer(&out, nil), next: 1}
	c.framer.AllowIllegalWrites = true
	c.hpack = hpack.NewEncoder(&c.block)
	out.WriteString(http2.ClientPreface)
	_ = c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(rapid.SampledFrom([]int{0, 1, 100, 65_535}).Draw(t, "window"))})
	want = map[uint32]string{}
	type part func()
	var lines [][]part
	for i, a := range requests {
		id := uint32(2*i + 1)
		want[id] = a.text
		block := c.head(a.path, "x-nth", fmt.Sprint(i)) // in the order of their streams: the table is shared
		lines = append(lines, nil)
		first := func() {
			cut := len(block)
			if a.split > 0 {
				cut = min(cut, 7*a.split)
			}
			_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:cut], EndHeaders: cut == len(block),
				PadLength: uint8(a.padded)})
			if cut < len(block) {
				_ = c.framer.WriteContinuation(id, true, block[cut:])
			}
		}
		first() // streams open in order; what follows is interleaved
		rest := message(a.text)
		for _, n := range a.frames {
			piece := rest[:min(n, len(rest))]
			rest = rest[len(piece):]
			lines[i] = append(lines[i], func() { _ = c.framer.WriteDataPadded(id, false, piece, make([]byte, a.padded)) })
		}
		for len(rest) > 16_000 {
			piece := rest[:16_000]
			rest = rest[16_000:]
			lines[i] = append(lines[i], func() { _ = c.framer.WriteData(id, false, piece) })
		}
		lines[i] = append(lines[i], func() { _ = c.framer.WriteData(id, !a.trailers, rest) })
		if a.trailers {
			lines[i] = append(lines[i], func() {
				_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: true,
					BlockFragment: []byte("\x00\x01a\x01b")})
			})
		}
	}
	for left := len(lines); left > 0; {
		i := rapid.IntRange(0, len(lines)-1).Draw(t, "turn")
		for len(lines[i]) == 0 {
			i = (i + 1) % len(lines)
		}
		lines[i][0]()
		if lines[i] = lines[i][1:]; len(lines[i]) == 0 {
			left--
		}
	}
	return out.Bytes(), want
}

// TestAnyPieces: however requests are cut into frames and frames into reads, and however little the client takes at once,
// each is answered with what it asked.
func TestAnyPieces(t *testing.T) {
	address, _ := listen(t, unary.Options{Methods: methods(closed())})
	rapid.Check(t, func(rt *rapid.T) {
		requests := rapid.SliceOfN(rapid.Custom(drawAsked), 1, 12).Draw(rt, "requests")
		wire, want := frames(rt, requests)
		seed := rapid.Uint64().Draw(rt, "reads")
		nc, err := net.Dial("unix", address)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
		written := make(chan struct{})
		random := rand.New(rand.NewPCG(seed, 0))
		go func() {
			defer close(written)
			for rest := wire; len(rest) > 0; {
				n := min(len(rest), 1+random.IntN(5000))
				if random.IntN(4) == 0 {
					n = min(len(rest), 1+random.IntN(12))
				}
				if _, err := nc.Write(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
		}()
		got := answers(rt, nc, want, written)
		for id, text := range want {
			if got[id] != text {
				rt.Errorf("stream %d: %.60q (%d bytes), want %.60q (%d bytes)", id, got[id], len(got[id]), text, len(text))
			}
		}
	})
}

// answers reads until all streams are answered, and gives windows in small pieces.
func answers(t *rapid.T, nc net.Conn, want map[uint32]string, written <-chan struct{}) map[uint32]string {
	framer := http2.NewFramer(nc, nc)
	bodies, got := map[uint32][]byte{}, map[uint32]string{}
	<-written // our own frames go between those of the session only when it is written
	for id := range want {
		_ = framer.WriteWindowUpdate(id, 1000)
	}
	for len(got) < len(want) {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("%d of %d are answered: %v", len(got), len(want), err)
		}
		id := f.Header().StreamID
		switch f := f.(type) {
		case *http2.DataFrame:
			bodies[id] = append(bodies[id], f.Data()...)
			if len(f.Data()) > 0 {
				_ = framer.WriteWindowUpdate(id, uint32(len(f.Data())))
				_ = framer.WriteWindowUpdate(0, uint32(len(f.Data())))
			}
		case *http2.HeadersFrame:
			if f.StreamEnded() {
				got[id] = string(bodies[id][min(5, len(bodies[id])):])
			}
		case *http2.RSTStreamFrame:
			t.Fatalf("stream %d is reset: %v", id, f.ErrCode)
		case *http2.GoAwayFrame:
			t.Fatalf("GOAWAY %v %s", f.ErrCode, f.DebugData())
		}
	}
	return got
}

func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// FuzzConnection: whatever a client sends after its preface, the server neither fails nor hangs, and a method never gets
// more than it may.
func FuzzConnection(f *testing.F) {
	var out bytes.Buffer
	c := &client{t: f, framer: http2.NewFramer(&out, nil), next: 1}
	c.hpack = hpack.NewEncoder(&c.block)
	c.must(c.framer.WriteSettings())
	c.call(echoPath, "hello")
	c.call(slowPath, "hello")
	id := c.open(echoPath)
	c.must(c.framer.WriteWindowUpdate(id, 100))
	c.must(c.framer.WriteData(id, false, []byte{0, 0, 0, 0, 2}))
	c.must(c.framer.WriteData(id, true, []byte("ab")))
	c.must(c.framer.WriteRSTStream(id, http2.ErrCodeCancel))
	c.must(c.framer.WritePing(false, [8]byte{1}))
	f.Add(out.Bytes())
	for i := 9; i < out.Len(); i += 7 {
		f.Add(out.Bytes()[:i])
	}
	const most = 1000
	all := methods(closed())
	for path, method := range all {
		all[path] = func(call *unary.Call, reply []byte) ([]byte, unary.Status) {
			if len(call.Message) > most || call.Fault != "" && call.Message != nil {
				panic("more than it may")
			}
			return method(call, reply)
		}
	}
	address, _ := listen(f, unary.Options{Methods: all, MaxMessage: most})
	f.Fuzz(func(t *testing.T, data []byte) {
		nc, err := net.Dial("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
		go func() {
			_, _ = io.WriteString(nc, http2.ClientPreface)
			_, _ = nc.Write(data) // it may be closed already
			if half, ok := nc.(*net.UnixConn); ok {
				_ = half.CloseWrite()
			}
		}()
		if _, err := io.Copy(io.Discard, nc); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Error("the server hangs")
		}
	})
}
