package load

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer is a server made of frames, for what grpc-go never does. It reads the preface, and then each test goes on.
func peer(t *testing.T, play func(*http2.Framer)) (socket string) {
	t.Helper()
	listener, path := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		greeting := make([]byte, len(preface))
		if _, err := io.ReadFull(c, greeting); err != nil || string(greeting) != preface {
			t.Errorf("preface %q: %v", greeting, err)
		}
		f := http2.NewFramer(c, c)
		f.SetMaxReadFrameSize(1 << 20)
		if err := f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}); err != nil {
			t.Error(err)
		}
		play(f)
		_, _ = io.Copy(io.Discard, c) // until the client has had enough
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return path
}

func block(t *testing.T, fields ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	e := hpack.NewEncoder(&out)
	for i := 0; i < len(fields); i += 2 {
		if err := e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// await reads until a frame of that type.
func await(t *testing.T, f *http2.Framer, kind http2.FrameType, flags http2.Flags) http2.Frame {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Errorf("waiting for %v: %v", kind, err)
			return nil
		}
		if frame.Header().Type == kind && frame.Header().Flags&flags == flags {
			return frame
		}
	}
}

// TestOddButCorrect: padding, CONTINUATION, PING, PRIORITY and unknown frames are all within RFC 9113.
func TestOddButCorrect(t *testing.T) {
	t.Parallel()
	socket := peer(t, func(f *http2.Framer) {
		await(t, f, http2.FrameSettings, http2.FlagSettingsAck)
		_ = f.WritePing(false, [8]byte{1, 2, 3})
		if ping, _ := await(t, f, http2.FramePing, http2.FlagPingAck).(*http2.PingFrame); ping == nil || ping.Data != [8]byte{1, 2, 3} {
			t.Error("the PING was not echoed")
		}
		_ = f.WriteRawFrame(0xbe, 0, 0, []byte("unknown"))
		_ = f.WriteWindowUpdate(0, 1<<20)
		stream := uint32(1)
		head, tail := block(t, ":status", "200", "content-type", "application/grpc"), block(t, "grpc-status", "0", "grpc-message", "")
		answer := append([]byte{0, 0, 0, 0, 4}, 0x0a, 2, 0x08, 0) // status {code: 0}
		for {                                                     // a second is long
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head[:1], PadLength: 7,
				Priority: http2.PriorityParam{Weight: 3}})
			_ = f.WriteContinuation(stream, true, head[1:])
			_ = f.WriteDataPadded(stream, false, answer[:3], make([]byte, 9))
			_ = f.WriteData(stream, false, answer[3:])
			if f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: tail, EndHeaders: true, EndStream: true}) != nil {
				return // the client has what it wanted
			}
			stream += 2
			if frame, err := f.ReadFrame(); err != nil || frame.Header().StreamID == 0 {
				return
			}
			if _, err := f.ReadFrame(); err != nil {
				return
			}
		}
	})
	o := options(t, socket)
	o.Connections, o.InFlight, o.WarmUp, o.Measure = 1, 1, 0, time.Second
	if r, err := Check(o); err != nil || r.Requests < 1 {
		t.Errorf("%d requests: %v", r.Requests, err)
	}
}

// TestBreachesAreNamed: each thing that a server may not do, or that ends a call, is an error that says so.
func TestBreachesAreNamed(t *testing.T) {
	t.Parallel()
	head := http2.HeadersFrameParam{StreamID: 1, EndHeaders: true}
	for want, play := range map[string]func(*http2.Framer){
		"GOAWAY":       func(f *http2.Framer) { _ = f.WriteGoAway(0, http2.ErrCodeNo, []byte("later")) },
		"reset a call": func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeCancel) },
		"only 0 bytes of headers": func(f *http2.Framer) {
			_ = f.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
		},
		"where nothing is asked":     func(f *http2.Framer) { _ = f.WriteData(99, false, []byte("x")) },
		"ends without a grpc-status": func(f *http2.Framer) { _ = f.WriteData(1, true, []byte("x")) },
		"broke off a header block": func(f *http2.Framer) {
			p := head
			p.EndHeaders, p.BlockFragment = false, []byte{0x88}
			_ = f.WriteHeaders(p)
			_ = f.WritePing(false, [8]byte{})
		},
		"cannot be read": func(f *http2.Framer) {
			p := head
			p.BlockFragment = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
			_ = f.WriteHeaders(p)
		},
		"end too early": func(f *http2.Framer) {
			p := head
			p.BlockFragment = []byte{0x40, 0x05, 'a'}
			_ = f.WriteHeaders(p)
		},
		"that is padded with":     func(f *http2.Framer) { _ = f.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, []byte{200, 1}) },
		"WINDOW_UPDATE":           func(f *http2.Framer) { _ = f.WriteRawFrame(http2.FrameWindowUpdate, 0, 0, []byte{1}) },
		"not one uncompressed":    func(f *http2.Framer) { trailers(t, f, []byte{1, 0, 0, 0, 0}) },
		"is no CheckResponse":     func(f *http2.Framer) { trailers(t, f, []byte{0, 0, 0, 0, 1, 0xff}) },
		"is no google.rpc.Status": func(f *http2.Framer) { trailers(t, f, []byte{0, 0, 0, 0, 3, 0x0a, 1, 0xff}) },
		"frame of 20000 bytes":    func(f *http2.Framer) { _ = f.WriteRawFrame(0xbe, 0, 0, make([]byte, 20_000)) },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			socket := peer(t, func(f *http2.Framer) {
				await(t, f, http2.FrameData, 0)
				play(f)
			})
			o := untilItFails(t, socket)
			o.Connections, o.InFlight = 1, 1
			if _, err := Check(o); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v; want one that says %q", err, want)
			}
		})
	}
}

func trailers(t *testing.T, f *http2.Framer, body []byte) {
	_ = f.WriteData(1, false, body)
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: block(t, "grpc-status", "0")})
}

// TestSecondCallPointsIntoTheTable: what Envoy does too, and far shorter than the first.
func TestSecondCallPointsIntoTheTable(t *testing.T) {
	t.Parallel()
	first, next, err := encodeCalls([]byte("message"))
	if err != nil || next.data >= first.data/2 || next.flow != 5+len("message") {
		t.Fatalf("headers of %d, then %d bytes, flow %d: %v", first.data, next.data, next.flow, err)
	}
	wire := append(first.appendTo(nil, 1), next.appendTo(nil, 3)...)
	f := http2.NewFramer(nil, bytes.NewReader(wire))
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for _, stream := range []uint32{1, 3} {
		frame, err := f.ReadFrame()
		h, ok := frame.(*http2.MetaHeadersFrame)
		if err != nil || !ok || h.StreamID != stream || h.PseudoValue("path") != checkMethod || h.PseudoValue("method") != "POST" {
			t.Fatalf("frame %v: %v", frame, err)
		}
		frame, err = f.ReadFrame()
		d, ok := frame.(*http2.DataFrame)
		if err != nil || !ok || d.StreamID != stream || !d.StreamEnded() || string(d.Data()[5:]) != "message" ||
			binary.BigEndian.Uint32(d.Data()[1:]) != 7 {
			t.Fatalf("frame %v: %v", frame, err)
		}
	}
}
