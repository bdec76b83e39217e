package stage

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/websocket"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// Conversation is a WebSocket through Envoy, to an upstream that says back whatever is said.
type Conversation interface {
	// Say sends a text and returns what comes back, or why nothing did.
	Say(text string) (string, error)
	Close() error
}

// sayWithin is far above what an answer takes on a busy machine.
const sayWithin = 10 * time.Second

// Open opens a WebSocket over a connection of its own, HTTP/1.1 (RFC 6455), with listeners and callers as in Ask.
func (s *Stage) Open(ctx context.Context, r Request) (Conversation, error) {
	address, err := s.Ports.Listener(r.Listener)
	if err != nil {
		return nil, err
	}
	pair, token, err := s.credentials(r)
	if err != nil {
		return nil, err
	}
	connection, err := (&tls.Dialer{Config: webSocketTLS(s.Cast.Servers, pair, r.Host)}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	config, err := websocket.NewConfig("wss://"+r.Host+r.Path, "https://"+r.Host)
	if err == nil {
		config.Header.Set("Authorization", "Bearer "+token)
		err = connection.SetDeadline(time.Now().Add(sayWithin))
	}
	var socket *websocket.Conn
	if err == nil {
		socket, err = websocket.NewClient(config, connection)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a WebSocket at %s%s: %w", r.Host, r.Path, err), connection.Close())
	}
	return &conversation{socket: socket, under: connection}, nil
}

func webSocketTLS(servers *devca.CA, pair *devca.Pair, host string) *tls.Config {
	config := &tls.Config{RootCAs: devca.Pool(servers), MinVersion: tls.VersionTLS12, ServerName: host,
		NextProtos: []string{"http/1.1"}}
	if pair != nil {
		config.Certificates = []tls.Certificate{pair.TLS()}
	}
	return config
}

type conversation struct {
	socket *websocket.Conn
	under  net.Conn
}

func (c *conversation) Say(text string) (string, error) {
	if err := c.under.SetDeadline(time.Now().Add(sayWithin)); err != nil {
		return "", err
	}
	if err := websocket.Message.Send(c.socket, text); err != nil {
		return "", err
	}
	var back string
	err := websocket.Message.Receive(c.socket, &back)
	return back, err
}

func (c *conversation) Close() error { return c.socket.Close() }

// converse says everything back, if it is a WebSocket that is asked for.
func converse(w http.ResponseWriter, r *http.Request) bool {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return false
	}
	websocket.Server{Handler: func(c *websocket.Conn) {
		_, _ = io.Copy(c, c) // until one side ends it
	}}.ServeHTTP(w, r)
	return true
}
