package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/signals"
)

// clearDiary is a clearer over a list, with what it was told.
type clearDiary struct {
	list   []approvals.Clearance
	unread error
	fails  error
	ended  map[string]int // how often a clearance changed a device
	lines  []string
}

func (d *clearDiary) clearer() *clearer {
	say := func(format string, args ...any) { d.lines = append(d.lines, fmt.Sprintf(format, args...)) }
	return &clearer{done: map[string]bool{}, failed: map[string]string{}, now: time.Now,
		approved: func(context.Context) ([]approvals.Clearance, error) { return d.list, d.unread },
		clear: func(_ context.Context, _ signals.DeviceID, ended []signals.Clearance) (bool, error) {
			if d.fails != nil {
				return false, d.fails
			}
			d.ended[ended[0].Name]++
			return d.ended[ended[0].Name] == 1, nil
		},
		told: clearEvents{
			applied: func(name, device, signal string) { say("applied %s %s %s", name, device, signal) },
			failed:  func(name, _ string, err error) { say("failed %s %v", name, err) },
			unread:  func(err error) { say("unread %v", err) },
			waiting: func(n int) { say("waiting %d", n) },
		}}
}

func approvedClearance(name string) approvals.Clearance {
	at := time.Now().Add(-time.Minute)
	return approvals.Clearance{Name: name, Device: "d1", Signal: "not-compromised", Ends: []signals.Fact{{Attribute: "compromised", Source: "mdm",
		Observed: at}}, History: []approvals.Event{{At: at, Step: approvals.StepRequested}, {At: at, Step: approvals.StepApproved}}}
}

// TestClearerGoesOn: what cannot be applied waits, is told once for each reason, and is applied once.
func TestClearerGoesOn(t *testing.T) {
	t.Parallel()
	d := &clearDiary{list: []approvals.Clearance{approvedClearance("a")}, ended: map[string]int{}}
	c := d.clearer()
	look := func(want string) {
		t.Helper()
		d.lines = nil
		c.look(t.Context())
		if got := strings.Join(d.lines, ", "); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	d.fails = errors.New("the store is down")
	look("failed a the store is down, waiting 1")
	look("waiting 1")
	d.fails = errors.New("it hangs")
	look("failed a it hangs, waiting 1")
	d.unread = errors.New("gone")
	look("unread gone")
	look("")
	d.unread, d.fails = nil, nil
	look("applied a d1 not-compromised, waiting 0")
	look("waiting 0")
	d.list = append(d.list, approvedClearance("b"))
	look("applied b d1 not-compromised, waiting 0")
	c = d.clearer() // another process: it cannot know, and changes nothing
	look("waiting 0")
	if d.ended["a"] != 2 || d.ended["b"] != 2 {
		t.Errorf("%v", d.ended)
	}
}
