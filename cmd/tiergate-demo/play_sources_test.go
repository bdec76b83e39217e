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

// providers are what the company knows by vendors that are asked, and by the identity provider's word.
type providers struct {
	finds string // of Falcon, on ben's disk
	known string // the same as of the last listing
	ended map[string]bool
}

func (c *company) Assess(encrypted string) { c.finds = encrypted }

func (c *company) Sync(_ context.Context, source string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spoil == "no "+source {
		return errors.New(source + " cannot be asked")
	}
	if source == stage.FalconName && c.spoil != "Falcon is not heard" {
		c.known = c.finds
	}
	return nil
}

func (c *company) EndSessions(_ context.Context, as string) (stage.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spoil == "SET refused" {
		return stage.Receipt{Status: http.StatusBadRequest}, nil
	}
	if c.spoil != "session goes on" {
		c.ended = map[string]bool{as: true}
	}
	if c.spoil == "everybody signed out" {
		c.ended["ana"] = true
	}
	return stage.Receipt{Status: http.StatusAccepted}, nil
}

// signedOut is the answer to a login that has ended.
func (c *company) signedOut(r stage.Request) *stage.Answer {
	if !c.ended[person(r.As)] {
		return nil
	}
	a := c.refuse(http.StatusUnauthorized, "session-revoked")
	if a.Header == nil {
		return &a
	}
	a.Header.Set("WWW-Authenticate", `Bearer realm="tiergate", error="invalid_token"`)
	if c.spoil == "no word of why" {
		a.Header.Set("WWW-Authenticate", `Bearer realm="tiergate"`)
	}
	return &a
}

// bensMac is what is known of it: three words.
func (c *company) bensMac(k *stage.Known) {
	k.Device = "ben-device"
	says := map[string]any{stage.SourceName: true, stage.KandjiName: true, stage.FalconName: c.known == "yes"}
	if c.spoil == "Kandji forgotten" {
		delete(says, stage.KandjiName)
	}
	k.Names = []stage.KnownName{{Name: "serial:C02BEN0002"}}
	for source, value := range says {
		k.Facts = append(k.Facts, stage.KnownFact{Attribute: "disk_encryption", Value: value, Source: source,
			Path: "status", Observed: time.Now()})
		k.Names[0].Said = append(k.Names[0].Said, stage.Namer{Source: source, Delivery: "sync", At: time.Now(),
			With: []string{"vendor:" + source + "/1"}})
	}
	signal := stage.KnownSignal{Signal: "disk-encrypted", Status: "failing", Disputed: true, Detail: "what each says"}
	if c.known == "yes" {
		signal.Status, signal.Disputed = "passing", false
	}
	k.Standing.Signals = []stage.KnownSignal{signal}
}

// TestSourcesNoticeEveryWrong: vendors of whom one is not heard, and sessions that do not end, or not alone, are seen.
func TestSourcesNoticeEveryWrong(t *testing.T) {
	for spoil, hint := range map[string]string{
		"no kandji":            "kandji cannot be asked",
		"no falcon":            "falcon cannot be asked",
		"Falcon is not heard":  "off for Falcon: status 200, want 403",
		"Kandji forgotten":     "2 sources speak of disk_encryption, want 3",
		"SET refused":          "the receiver answered 400, want 202",
		"session goes on":      "says session-revoked of ben: status 200, want 401",
		"everybody signed out": "ana on ana-laptop opens the portal, as before: status 401, want 200",
		"no word of why":       "WWW-Authenticate is",
	} {
		_, differences := playIn(t, newCompany(spoil))
		if !strings.Contains(strings.Join(differences, "\n"), hint) {
			t.Errorf("%s: differences %q lack %q", spoil, differences, hint)
		}
	}
}
