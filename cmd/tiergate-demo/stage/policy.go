package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// PolicyStatus is what `tiergate serve` says of its policy on the admin socket, GET /v1/policy.
type PolicyStatus struct {
	Digest    string    `json:"digest"`
	LoadedAt  time.Time `json:"loadedAt"`
	Documents int       `json:"documents"`
	Fault     string    `json:"fault"` // why the newest text is not in force, with file:line:col; empty: it is
}

// Policy asks the running `serve` for its policy.
func (s *Stage) Policy(ctx context.Context) (PolicyStatus, error) {
	socket := s.Path("run", "admin.sock")
	transport := &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}
	defer transport.CloseIdleConnections()
	var status PolicyStatus
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://admin/v1/policy", nil)
	if err != nil {
		return status, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return status, fmt.Errorf("ask %s for the policy: %w", socket, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return status, err
	}
	if response.StatusCode != http.StatusOK {
		return status, fmt.Errorf("the admin socket answered %s: %s", response.Status, body)
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return status, fmt.Errorf("the admin socket answered what is no JSON: %w", err)
	}
	return status, nil
}

// Mark is a place in a policy file, 1-based, as faults name it.
type Mark struct {
	File         string // relative to the policy directory
	Line, Column int
}

func (m Mark) String() string { return fmt.Sprintf("%s:%d:%d", m.File, m.Line, m.Column) }

// Within returns the place of a part of a text that stands at the mark. An empty part, or one that is not there, is the
// mark itself.
func (m Mark) Within(text, part string) Mark {
	before, _, found := strings.Cut(text, part)
	if part == "" || !found {
		return m
	}
	if breaks := strings.Count(before, "\n"); breaks > 0 {
		m.Line, m.Column = m.Line+breaks, 1
		before = before[strings.LastIndexByte(before, '\n')+1:]
	}
	m.Column += len(before)
	return m
}

// EditPolicy replaces old, which must occur exactly once, by new in a file of the policy directory, in one atomic step.
// It returns where the replacement stands.
func (s *Stage) EditPolicy(file, old, replacement string) (Mark, error) {
	path := s.Path("policy", filepath.FromSlash(file))
	raw, err := os.ReadFile(path)
	if err != nil {
		return Mark{}, err
	}
	text := string(raw)
	if n := strings.Count(text, old); n != 1 {
		return Mark{}, fmt.Errorf("%s: %q occurs %d times, an edit needs exactly one", file, old, n)
	}
	at := strings.Index(text, old)
	line := text[:at]
	mark := Mark{File: file, Line: 1 + strings.Count(line, "\n"), Column: at - strings.LastIndexByte(line, '\n')}
	return mark, s.WritePolicy(file, strings.Replace(text, old, replacement, 1))
}

// WritePolicy writes a file of the policy directory, new or in the place of an old one, in one atomic step.
func (s *Stage) WritePolicy(file, text string) error {
	// Written beside the policy directory: a reader of that directory never sees a half-written file.
	draft := s.Path("policy.draft")
	if err := os.WriteFile(draft, []byte(text), 0o600); err != nil {
		return err
	}
	if err := os.Rename(draft, s.Path("policy", filepath.FromSlash(file))); err != nil {
		return errors.Join(err, os.Remove(draft))
	}
	return nil
}
