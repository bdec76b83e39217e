package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// processes lists the children in the order in which they are started.
func (s *Stage) processes() []Process {
	var list []Process
	if s.Store == StoreRedis {
		list = append(list, s.valkey())
	}
	if s.Provider != nil {
		list = append(list, s.login())
	}
	list = append(list, s.upstream("portal", s.Ports.Portal), s.upstream("payroll", s.Ports.Payroll),
		s.upstream("contractor-portal", s.Ports.ContractorPortal))
	if s.Store == StoreRedis {
		list = append(list, s.tiergate("ingest", s.Ports.IngestMetrics))
	}
	return append(list, s.tiergate("serve", s.Ports.ServeMetrics), s.envoy())
}

func (s *Stage) log(name string) string { return s.Path("logs", name+".log") }

func (s *Stage) valkey() Process {
	socket := s.Path("run", "valkey.sock")
	return Process{
		Name: "valkey", Path: s.binaries.Valkey, Log: s.log("valkey"),
		Args: []string{"--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", s.Path("store"),
			"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no"},
		Ready: func(ctx context.Context) error { return pong(ctx, socket) },
	}
}

func (s *Stage) tiergate(verb, metrics string) Process {
	return Process{
		Name: verb, Path: s.binaries.Tiergate, Args: []string{verb, "--config", s.Settings()}, Log: s.log(verb),
		Ready: func(ctx context.Context) error { return answersOK(ctx, "http://"+metrics+"/readyz") },
	}
}

func (s *Stage) upstream(name, address string) Process {
	proof := []string{"-cert", s.Path("pki", name+".pem"), "-key", s.Path("pki", name+".key"),
		"-ca", s.Path("pki", "workloads-ca.pem")}
	if s.Agent != nil {
		proof = []string{"-workload-api", s.Agent.Socket()}
	}
	return Process{
		Name: name, Path: s.binaries.Demo, Log: s.log(name),
		Args:  append([]string{"upstream", "-name", name, "-listen", address, "-admit", EnvoyID}, proof...),
		Ready: func(ctx context.Context) error { return accepts(ctx, address) },
	}
}

func (s *Stage) envoy() Process {
	bootstrap := s.Path("bootstrap.yaml")
	return Process{
		Name: "envoy", Path: s.binaries.Envoy, Log: s.log("envoy"),
		Args: []string{"-c", bootstrap, "--use-dynamic-base-id", "--concurrency", "1", "--drain-time-s", "5",
			"--log-path", s.log("envoy-server"), "--log-level", "warning"},
		Prepare: func(ctx context.Context) error { return s.writeBootstrap(ctx, bootstrap) },
		Ready:   s.envoyAnswers, ReadyWithin: 30 * time.Second,
	}
}

// writeBootstrap lets tiergate write what Envoy starts with: where xDS is, and nothing else.
func (s *Stage) writeBootstrap(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var out, complaint bytes.Buffer
	command := exec.CommandContext(ctx, s.binaries.Tiergate, "envoy", "bootstrap", "--config", s.Settings(),
		"--admin-socket", s.Path("run", "envoy-admin.sock"), "--node-id", "demo")
	command.Stdout, command.Stderr = &out, &complaint
	if err := command.Run(); err != nil {
		return fmt.Errorf("tiergate envoy bootstrap: %w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	return os.WriteFile(file, out.Bytes(), 0o600)
}

// envoyAnswers asks both listeners: an answer that tiergate decided on means that listener, routes, certificates and
// the way to tiergate are there; on the contractors' listener Envoy itself answers for a host that is not served.
func (s *Stage) envoyAnswers(ctx context.Context) error {
	answer := s.Ask(ctx, Request{As: "deployer", Host: PortalHost, Path: "/ready"})
	if answer.Err == nil && answer.DecisionID() == "" {
		answer.Err = fmt.Errorf("status %d without a decision", answer.Status)
	}
	if answer.Err != nil {
		return fmt.Errorf("listener %s: %w", ListenerIngress, answer.Err)
	}
	answer = s.Ask(ctx, Request{As: "cleo", Listener: ListenerContracts, Host: PortalHost, Path: "/ready"})
	if answer.Err != nil {
		return fmt.Errorf("listener %s: %w", ListenerContracts, answer.Err)
	}
	return nil
}

func accepts(ctx context.Context, address string) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return connection.Close()
}

// pong asks a Valkey for a sign of life; while it loads its file it answers -LOADING.
func pong(ctx context.Context, socket string) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer connection.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := connection.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(connection, "PING\r\n"); err != nil {
		return err
	}
	answer := make([]byte, 64)
	n, err := connection.Read(answer)
	if err != nil {
		return err
	}
	if string(answer[:n]) != "+PONG\r\n" {
		return fmt.Errorf("it answered %q", answer[:n])
	}
	return nil
}

// answersOK asks a probe.
func answersOK(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s: %s", url, response.Status, bytes.TrimSpace(body))
	}
	return nil
}
