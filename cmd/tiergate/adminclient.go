package main

import (
	"bufio"
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

// sidecarSocket is where `serve` of these settings listens for verbs.
func sidecarSocket(s *config.Settings) (string, error) {
	sockets, err := s.Sockets()
	return sockets.Admin, err
}

// socketOf reads the settings for the place of a socket, once it is clear how to print the answer.
func socketOf(find func(*config.Settings) (string, error), file, form string) (string, error) {
	if err := checkOutput(form); err != nil {
		return "", err
	}
	settings, err := loadSettings(file)
	if err != nil {
		return "", err
	}
	return find(settings)
}

// askSidecar asks the running `tiergate serve` of a settings file for a value that is to be printed in a form.
func askSidecar(ctx context.Context, file, form, path string, out any) error {
	socket, err := socketOf(sidecarSocket, file, form)
	if err != nil {
		return err
	}
	return askAdmin(ctx, socket, http.MethodGet, path, nil, out)
}

// callAdmin sends one request to a running process over its admin socket; in is sent as JSON unless it is nil. The caller
// closes the answer. An answer other than 2xx is an error with the text that the process gives.
func callAdmin(ctx context.Context, socket, method, path string, in any) (io.ReadCloser, error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://tiergate"+path, body)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, // a verb asks once
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	resp, err := client.Do(req)
	if err != nil {
		if _, missing := os.Stat(socket); missing != nil {
			return nil, fmt.Errorf("nothing listens on %s: start the process, or name its settings with --config", socket)
		}
		return nil, fmt.Errorf("the process behind %s does not answer: %w", socket, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var fault struct {
		Error string `json:"error"`
	}
	raw, err := readAnswer(resp.Body, socket)
	switch {
	case err != nil:
		return nil, err
	case json.Unmarshal(raw, &fault) == nil && fault.Error != "":
		return nil, errors.New(fault.Error)
	}
	return nil, fmt.Errorf("%s answers %s to %s %s; is it of this version, and does a receiver run there?", socket, resp.Status,
		method, path)
}

func readAnswer(answer io.Reader, socket string) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(answer, maxAdminAnswer))
	if err != nil {
		return nil, fmt.Errorf("the answer of %s broke off: %w", socket, err)
	}
	return raw, nil
}

// askAdmin is callAdmin for an answer that is read as a whole, into out, within a minute.
func askAdmin(ctx context.Context, socket, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	answer, err := callAdmin(ctx, socket, method, path, in)
	if err != nil {
		return err
	}
	defer answer.Close()
	raw, err := readAnswer(answer, socket)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("the answer of %s cannot be read: %w", socket, err)
	}
	return nil
}

// maxAdminLine bounds one line of a list: a device of hundreds of names still fits.
const maxAdminLine = 1 << 20

// eachAdminLine is callAdmin for a list of any length, which is read line by line. The last line of an answer that broke
// off is an error.
func eachAdminLine(ctx context.Context, socket, path string, yield func([]byte) error) error {
	answer, err := callAdmin(ctx, socket, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	lines := bufio.NewScanner(answer)
	lines.Buffer(nil, maxAdminLine)
	for lines.Scan() {
		if err := yield(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the list broke off: %w", err)
	}
	return nil
}
