package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// approvalsReach is how a verb reaches the receiver that people ask: over its admin socket, as a user of that machine, or
// over its listener for people, as whoever a certificate or a token shows.
type approvalsReach struct {
	file, form           string
	server               string
	cert, key, ca, token string // files
}

func (r *approvalsReach) flags(c *cobra.Command) {
	configFlag(c, &r.file, false)
	outputFlag(c, &r.form)
	c.Flags().StringVar(&r.server, "server", "", "instead of --config: the `URL` of the receiver's listener for people, https://HOST:PORT")
	c.Flags().StringVar(&r.cert, "cert", "", "with --server: a client certificate, a PEM `FILE`")
	c.Flags().StringVar(&r.key, "key", "", "with --cert: its key, a PEM `FILE`")
	c.Flags().StringVar(&r.ca, "ca", "", "with --server: whom to trust, a PEM `FILE`; default the system's")
	c.Flags().StringVar(&r.token, "token-file", "", "with --server: a `FILE` with an access token")
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		if err := r.check(); err != nil {
			return usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
		}
		return nil
	}
}

func (r *approvalsReach) check() error {
	with := r.cert != "" || r.key != "" || r.ca != "" || r.token != ""
	switch {
	case r.server == "" && r.file == "":
		return errors.New("say which receiver: --config FILE of the one on this machine, or --server URL")
	case r.server != "" && r.file != "":
		return errors.New("--config and --server both say which receiver; use one")
	case r.server == "" && with:
		return errors.New("--cert, --key, --ca and --token-file go with --server")
	case r.server == "":
		return nil
	case (r.cert == "") != (r.key == ""):
		return errors.New("--cert and --key go together")
	case r.cert == "" && r.token == "":
		return errors.New("show who you are: --cert and --key, or --token-file")
	}
	return checkServer(r.server)
}

// checkServer wants the root of an HTTPS server, and nothing that could carry a secret.
func checkServer(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" || u.User != nil || u.RawQuery != "" {
		return fmt.Errorf("--server %q: write https://HOST:PORT", text)
	}
	return nil
}

// ask sends one request and reads the answer into out.
func (r *approvalsReach) ask(ctx context.Context, method, path string, in, out any) error {
	if r.server != "" {
		if err := checkOutput(r.form); err != nil {
			return err
		}
		return r.askServer(ctx, method, path, in, out)
	}
	socket, err := socketOf(receiverSocket, r.file, r.form)
	if err != nil {
		return err
	}
	return askAdmin(ctx, socket, method, path, in, out)
}

// client speaks TLS 1.3 and follows no redirection, which would carry the token elsewhere.
func (r *approvalsReach) client() (*http.Client, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS13}
	if r.ca != "" {
		pem, err := os.ReadFile(r.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca: %s holds no PEM certificate", r.ca)
		}
	}
	if r.cert != "" {
		pair, err := tls.LoadX509KeyPair(r.cert, r.key)
		if err != nil {
			return nil, fmt.Errorf("--cert and --key: %w", err)
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: settings, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

func (r *approvalsReach) askServer(ctx context.Context, method, path string, in, out any) error {
	client, err := r.client()
	if err != nil {
		return err
	}
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	base, err := url.Parse(r.server)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+base.Host+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		secret, err := readSecret(r.token)
		if err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", r.server, err)
	}
	defer resp.Body.Close()
	raw, err := readAnswer(resp.Body, r.server)
	if err != nil {
		return err
	}
	var fault struct {
		Error  string `json:"error"`
		Detail string `json:"detail"` // RFC 9457
	}
	switch {
	case resp.StatusCode/100 == 2:
		if err := json.Unmarshal(raw, out); err != nil {
			return fmt.Errorf("the answer of %s cannot be read: %w", r.server, err)
		}
		return nil
	case json.Unmarshal(raw, &fault) == nil && fault.Error != "":
		return errors.New(fault.Error)
	case fault.Detail != "":
		return fmt.Errorf("%s answers %s: %s", r.server, resp.Status, fault.Detail)
	}
	return fmt.Errorf("%s answers %s to %s %s; is it a receiver's listener for people?", r.server, resp.Status, method, path)
}
