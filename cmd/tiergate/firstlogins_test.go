package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	zaptest "go.uber.org/zap/zaptest/observer"

	"github.com/tiergate/tiergate/config"
)

// TestLoginsAreRememberedWhereAnIssuerNeedsIt, which is said when the process starts, and an outage of it once.
func TestLoginsAreRememberedWhereAnIssuerNeedsIt(t *testing.T) {
	t.Parallel()
	core, lines := zaptest.New(zap.InfoLevel)
	o := &observer{log: zap.New(core), registry: prometheus.NewRegistry()}
	s := &config.Settings{Identity: config.Identity{Issuers: []config.Issuer{{Name: "corp", AuthTime: config.AuthTimeLogin}}}}
	if newLogins(s, o, stuck{}) != nil || lines.Len() != 0 {
		t.Errorf("remembered without need: %v", lines.All())
	}
	s.Identity.Issuers = append(s.Identity.Issuers, config.Issuer{Name: "partner", AuthTime: config.AuthTimeRefreshed})
	if newLogins(s, o, stuck{}) == nil || lines.Len() != 1 || !strings.Contains(lines.All()[0].Message, "authTime: login") {
		t.Errorf("said: %v", lines.All())
	}
	looked := (&observer{log: zap.New(core), registry: prometheus.NewRegistry()}).logins().Looked
	down := errors.New("the store is down")
	for _, err := range []error{nil, down, down, nil, down} {
		looked(time.Millisecond, err)
	}
	var said []string
	for _, line := range lines.All()[1:] {
		said = append(said, line.Level.String())
	}
	if strings.Join(said, " ") != "error info error" {
		t.Errorf("said: %v", lines.All())
	}
}
