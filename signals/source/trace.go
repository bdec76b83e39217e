package source

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Trace notes how a vendor answered while its context was used, for those who look into a source (tiergate source check).
type Trace struct {
	mu      sync.Mutex
	answers []Answer
}

// Answer is one answer of a vendor, without anything of what it said.
type Answer struct {
	Method, Host, Path string
	Status             int           // 0: it could not be reached
	Took               time.Duration // until the answer's header
	// Ahead is how far the vendor's clock (the answer's Date, in whole seconds) is ahead of ours; Dated: it said so.
	Ahead time.Duration
	Dated bool
}

type traceKey struct{}

// WithTrace returns a context with which each Client notes its answers in the Trace.
func WithTrace(ctx context.Context) (context.Context, *Trace) {
	t := &Trace{}
	return context.WithValue(ctx, traceKey{}, t), t
}

// Answers are those that came, in their order.
func (t *Trace) Answers() []Answer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Answer(nil), t.answers...)
}

func traceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

func (t *Trace) answered(req *http.Request, response *http.Response, began time.Time) {
	if t == nil {
		return
	}
	now := time.Now()
	a := Answer{Method: req.Method, Host: req.URL.Host, Path: req.URL.Path, Took: now.Sub(began)}
	if response != nil {
		a.Status = response.StatusCode
		if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
			// The second began up to a second before it was written, and the answer was half of the time on its way.
			a.Ahead, a.Dated = date.Add(time.Second/2).Sub(began.Add(a.Took/2)), true
		}
	}
	t.mu.Lock()
	t.answers = append(t.answers, a)
	t.mu.Unlock()
}
