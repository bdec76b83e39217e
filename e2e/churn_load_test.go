package e2e_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// churnLoad is everybody who asks meanwhile: steadily, and over streams that stay open.
type churnLoad struct {
	c       *churn
	ctx     context.Context
	end     context.CancelFunc
	running sync.WaitGroup
	spoken  atomic.Int64 // messages that came back over streams
	sent    atomic.Int64
	streams atomic.Int64    // that are open
	turned  [2]atomic.Int64 // on the route that changes its audience too: served by ours, and refused because of the change
	turns   []*atomic.Int64 // of each who asks steadily: how many requests are over

	mu      sync.Mutex
	failed  []failure
	closed  int      // requests that were answered 503 while tiergate was away
	behind  int      // requests that were refused when it was back, because Envoy still led them to an upstream of before
	strayed []string // answers of an upstream that no generation led to at that time
}

// failure is a request that was not served.
type failure struct {
	asked, answered time.Time
	status          int // 0: there was no answer
	text            string
}

func (f failure) String() string { return f.answered.Format("15:04:05.000 ") + f.text }

// start asks of each route over each kind of connection: HTTP/1.1 and HTTP/2, kept and of one request.
func (l *churnLoad) start() {
	l.ctx, l.end = context.WithCancel(context.Background())
	l.c.t.Cleanup(l.end)
	for _, http1 := range []bool{true, false} {
		for _, fresh := range []bool{true, false} {
			pause := 15 * time.Millisecond
			if fresh {
				pause = 40 * time.Millisecond // handshakes cost the most
			}
			l.repeat(http1, fresh, pause, "/steady/x", func(int) string { return "steady" })
			l.repeat(http1, fresh, pause, "/flips", flippedTo)
			l.repeat(http1, fresh, pause, "/moving", movedTo)
			l.turn(http1, fresh, pause)
		}
	}
}

func (l *churnLoad) tls(protocols ...string) *tls.Config {
	return &tls.Config{RootCAs: devca.Pool(l.c.p.servers), ServerName: churnHost, Certificates: []tls.Certificate{l.c.pair.TLS()},
		MinVersion: tls.VersionTLS12, NextProtos: protocols}
}

func (l *churnLoad) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", l.c.p.settings.Envoy.Listeners[0].Address)
}

func (l *churnLoad) transport(http1, fresh bool) *http.Transport {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(http1)
	protocols.SetHTTP2(!http1)
	transport := &http.Transport{DialContext: l.dial, TLSClientConfig: l.tls(), Protocols: protocols, DisableKeepAlives: fresh}
	l.c.t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// repeat asks steadily; what has begun is waited for.
func (l *churnLoad) repeat(http1, fresh bool, pause time.Duration, path string, leads func(int) string) {
	transport, over := l.transport(http1, fresh), l.counted()
	l.running.Go(func() {
		for ; l.ctx.Err() == nil; over.Add(1) {
			asked := time.Now()
			who, status, err := ask(transport, path)
			answered := time.Now()
			l.sent.Add(1)
			switch {
			case err != nil || status != http.StatusOK:
				l.fail(failure{asked, answered, status,
					fmt.Sprintf("%s, HTTP/1.1 %v, new connection %v: %d %s %v", path, http1, fresh, status, who, err)})
			case !l.c.edits.could(asked, answered, leads, who):
				l.mu.Lock()
				l.strayed = append(l.strayed, fmt.Sprintf("%s %s was served by %s", answered.Format("15:04:05.000"), path, who))
				l.mu.Unlock()
			}
			time.Sleep(pause)
		}
	})
}

// turn asks of a route that leads to ours for us, then to theirs for others, and so on: theirs is never reached. While Envoy
// still leads elsewhere than the policy says, those are refused whom only one of both generations lets in.
func (l *churnLoad) turn(http1, fresh bool, pause time.Duration) {
	transport, over := l.transport(http1, fresh), l.counted()
	l.running.Go(func() {
		for ; l.ctx.Err() == nil; over.Add(1) {
			who, status, err := ask(transport, "/turns")
			switch {
			case status == http.StatusOK && who == "ours":
				l.turned[0].Add(1)
			case status == http.StatusForbidden && strings.Contains(who, `"reason":"route-mismatch"`):
				l.turned[1].Add(1)
			case status == http.StatusForbidden && strings.Contains(who, `"reason":"audience"`):
			default:
				l.fail(failure{time.Time{}, time.Now(), status, fmt.Sprintf("/turns: %d %s %v", status, who, err)})
			}
			time.Sleep(pause)
		}
	})
}

func (l *churnLoad) fail(f failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, f)
}

// excuse takes out what failed closed, and only that, in a time in which tiergate was away: it could not be asked, or, just
// back with another policy, it saw that Envoy still led to the upstream before.
func (l *churnLoad) excuse(from, to time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = slices.DeleteFunc(l.failed, func(f failure) bool {
		if !f.answered.After(from) || !f.answered.Before(to) {
			return false
		}
		switch {
		case f.status == http.StatusServiceUnavailable:
			l.closed++
		case f.status == http.StatusForbidden && strings.HasPrefix(f.text, "/flips, ") && strings.Contains(f.text, `"reason":"route-mismatch"`):
			l.behind++
		default:
			return false
		}
		return true
	})
}

// counted is a counter for somebody who asks steadily.
func (l *churnLoad) counted() *atomic.Int64 {
	l.turns = append(l.turns, &atomic.Int64{})
	return l.turns[len(l.turns)-1]
}

// backed waits until requests are served again, over every connection: Envoy has what is in force, and after that everybody who
// asks steadily has asked, and no request has failed.
func (l *churnLoad) backed(t *testing.T, within time.Duration) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := l.c.edits.look()
		if err == nil {
			before := l.failures()
			l.everybodyAsks()
			if l.failures() == before {
				return
			}
		}
		if time.Since(began) > within {
			t.Fatalf("requests still fail, or Envoy has not what is in force: %v", err)
		}
	}
}

func (l *churnLoad) failures() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.failed)
}

// everybodyAsks waits until each who asks steadily has had a whole request since: the first that ends may have begun before.
func (l *churnLoad) everybodyAsks() {
	for _, over := range l.turns {
		for enough := over.Load() + 2; over.Load() < enough && l.ctx.Err() == nil; {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// ask returns who answered, or what else there was.
func ask(transport *http.Transport, path string) (who string, status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+churnHost+path, nil)
	if err != nil {
		return "", 0, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	return string(raw), response.StatusCode, err
}

// open opens the streams: eight WebSockets, half of them over HTTP/2, two gRPC calls and two of events. Each lives until
// the load ends, and somebody speaks over it all the time.
func (l *churnLoad) open(t *testing.T) {
	t.Helper()
	for range 4 {
		l.hold(t, "WebSocket over HTTP/1.1", l.webSocket)
		l.hold(t, "WebSocket over HTTP/2", l.webSocketOverHTTP2)
	}
	for range 2 {
		l.hold(t, "gRPC", l.call)
		l.hold(t, "events", l.events)
	}
}

// hold opens one stream, then has it say and hear something again and again.
func (l *churnLoad) hold(t *testing.T, name string, open func() (turn func() error, end func(), err error)) {
	t.Helper()
	turn, end, err := open()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	l.streams.Add(1)
	opened := time.Now()
	l.running.Go(func() {
		defer end()
		for l.ctx.Err() == nil {
			if err := turn(); err != nil {
				l.streams.Add(-1)
				l.fail(failure{opened, time.Now(), 0, fmt.Sprintf("%s was cut after %s: %v", name, time.Since(opened), err)})
				return
			}
			l.spoken.Add(1)
			time.Sleep(100 * time.Millisecond)
		}
	})
}

const saidOnce = "a word\n"

// echoed says a word and hears it again.
func echoed(out io.Writer, in *bufio.Reader) error {
	if _, err := io.WriteString(out, saidOnce); err != nil {
		return err
	}
	if heard, err := in.ReadString('\n'); err != nil || heard != saidOnce {
		return fmt.Errorf("heard %q, %w", heard, err)
	}
	return nil
}

func (l *churnLoad) webSocket() (func() error, func(), error) {
	plain, err := l.dial(l.ctx, "", "")
	if err != nil {
		return nil, nil, err
	}
	conn := tls.Client(plain, l.tls("http/1.1"))
	in := bufio.NewReader(conn)
	_, err = fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", churnHost)
	if err == nil {
		var response *http.Response
		response, err = http.ReadResponse(in, nil)
		if err == nil && response.StatusCode != http.StatusSwitchingProtocols {
			err = errors.New(response.Status)
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return func() error {
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			return err
		}
		return echoed(conn, in)
	}, func() { _ = conn.Close() }, nil
}

// webSocketOverHTTP2 is an extended CONNECT (RFC 8441).
//
//nolint:staticcheck // net/http's own transport, which is to be used in place of this one, sends none
func (l *churnLoad) webSocketOverHTTP2() (func() error, func(), error) {
	transport := &http2.Transport{TLSClientConfig: l.tls("h2"),
		DialTLSContext: func(ctx context.Context, _, _ string, config *tls.Config) (net.Conn, error) {
			plain, err := l.dial(ctx, "", "")
			if err != nil {
				return nil, err
			}
			return tls.Client(plain, config), nil
		}}
	body, out := io.Pipe()
	request, err := http.NewRequest(http.MethodConnect, "https://"+churnHost+"/socket", body)
	if err != nil {
		return nil, nil, err
	}
	request.Header = http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, nil, err
	}
	end := func() { _, _ = out.Close(), response.Body.Close(); transport.CloseIdleConnections() }
	if response.StatusCode != http.StatusOK {
		end()
		return nil, nil, errors.New(response.Status)
	}
	in := bufio.NewReader(response.Body)
	return func() error { return echoed(out, in) }, end, nil
}

func (l *churnLoad) call() (func() error, func(), error) {
	connection, err := grpc.NewClient("passthrough:///"+l.c.p.settings.Envoy.Listeners[0].Address,
		grpc.WithTransportCredentials(credentials.NewTLS(l.tls("h2"))))
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	end := func() { cancel(); _ = connection.Close() }
	stream, err := testgrpc.NewTestServiceClient(connection).FullDuplexCall(ctx)
	if err != nil {
		end()
		return nil, nil, err
	}
	return func() error {
		said := &testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: []byte(saidOnce)}}
		if err := stream.Send(said); err != nil {
			return err
		}
		heard, err := stream.Recv()
		if err == nil && string(heard.GetPayload().GetBody()) != saidOnce {
			err = fmt.Errorf("heard %v", heard)
		}
		return err
	}, end, nil
}

func (l *churnLoad) events() (func() error, func(), error) {
	request, err := http.NewRequest(http.MethodGet, "https://"+churnHost+"/steady/events", nil)
	if err != nil {
		return nil, nil, err
	}
	response, err := l.transport(false, false).RoundTrip(request)
	if err != nil {
		return nil, nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, nil, errors.Join(errors.New(response.Status), response.Body.Close())
	}
	in := bufio.NewReader(response.Body)
	next := 0
	return func() error {
		line, err := in.ReadString('\n')
		if want := fmt.Sprintf("data: %d", next); err != nil || strings.TrimSpace(line) != want {
			return fmt.Errorf("heard %q, want %q: %w", line, want, err)
		}
		next++
		_, err = in.ReadString('\n')
		return err
	}, func() { _ = response.Body.Close() }, nil
}
