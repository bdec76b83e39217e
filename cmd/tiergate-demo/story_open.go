package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// liveRoute opens WebSockets at the portal.
const liveRoute = `# Written by the demo.
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: portal-live, owner: workplace}
spec:
  hosts: [app.acme.example]
  path: /live/**
  methods: [GET]
  webSocket: true
  tier: internal
  audiences: [employees]
  upstream: portal
`

// openSockets is how many WebSockets live through the edits.
const openSockets = 8

func openConnections() scene {
	const file = "access/portal-live.yaml"
	live := ask{as: "ana", host: stage.PortalHost, path: "/live/feed"}
	return scene{"19. The policy is edited under open connections", []step{
		{"workplace", "publishes a route for WebSockets", change{write: file, text: liveRoute}, want{}},
		{anaOnLaptop, "opens eight WebSockets", connect{live, openSockets}, want{}},
		{anaOnLaptop, "starts steady traffic", traffic{start: true}, want{}},
		{iam, "lets tier internal advise os-current", change{edit: edit{file: "access/tiers.yaml",
			old: "advise: [firewall-on]", replacement: "advise: [firewall-on, os-current]"}}, want{}},
		{"workplace", "lets the route of the WebSockets take POST", change{edit: edit{file: file,
			old: "methods: [GET]", replacement: "methods: [GET, POST]"}}, want{}},
		{anaOnLaptop, "goes on over the same WebSockets", talk{openSockets}, want{}},
		{anaOnLaptop, "stops the traffic", traffic{}, want{nothingLost: true}},
	}}
}

// change edits the policy, or writes a file of it, and waits until the new one is in force.
type change struct {
	edit
	write, text string // a file and what it is to hold; empty: edit counts
}

func (c change) perform(ctx context.Context, p *play, w want) got {
	before, err := p.world.Policy(ctx)
	if err != nil {
		return got{err: err}
	}
	began := time.Now()
	if c.write != "" {
		err = p.world.WritePolicy(c.write, c.text)
	} else {
		err = c.edit.perform(ctx, p, w).err
	}
	if err != nil {
		return got{err: err}
	}
	status, err := p.policy(ctx, soon, func(s stage.PolicyStatus) bool { return s.Fault != "" || s.Digest != before.Digest })
	if err == nil && status.Fault != "" {
		err = errors.New(status.Fault)
	}
	if err != nil {
		return got{err: fmt.Errorf("the change is not in force: %w", err)}
	}
	return got{note: fmt.Sprintf("%s, after %s %s", short(before.Digest), milliseconds(time.Since(began)), short(status.Digest))}
}

// connect opens WebSockets, the first of them as soon as Envoy has its route.
type connect struct {
	ask
	sockets int
}

func (c connect) perform(ctx context.Context, p *play, _ want) got {
	p.hangUp()
	began := time.Now()
	for len(p.sockets) < c.sockets {
		socket, err := p.world.Open(ctx, c.request())
		if err == nil {
			p.sockets = append(p.sockets, socket)
			continue
		}
		if time.Since(began) >= soon || !pause(ctx) {
			return got{err: err}
		}
	}
	spoken, err := p.speak()
	if err == nil && spoken != c.sockets {
		err = fmt.Errorf("%d of %d WebSockets answer", spoken, c.sockets)
	}
	return got{err: err, note: fmt.Sprintf("%d open, each says back what it is told", spoken)}
}

// talk says something over every WebSocket that is open, and closes them.
type talk struct{ sockets int }

func (t talk) perform(_ context.Context, p *play, _ want) got {
	spoken, err := p.speak()
	p.hangUp()
	if err == nil && spoken != t.sockets {
		err = errors.New("it was never open")
	}
	if err != nil {
		err = fmt.Errorf("%d of %d WebSockets were dropped, the first: %w", t.sockets-spoken, t.sockets, err)
	}
	return got{err: err, note: fmt.Sprintf("%d of %d answer, %d dropped", spoken, t.sockets, t.sockets-spoken)}
}

// speak counts the WebSockets that answer; the error is of the first that does not.
func (p *play) speak() (spoken int, first error) {
	for i, socket := range p.sockets {
		said := fmt.Sprintf("%d of %d", i+1, len(p.sockets))
		heard, err := socket.Say(said)
		if err == nil && heard != said {
			err = fmt.Errorf("it said %q to %q", heard, said)
		}
		if err == nil {
			spoken++
		} else if first == nil {
			first = err
		}
	}
	return spoken, first
}

func (p *play) hangUp() {
	for _, socket := range p.sockets {
		_ = socket.Close() // whether it could be said goodbye to tells nothing
	}
	p.sockets = nil
}
