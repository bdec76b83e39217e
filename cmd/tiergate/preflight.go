package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tiergate/tiergate/xds"
)

const (
	// preflightWithin bounds one run of Envoy; ten thousand routes take a few seconds.
	preflightWithin = 20 * time.Second
	// preflightAgain is how soon a run that could not be made is made again for the same configuration.
	preflightAgain = 10 * time.Second
	// maxPreflightSaid bounds what is kept of what Envoy says, maxReason what is passed on.
	maxPreflightSaid = 64 << 10
	maxReason        = 600
)

// preflight shows configurations to `envoy --mode validate` before they are published. They go through a pipe, so that no
// private key comes to stand in a file. Who cannot be asked has not agreed: the change is refused.
type preflight struct {
	binary     string
	minVersion string
	within     time.Duration

	mu     sync.Mutex // one run at a time
	passed string     // the configuration, and the binary, that Envoy took last
	fault  error      // why it did not take the one of failed
	failed string
	until  time.Time // of a run that could not be made
}

// newPreflight is nil where no binary is configured.
func newPreflight(binary, minVersion string) *preflight {
	if binary == "" {
		return nil
	}
	return &preflight{binary: binary, minVersion: minVersion, within: preflightWithin}
}

// notAsked is the fault of a run that could not be made: the configuration may be good.
type notAsked struct{ error }

// check asks Envoy about a snapshot, unless it was asked about the same one before. ctx ends the run.
func (p *preflight) check(ctx context.Context, snapshot *xds.Snapshot) error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	info, err := os.Stat(p.binary)
	if err != nil {
		return notAsked{fmt.Errorf("envoy.binary: nothing changes at Envoy while it cannot be asked: %w; put Envoy there, or "+
			"remove envoy.binary", err)}
	}
	what := fmt.Sprintf("%s %d %d", snapshot.Digest(), info.Size(), info.ModTime().UnixNano())
	switch {
	case what == p.passed:
		return nil
	case what == p.failed && (p.until.IsZero() || time.Now().Before(p.until)):
		return p.fault
	}
	p.failed, p.until = "", time.Time{}
	err = p.ask(ctx, snapshot)
	switch {
	case err == nil:
		p.passed = what
	case ctx.Err() == nil:
		p.failed, p.fault = what, err
		if errors.As(err, &notAsked{}) {
			p.until = time.Now().Add(preflightAgain)
		}
	}
	return err
}

// ask runs Envoy twice: which version it is, and whether it takes the configuration.
func (p *preflight) ask(ctx context.Context, snapshot *xds.Snapshot) error {
	if err := p.version(ctx); err != nil {
		return notAsked{fmt.Errorf("envoy.binary: %w", err)}
	}
	config, err := snapshot.Preflight()
	if err != nil {
		return fmt.Errorf("envoy.binary: the configuration cannot be written for Envoy to judge: %w", err)
	}
	const source = "/dev/fd/0"
	said, err := p.run(ctx, config, "--mode", "validate", "-c", source, "--concurrency", "1", "-l", "critical", "--log-format", "%v")
	if err == nil && strings.Contains(said, "configuration '"+source+"' OK") {
		return nil
	}
	if _, reason, refused := strings.Cut(said, "error initializing configuration '"+source+"': "); refused && exitedWith(err) {
		return fmt.Errorf("Envoy refuses this configuration (%s --mode validate): %s", p.binary, onlyReason(reason))
	}
	if err == nil {
		err = errors.New("it does not say that the configuration is OK")
	}
	return notAsked{fmt.Errorf("envoy.binary: nothing changes at Envoy while %s cannot judge it: %w%s; mend it, or remove "+
		"envoy.binary", p.binary, err, alsoSaid(said))}
}

var saidVersion = regexp.MustCompile(`version: [0-9a-f]+/([0-9]+\.[0-9]+\.[0-9]+)[/-]`)

func (p *preflight) version(ctx context.Context) error {
	said, err := p.run(ctx, nil, "--version")
	if err != nil {
		return fmt.Errorf("%s --version: %w%s; name a working Envoy, or remove envoy.binary", p.binary, err, alsoSaid(said))
	}
	found := saidVersion.FindStringSubmatch(said)
	if found == nil {
		return fmt.Errorf("%s does not say which version of Envoy it is%s; name Envoy's own executable", p.binary, alsoSaid(said))
	}
	if err := xds.CheckVersion(found[1], p.minVersion); err != nil {
		return fmt.Errorf("%s: %w", p.binary, err)
	}
	return nil
}

// run starts Envoy in a process group of its own and ends all of that after a bound. What it says is kept up to a bound.
func (p *preflight) run(ctx context.Context, stdin []byte, args ...string) (string, error) {
	bound, cancel := context.WithTimeout(ctx, p.within)
	defer cancel()
	said := &saidUpTo{left: maxPreflightSaid}
	command := exec.CommandContext(bound, p.binary, args...) //nolint:gosec // the settings name it; arguments are ours
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(stdin), said, said
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second // for what a child of it holds open
	err := command.Run()
	if bound.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("it did not end within %v", p.within)
	}
	return said.text.String(), err
}

// exitedWith reports a process that ended by itself and said no; a crash is no answer.
func exitedWith(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.Exited()
}

// onlyReason is the reason in one line. Envoy may quote the configuration in it, where private keys are: what begins to
// quote one is left out.
func onlyReason(text string) string {
	for _, mark := range []string{"PRIVATE KEY", "private_key", "inline_bytes", "inlineBytes", "LS0tLS1CRUdJTi"} {
		text, _, _ = strings.Cut(text, mark)
	}
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + " ..."
	}
	return text
}

func alsoSaid(said string) string {
	if said = onlyReason(said); said == "" {
		return ""
	}
	return " (it said: " + said + ")"
}

// saidUpTo keeps the beginning of what is written to it.
type saidUpTo struct {
	text bytes.Buffer
	left int
}

func (s *saidUpTo) Write(b []byte) (int, error) {
	kept := b[:min(len(b), s.left)]
	s.left -= len(kept)
	_, err := s.text.Write(kept)
	return len(b), err
}
