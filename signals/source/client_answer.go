package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// judge says what a status means; nil for 200, and for 204 where the client may have one.
func (c *Client) judge(response *http.Response, now time.Time) error {
	status := response.StatusCode
	switch {
	case status == http.StatusOK, status == http.StatusNoContent && c.empty:
		return nil
	case status == http.StatusNotFound || status == http.StatusGone:
		return fmt.Errorf("status %d: %w", status, ErrGone)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fmt.Errorf("status %d: the vendor refuses our credentials; check them and their rights", status)
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status == http.StatusTooEarly ||
		status >= http.StatusInternalServerError:
		after := retryAfter(response.Header.Get("Retry-After"), now)
		if after == 0 && status == http.StatusTooManyRequests {
			after = rateReset(response.Header.Get("X-Rate-Limit-Reset"), now)
		}
		return c.busy(after, fmt.Errorf("status %d", status))
	}
	return fmt.Errorf("status %d, which is no answer", status)
}

// retryAfter reads the header's two forms; 0: it says nothing that can be followed.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if seconds, err := strconv.ParseUint(header, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// rateReset reads Okta's word on when it may be asked again, in seconds since 1970; it sends no Retry-After
// (developer.okta.com/docs/reference/rl-best-practices). 0: it says nothing that can be followed.
func rateReset(header string, now time.Time) time.Duration {
	seconds, err := strconv.ParseInt(strings.TrimSpace(header), 10, 64)
	if err != nil || seconds > now.Add(maxRetryAfter).Unix() {
		return 0
	}
	return max(time.Unix(seconds, 0).Sub(now), 0)
}

// busy remembers that the vendor wants to be left alone, and for how long.
func (c *Client) busy(after time.Duration, reason error) *Busy {
	c.mu.Lock()
	defer c.mu.Unlock()
	backoff := min(firstBackoff<<min(c.failures, 16), lastBackoff)
	c.failures++
	if after <= 0 {
		after = backoff
	}
	if until := time.Now().Add(after); until.After(c.notUntil) {
		c.notUntil = until
	}
	return &Busy{After: after, Reason: reason}
}

// mayAsk is nil unless the vendor asked to be left alone.
func (c *Client) mayAsk(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if left := c.notUntil.Sub(now); left > 0 {
		return &Busy{After: left, Reason: errors.New("the vendor asked to be left alone, or could not be reached")}
	}
	return nil
}

// pace lets through one request per interval, with a burst of one second's worth.
type pace struct {
	mu       sync.Mutex
	interval time.Duration
	burst    time.Duration
	next     time.Time // when the request after the last one is due if all are evenly spread
}

func newPace(perSecond float64) *pace {
	interval := time.Duration(float64(time.Second) / perSecond)
	return &pace{interval: interval, burst: max(time.Second-interval, 0)}
}

// wait returns when a request may be sent, or when ctx ends. A place that was taken is not given back: it only makes the
// pace slower.
func (p *pace) wait(ctx context.Context) error {
	p.mu.Lock()
	now := time.Now()
	if earliest := now.Add(-p.burst); p.next.Before(earliest) {
		p.next = earliest
	}
	due := p.next
	p.next = p.next.Add(p.interval)
	p.mu.Unlock()
	if !due.After(now) {
		return ctx.Err()
	}
	timer := time.NewTimer(due.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
