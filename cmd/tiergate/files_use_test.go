package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/config"
)

// TestTrustFollowsFiles: authz believes what the files of CA certificates say, as a whole: a CA cannot come to stand for two,
// and may move from one to the other.
func TestTrustFollowsFiles(t *testing.T) {
	t.Parallel()
	workloads, devices, other := newCA(t), newCA(t), newCA(t)
	h := &held{t: t, dir: t.TempDir()}
	h.put("workloads.pem", workloads.PEM())
	h.put("devices.pem", devices.PEM())
	settings := &config.Settings{Identity: config.Identity{
		TrustDomains: []config.TrustDomain{{Name: "acme.example", BundleFile: h.path("workloads.pem")}},
		Devices:      &config.Devices{BundleFile: h.path("devices.pem")},
	}}
	set, err := followedFiles(settings)
	if err != nil {
		t.Fatal(err)
	}
	judge, err := newTrust(settings, set, nil, trustEvents{})
	if err != nil {
		t.Fatal(err)
	}
	judge.followFiles(settings, set)
	h.runSet(set)
	believed := func(ca *devca.CA) bool {
		pair, err := ca.SVID("spiffe://acme.example/app", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return (&mesh{t: t, trust: judge}).doubt(pair.Certificate) == ""
	}
	if !believed(workloads) || believed(other) {
		t.Fatal("the files do not count")
	}
	h.put("workloads.pem", devca.Bundle(workloads, other))
	h.await("the added CA", func() bool { return believed(other) && believed(workloads) })
	h.put("workloads.pem", other.PEM())
	h.await("the withdrawn CA", func() bool { return !believed(workloads) && believed(other) })
	h.put("workloads.pem", devca.Bundle(other, devices))
	h.await("a refusal", func() bool { return h.count("identity.trustDomains[0].bundleFile refused: ") > 0 })
	if believed(devices) || !believed(other) {
		t.Error("a CA of devices stands for workloads")
	}
	h.put("devices.pem", workloads.PEM()) // and so it leaves where it stood
	h.await("the CA that moved", func() bool { return believed(devices) })
	if believed(workloads) {
		t.Error("the CA of devices stands for workloads")
	}
}

// TestIssuersKeysFollowTheirFile: a key that is added counts, one that is taken out counts no more, and a set of which no
// key fits is a slip that changes nothing.
func TestIssuersKeysFollowTheirFile(t *testing.T) {
	t.Parallel()
	first, settings := mappedIssuer(t)
	second, err := devca.NewIssuer(first.Name(), "apps")
	if err != nil {
		t.Fatal(err)
	}
	all := &config.Settings{Identity: config.Identity{Issuers: []config.Issuer{settings}, DPoPWindow: time.Minute}}
	set, err := followedFiles(all)
	if err != nil {
		t.Fatal(err)
	}
	o, err := newObserver(config.Log{Level: "error", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	verifier, parts, err := newVerifier(all, set, o, nil)
	if err != nil || len(parts) > 0 {
		t.Fatal(parts, err)
	}
	h := &held{t: t}
	h.runSet(set)
	counts := func(from *devca.Issuer) bool {
		raw, err := from.Token("u-1", nil, time.Hour, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = verifier.Judge(&token.Credential{Token: raw}, time.Now())
		return err == nil
	}
	if !counts(first) || counts(second) {
		t.Fatal("the file does not count")
	}
	if err := second.WriteJWKS(settings.JWKSFile); err != nil {
		t.Fatal(err)
	}
	h.await("the other key", func() bool { return counts(second) && !counts(first) })
	for text, want := range map[string]string{`{"keys":[]}`: "holds no EC", "{": "cannot be read"} {
		if err := os.WriteFile(settings.JWKSFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		h.await(want, func() bool { return h.count(want) > 0 })
		if !counts(second) {
			t.Errorf("%s: no token counts any more", text)
		}
	}
}

// TestFilesEnd: what ends soon is said once, and once more when it has ended; what is short-lived ends soon late.
func TestFilesEnd(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		left, life time.Duration
		want       string
	}{
		"far":           {left: 15 * 24 * time.Hour, life: 90 * 24 * time.Hour},
		"near":          {left: 13 * 24 * time.Hour, life: 90 * 24 * time.Hour, want: "in ends, ended false"},
		"short, fresh":  {left: 25 * time.Minute, life: time.Hour},
		"short, near":   {left: 19 * time.Minute, life: time.Hour, want: "in ends, ended false"},
		"ended":         {left: -time.Second, life: time.Hour, want: "in ends, ended true"},
		"nothing to it": {},
	} {
		h := &held{t: t}
		life := lifetime{now.Add(c.left - c.life), now.Add(c.left)}
		if c.life == 0 {
			life = lifetime{}
		}
		set := &fileSet{groups: []*fileGroup{{name: "in", life: life}}, now: func() time.Time { return now }}
		h.observe(set)
		set.warn()
		set.warn()
		if got := strings.Join(h.told, "; "); got != c.want {
			t.Errorf("%s: told %q, want %q", name, got, c.want)
		}
	}
}

// TestFilesAtFirst: there is nothing better than a certificate that has ended, and nothing at all in half of one.
func TestFilesAtFirst(t *testing.T) {
	t.Parallel()
	h := follows(t, newCA(t))
	ended, err := newCA(t).Server(-time.Minute, "app.acme.example")
	if err != nil {
		t.Fatal(err)
	}
	h.putPair("cert.pem", "key.pem", ended)
	h.run()
	h.await("word of it", func() bool { return h.count("tls ends, ended true") == 1 })
	if !h.holds("tls.certFile", ended.CertificatePEM()) {
		t.Error("it does not count")
	}
	broken := follows(t, newCA(t))
	broken.put("ca.pem", []byte("-----BEGIN CERTIFICATE-----\n"))
	broken.put("key.pem", nil)
	_, err = followedFiles(broken.settings())
	for _, want := range []string{"envoy.listeners[in].tls: ", "key.pem", "envoy.listeners[in].clientCAFile: ", "it is not whole"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
