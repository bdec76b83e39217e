package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/tiergate/tiergate/config"
)

// maxAdminAnswer bounds what a verb reads from an admin socket.
const maxAdminAnswer = 64 << 20

// receiverSocket is where the receiver of these settings listens for verbs: in `ingest` its own socket; with the embedded
// store the receiver runs inside `serve`, whose socket serves the same paths.
func receiverSocket(s *config.Settings) (string, error) {
	sockets, err := s.Sockets()
	if err != nil {
		return "", err
	}
	if s.Store.Embedded != nil {
		return sockets.Admin, nil
	}
	return sockets.IngestAdmin, nil
}

// askAdmin asks a running process over its admin socket. in is sent as JSON unless it is nil, out is filled from the
// answer. An answer other than 2xx is an error with the text that the process gives.
func askAdmin(ctx context.Context, socket, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://tiergate"+path, body)
	if err != nil {
		return err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		if _, missing := os.Stat(socket); missing != nil {
			return fmt.Errorf("nothing listens on %s: start the process, or name its settings with --config", socket)
		}
		return fmt.Errorf("the process behind %s does not answer: %w", socket, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAdminAnswer))
	if err != nil {
		return fmt.Errorf("the answer of %s broke off: %w", socket, err)
	}
	if resp.StatusCode/100 != 2 {
		var fault struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(raw, &fault) == nil && fault.Error != "" {
			return errors.New(fault.Error)
		}
		return fmt.Errorf("%s answers %s to %s %s; is it of this version, and does a receiver run there?", socket, resp.Status,
			method, path)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("the answer of %s cannot be read: %w", socket, err)
	}
	return nil
}
