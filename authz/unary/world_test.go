package unary_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tiergate/tiergate/authz/unary"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	echoPath = "/test.Echo/Echo"
	slowPath = "/test.Echo/Slow"
)

// methods are an echo that tells faults, and one that is left behind until it is let go.
func methods(release <-chan struct{}) map[string]unary.Method {
	echo := func(c *unary.Call, reply []byte) ([]byte, unary.Status) {
		if c.Fault != "" {
			return append(reply, "fault: "+c.Fault...), unary.Status{}
		}
		return append(reply, c.Message...), unary.Status{}
	}
	return map[string]unary.Method{
		echoPath: echo,
		slowPath: func(c *unary.Call, reply []byte) ([]byte, unary.Status) {
			c.Slow()
			c.Slow()
			<-release
			return echo(c, reply)
		},
		"/test.Echo/Missing": func(_ *unary.Call, reply []byte) ([]byte, unary.Status) {
			return reply, unary.Malformed("100 % of it, \u00fc")
		},
	}
}

// listen has a server serve on a Unix socket until the test ends, and returns its address.
func listen(t testing.TB, o unary.Options) (address string, server *unary.Server) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	address = filepath.Join(dir, "s")
	listener, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	server = unary.New(o)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		server.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		_ = os.RemoveAll(dir)
	})
	return address, server
}

// client speaks frames.
type client struct {
	t      testing.TB
	nc     net.Conn
	framer *http2.Framer
	block  bytes.Buffer
	hpack  *hpack.Encoder
	next   uint32
}

// dial shakes hands as RFC 9113 wants it, with the settings.
func dial(t testing.TB, address string, settings ...http2.Setting) *client {
	t.Helper()
	c, err := greet(t, address, settings...)
	c.must(err)
	return c
}

func greet(t testing.TB, address string, settings ...http2.Setting) (*client, error) {
	t.Helper()
	c := dialRaw(t, address)
	_, err := io.WriteString(c.nc, http2.ClientPreface)
	return c, errors.Join(err, c.framer.WriteSettings(settings...))
}

func dialRaw(t testing.TB, address string) *client {
	t.Helper()
	nc, err := net.Dial("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	c := &client{t: t, nc: nc, framer: http2.NewFramer(nc, nc), next: 1}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.hpack = hpack.NewEncoder(&c.block)
	return c
}

// head is a header block of a call, with fields changed ("name", "value") or added; an empty value leaves one out.
func (c *client) head(path string, changes ...string) []byte {
	fields := [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "tiergate"},
		{"te", "trailers"}, {"content-type", "application/grpc"}}
next:
	for i := 0; i < len(changes); i += 2 {
		for j := range fields {
			if fields[j][0] == changes[i] {
				fields[j][1] = changes[i+1]
				continue next
			}
		}
		fields = append(fields, [2]string{changes[i], changes[i+1]})
	}
	c.block.Reset()
	for _, f := range fields {
		if f[1] != "" {
			_ = c.hpack.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
	}
	return bytes.Clone(c.block.Bytes())
}

func message(text string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text))), text...)
}

// open opens a stream and leaves it open.
func (c *client) open(path string, changes ...string) uint32 {
	c.t.Helper()
	id, err := c.tryOpen(path, changes...)
	c.must(err)
	return id
}

func (c *client) tryOpen(path string, changes ...string) (uint32, error) {
	id := c.next
	c.next += 2
	return id, c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.head(path, changes...), EndHeaders: true})
}

func (c *client) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// call asks, and does not wait.
func (c *client) call(path, text string) uint32 {
	c.t.Helper()
	id := c.open(path)
	c.must(c.framer.WriteData(id, true, message(text)))
	return id
}

// answer is what came on a stream.
type answer struct {
	status, grpc, text string // :status, grpc-status, the body without its prefix
	fields             map[string]string
	reset              http2.ErrCode
	wasReset, ended    bool
	body               []byte
}

func (a *answer) String() string {
	return fmt.Sprintf("%s grpc %s %q reset %v", a.status, a.grpc, a.text, a.wasReset)
}

var errGoAway = errors.New("the server has sent GOAWAY")

// until reads frames until a stream is over.
func (c *client) until(id uint32) *answer {
	c.t.Helper()
	all, err := c.collect(id)
	if err != nil {
		c.t.Fatalf("stream %d: %v", id, err)
	}
	return all[id]
}

// collect reads frames until these streams are over.
func (c *client) collect(ids ...uint32) (map[uint32]*answer, error) {
	all := map[uint32]*answer{}
	for _, id := range ids {
		all[id] = &answer{fields: map[string]string{}}
	}
	missing := len(ids)
	for missing > 0 {
		f, err := c.framer.ReadFrame()
		if err != nil {
			return all, err
		}
		a := all[f.Header().StreamID]
		if a == nil {
			a = &answer{fields: map[string]string{}, ended: true} // of a stream that was over before
			missing += one(f.Header().StreamID != 0 && f.Header().Flags.Has(http2.FlagDataEndStream) && endsStreams(f))
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return all, fmt.Errorf("%w: %v %s", errGoAway, f.ErrCode, f.DebugData())
			}
		case *http2.MetaHeadersFrame:
			for _, field := range f.Fields {
				a.fields[field.Name] = field.Value
			}
			a.ended = a.ended || f.StreamEnded()
			missing -= one(f.StreamEnded())
		case *http2.DataFrame:
			a.body = append(a.body, f.Data()...)
			a.ended = a.ended || f.StreamEnded()
			missing -= one(f.StreamEnded())
		case *http2.RSTStreamFrame:
			missing -= one(!a.ended)
			a.reset, a.wasReset = f.ErrCode, true
		}
	}
	for _, a := range all {
		a.status, a.grpc = a.fields[":status"], a.fields["grpc-status"]
		a.text = strings.TrimPrefix(string(a.body), string(message(string(a.body[min(5, len(a.body)):]))[:min(5, len(a.body))]))
	}
	return all, nil
}

func endsStreams(f http2.Frame) bool {
	kind := f.Header().Type
	return kind == http2.FrameData || kind == http2.FrameHeaders
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// shutdown ends a server; that it was ended before is fine.
func shutdown(s *unary.Server, within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	s.Shutdown(ctx)
}

// answerPing answers one PING.
func answerPing(c *client) error {
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			return err
		}
		if p, ok := f.(*http2.PingFrame); ok {
			return c.framer.WritePing(true, p.Data)
		}
	}
}
