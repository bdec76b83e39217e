package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// Rotate is the company's agent.
func (c *company) Rotate(_ context.Context, workload string, r stage.Request) (stage.Rotation, error) {
	if c.spoil == "no agent" || workload != "deployer" || r.As != "" {
		return stage.Rotation{}, errors.New("no identity issued")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	rotation := stage.Rotation{Sent: 400, Certificates: 3, Envoys: 3, Took: 4 * time.Second,
		Late: c.refuse(http.StatusUnauthorized, "identity-doubted")}
	switch c.spoil {
	case "a request lost in rotation":
		rotation.Lost, rotation.First = 1, "status 503"
	case "nothing rotates":
		rotation.Certificates = 1
	case "Envoy does not rotate":
		rotation.Envoys = 1
	case "no traffic":
		rotation.Sent = 0
	case "certificates never end":
		r.As = workload
		rotation.Late = c.payroll(r)
	}
	return rotation, nil
}

func TestRotationNoticesEveryWrong(t *testing.T) {
	for spoil, hint := range map[string]string{
		"no agent":                   "no identity issued",
		"a request lost in rotation": "1 of 400 requests were lost, the first: status 503",
		"nothing rotates":            "1 certificates were shown",
		"Envoy does not rotate":      "1 by Envoy",
		"no traffic":                 "there was no traffic",
		"certificates never end":     "status 200, want 401",
	} {
		_, differences := playIn(t, newCompany(spoil))
		if !strings.Contains(strings.Join(differences, "\n"), hint) {
			t.Errorf("%s: differences %q lack %q", spoil, differences, hint)
		}
	}
	out, differences := playIn(t, newCompany(""))
	if len(differences) > 0 || !strings.Contains(out, "400 requests over new and kept connections") {
		t.Errorf("%q\n%s", differences, out)
	}
}
