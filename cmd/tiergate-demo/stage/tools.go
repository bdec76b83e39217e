package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Finding is one thing that `tiergate envoy lint -o json` finds.
type Finding struct {
	Code     string `json:"code"`
	Severity string `json:"severity"` // hole, weak or note
	Where    string `json:"where"`
	What     string `json:"what"`
	Fix      string `json:"fix"`
}

// Lint runs `tiergate envoy lint` on a configuration; an empty one stands for the Envoy of this stage, which is asked itself.
func (s *Stage) Lint(ctx context.Context, configuration string) ([]Finding, error) {
	target := "-"
	if configuration == "" {
		target = "unix:" + s.Path("run", "envoy-admin.sock")
	}
	out, no, err := s.tool(ctx, configuration, "envoy", "lint", target, "-o", "json")
	if err != nil {
		return nil, err
	}
	var report struct {
		Listeners int       `json:"listeners"`
		Findings  []Finding `json:"findings"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return nil, fmt.Errorf("tiergate envoy lint wrote what is no JSON: %w", err)
	}
	if report.Listeners == 0 || no != (len(report.Findings) > 0) {
		return nil, fmt.Errorf("tiergate envoy lint found %d things in %d listeners, and its exit status says no: %t",
			len(report.Findings), report.Listeners, no)
	}
	return report.Findings, nil
}

// tool runs a verb of tiergate that may answer no (exit status 1), and returns what it wrote. What it complains of besides is
// an error, and so is any other exit status.
func (s *Stage) tool(ctx context.Context, input string, args ...string) (out []byte, no bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, verbWithin)
	defer cancel()
	var written, complaint bytes.Buffer
	command := exec.CommandContext(ctx, s.binaries.Tiergate, args...)
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &written, &complaint
	err = command.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 && complaint.Len() == 0 {
		return written.Bytes(), true, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("tiergate %v: %w: %s", args, err, bytes.TrimSpace(complaint.Bytes()))
	}
	return written.Bytes(), false, nil
}
