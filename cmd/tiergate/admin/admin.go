// Package admin is what a running tiergate tells over its admin socket, and the probes and metrics that it serves over
// TCP. The socket's directory admits only the user that runs tiergate, so what is asked there needs no further proof.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"
)

// PolicyStatus is GET /v1/policy: what is in force, and why the newest text is not, if so.
type PolicyStatus struct {
	Digest    string    `json:"digest"`    // of the policy in force
	LoadedAt  time.Time `json:"loadedAt"`  // when it came into force
	Documents int       `json:"documents"` // how many documents it has
	// Fault is file:line:col with the line and a caret; empty: the newest text is in force, or something is pinned before it.
	Fault string `json:"fault"`
	// Pinned says that a kept policy is in force, and not the directory's; null: the directory's.
	Pinned *PolicyPin `json:"pinned,omitempty"`
	// HistoryFault is why the policy in force, or that it is pinned, could not be kept; empty: it was.
	HistoryFault string `json:"historyFault,omitempty"`
	// EnvoyFault is why Envoy was not given what changed beside the policy, such as certificates; empty: it was.
	EnvoyFault string `json:"envoyFault,omitempty"`
}

// Readiness is nil when the process can do its work, else why not.
type Readiness func() error

// Socket is the handler behind admin.sock.
func Socket(policy func() PolicyStatus, more map[string]func() any) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/policy", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, policy()) })
	for path, value := range more {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, value()) })
	}
	return mux
}

// Probes is the handler of /healthz, /readyz and /metrics.
func Probes(ready Readiness, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			writeText(w, http.StatusServiceUnavailable, "not ready: "+err.Error()+"\n")
			return
		}
		writeText(w, http.StatusOK, "ready\n")
	})
	mux.Handle("GET /metrics", metrics)
	return mux
}

// Serve serves until ctx ends, then lets running requests finish for a bound. Options may change the server before.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, options ...func(*http.Server)) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ConnContext: withPeer,
	}
	for _, change := range options {
		change(server)
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	err := server.Shutdown(bound)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func writeJSON(w http.ResponseWriter, value any) {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		writeText(w, http.StatusInternalServerError, err.Error()+"\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(raw, '\n')) // the reader went away; there is nobody to tell
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // as above
}
