package main

import (
	"testing"

	"go.uber.org/zap"
	zaptest "go.uber.org/zap/zaptest/observer"

	"github.com/tiergate/tiergate/config"
)

// TestBearersAreNamedOnce: one line for each issuer whose unbound tokens count, none for others.
func TestBearersAreNamedOnce(t *testing.T) {
	t.Parallel()
	core, lines := zaptest.New(zap.InfoLevel)
	o := &observer{log: zap.New(core)}
	o.bearers([]config.Issuer{{Name: "corp", SenderConstrained: "required"}, {Name: "birch",
		SenderConstrained: "optional"},
		{Name: "cedar", SenderConstrained: "optional"}})
	var named []any
	for _, line := range lines.All() {
		if line.Level != zap.WarnLevel {
			t.Errorf("%s at %s", line.Message, line.Level)
		}
		named = append(named, line.ContextMap()["issuer"])
	}
	if len(named) != 2 || named[0] != "birch" || named[1] != "cedar" {
		t.Errorf("named %v", named)
	}
}

// TestBearerDevicesAreNamed: who lets a stolen token bring a device along reads it at start.
func TestBearerDevicesAreNamed(t *testing.T) {
	t.Parallel()
	core, lines := zaptest.New(zap.InfoLevel)
	o := &observer{log: zap.New(core)}
	bears := func(name, constrained string, d *config.DeviceClaim) config.Issuer {
		return config.Issuer{Name: name, SenderConstrained: constrained, Device: d}
	}
	o.bearers([]config.Issuer{
		bears("corp", "optional", &config.DeviceClaim{Bearer: true}), bears("birch", "optional", &config.DeviceClaim{}),
		bears("cedar", "required", &config.DeviceClaim{Bearer: true}), bears("elm", "required", nil),
	})
	said := lines.FilterMessageSnippet("a stolen token brings its owner's device along").All()
	if len(said) != 1 || said[0].ContextMap()["issuer"] != "corp" || said[0].Level != zap.WarnLevel {
		t.Errorf("said of devices: %v", said)
	}
}
