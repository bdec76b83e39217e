package e2e_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/redisstore"
)

// bureau is a `tiergate ingest` that people come to, by certificates of a CA and by tokens of a real OpenID provider, over a
// sealed Valkey.
type bureau struct {
	*mortal
	t        *testing.T
	door     string // host:port of ingest.approvals
	provider *oidc.Provider
	people   *devca.CA
	raw      *redisstore.Store // as whoever can write to the store
	sealed   signals.Store     // as the receiver
}

const (
	tokensLive        = 15 * time.Second // in which somebody signs in, and a verb or three are run
	approvalsAudience = "https://approvals.acme.example"
)

func newBureau(t *testing.T) *bureau {
	t.Helper()
	b := &bureau{mortal: newMortal(t), t: t, door: freeport.For(t)}
	servers, err := devca.New("servers")
	if err == nil {
		b.people, err = devca.New("people")
	}
	if err != nil {
		t.Fatal(err)
	}
	login := freeport.For(t)
	pair, err := servers.Server(time.Hour, "127.0.0.1")
	if err == nil {
		err = pair.WriteFiles(b.file("server.pem"), b.file("server.key"))
	}
	if err != nil {
		t.Fatal(err)
	}
	b.write("servers.pem", servers.PEM())
	b.write("people.pem", b.people.PEM())
	b.write("return.key", []byte(rand.Text()+rand.Text()))
	users := map[string]oidc.User{}
	for _, name := range []string{"ana", "ben", "cho"} {
		users[name+"@acme.example"] = oidc.User{Groups: []string{"staff"}, Email: name + "@acme.example"}
	}
	b.provider, err = oidc.Config{Modules: b.binaries.Packages, Listen: login, CertFile: b.file("server.pem"), KeyFile: b.file("server.key"),
		ClientCAFile: b.file("people.pem"), Audience: approvalsAudience, TokenTTL: int(tokensLive / time.Second), Users: users,
	}.Write(b.file("login.json"), devca.Pool(servers))
	if err != nil {
		t.Fatal(err)
	}
	b.run(t, b.binaries.Node, b.binaries.Login, b.file("login.json"))
	b.seal()
	if err := os.CopyFS(b.file("policy"), os.DirFS(filepath.Join(b.binaries.Example, "policy"))); err != nil {
		t.Fatal(err)
	}
	governance := b.read("policy/governance.yaml")
	b.write("policy/governance.yaml", []byte(replaceOnce(t, governance, "approvers: [{issuer: corp, user: cho@acme.example}]", "approvers: "+
		"[{issuer: corp, user: cho@acme.example}, {certificate: cho@acme.example}, {issuer: corp, user: ana@acme.example}]")))
	for range 600 {
		if err = b.provider.Answers(soon(t, 20*time.Second)); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bureau) file(name string) string { return filepath.Join(b.dir, name) }

func (b *bureau) read(name string) string {
	b.t.Helper()
	text, err := os.ReadFile(b.file(name))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

func (b *bureau) write(name string, text []byte) {
	b.t.Helper()
	if err := os.WriteFile(b.file(name), text, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// seal makes the receiver's key, and opens the store both ways.
func (b *bureau) seal() {
	b.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.t.Fatal(err)
	}
	for name, key := range map[string]any{"seal.key": private, "seal.pub": public} {
		marshal, kind := x509.MarshalPKCS8PrivateKey, "PRIVATE KEY"
		if name == "seal.pub" {
			marshal, kind = x509.MarshalPKIXPublicKey, "PUBLIC KEY"
		}
		der, err := marshal(key)
		if err != nil {
			b.t.Fatal(err)
		}
		b.write(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	sealer, err := signals.NewSealer([]byte(b.read("seal.key")))
	if err != nil {
		b.t.Fatal(err)
	}
	for range 600 {
		if b.raw, err = redisstore.Open(b.t.Context(), redisstore.Options{Address: b.store(), Patience: 20 * time.Second}); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = b.raw.Close() })
	b.sealed = signals.Sealed(b.raw, sealer, sealer.Checker())
}

// open starts the receiver anew, for tokens of an audience.
func (b *bureau) open(audience string) {
	b.t.Helper()
	if b.process != nil {
		_ = b.process.Process.Kill()
		_ = b.process.Wait()
	}
	b.write("settings.yaml", []byte(`runtimeDir: run
policy: {dir: policy}
store: {redis: {address: `+b.store()+`, seal: {keyFile: seal.key, trustFiles: [seal.pub]}}}
login: {keyFile: return.key}
identity:
  trustDomains: [{name: acme.example, bundleFile: people.pem}]
  issuers:
    - {name: corp, issuer: "`+b.provider.Issuer()+`", audiences: [apps], jwksURL: "`+b.provider.KeysURL()+`", jwksCAFile: servers.pem,
       leeway: 0s, authTime: login, claims: {email: email}}
sources:
  - name: mdm
    type: standard
    attests: [certificate_status, compromised, disk_encryption, edr_healthy, enrolled_user, firewall, mdm_managed, os_version, patch_level,
      platform, screen_lock, threat_level]
    enrolledUser: {issuer: corp, is: name}
    secretFiles: [secret]
ingest:
  listen: "`+b.address+`"
  metrics: {listen: "127.0.0.1:0"}
  approvals:
    {listen: "`+b.door+`", tls: {certFile: server.pem, keyFile: server.key}, clientCAFile: people.pem, issuers: [corp],
     audiences: [`+audience+`], maxLogin: 8h}
log: {level: error}
`))
	b.start(b.t)
	for range 600 { // it listens, and has the keys and the policy
		if _, err := b.try("exception", "list", "--config", b.settings); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatal("the receiver does not come up")
}

// try runs a verb.
func (b *bureau) try(args ...string) (string, error) {
	var out bytes.Buffer
	c := exec.CommandContext(b.t.Context(), b.binaries.Tiergate, args...)
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.String(), err
}

// as adds who somebody is, to a verb that goes to ingest.approvals: NAME by a token, NAME's certificate by "NAME.pem".
func (b *bureau) as(who string, args ...string) []string {
	args = append(args, "--server", "https://"+b.door, "--ca", b.file("servers.pem"))
	if name, ok := strings.CutSuffix(who, ".pem"); ok {
		return append(args, "--cert", b.file(who), "--key", b.file(name+".key"))
	}
	return append(args, "--token-file", b.file(who))
}

// signIn gets somebody a fresh token.
func (b *bureau) signIn(name string) {
	b.t.Helper()
	token, err := b.provider.Browser().Login(soon(b.t, 30*time.Second), oidc.Login{User: name + "@acme.example"})
	if err != nil {
		b.t.Fatal(err)
	}
	b.write(name, []byte(token.Access))
}

// certify gives somebody a certificate.
func (b *bureau) certify(ca *devca.CA, file, name string) {
	b.t.Helper()
	pair, err := ca.Person(name+"@acme.example", time.Hour)
	if err == nil {
		err = pair.WriteFiles(b.file(file+".pem"), b.file(file+".key"))
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// refused wants a verb to fail for a reason; the issuer's keys may still be on their way.
func (b *bureau) refused(what, why string, args []string) {
	b.t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		out, err := b.try(args...)
		switch {
		case err != nil && strings.Contains(out, why):
			return
		case err == nil || time.Since(began) > 20*time.Second:
			b.t.Errorf("%s: %v, %s; want %q", what, err, out, why)
			return
		}
	}
}

// clear asks for a clearance, and returns its name.
func (b *bureau) clear(how ...string) string {
	b.t.Helper()
	args := append([]string{"device", "clear", "C02SICK0001", "not-compromised", "--reason", "reinstalled", "--ticket", "SEC-1", "-o", "json"}, how...)
	out, err := b.try(args...)
	var l approvals.ClearanceListed
	if err == nil {
		err = json.Unmarshal([]byte(out), &l)
	}
	if err != nil || l.Stands != approvals.StateRequested || len(l.Ends) != 1 {
		b.t.Fatalf("%v: %s", err, out)
	}
	return l.Name
}

// report has the MDM say whether the device is compromised, as it saw at an instant.
func (b *bureau) report(id string, compromised bool, at time.Time) {
	b.t.Helper()
	body := fmt.Appendf(nil, `{"type":"device.posture.updated","timestamp":%q,"data":{"device":{"serial":"C02SICK0001"},"observed_at":%q,`+
		`"attributes":{"platform":"macos","compromised":%t}}}`, time.Now().UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339Nano), compromised)
	if err := b.deliver(soon(b.t, 30*time.Second), http.DefaultClient, id, body); err != nil {
		b.t.Fatal(err)
	}
}

// device is the one of the store; ok: it has an alarm.
func (b *bureau) device() (p signals.Posture, alarm bool) {
	b.t.Helper()
	if _, err := b.sealed.EachPosture(b.t.Context(), func(found signals.Posture) error { p = found; return nil }, nil); err != nil {
		b.t.Fatal(err)
	}
	f, ok, _ := p.Latest("compromised", "mdm")
	return p, ok && f.Value == signals.Bool(true)
}

// wants waits until the device has an alarm or none.
func (b *bureau) wants(what string, alarm bool) signals.Posture {
	b.t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		p, is := b.device()
		if is == alarm && p.Revision > 0 {
			return p
		}
		if time.Since(began) > time.Minute { // whoever approved is dead: the next look of a receiver
			b.t.Fatalf("%s: alarm %t in %+v", what, is, p)
		}
	}
}
