package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/gob"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/tiergate/tiergate/e2e/bench/load"
)

// order is what a driver process is told on its standard input; it answers with a load.Result, both as encoding/gob.
type order struct {
	Load load.Options
	// Web drives an Envoy over HTTP/1.1 and mutual TLS instead of an ext_authz server.
	Web *webClient
}

// webClient is who calls through Envoy; all of it PEM files.
type webClient struct{ CertFile, KeyFile, CAFile, ServerName string }

// drive is a driver process.
func drive(in io.Reader, out io.Writer) error {
	var o order
	if err := gob.NewDecoder(in).Decode(&o); err != nil {
		return fmt.Errorf("read what to drive: %w", err)
	}
	o.Load.CPU = cpuTime
	var result load.Result
	var err error
	if o.Web == nil {
		result, err = load.Check(o.Load)
	} else {
		var config *tls.Config
		if config, err = o.Web.config(); err == nil {
			result, err = load.Web(o.Load, config)
		}
	}
	if err != nil {
		return err
	}
	return gob.NewEncoder(out).Encode(result)
}

func (w *webClient) config() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(w.CertFile, w.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("the client's certificate: %w", err)
	}
	bundle, err := os.ReadFile(w.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, fmt.Errorf("%s holds no certificate", w.CAFile)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: w.ServerName,
		MinVersion: tls.VersionTLS13}, nil
}

// driveOn runs a driver, on one core if it is not below 0, and returns what it measured.
func driveOn(ctx context.Context, core int, o order) (load.Result, error) {
	var result load.Result
	ctx, cancel := context.WithTimeout(ctx, o.Load.WarmUp+o.Load.Measure+20*time.Second)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return result, err
	}
	args := []string{self, "drive"}
	if core >= 0 {
		args = []string{self, "on", strconv.Itoa(core), self, "drive"}
	}
	var told, answer, complaint bytes.Buffer
	if err := gob.NewEncoder(&told).Encode(o); err != nil {
		return result, err
	}
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Stdin, command.Stdout, command.Stderr = &told, &answer, &complaint
	if err := command.Run(); err != nil {
		return result, fmt.Errorf("%w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	return result, gob.NewDecoder(&answer).Decode(&result)
}
