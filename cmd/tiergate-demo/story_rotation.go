package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// rotations is how many certificates must have been shown to speak of rotation under traffic.
const rotations = 3

func rotation() scene {
	const title = "14. A certificate is about to rotate, again and again, under traffic"
	return scene{title, []step{
		{"ci deployer", "lists payroll runs while certificates of 3 s rotate", rotate{payroll}, want{nothingLost: true}},
		{"ci deployer", "keeps the first connection past its certificate", keepLate{}, want{status: http.StatusUnauthorized,
			reason: "identity-doubted", decided: yes}},
	}}
}

// rotate sends steady traffic of a workload while its certificates and Envoy's rotate.
type rotate struct{ ask }

func (r rotate) perform(ctx context.Context, p *play, _ want) got {
	request := r.request()
	request.As = ""
	rotation, err := p.world.Rotate(ctx, r.as, request)
	p.late = &rotation.Late
	if err == nil && (rotation.Certificates < rotations || rotation.Envoys < rotations) {
		err = fmt.Errorf("%d certificates were shown, and %d by Envoy; want %d at least", rotation.Certificates, rotation.Envoys,
			rotations)
	}
	return got{err: err, traffic: &tally{sent: rotation.Sent, lost: rotation.Lost, first: rotation.First},
		note: fmt.Sprintf("%d requests over new and kept connections, HTTP/1.1 and HTTP/2: %d certificates, %d of Envoy, %d lost",
			rotation.Sent, rotation.Certificates, rotation.Envoys, rotation.Lost)}
}

// keepLate tells what came of not renewing.
type keepLate struct{}

func (keepLate) perform(_ context.Context, p *play, _ want) got {
	if p.late == nil {
		p.late = &stage.Answer{Err: fmt.Errorf("nothing has rotated")}
	}
	return got{answer: p.late}
}
