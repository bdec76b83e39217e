package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// field is one header as it goes over the wire, in its place, with nothing corrected.
type field struct{ name, value string }

// sent is a request byte for byte: net/http would refuse or repair what is to be tried here.
type sent struct {
	method, target, host string // as they are: the target is HTTP/1.1's, and the :path of HTTP/2
	fields               []field
	body                 []byte
	trailers             []field
}

// got is what came back; Status 0 means that the connection or the stream ended without an answer.
type got struct {
	stage.Answer
	trailers http.Header
}

// wire is a connection to an Envoy that is made again whenever the other side has enough of it.
type wire struct {
	address string
	config  *tls.Config
	http1   bool

	connection *tls.Conn
	reader     *bufio.Reader
	frames     *http2.Framer
	stream     uint32
	heads      bytes.Buffer
	encoder    *hpack.Encoder
}

// newWire shows a certificate to a listener and speaks one version of HTTP. It is for one goroutine.
func newWire(t testing.TB, s *stage.Stage, address string, certificate tls.Certificate, http1 bool) *wire {
	t.Helper()
	w := &wire{address: address, http1: http1, config: &tls.Config{
		RootCAs: devca.Pool(s.Cast.Servers), ServerName: stage.PortalHost, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil },
	}}
	if http1 {
		w.config.NextProtos = []string{"http/1.1"}
	}
	t.Cleanup(w.close)
	return w
}

func (w *wire) close() {
	if w.connection != nil {
		_ = w.connection.Close() // whatever was to be said was said
		w.connection = nil
	}
}

// ended is how soon a connection is known to have ended before a request. Envoy keeps one open for a second more when it
// ends it because of a request.
const ended = 500 * time.Millisecond

// answerWithin bounds one request. Envoy asks tiergate for 2 s at most; nobody is measured against the rest but what hangs.
const answerWithin = 30 * time.Second

// ask sends one request and reads one answer.
func (w *wire) ask(r sent) got {
	began := time.Now()
	answer, err := w.once(r)
	if errors.Is(err, errReused) && time.Since(began) < ended {
		answer, err = w.once(r) // the other side had closed what it no longer wanted, before this request
	}
	if answer.Took, answer.Err = time.Since(began), err; err != nil {
		w.close()
	}
	return answer
}

var errReused = errors.New("a connection that was used before had ended")

func (w *wire) once(r sent) (got, error) {
	reused := w.connection != nil
	if !reused {
		if err := w.dial(); err != nil {
			return got{}, err
		}
	}
	if err := w.connection.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return got{}, err
	}
	speak := w.frame
	if w.http1 {
		speak = w.line
	}
	answer, err := speak(r)
	if err != nil {
		w.close()
		if reused && answer.Status == 0 && !errors.Is(err, errStream) {
			err = fmt.Errorf("%w: %w", errReused, err)
		}
	}
	return answer, err
}

func (w *wire) dial() error {
	connection, err := tls.DialWithDialer(&net.Dialer{Timeout: answerWithin}, "tcp", w.address, w.config)
	if err != nil {
		return err
	}
	w.connection, w.reader = connection, bufio.NewReader(connection)
	if w.http1 {
		return nil
	}
	w.frames, w.stream = http2.NewFramer(connection, w.reader), 1
	w.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	w.heads.Reset()
	w.encoder = hpack.NewEncoder(&w.heads)
	if _, err := io.WriteString(connection, http2.ClientPreface); err != nil {
		return err
	}
	return w.frames.WriteSettings()
}

// line speaks HTTP/1.1. A target with a line break in it may be more than one request: its connection is not used again.
func (w *wire) line(r sent) (got, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %s HTTP/1.1\r\n", r.method, r.target)
	if r.host != "" {
		fmt.Fprintf(&out, "Host: %s\r\n", r.host)
	}
	for _, f := range r.fields {
		fmt.Fprintf(&out, "%s: %s\r\n", f.name, f.value)
	}
	switch {
	case r.trailers != nil:
		fmt.Fprintf(&out, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n", len(r.body), r.body)
		for _, f := range r.trailers {
			fmt.Fprintf(&out, "%s: %s\r\n", f.name, f.value)
		}
	case r.body != nil:
		fmt.Fprintf(&out, "Content-Length: %d\r\n\r\n%s", len(r.body), r.body)
	}
	if r.body == nil || r.trailers != nil {
		out.WriteString("\r\n")
	}
	if _, err := w.connection.Write(out.Bytes()); err != nil {
		return got{}, err
	}
	response, err := http.ReadResponse(w.reader, &http.Request{Method: r.method})
	if err != nil {
		return got{}, err
	}
	answer := got{Answer: stage.Answer{Status: response.StatusCode, Proto: response.Proto, Header: response.Header}}
	if response.StatusCode == http.StatusSwitchingProtocols {
		w.close()
		return answer, nil
	}
	if answer.Body, err = io.ReadAll(response.Body); err == nil {
		err = response.Body.Close()
	}
	if response.Close || strings.ContainsAny(r.target, "\r\n") {
		w.close()
	}
	return answer, err
}

var errStream = errors.New("the stream was reset")

// frame speaks HTTP/2, one stream at a time.
func (w *wire) frame(r sent) (got, error) {
	id := w.stream
	w.stream += 2
	w.heads.Reset()
	heads := append([]field{{":method", r.method}, {":scheme", "https"}, {":path", r.target}}, r.fields...)
	if r.host != "" {
		heads = append([]field{{":authority", r.host}}, heads...)
	}
	if err := w.head(id, heads, r.body == nil && r.trailers == nil); err != nil {
		return got{}, err
	}
	if r.body != nil || r.trailers != nil {
		if err := w.frames.WriteData(id, r.trailers == nil, r.body); err != nil {
			return got{}, err
		}
	}
	if r.trailers != nil {
		if err := w.head(id, r.trailers, true); err != nil {
			return got{}, err
		}
	}
	return w.hear(id)
}

// head writes HEADERS and as many CONTINUATIONs as it takes (RFC 9113, sections 6.2 and 6.10).
func (w *wire) head(id uint32, heads []field, end bool) error {
	const most = 16 << 10
	w.heads.Reset()
	for _, f := range heads {
		if err := w.encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(f.name), Value: f.value}); err != nil {
			return err
		}
	}
	block := bytes.Clone(w.heads.Bytes())
	first := block[:min(most, len(block))]
	block = block[len(first):]
	err := w.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		part := block[:min(most, len(block))]
		block = block[len(part):]
		err = w.frames.WriteContinuation(id, len(block) == 0, part)
	}
	return err
}

// hear reads frames until the stream ends.
func (w *wire) hear(id uint32) (answer got, err error) {
	for {
		frame, err := w.frames.ReadFrame()
		if err != nil {
			return answer, err
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = w.frames.WriteSettingsAck()
			}
		case *http2.GoAwayFrame:
			if f.LastStreamID < id || f.ErrCode != http2.ErrCodeNo { // the end of the connection, some time later
				return answer, fmt.Errorf("GOAWAY %s", f.ErrCode)
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == id && answer.Status == 0 {
				return answer, fmt.Errorf("%w: %s", errStream, f.ErrCode)
			}
		case *http2.MetaHeadersFrame:
			answer.take(f)
		case *http2.DataFrame:
			answer.Body = append(answer.Body, f.Data()...)
			if len(f.Data()) > 0 {
				err = w.frames.WriteWindowUpdate(0, uint32(len(f.Data())))
			}
		}
		if err != nil {
			return answer, err
		}
		if h := frame.Header(); h.StreamID == id && h.Flags.Has(http2.FlagDataEndStream) && h.Type <= http2.FrameHeaders {
			return answer, nil
		}
	}
}

// take reads the headers of an answer, or its trailers when there were headers before.
func (a *got) take(f *http2.MetaHeadersFrame) {
	header := http.Header{}
	for _, h := range f.RegularFields() {
		header.Add(h.Name, h.Value)
	}
	if a.Status == 0 {
		a.Status, _ = strconv.Atoi(f.PseudoValue("status"))
		a.Header, a.Proto = header, "HTTP/2.0"
		return
	}
	a.trailers = header
}

// decided is true of an answer that tiergate decided on, for or against.
func (a got) decided() bool { return a.DecisionID() != "" }

// written is true of a refusal that tiergate wrote.
func (a got) written() bool {
	return a.decided() && strings.HasPrefix(a.Header.Get("Content-Type"), "application/problem+json")
}
