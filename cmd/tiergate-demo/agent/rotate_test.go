package agent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// TestRenewal: SVIDs are renewed every half of the time that they live, all together, and pushed before they end; each is believed.
func TestRenewal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{TTL: 8 * time.Second}, deployer, reporter)
	source := w.source(t)
	seen := map[string]bool{}
	for range 3 {
		due := w.NextRenewal()
		now := leaf(t, source)
		if now.NotAfter.Before(due.Truncate(time.Second)) {
			t.Errorf("it ends at %s, before its renewal at %s", now.NotAfter, due)
		}
		seen[now.SerialNumber.String()] = true
		if err := source.WaitUntilUpdated(soon(t)); err != nil {
			t.Fatal(err)
		}
		if at := time.Now(); at.Before(due) || at.After(now.NotAfter) {
			t.Errorf("renewed at %s, due at %s; it ended at %s", at, due, now.NotAfter)
		}
		svid, err := source.GetX509SVID()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := x509svid.Verify(svid.Certificates, source); err != nil {
			t.Error(err)
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d certificates in three renewals", len(seen))
	}
	if a, b := w.issuedTo(deployer), w.issuedTo(reporter); a != b || a < 4 {
		t.Errorf("%d and %d were issued", a, b)
	}
}

// TestRotateCA: at no instant is anybody shown an SVID that the bundles do not cover.
func TestRotateCA(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{TTL: 8 * time.Second, JWTTTL: time.Second}, deployer) // of 2 s, one may end just as the next is signed
	first, last := w.source(t), w.source(t)
	old := authoritiesOf(t, first, acmeDomain)[0]
	foreign := authoritiesOf(t, first, partnerDomain)[0]
	rotated := make(chan error, 1)
	go func() { rotated <- w.RotateCA(soon(t), "acme.example", 2*time.Second) }()
	most := 0
	for running := true; running; {
		select {
		case err := <-rotated:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		case <-time.After(2 * time.Millisecond):
		}
		svid, err := first.GetX509SVID()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := x509svid.Verify(svid.Certificates, last); err != nil {
			t.Fatalf("what one was given, another does not believe: %v", err)
		}
		most = max(most, len(authoritiesOf(t, last, acmeDomain)))
	}
	until(t, "the new CA alone", func() bool {
		now := authoritiesOf(t, last, acmeDomain)
		return len(now) == 1 && !now[0].Equal(old)
	})
	if most != 2 {
		t.Errorf("at most %d CAs were published at once, want 2", most)
	}
	if now := authoritiesOf(t, last, partnerDomain); len(now) != 1 || !now[0].Equal(foreign) {
		t.Error("the partner's CA was rotated too")
	}
}

// TestRotationByHand: the steps in the wrong order.
func TestRotationByHand(t *testing.T) {
	w := newWorld(t, Options{}, deployer)
	source := w.source(t)
	old := authoritiesOf(t, source, acmeDomain)[0]
	if err := w.ActivateCA("acme.example"); err == nil || !strings.Contains(err.Error(), "PrepareCA") {
		t.Errorf("nothing is prepared: %v", err)
	}
	if err := w.RetireCA("acme.example"); err != nil {
		t.Errorf("there is nothing to withdraw: %v", err)
	}
	if err := w.PrepareCA("acme.example"); err != nil {
		t.Fatal(err)
	}
	if err := w.RetireCA("acme.example"); err != nil {
		t.Error(err)
	}
	until(t, "the new CA", func() bool { return len(authoritiesOf(t, source, acmeDomain)) == 2 })
	if err := w.ActivateCA("acme.example"); err != nil {
		t.Fatal(err)
	}
	if err := w.RetireCA("acme.example"); !errors.Is(err, errStillVouches) {
		t.Errorf("withdrawn while an hour is left: %v", err)
	}
	if !leafSignedBy(t, source, old) {
		t.Error("what had been issued was signed anew")
	}
	if err := w.SetTTL(time.Hour); err != nil {
		t.Fatal(err)
	}
	until(t, "the new CA signs", func() bool { return !leafSignedBy(t, source, old) })
	for name, err := range map[string]error{
		"unknown":         w.PrepareCA("elsewhere.example"),
		"no trust domain": w.PrepareCA("Else Where"),
		"no time":         w.SetTTL(time.Second),
	} {
		if err == nil {
			t.Errorf("%s: done", name)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.RotateCA(ctx, "acme.example", time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestGivenCA: the first CA may be one that others trust by a file.
func TestGivenCA(t *testing.T) {
	ca, err := devca.New("Acme workloads")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, Options{}, deployer)
	o := w.options
	o.TrustDomains = map[string]*devca.CA{"acme.example": ca}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	if w.Agent, err = New(o); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	if !leafSignedBy(t, w.source(t), ca.Certificate()) {
		t.Error("another CA signed")
	}
}
