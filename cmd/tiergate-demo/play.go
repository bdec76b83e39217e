package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// play is one performance of the story.
type play struct {
	world world
	paper *paper

	devices    map[string]string // what the upstream was told of each caller's device
	edited     string            // the place in the policy that was edited last
	digest     string            // of the policy in force when a fault was shown
	ends       time.Time         // when the answer that outlast waits out must end
	background *background
	late       *stage.Answer // to whoever did not renew
	flooded    stage.Flood   // what was reported while the receiver was killed
	sockets    []stage.Conversation
	draft      string // where a change waits to be judged
	session
}

func newPlay(w world, paper *paper) *play {
	return &play{world: w, paper: paper, devices: map[string]string{}}
}

// run plays all scenes to their end, even if something differs, and returns what did.
func (p *play) run(ctx context.Context, scenes []scene) []string {
	defer p.hangUp()
	defer p.stopTraffic()
	var all []string
	for _, scene := range scenes {
		p.paper.title(scene.title)
		for _, step := range scene.steps {
			if ctx.Err() != nil {
				return append(all, "interrupted: "+ctx.Err().Error())
			}
			g := step.do.perform(ctx, p, step.want)
			differences := step.want.differences(g)
			p.paper.step(step, g, differences)
			for _, d := range differences {
				number, _, _ := strings.Cut(scene.title, ".")
				all = append(all, fmt.Sprintf("scene %s: %s %s: %s", number, step.who, step.what, d))
			}
		}
	}
	return all
}

// sameDevice holds that one caller's laptop is called the same for ever, whatever died in between.
func (p *play) sameDevice(caller string, a *stage.Answer) error {
	if a.Echo == nil || len(a.Echo.Headers["x-tiergate-device"]) != 1 {
		return nil
	}
	id := a.Echo.Headers["x-tiergate-device"][0]
	if before, known := p.devices[caller]; known && before != id {
		return fmt.Errorf("the laptop of %s was called %s and is now called %s", caller, before, id)
	}
	p.devices[caller] = id
	return nil
}

// policyEvery is the pause between two questions to the admin socket.
const policyEvery = 5 * time.Millisecond

func (p *play) policy(ctx context.Context, within time.Duration, enough func(stage.PolicyStatus) bool) (
	stage.PolicyStatus, error,
) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		status, err := p.world.Policy(ctx)
		if err == nil && enough(status) {
			return status, nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("not within %s", within)
			}
			return status, err
		case <-time.After(policyEvery):
		}
	}
}

func (p *play) stopTraffic() tally {
	if p.background == nil {
		return tally{}
	}
	defer func() { p.background = nil }()
	return p.background.stop()
}
