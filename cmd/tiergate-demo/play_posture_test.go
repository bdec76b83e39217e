package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// fleet is what the company knows besides: the EDR's words, and what was reported in the flood.
type fleet struct {
	edr    map[string]map[string]any
	listed []stage.Listed
	disk   int // writes
	flows  int // requests of steady traffic after the flood, where it counts
}

func (c *company) ReportBy(_ context.Context, source, device string, attributes map[string]any) (stage.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if source != stage.EDRName || c.spoil == "no second source" {
		return stage.Receipt{}, errors.New("no source " + source)
	}
	if c.spoil != "the EDR is not heard" {
		c.edr[device] = maps.Clone(attributes)
	}
	return stage.Receipt{Status: http.StatusAccepted}, nil
}

// worse is what counts of a posture and the EDR's word.
func (c *company) worse(device string, posture map[string]any) map[string]any {
	if device == "ben-laptop" && c.known == "no" {
		posture["disk_encryption"] = false
	}
	encrypted, said := c.edr[device]["disk_encryption"]
	if said && encrypted == false && c.spoil != "the MDM's word counts" {
		posture["disk_encryption"] = false
	}
	return posture
}

func (c *company) Device(_ context.Context, name string) (stage.Known, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spoil == "no admin socket" {
		return stage.Known{}, errors.New("nothing listens")
	}
	if name == "C02BEN0002" {
		var k stage.Known
		c.bensMac(&k)
		return k, nil
	}
	mdm, edr := c.posture["ana-laptop"]["disk_encryption"], c.edr["ana-laptop"]["disk_encryption"]
	k := stage.Known{Device: "ana-device", Names: []stage.KnownName{{Name: "certificate:00"}, {Name: "serial:" + name}}}
	for source, value := range map[string]any{stage.SourceName: mdm, stage.EDRName: edr} {
		k.Facts = append(k.Facts, stage.KnownFact{Attribute: "disk_encryption", Value: value, Source: source,
			Path: "data.attributes.disk_encryption", Observed: time.Now()})
		k.Names[1].Said = append(k.Names[1].Said, stage.Namer{Source: source, Delivery: "msg", At: time.Now(),
			With: []string{"vendor:" + source + "/1"}})
	}
	k.Facts = append(k.Facts, stage.KnownFact{Attribute: "firewall", Value: true, Source: stage.SourceName})
	signal := stage.KnownSignal{Signal: "disk-encrypted", Status: "passing", Disputed: mdm != edr, Detail: "what each says"}
	if mdm != true || edr != true {
		signal.Status = "failing"
	}
	k.Standing.Signals = []stage.KnownSignal{{Signal: "edr-healthy", Status: "passing"}, signal}
	c.spoilKnown(&k)
	return k, nil
}

func (c *company) spoilKnown(k *stage.Known) {
	switch c.spoil {
	case "another device explained":
		k.Device = "other"
	case "one source forgotten":
		k.Facts = k.Facts[:1]
	case "fact of nowhere":
		k.Facts[0].Path = ""
	case "fact changed":
		k.Facts[0].Value = nil
	case "no reason for one":
		k.Names[1].Said = slices.DeleteFunc(k.Names[1].Said, func(n stage.Namer) bool { return n.Source == stage.EDRName })
	case "dispute hidden":
		k.Standing.Signals[1].Disputed = false
	case "no standing":
		k.Standing.Signals = nil
	}
}

func (c *company) Receiver() string {
	if strings.HasPrefix(c.spoil, "embedded") {
		return "serve"
	}
	return "ingest"
}

func (c *company) Flood(_ context.Context, laptops, kills int) (stage.Flood, error) {
	f := stage.Flood{Deliveries: 2 * laptops, Acknowledged: 2 * laptops, Attempts: 2*laptops + 9, Kills: kills, Took: time.Second}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listed = []stage.Listed{{Device: "ana-device", Names: []string{"serial:C02ANA0001"}}}
	for i := range laptops {
		serial := fmt.Sprintf("C%04d", i)
		f.Laptops = append(f.Laptops, serial)
		c.listed = append(c.listed, stage.Listed{Device: "device " + serial, User: stage.FloodUser(serial),
			Failing: []string{"disk-encrypted"}, Names: []string{"serial:" + serial,
				"vendor:acme-mdm/" + serial + "-managed", "vendor:acme-edr/" + serial + "-agent"}})
	}
	last := &c.listed[laptops]
	switch c.spoil {
	case "a sender gives up":
		return f, errors.New("the receiver answered 400 to a good delivery")
	case "not killed":
		f.Kills = 0
	case "not acknowledged":
		f.Acknowledged--
	case "killed after the flood":
		f.Attempts = f.Acknowledged
	case "a laptop lost":
		c.listed = c.listed[:laptops]
	case "the MDM's word lost":
		last.User = ""
	case "the EDR's word lost":
		last.Failing = nil
	case "a name lost":
		last.Names = last.Names[:2]
	case "one laptop, two devices":
		twin := *last
		twin.Device = "twin"
		c.listed = append(c.listed, twin)
	case "a record forged":
		last.Fault = "the signature is no one's"
	}
	return f, nil
}

func (c *company) Devices(context.Context) ([]stage.Listed, error) {
	time.Sleep(10 * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spoil == "no list" {
		return nil, errors.New("nothing listens")
	}
	return c.listed, nil
}

// beforeFlood tells whether nothing was reported in a flood yet: what is spoilt there begins later.
func (c *company) beforeFlood() bool { return len(c.listed) == 0 }

// TestPostureNoticesEveryWrong: two sources that are not both shown, and deliveries that are lost, are seen.
func TestPostureNoticesEveryWrong(t *testing.T) {
	for spoil, hint := range map[string]string{
		"no second source":         "no source acme-edr",
		"the EDR is not heard":     "not encrypted: status 200, want 403",
		"the MDM's word counts":    "the worse word counts: status 200, want 403",
		"no admin socket":          "nothing listens",
		"another device explained": `C02ANA0001 is device "other" (); the upstream was told "ana-device"`,
		"one source forgotten":     "1 sources speak of disk_encryption, want 2",
		"fact of nowhere":          "nobody knows where or when",
		"fact changed":             "says disk_encryption=<nil>, want",
		"no reason for one":        "no reason why what acme-edr said is of C02ANA0001",
		"dispute hidden":           "disk-encrypted is failing, disputed false; want failing, true",
		"no standing":              "there are 0 words on disk-encrypted",
		"a sender gives up":        "400 to a good delivery",
		"not killed":               "ingest was killed 0 times, want 2",
		"not acknowledged":         "399 deliveries on 200 laptops were acknowledged, want 400 on 200",
		"killed after the flood":   "no delivery met a dead receiver",
		"a laptop lost":            "2 of 400 acknowledged deliveries are lost, the first: acme-mdm on C0199",
		"the MDM's word lost":      "1 of 400 acknowledged deliveries are lost, the first: acme-mdm on C0199",
		"the EDR's word lost":      "1 of 400 acknowledged deliveries are lost, the first: acme-edr on C0199",
		"a name lost":              "1 of 400 acknowledged deliveries are lost, the first: acme-edr on C0199",
		"one laptop, two devices":  "laptop C0199 is two devices",
		"a record forged":          "cannot be believed: the signature is no one's",
		"no list":                  "list: what was acknowledged is there: nothing listens",
		"the flood refuses all":    "the first: status 503",
		"embedded, and 403":        "the first: status 403 device-unknown",
	} {
		_, differences := playIn(t, newCompany(spoil))
		if !strings.Contains(strings.Join(differences, "\n"), hint) {
			t.Errorf("%s: differences %q lack %q", spoil, differences, hint)
		}
	}
}

// TestPostureForgives: what a killed receiver may cost is told, and is no difference.
func TestPostureForgives(t *testing.T) {
	for spoil, line := range map[string]string{
		"":                       "400 acknowledged, 400 in the store, lost 0; 200 laptops are 200 devices",
		"the flood refuses few":  "1 refused by Envoy, to which nobody answered in time",
		"disk busy":              ", for the receiver could not make it durable 1 times",
		"embedded":               "; 0 refused while serve, which the receiver is part of, was dead or starting",
		"embedded, and 503":      " refused while serve, which the receiver is part of, was dead or starting",
		"embedded, without keys": " refused while serve, which the receiver is part of, was dead or starting",
	} {
		out, differences := playIn(t, newCompany(spoil))
		if len(differences) > 0 || !strings.Contains(out, line) {
			t.Errorf("%s: %q; lacks %q:\n%s", spoil, differences, line, out[strings.LastIndex(out, "16. "):])
		}
	}
	out, _ := playIn(t, newCompany(""))
	for _, part := range []string{
		"disk_encryption=false by acme-edr, seen 2000-01-01T", "disk_encryption=true by acme-mdm, seen 2000-01-01T",
		"in data.attributes.disk_encryption\n", "disk-encrypted is failing (disputed): what each says",
		"one device, for acme-edr called it serial:C02ANA0001 with vendor:acme-edr/1 (delivery msg of 2000-",
		"400 deliveries acknowledged after 409 attempts and 1000 ms; tiergate ingest was killed 2 times",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("the paper lacks %q", part)
		}
	}
}

// steady spoils the traffic that flows after the flood.
func (c *company) steady(r stage.Request) (stage.Answer, bool) {
	if c.beforeFlood() || len(c.sockets) > 0 || r.Path != "/steady" {
		return stage.Answer{}, false
	}
	switch c.spoil {
	case "the flood refuses all":
		return stage.Answer{Status: http.StatusServiceUnavailable}, true
	case "the flood refuses few":
		c.flows++
		return stage.Answer{Status: http.StatusServiceUnavailable}, c.flows == 1
	case "embedded, and 503":
		return stage.Answer{Status: http.StatusServiceUnavailable}, true
	case "embedded, without keys":
		return c.refuse(http.StatusServiceUnavailable, "identity-unchecked"), true
	case "embedded, and 403":
		return c.refuse(http.StatusForbidden, "device-unknown"), true
	}
	return stage.Answer{}, false
}
