package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/agent"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
)

// The stores that a stage can have.
const (
	StoreRedis    = "redis"    // a real Valkey; `tiergate ingest` is a process of its own
	StoreEmbedded = "embedded" // bbolt; the receiver runs inside `tiergate serve`
)

// Options say how a stage is built. The zero Options are those of the demo.
type Options struct {
	Store string // StoreRedis (the default) or StoreEmbedded
	// Dir is where everything is laid out; it must be short, for it holds Unix sockets. Default: a new directory under
	// the system's temporary one, which Close removes. One that is named must be empty or new, and stays.
	Dir string
	// Binaries says where the programs are. Default: FindBinaries.
	Binaries Binaries
	Events   Events
	// Login makes the issuer of the settings a real OpenID provider, a process of the stage, and lets everybody of the cast
	// log in there. Default: the stage signs the tokens itself.
	Login bool
	// AuthTimeMoves lets that provider write a new auth_time into every token, and says so in the settings.
	AuthTimeMoves bool
	// Agent lets the SVIDs of all workloads come from an agent inside this process, and rotate: those of the upstreams, of
	// Envoy and of tiergate itself; and adds ListenerWorkloads. Default: certificates in files, which last a day.
	Agent       bool
	AgentEvents agent.Events
	// EDR adds a second source of facts, EDRName. Default: only the MDM.
	EDR bool
	// Vendors adds Kandji and CrowdStrike Falcon, whose APIs are played on loopback: KandjiName and FalconName, which know the
	// laptop of that name. Default: neither.
	Vendors string
	// Evidence lets every decision be recorded, in evidence/decisions.jsonl. Default: none is.
	Evidence bool
}

// Stage is one laid-out company. Its methods may be called concurrently after Start.
type Stage struct {
	Dir   string
	Store string
	Ports Ports
	Cast  Cast
	// Sender reports posture as the MDM would.
	Sender *Sender
	// EDR reports the same laptops as a tool that knows them by other names; nil without Options.EDR.
	EDR *Sender
	// Processes are the children, by name: valkey, login, portal, payroll, contractor-portal, ingest, serve, envoy.
	Processes *Supervisor

	// Provider is the OpenID provider; nil without Options.Login.
	Provider *oidc.Provider

	// Agent is the Workload API; nil without Options.Agent.
	Agent *agent.Agent

	transmitter *transmitter // of Shared Signals
	vendors     *vendors     // nil without Options.Vendors

	binaries Binaries
	evidence bool
	ownDir   bool

	authTimeMoves bool
	client        *Client

	application *loginApplication
	browsing    sync.Mutex
	browsers    map[string]*browser // by caller
}

// New lays out a stage. It starts nothing; Close removes what it made.
func New(o Options) (*Stage, error) {
	if o.Store == "" {
		o.Store = StoreRedis
	}
	if o.Store != StoreRedis && o.Store != StoreEmbedded {
		return nil, fmt.Errorf("%q is no store; use %s or %s", o.Store, StoreRedis, StoreEmbedded)
	}
	if o.Binaries == (Binaries{}) {
		found, err := FindBinaries()
		if err != nil {
			return nil, err
		}
		o.Binaries = found
	}
	s := &Stage{Dir: o.Dir, Store: o.Store, binaries: o.Binaries, evidence: o.Evidence,
		authTimeMoves: o.AuthTimeMoves, browsers: map[string]*browser{}}
	s.Processes = NewSupervisor(o.Events)
	if err := s.layOut(o); err != nil {
		return nil, errors.Join(fmt.Errorf("lay out the stage: %w", err), s.Close())
	}
	return s, nil
}

func (s *Stage) layOut(o Options) error {
	if err := s.makeDirs(); err != nil {
		return err
	}
	ports, err := freePorts()
	if err != nil {
		return err
	}
	s.Ports = ports
	if err := s.Cast.make(); err != nil {
		return err
	}
	s.client = NewClient(s.Cast.Servers)
	if err := s.Cast.write(s.Dir); err != nil {
		return err
	}
	if s.Sender, err = newSender(s.Dir, "http://"+s.Ports.Ingest, s.Cast); err != nil {
		return err
	}
	if o.EDR {
		if s.EDR, err = newEDR(s.Dir, "http://"+s.Ports.Ingest); err != nil {
			return err
		}
	}
	if err := errors.Join(s.writeSeal(), s.newTransmitter()); err != nil {
		return err
	}
	if o.Vendors != "" {
		if err := s.newVendors(o.Vendors); err != nil {
			return err
		}
	}
	if o.Login {
		if err := s.writeProvider(); err != nil {
			return err
		}
	}
	if o.Agent {
		if err := s.newAgent(o.AgentEvents); err != nil {
			return err
		}
	}
	return s.writeExample()
}

// maxDir leaves room for the longest socket name in sun_path (108 bytes on Linux, 104 elsewhere).
const maxDir = 70

func (s *Stage) makeDirs() error {
	if s.Dir == "" {
		dir, err := os.MkdirTemp("", "tg")
		if err == nil && len(dir) > maxDir {
			err = os.Remove(dir)
			dir = ""
			if err == nil {
				dir, err = os.MkdirTemp("/tmp", "tg")
			}
		}
		if err != nil {
			return err
		}
		s.Dir, s.ownDir = dir, true
	}
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return err
	}
	if s.Dir = dir; len(dir) > maxDir {
		return fmt.Errorf("%s has %d characters; sockets need a directory of at most %d", dir, len(dir), maxDir)
	}
	if left, err := os.ReadDir(dir); err == nil && len(left) > 0 {
		return fmt.Errorf("%s is not empty: name a directory that is, or that does not exist yet", dir)
	}
	for _, name := range []string{"", "run", "pki", "tokens", "secrets", "store", "logs", "evidence"} {
		if err := os.MkdirAll(s.Path(name), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// Path returns a place in the stage's directory.
func (s *Stage) Path(elements ...string) string {
	return filepath.Join(append([]string{s.Dir}, elements...)...)
}

// Settings is the settings file that `serve` and `ingest` run with.
func (s *Stage) Settings() string { return s.Path("settings.yaml") }

// Start starts every process in its order and returns when all are ready. When one is not, the error holds the last
// lines that it wrote; the others keep running until Close.
func (s *Stage) Start(ctx context.Context) error {
	if s.Agent != nil {
		if err := s.Agent.Start(); err != nil {
			return err
		}
	}
	for _, process := range s.processes() {
		if err := s.Processes.Start(ctx, process); err != nil {
			return err
		}
	}
	if err := s.startApplication(); err != nil {
		return fmt.Errorf("start the login application: %w", err)
	}
	return s.logIn(ctx)
}

// Close ends all processes, the last started first, and removes the directory if New made it. It is idempotent.
func (s *Stage) Close() error {
	if s.client != nil {
		s.client.Close()
	}
	s.closeBrowsers()
	err := errors.Join(s.application.close(), s.Processes.Stop(), s.vendors.close())
	if s.Agent != nil {
		err = errors.Join(err, s.Agent.Stop())
	}
	if s.ownDir {
		err = errors.Join(err, os.RemoveAll(s.Dir))
	}
	return err
}

// Caller returns a caller of the cast by name.
func (s *Stage) Caller(name string) (Caller, error) {
	for _, c := range callers {
		if c.Name == name {
			return c, nil
		}
	}
	return Caller{}, fmt.Errorf("%q is not in the cast", name)
}

// Report sends a report of one laptop's posture, see Sender.
func (s *Stage) Report(ctx context.Context, device string, attributes map[string]any) (Receipt, error) {
	return s.Sender.Report(ctx, device, attributes)
}

// ReportSeen sends a report of what the MDM saw of a laptop at another instant, see Sender.
func (s *Stage) ReportSeen(ctx context.Context, device string, seen time.Time, attributes map[string]any) (Receipt, error) {
	return s.Sender.ReportSeen(ctx, device, seen, attributes)
}

// Kill ends a process by SIGKILL and returns once it is gone.
func (s *Stage) Kill(name string) error { return s.Processes.Kill(name) }

// Restart starts a process again that has ended, and returns when it is ready.
func (s *Stage) Restart(ctx context.Context, name string) error {
	return s.Processes.Restart(ctx, name)
}
