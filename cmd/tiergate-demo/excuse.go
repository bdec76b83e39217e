package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// except writes an exception into the policy directory, as IAM would, and waits until it is in force.
type except struct {
	name        string
	from, until time.Duration // from now; negative: before
}

// exceptionText is an exception for Ana on her own laptop.
const exceptionText = `# Written by the demo.
apiVersion: tiergate.dev/v1alpha1
kind: Exception
metadata: {name: %s, owner: iam}
spec:
  subjects: [{issuer: corp, user: ana@acme.example}]
  devices: [C02ANA0001]
  routes: [portal]
  signals: [disk-encrypted]
  reason: the disk was replaced and is being encrypted
  approver: cho@acme.example
  ticket: IT-4720
  from: %s
  until: %s
`

func (e except) perform(ctx context.Context, p *play, _ want) got {
	before, err := p.world.Policy(ctx)
	if err != nil {
		return got{err: err}
	}
	began := time.Now()
	p.ends = began.Add(e.until)
	text := fmt.Sprintf(exceptionText, e.name, stamp(began.Add(e.from)), stamp(p.ends))
	if err := p.world.WritePolicy("access/exception-"+e.name+".yaml", text); err != nil {
		return got{err: err}
	}
	changed := func(s stage.PolicyStatus) bool { return s.Fault != "" || s.Digest != before.Digest }
	if status, err := p.policy(ctx, soon, changed); err != nil || status.Fault != "" {
		return got{err: fmt.Errorf("the exception is not in force: %w; fault %q", err, status.Fault)}
	}
	return got{note: fmt.Sprintf("in force after %s, ends at %s", milliseconds(time.Since(began)), stamp(p.ends))}
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// outlast asks again and again until admission ends, and holds that to the instant at which it must: not admitted at or
// after it, not refused before it. Answers that nobody decided on, such as Envoy's own on a slow machine, do not count.
type outlast struct{ ask }

// patience is the pause of outlast.
const patience = 5 * time.Millisecond

func (o outlast) perform(ctx context.Context, p *play, _ want) got {
	for admitted := 0; ; {
		began := time.Now()
		answer := p.world.Ask(ctx, o.request())
		answered := time.Now()
		// Envoy cuts what was let in a moment before the end (504, with the decision's id).
		decided := answer.Err == nil && answer.DecisionID() != "" && answer.Status != http.StatusGatewayTimeout
		switch {
		case !decided && began.After(p.ends.Add(soon)):
			return got{answer: &answer, err: fmt.Errorf("nobody decided, %s after its end", began.Sub(p.ends))}
		case !decided:
		case answer.Status == http.StatusOK && !began.Before(p.ends):
			return got{answer: &answer, err: fmt.Errorf("admitted %s after its end", began.Sub(p.ends))}
		case answer.Status == http.StatusOK:
			admitted++
		case answered.Before(p.ends):
			return got{answer: &answer, err: fmt.Errorf("refused %s before its end", p.ends.Sub(answered))}
		case admitted == 0:
			return got{answer: &answer, err: fmt.Errorf("it ended %s ago, and nobody was admitted before", answered.Sub(p.ends))}
		default:
			return got{answer: &answer, note: fmt.Sprintf("admitted %d times before %s, and refused within %s of it", admitted,
				stamp(p.ends), milliseconds(answered.Sub(p.ends)))}
		}
		select {
		case <-ctx.Done():
			return got{err: ctx.Err()}
		case <-time.After(patience):
		}
	}
}

// excused is what the log tells of why an answer was given although a demand was not met.
func (p *play) excused(answer *stage.Answer, err error) ([]string, error) {
	if err != nil || answer.Err != nil || answer.Status != http.StatusOK {
		return nil, err
	}
	record, _, err := p.world.Record(answer.DecisionID())
	var excused []string
	for _, w := range record.Waived {
		excused = append(excused, w.String())
	}
	return excused, err
}

// excuses reads "nothing", or what is excused by what, separated by commas.
func excuses(text string) *[]string {
	list := strings.Split(text, ", ")
	if text == "nothing" {
		list = nil
	}
	return &list
}
