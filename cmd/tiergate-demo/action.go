package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// world is what the story acts on; a *stage.Stage is one.
type world interface {
	Ask(ctx context.Context, r stage.Request) stage.Answer
	Report(ctx context.Context, device string, attributes map[string]any) (stage.Receipt, error)
	Policy(ctx context.Context) (stage.PolicyStatus, error)
	ReportSeen(ctx context.Context, device string, seen time.Time, attributes map[string]any) (stage.Receipt, error)
	EditPolicy(file, old, replacement string) (stage.Mark, error)
	WritePolicy(file, text string) error
	Record(decision string) (stage.Record, bool, error)
	Kill(process string) error
	Restart(ctx context.Context, process string) error
	Rotate(ctx context.Context, workload string, r stage.Request) (stage.Rotation, error)
	SignIn(ctx context.Context, as string, bound bool, l oidc.Login) (oidc.Token, error)
	Browse(ctx context.Context, e stage.Errand) stage.Visit
	ReportBy(ctx context.Context, source, device string, attributes map[string]any) (stage.Receipt, error)
	Assess(encrypted string)
	Sync(ctx context.Context, source string) error
	EndSessions(ctx context.Context, as string) (stage.Receipt, error)
	Device(ctx context.Context, name string) (stage.Known, error)
	Devices(ctx context.Context) ([]stage.Listed, error)
	Receiver() string
	Flood(ctx context.Context, laptops, kills int) (stage.Flood, error)
	Lint(ctx context.Context, configuration string) ([]stage.Finding, error)
	Open(ctx context.Context, r stage.Request) (stage.Conversation, error)
	Draft(edits ...stage.Edit) (string, error)
	Diff(ctx context.Context, draft string) (stage.Difference, error)
	Apply(files ...string) error
	Prove(ctx context.Context, draft string) (stage.Proof, error)
	Upstreams() (portal, contractors string)
	RequestException(ctx context.Context, e stage.Excuse) (stage.Excused, error)
	ApproveException(ctx context.Context, name, as string) (stage.Excused, error)
	RevokeException(ctx context.Context, name, reason string) (stage.Excused, error)
	Findings(ctx context.Context) ([]stage.Case, error)
}

var _ world = (*stage.Stage)(nil)

// action is what a step does.
type action interface {
	perform(ctx context.Context, p *play, w want) got
}

// again is the pause of whoever asks until something has changed.
const again = 500 * time.Microsecond

// ask sends one request through Envoy.
type ask struct {
	as, listener, method, host, path string
	header                           http.Header
	http1, noToken                   bool
	use                              credential
	// until: ask again until the answer is as it should be, at most so long. Zero: ask once.
	until time.Duration
}

func (a ask) request() stage.Request {
	return stage.Request{As: a.as, Listener: a.listener, Method: a.method, Host: a.host, Path: a.path, Header: a.header,
		HTTP1: a.http1, NoToken: a.noToken}
}

func (a ask) perform(ctx context.Context, p *play, w want) got {
	began := time.Now()
	for asked := 1; ; asked++ {
		request, err := p.dress(a.request(), a.use)
		if err != nil {
			return got{err: err}
		}
		answer := p.world.Ask(ctx, request)
		p.heard(&answer)
		g := got{answer: &answer, err: p.sameDevice(a.as, &answer)}
		if w.excused != nil {
			g.excused, g.err = p.excused(&answer, g.err)
		}
		if len(w.differences(g)) == 0 || time.Since(began) >= a.until || !pause(ctx) {
			if asked > 1 {
				g.note = fmt.Sprintf("after %s and %d requests", milliseconds(time.Since(began)), asked)
			}
			return g
		}
	}
}

// report sends a webhook and asks until its effect shows.
type report struct {
	device     string
	attributes map[string]any
	then       ask
	by         string        // the source; empty: the MDM
	ago        time.Duration // since the MDM saw that; zero: it sees it now
	lasts      time.Duration // how long after that the answer stays as it is, for outlast; zero: nobody waits for it
}

func (r report) perform(ctx context.Context, p *play, w want) got {
	began := time.Now()
	receipt, attempts, err := r.send(ctx, p, began)
	if r.lasts != 0 {
		p.ends = began.Add(r.lasts - r.ago)
	}
	if err != nil {
		return got{err: err}
	}
	if receipt.Status != http.StatusAccepted {
		return got{err: fmt.Errorf("the receiver answered %d, want 202: %s", receipt.Status, receipt.Body)}
	}
	r.then.until = soon
	g := r.then.perform(ctx, p, w)
	g.note = fmt.Sprintf("202 after %s; webhook to changed answer %s", milliseconds(receipt.Took),
		milliseconds(time.Since(began)))
	if attempts > 1 {
		g.note += fmt.Sprintf(", for the receiver could not make it durable %d times", attempts-1)
	}
	return g
}

// resend is the pause of a sender that was told 503.
const resend = 100 * time.Millisecond

// send retries what could not be made durable, as senders do: on a busy disk the store may miss its time.
func (r report) send(ctx context.Context, p *play, began time.Time) (receipt stage.Receipt, attempts int, err error) {
	for {
		attempts++
		switch {
		case r.by != "":
			receipt, err = p.world.ReportBy(ctx, r.by, r.device, r.attributes)
		case r.ago == 0:
			receipt, err = p.world.Report(ctx, r.device, r.attributes)
		default:
			receipt, err = p.world.ReportSeen(ctx, r.device, began.Add(-r.ago), r.attributes)
		}
		if err != nil || receipt.Status != http.StatusServiceUnavailable || time.Since(began) >= soon {
			return receipt, attempts, err
		}
		select {
		case <-ctx.Done():
			return receipt, attempts, ctx.Err()
		case <-time.After(resend):
		}
	}
}

// edit changes a policy file in one place.
type edit struct {
	file, old, replacement string
	mark                   string // the text within the replacement that faults will name; empty: no fault is expected
}

func (e edit) perform(_ context.Context, p *play, _ want) got {
	mark, err := p.world.EditPolicy(e.file, e.old, e.replacement)
	if err != nil {
		return got{err: err}
	}
	p.edited = mark.Within(e.replacement, e.mark).String()
	return got{note: p.edited}
}

// fault waits until the admin socket shows one.
type fault struct{ within time.Duration }

func (f fault) perform(ctx context.Context, p *play, _ want) got {
	status, err := p.policy(ctx, f.within, func(s stage.PolicyStatus) bool { return s.Fault != "" })
	p.digest = status.Digest
	if err != nil {
		return got{err: fmt.Errorf("no fault is shown: %w", err)}
	}
	return got{fault: status.Fault, edited: p.edited, note: "in force stays " + short(status.Digest)}
}

// newDigest waits until the policy that the fault held back is replaced.
type newDigest struct{ within time.Duration }

func (n newDigest) perform(ctx context.Context, p *play, _ want) got {
	mended := func(s stage.PolicyStatus) bool { return s.Fault == "" && s.Digest != p.digest }
	status, err := p.policy(ctx, n.within, mended)
	if err != nil {
		return got{err: fmt.Errorf("the mended policy is not in force: %w; fault %q", err, status.Fault)}
	}
	return got{note: fmt.Sprintf("in force is %s, %d documents", short(status.Digest), status.Documents)}
}

// kill ends a process by SIGKILL.
type kill struct{ process string }

func (k kill) perform(_ context.Context, p *play, _ want) got {
	return got{err: p.world.Kill(k.process)}
}

// restart starts a process again.
type restart struct{ process string }

func (r restart) perform(ctx context.Context, p *play, _ want) got {
	began := time.Now()
	err := p.world.Restart(ctx, r.process)
	return got{err: err, note: "ready after " + milliseconds(time.Since(began))}
}

// traffic starts or ends steady requests in the background.
type traffic struct {
	start  bool
	beside bool // the receiver was killed meanwhile, see tally.beside
}

func (t traffic) perform(ctx context.Context, p *play, _ want) got {
	if t.start {
		p.stopTraffic() // one at a time
		p.background = startTraffic(ctx, p.world)
		p.background.flow(ctx, 2)
		return got{note: fmt.Sprintf("one request every %s, HTTP/1.1 and HTTP/2 in turn", trafficEvery)}
	}
	if p.background != nil {
		p.background.flow(ctx, afterwards)
	}
	tally, forgiven := p.stopTraffic(), ""
	if t.beside {
		forgiven = tally.beside(p.world.Receiver())
	}
	return got{traffic: &tally, note: fmt.Sprintf("%d requests, %d lost%s", tally.sent, tally.lost, forgiven)}
}

// pause reports whether there is still time.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(again):
		return true
	}
}

func short(digest string) string { return digest[:min(len(digest), len("sha256:")+12)] }
