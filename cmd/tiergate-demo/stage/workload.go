package stage

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Workload is a client whose SVID comes from the stage's agent and rotates: a new one is shown on new connections, and the
// connections of the old one are let go long before it ends, as a mesh's proxies do. Its methods may be called concurrently.
type Workload struct {
	stage  *Stage
	source *workloadapi.X509Source

	mu    sync.Mutex
	shown map[string]bool // serial numbers of the SVIDs that it had
	seen  map[string]bool // those of the SVIDs that Envoy showed to it
	now   string          // the one of kept
	kept  map[bool]*http.Transport
}

// Workload returns a client of the stage's agent with the SVID of deployer or reporter. It must be closed.
func (s *Stage) Workload(ctx context.Context, name string) (*Workload, error) {
	id, known := workloads[name]
	if s.Agent == nil || !known {
		return nil, fmt.Errorf("there is no agent to give %s an SVID, or nobody is called so", name)
	}
	source, err := s.Source(ctx, id)
	if err != nil {
		return nil, err
	}
	return &Workload{stage: s, source: source, shown: map[string]bool{}, seen: map[string]bool{}}, nil
}

// Source is the Workload API's word on one identity of this process. It must be closed.
func (s *Stage) Source(ctx context.Context, spiffeID string) (*workloadapi.X509Source, error) {
	source, err := workloadapi.NewX509Source(ctx, agentAt(s.Agent.Socket()),
		workloadapi.WithDefaultX509SVIDPicker(func(all []*x509svid.SVID) *x509svid.SVID {
			for _, svid := range all {
				if svid.ID.String() == spiffeID {
					return svid
				}
			}
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("an SVID of %s: %w", spiffeID, err)
	}
	return source, nil
}

// agentAt tries an agent that is away again soon: go-spiffe and grpc would wait for so long that SVIDs of seconds end.
func agentAt(socket string) workloadapi.SourceOption {
	return workloadapi.WithClientOptions(workloadapi.WithAddr("unix://"+socket), workloadapi.WithBackoffStrategy(soonAgain{}),
		workloadapi.WithDialOptions(grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: time.Second,
			Backoff: backoff.Config{BaseDelay: tryAgentEvery, Multiplier: 1, MaxDelay: tryAgentEvery}})))
}

const tryAgentEvery = 200 * time.Millisecond

type soonAgain struct{}

// NewBackoff implements workloadapi.BackoffStrategy.
func (soonAgain) NewBackoff() workloadapi.Backoff { return soonAgain{} }

// Next implements workloadapi.Backoff.
func (soonAgain) Next() time.Duration { return tryAgentEvery }

// Reset implements workloadapi.Backoff.
func (soonAgain) Reset() {}

// Ask sends a request to the listener of workloads and reads the answer, as a Client does. Envoy must show its SVID.
func (w *Workload) Ask(ctx context.Context, r Request) Answer {
	transport, err := w.transport(r.HTTP1)
	if err != nil {
		return Answer{Err: err}
	}
	return w.ask(ctx, r, transport)
}

// AskAnew does it over a connection of its own.
func (w *Workload) AskAnew(ctx context.Context, r Request) Answer {
	transport := w.newTransport(r.HTTP1)
	defer transport.CloseIdleConnections()
	return w.ask(ctx, r, transport)
}

func (w *Workload) ask(ctx context.Context, r Request, transport *http.Transport) Answer {
	began := time.Now()
	if r.As != "" || r.Listener != "" || r.Address != "" || r.Pair != nil {
		return Answer{Err: errors.New("a Workload asks as itself, at listener " + ListenerWorkloads)}
	}
	answer, err := roundTrip(ctx, r, transport)
	answer.Took, answer.Err = time.Since(began), err
	return answer
}

// Certificates is how many SVIDs were shown on kept connections so far.
func (w *Workload) Certificates() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.shown)
}

// Envoys is how many SVIDs of Envoy it was shown so far.
func (w *Workload) Envoys() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen)
}

// Close lets go of its connections and of the agent.
func (w *Workload) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.letGo()
	return w.source.Close()
}

// letGo closes what is idle; what is not will be idle soon, and then ends by itself. The caller holds w.mu.
func (w *Workload) letGo() {
	for _, t := range w.kept {
		t.CloseIdleConnections()
	}
	w.kept = map[bool]*http.Transport{}
}

// transport returns the kept connections of the SVID that is in force.
func (w *Workload) transport(http1 bool) (*http.Transport, error) {
	svid, err := w.source.GetX509SVID()
	if err != nil {
		return nil, err
	}
	serial := svid.Certificates[0].SerialNumber.String()
	w.mu.Lock()
	defer w.mu.Unlock()
	if serial != w.now {
		w.letGo()
		w.now, w.shown[serial] = serial, true
	}
	if w.kept[http1] == nil {
		w.kept[http1] = w.newTransport(http1)
	}
	return w.kept[http1], nil
}

func (w *Workload) newTransport(http1 bool) *http.Transport {
	config := tlsconfig.MTLSClientConfig(w.source, w.source, tlsconfig.AuthorizeID(spiffeid.RequireFromString(EnvoyID)))
	config.MinVersion = tls.VersionTLS12
	config.VerifyConnection = func(state tls.ConnectionState) error { // after the library's own judgement
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen[state.PeerCertificates[0].SerialNumber.String()] = true
		return nil
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(http1)
	protocols.SetHTTP2(!http1)
	return &http.Transport{
		TLSClientConfig: config, Protocols: protocols, MaxIdleConnsPerHost: 16, DisableCompression: true,
		IdleConnTimeout: time.Second,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", w.stage.Ports.Workloads)
		},
	}
}
