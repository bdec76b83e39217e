package agent

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"go.uber.org/goleak"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	deployer = "spiffe://acme.example/ns/ci/sa/deployer"
	reporter = "spiffe://acme.example/ns/batch/sa/reporter"
	partner  = "spiffe://partner.example/ns/ci/sa/agent"
)

var (
	acmeDomain    = spiffeid.RequireTrustDomainFromString("acme.example")
	partnerDomain = spiffeid.RequireTrustDomainFromString("partner.example")
)

// world is an agent with one registered process: this one, or none.
type world struct {
	*Agent

	mu       sync.Mutex
	names    []string
	other    bool // another process is registered, this one is not
	issued   map[string]int
	refused  []string
	rejected []string
}

func newWorld(t *testing.T, o Options, names ...string) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{names: names, issued: map[string]int{}}
	o.Socket = filepath.Join(dir, "agent.sock")
	o.TrustDomains = map[string]*devca.CA{"acme.example": nil, "partner.example": nil}
	o.Identities = w.identities
	o.Events = Events{
		Issued: func(id string, _ time.Time) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.issued[id]++
		},
		Refused: func(_ Caller, reason string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.refused = append(w.refused, reason)
		},
		Rejected: func(_ Caller, _ []string, detail string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.rejected = append(w.rejected, detail)
		},
	}
	if w.Agent, err = New(o); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) identities(c Caller) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.other == (c.PID == os.Getpid() && c.UID == os.Getuid() && c.GID == os.Getgid()) {
		return nil
	}
	return w.names
}

func (w *world) register(names ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names = names
}

func (w *world) issuedTo(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.issued[id]
}

// eager tries again at once, where go-spiffe would wait for seconds.
type eager struct{}

func (eager) NewBackoff() workloadapi.Backoff { return eager{} }
func (eager) Next() time.Duration             { return 10 * time.Millisecond }
func (eager) Reset()                          {}

func (w *world) client() workloadapi.SourceOption {
	return workloadapi.WithClientOptions(workloadapi.WithAddr("unix://"+w.Socket()), workloadapi.WithBackoffStrategy(eager{}))
}

func (w *world) source(t *testing.T) *workloadapi.X509Source {
	t.Helper()
	source, err := workloadapi.NewX509Source(soon(t), w.client())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	return source
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func serial(t *testing.T, source *workloadapi.X509Source) string {
	t.Helper()
	return leaf(t, source).SerialNumber.String()
}

func leaf(t *testing.T, source *workloadapi.X509Source) *x509.Certificate {
	t.Helper()
	svid, err := source.GetX509SVID()
	if err != nil {
		t.Fatal(err)
	}
	return svid.Certificates[0]
}

// until waits for something to become so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for ctx := soon(t); !so(); time.Sleep(2 * time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// authoritiesOf are the CA certificates that a source believes for a trust domain.
func authoritiesOf(t *testing.T, source *workloadapi.X509Source, domain spiffeid.TrustDomain) []*x509.Certificate {
	t.Helper()
	bundle, err := source.GetX509BundleForTrustDomain(domain)
	if err != nil {
		t.Fatal(err)
	}
	return bundle.X509Authorities()
}

func leafSignedBy(t *testing.T, source *workloadapi.X509Source, ca *x509.Certificate) bool {
	t.Helper()
	return leaf(t, source).CheckSignatureFrom(ca) == nil
}
