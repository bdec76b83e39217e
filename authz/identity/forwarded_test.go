package identity_test

import (
	"crypto/x509"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

const (
	gateway = "spiffe://acme.example/gateway"
	envoy   = "spiffe://acme.example/envoy" // ours
	admin   = "spiffe://acme.example/admin"
	sid     = "tag:microsoft.com,2022-09-14:sid:"
)

// chain is a client, a gateway that it calls, our own Envoy behind the gateway, and an authority that believes the gateway.
type chain struct {
	world
	proxy, front   string // the gateway's certificate as our Envoy sends it, and its hash
	client, laptop *x509.Certificate
	odd, two       *x509.Certificate // of devices: with a URI name that says nothing, and with another one too
	late, early    *x509.Certificate // expired, and not yet valid
}

func newChain(t testing.TB, binding identity.Binding) *chain {
	t.Helper()
	w := world{acme: newCA(t, "acme"), partner: newCA(t, "partner"), devices: newCA(t, "devices")}
	pattern, err := identity.ParseSPIFFEPattern(gateway)
	if err != nil {
		t.Fatal(err)
	}
	w.Authority = newAuthority(t, identity.AuthorityOptions{DeviceBinding: binding, Devices: w.devices.pem(),
		TrustDomains: map[string][]byte{"acme.example": w.acme.pem(), "partner.example": w.partner.pem()},
		Forwarders:   []identity.SPIFFEPattern{pattern}, IgnoreURINames: []string{sid}})
	proxy := w.acme.leaf(t, []string{gateway}, func(l *x509.Certificate) { l.NotBefore = now.Add(-time.Minute) })
	return &chain{world: w, proxy: encode(proxy), front: fingerprint(proxy).Value,
		client: w.acme.leaf(t, []string{deployer}), laptop: w.devices.device(t, []string{"C02ABC123"}),
		odd:   w.devices.leaf(t, []string{sid + "S-1-5"}),
		two:   w.devices.leaf(t, []string{sid + "S-1-5", "https://acme.example"}),
		late:  w.acme.leaf(t, []string{deployer}, func(l *x509.Certificate) { l.NotAfter = now.Add(-time.Second) }),
		early: w.acme.leaf(t, []string{deployer}, func(l *x509.Certificate) { l.NotBefore = now.Add(time.Second) })}
}

// says is what the gateway's Envoy says of its client: By and Hash, then these.
func (c *chain) says(client *x509.Certificate, pairs ...string) string {
	return strings.Join(append([]string{"By=" + gateway, "Hash=" + fingerprint(client).Value}, pairs...), ";")
}

func cert(c *x509.Certificate) string { return `Cert="` + encode(c) + `"` }

// ours is what our own Envoy appends of the gateway.
func (c *chain) ours() string { return ",By=" + envoy + ";Hash=" + c.front }

// told is what the authority makes of it, through our own Envoy's APPEND_FORWARD.
func (c *chain) told(t *testing.T, header string) identity.Peer {
	t.Helper()
	peer := c.Peer(c.proxy, gateway, now)
	if !peer.Forwards {
		t.Fatalf("the gateway does not forward: %+v", peer)
	}
	return c.Behind(peer, []string{header}, now)
}

// window is that of the gateway's certificate, which begins last and ends as others do.
var window = identity.Validity{NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour + time.Second)}

func TestBehindBelieves(t *testing.T) {
	c := newChain(t, "")
	own := c.ours()
	workload := identity.Peer{Workload: deployer, Forwarder: gateway, Certificate: window, Thumbprint: printOf(c.client)}
	unhashed := workload
	unhashed.Thumbprint = identity.Thumbprint{}
	device := func(d *x509.Certificate) identity.Peer {
		return identity.Peer{Device: fingerprint(d), Forwarder: gateway, Certificate: window, Thumbprint: printOf(d)}
	}
	foreign := c.partner.leaf(t, []string{stranger})
	spoof := "By=spiffe://acme.example/other;Hash=" + strings.Repeat("ab", 32) + ";URI=" + admin
	for name, k := range map[string]struct {
		header string
		want   identity.Peer
	}{
		"workload by URI":  {c.says(c.client, "URI="+deployer) + own, workload},
		"workload by Cert": {c.says(c.client, cert(c.client)) + own, workload},
		"all that Envoy can say": {c.says(c.client, cert(c.client), cert2Chain(c.client), `Subject="CN=peer"`,
			"URI="+deployer, "DNS=a", "DNS=b") + own, workload},
		"no Hash, URI":  {"By=" + gateway + ";URI=" + deployer + own, unhashed},
		"no Hash, Cert": {"By=" + gateway + ";" + cert(c.client) + own, workload},
		"other order":   {"uri=" + deployer + ";" + cert(c.client) + ";BY=" + gateway + own, workload},
		"Hash in upper case": {"By=" + gateway + ";Hash=" + strings.ToUpper(fingerprint(c.client).Value) + ";URI=" +
			deployer + own, workload},
		"quoted URI":              {c.says(c.client, `URI="`+deployer+`"`) + own, workload},
		"quoted By":               {`By="` + gateway + `";URI=` + deployer + own, unhashed},
		"a key that nobody knows": {c.says(c.client, "Issuer=x", "URI="+deployer) + own, workload},
		"By of another kind beside": {"By=https://gateway.acme.example;" + c.says(c.client, "URI="+deployer) + own,
			workload},
		"another trust domain": {c.says(foreign, cert(foreign)) + own, identity.Peer{Workload: stranger,
			Forwarder: gateway, Certificate: window, Thumbprint: printOf(foreign)}},
		"device by Hash":            {c.says(c.laptop) + own, device(c.laptop)},
		"device by Hash, URI=":      {c.says(c.laptop, `Subject="CN=peer"`, "URI=", "DNS=a") + own, device(c.laptop)},
		"device by Cert":            {c.says(c.laptop, cert(c.laptop)) + own, device(c.laptop)},
		"device by Cert, URI=":      {c.says(c.laptop, cert(c.laptop), "URI=") + own, device(c.laptop)},
		"device, ignored URI":       {c.says(c.odd, cert(c.odd)) + own, device(c.odd)},
		"device, ignored URI named": {c.says(c.odd, cert(c.odd), `URI="`+sid+`S-1-5"`) + own, device(c.odd)},
		"device by ignored URI":     {c.says(c.odd, `URI="`+sid+`S-1-5"`) + own, device(c.odd)},
		// what others said before counts for nothing
		"spoof before": {spoof + "," + c.says(c.client, "URI="+deployer) + own, workload},
		"many before":  {strings.Repeat(spoof+",", 30) + c.says(c.client, "URI="+deployer) + own, workload},
		"spoof By our Envoy": {"By=" + envoy + ";URI=" + admin + "," + c.says(c.client, "URI="+deployer) + own,
			workload},
		"spoof of our own element": {own[1:] + "," + c.says(c.client, "URI="+deployer) + own, workload},
		"spoof without By":         {"URI=" + admin + "," + c.says(c.client, "URI="+deployer) + own, workload},
		"spoof By in other case": {"By=" + strings.ToUpper(gateway) + ";URI=" + admin + "," + c.says(c.client,
			"URI="+deployer) + own, workload},
		// what a reader that splits at every separator would see
		"pairs in a Subject": {c.says(c.client, `Subject="CN=x;URI=`+admin+`;By=`+gateway+`"`, "URI="+deployer) +
			own, workload},
		"an element in a Subject": {c.says(c.client, `Subject="CN=x,By=`+gateway+`;URI=`+admin+`"`, "URI="+deployer) +
			own, workload},
		"quotes in a Subject": {c.says(c.client, `Subject="CN=\"x\;URI=`+admin+`\",O=y"`, "URI="+deployer) + own,
			workload},
		"a quote ending a Subject": {c.says(c.client, `Subject="CN=x\"";URI=`+deployer) + own, workload},
		"backslashes in a Subject": {c.says(c.client, `Subject="CN=x\\\";URI=`+admin+`\\y"`, "URI="+deployer) + own,
			workload},
		"a spoofer's odd Subject": {`By=x;Subject="a\",By=` + gateway + `;URI=` + admin + `",` + c.says(c.client,
			"URI="+deployer) + own, workload},
		"an Envoy that adds nothing": {c.says(c.client, "URI="+deployer), workload},
	} {
		for _, when := range []string{"first", "remembered"} {
			if diff := cmp.Diff(k.want, c.told(t, k.header)); diff != "" {
				t.Errorf("%s, %s: %s (-want +got):\n%s", name, when, k.header, diff)
			}
		}
	}
}

func printOf(c *x509.Certificate) (p identity.Thumbprint) {
	raw, _ := hex.DecodeString(fingerprint(c).Value)
	return identity.Thumbprint(raw)
}

func cert2Chain(c *x509.Certificate) string { return `Chain="` + encode(c) + `"` }

// TestBehindDoubts is the corpus of what must name nobody. Each is a good one with one thing wrong.
func TestBehindDoubts(t *testing.T) {
	c := newChain(t, "")
	own, plain := c.ours(), c.says(c.client)
	self := newCA(t, "acme").leaf(t, []string{deployer})
	twin := c.acme.leaf(t, []string{deployer})
	for _, k := range []struct{ name, header, want string }{
		// spelling
		{"empty", "", "no key=value"},
		{"only our own behind a comma", own, "element 1"},
		{"unterminated quote", plain + `;Subject="x;URI=` + deployer + own, "never closed"},
		{"junk behind a quote", plain + `;Subject="x"y;URI=` + deployer + own, "follows the closing quote"},
		{"unreadable spoof", "x," + plain + ";URI=" + deployer + own, "element 1"},
		{"two values of Hash", plain + ";Hash=" + c.front + ";URI=" + deployer + own, "Hash stands twice"},
		{"two values of Cert", plain + ";" + cert(c.client) + ";" + cert(c.client) + own, "Cert stands twice"},
		{"NUL", plain + ";URI=" + deployer + "\x00" + own, "control byte"},
		{"line end", plain + ";URI=" + deployer + "\n" + own, "control byte"},
		{"blank behind the comma", "By=x, " + plain + ";URI=" + deployer + own, "element 2"},
		{"64 KiB", strings.Repeat("By=x,", 20) + plain + ";Chain=" + strings.Repeat("x", 64<<10) + own, "limit"},
		{"33 elements", strings.Repeat("By=x,", 31) + plain + ";URI=" + deployer + own, "more than 32"},
		{"backslash before the quote", plain + `;Subject="x\\";URI=` + deployer + own, "backslash"},
		{"Intune's name without quotes", plain + ";URI=" + sid + "S-1-5" + own, "no key=value"},
		// whose element
		{"By somebody else", "By=" + admin + ";URI=" + deployer + own, "not By this proxy"},
		{"By our own Envoy", "By=" + envoy + ";URI=" + deployer + own, "not By this proxy"},
		{"no By", "URI=" + deployer + own, "not By this proxy"},
		{"empty By", "By=;URI=" + deployer + own, "not By this proxy"},
		{"By in upper case", "By=" + strings.ToUpper(gateway) + ";URI=" + deployer + own, "not By this proxy"},
		{"By with a slash", "By=" + gateway + "/;URI=" + deployer + own, "not By this proxy"},
		{"By with a blank", "By=" + gateway + " ;URI=" + deployer + own, "not By this proxy"},
		{"By of two proxies", plain + ";By=" + admin + ";URI=" + deployer + own, "several SPIFFE IDs"},
		{"By of two, one badly written", plain + ";By=SPIFFE:" + admin + ";URI=" + deployer + own, "several SPIFFE IDs"},
		{"genuine, then another's", plain + ";URI=" + deployer + ",By=" + admin + ";URI=" + deployer + own,
			"is By this proxy"},
		{"another's last", "By=" + admin + ";URI=" + deployer + ",By=" + admin + ";URI=" + deployer, "not By this proxy"},
		{"spoof By the gateway before", "By=" + gateway + ";URI=" + admin + "," + plain + ";URI=" + deployer + own,
			"is By this proxy"},
		{"an element inside a client's URI name", plain + ";URI=https://x/,By=" + gateway + ";URI=" + admin + own,
			"is By this proxy"},
		{"an element inside a client's DNS name", plain + ";URI=;DNS=x,By=" + gateway + ";URI=" + admin + own,
			"is By this proxy"},
		{"a pair inside a client's DNS name", plain + ";DNS=x;URI=" + admin + own, "follows a DNS name"},
		{"a Cert inside a client's DNS name", "By=" + gateway + ";DNS=x;" + cert(c.client) + own, "follows a DNS name"},
		{"our own element twice", plain + ";URI=" + deployer + own + own, "is By this proxy"},
		// who
		{"two URI names", plain + ";URI=" + deployer + ";URI=" + admin + own, "2 URI names"},
		{"a pair inside a client's URI name", plain + ";URI=https://x;URI=" + admin + own, "2 URI names"},
		{"an empty URI name beside", plain + ";URI=;URI=" + deployer + own, "2 URI names"},
		{"ignored name and SPIFFE ID", plain + `;URI="` + sid + `S-1";URI=` + deployer + own, "2 URI names"},
		{"no SPIFFE ID", plain + ";URI=https://acme.example/x" + own, "no SPIFFE ID"},
		{"upper-case scheme", plain + ";URI=SPIFFE://acme.example/x" + own, "no SPIFFE ID"},
		{"percent", plain + ";URI=spiffe://acme.example/%61dmin" + own, "no SPIFFE ID"},
		{"dot segment", plain + ";URI=spiffe://acme.example/x/../admin" + own, "no SPIFFE ID"},
		{"blank behind", plain + ";URI=" + deployer + " " + own, "no SPIFFE ID"},
		{"quote within quotes", plain + `;URI="` + deployer + `\""` + own, "no SPIFFE ID"},
		{"trust domain alone", plain + ";URI=spiffe://acme.example" + own, "no workload"},
		{"unknown trust domain", plain + ";URI=spiffe://other.example/x" + own, "not trusted"},
		{"nobody", "By=" + gateway + own, "names nobody"},
		{"nobody, URI=", "By=" + gateway + ";URI=" + own, "names nobody"},
		{"a Subject alone", "By=" + gateway + `;Subject="CN=admin"` + own, "names nobody"},
		{"short Hash", "By=" + gateway + ";Hash=" + c.front[:62] + own, "no SHA-256"},
		{"long Hash", "By=" + gateway + ";Hash=" + c.front + "00" + own, "no SHA-256"},
		{"Hash is no hex", "By=" + gateway + ";Hash=" + strings.Repeat("zz", 32) + own, "no SHA-256"},
		{"Hash with colons", "By=" + gateway + ";Hash=" + strings.Repeat("ab:", 31) + "ab" + own, "no SHA-256"},
		{"empty Hash", "By=" + gateway + ";Hash=;URI=" + deployer + own, "no SHA-256"},
		{"Hash of zeros", "By=" + gateway + ";Hash=" + strings.Repeat("00", 32) + own, "no SHA-256"},
		// certificates
		{"Hash of another", c.says(twin, cert(c.client)) + own, "not that of Cert"},
		{"bad Hash and Cert", "By=" + gateway + ";Hash=x;" + cert(c.client) + own, "no SHA-256"},
		{"URI of another", plain + ";" + cert(c.client) + ";URI=" + admin + own, "URI says"},
		{"URI and one more", plain + ";" + cert(c.client) + ";URI=" + deployer + ";URI=" + admin + own, "URI says"},
		{"URI= and an SVID", plain + ";" + cert(c.client) + ";URI=" + own, "URI says"},
		{"URI and a device", c.says(c.laptop, cert(c.laptop), "URI="+deployer) + own, "URI says"},
		{"empty Cert", plain + `;Cert="";URI=` + deployer + own, "not PEM"},
		{"Cert is garbage", plain + ";Cert=x;URI=" + deployer + own, "not PEM"},
		{"Cert is not encoded", plain + `;Cert="` + strings.ReplaceAll(string(toPEM(c.client)), "\n", " ") + `"` + own,
			"not PEM"},
		{"two in Cert", plain + `;Cert="` + encode(c.client, c.client) + `"` + own, "follows"},
		{"foreign CA", c.says(self, cert(self)) + own, "signed by no CA"},
		{"CA of devices", reSigned(t, c), "signed by no CA"},
		{"a CA", c.says(c.acme.certificate, cert(c.acme.certificate)) + own, "is a CA"},
		{"expired", c.says(c.late, cert(c.late)) + own, "valid from"},
		{"not yet valid", c.says(c.early, cert(c.early)) + own, "valid from"},
		{"ignored name and another", c.says(c.two, cert(c.two)) + own, "2 URI names"},
	} {
		for range 2 {
			wantDoubt(t, c.told(t, k.header), identity.DoubtForwarded, k.want)
			if t.Failed() {
				t.Fatalf("%s: %s", k.name, k.header)
			}
		}
	}
}

func reSigned(t *testing.T, c *chain) string {
	wrong := c.devices.leaf(t, []string{deployer})
	return c.says(wrong, cert(wrong)) + c.ours()
}

// TestBehindSpeaksForItself: without an element of its own that is not our Envoy's, the gateway is who asks.
func TestBehindSpeaksForItself(t *testing.T) {
	c := newChain(t, "")
	peer := c.Peer(c.proxy, gateway, now)
	for _, values := range [][]string{nil, {}, {c.ours()[1:]}, {"By=" + envoy + ";Hash=" + strings.ToUpper(c.front)},
		{"Hash=" + c.front + `;Subject="CN=peer"`}} {
		if diff := cmp.Diff(peer, c.Behind(peer, values, now)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", values, diff)
		}
	}
	// The header may come as often as it likes: one order, no text that crosses from one to the next.
	got := c.Behind(peer, []string{c.says(c.client, "URI="+deployer), c.ours()[1:]}, now)
	if got.Workload != deployer || got.Forwarder != gateway {
		t.Errorf("two values: %+v", got)
	}
	wantDoubt(t, c.Behind(peer, []string{c.says(c.client, `Subject="`), `";URI=` + deployer}, now),
		identity.DoubtForwarded,
		"never closed")
}

// TestBehindStrangers: nobody else's word on others changes anything, readable or not.
func TestBehindStrangers(t *testing.T) {
	c := newChain(t, "")
	inside := c.acme.leaf(t, []string{gateway + "/x"})
	partner := c.partner.leaf(t, []string{"spiffe://partner.example/gateway"})
	expired := c.acme.leaf(t, []string{gateway}, func(l *x509.Certificate) { l.NotAfter = now.Add(-time.Second) })
	fake := newCA(t, "acme").leaf(t, []string{gateway})
	for name, peer := range map[string]identity.Peer{
		"nobody": c.Peer("", "", now), "no certificate": c.Peer("", gateway, now),
		"a workload": c.Peer(encode(c.client), deployer, now), "a device": c.Peer(encode(c.laptop), "", now),
		"below the gateway": c.Peer(encode(inside), "", now), "another's gateway": c.Peer(encode(partner), "", now),
		"the gateway, expired": c.Peer(encode(expired), gateway, now), "a false gateway": c.Peer(encode(fake), gateway,
			now),
		"the gateway, disputed": c.Peer(c.proxy, admin, now), "made by hand": {Forwards: true},
	} {
		if peer.Forwards && peer.Workload != "" {
			t.Errorf("%s forwards", name)
		}
		for _, header := range []string{"", "x", c.says(c.laptop, cert(c.laptop)) + c.ours(), "By=;URI=" + admin,
			"By=" + deployer + ";URI=" + admin, "URI=" + admin} {
			if diff := cmp.Diff(peer, c.Behind(peer, []string{header}, now)); diff != "" {
				t.Errorf("%s says %q (-want +got):\n%s", name, header, diff)
			}
		}
	}
}

// TestBehindBinding: a Hash names no device where something else in the certificate does; the certificate does.
func TestBehindBinding(t *testing.T) {
	c := newChain(t, identity.BindSerialNumber)
	wantDoubt(t, c.told(t, c.says(c.laptop)+c.ours()), identity.DoubtForwarded, "let the proxy send Cert")
	want := signals.Alias{Kind: signals.AliasSerial, Value: "C02ABC123"}
	if got := c.told(t, c.says(c.laptop, cert(c.laptop))+c.ours()); got.Device != want || got.Forwarder != gateway {
		t.Errorf("%+v", got)
	}
	pattern, err := identity.ParseSPIFFEPattern("spiffe://acme.example/*")
	if err != nil {
		t.Fatal(err)
	}
	c.Authority = newAuthority(t, identity.AuthorityOptions{TrustDomains: map[string][]byte{"acme.example": c.acme.pem()},
		Forwarders: []identity.SPIFFEPattern{pattern}})
	wantDoubt(t, c.told(t, c.says(c.laptop)+c.ours()), identity.DoubtForwarded, "let the proxy send Cert")
	wantDoubt(t, c.told(t, c.says(c.laptop, cert(c.laptop))+c.ours()), identity.DoubtForwarded, "identity.devices")

	// A proxy behind the proxy is a workload like any other: what it says in turn is not followed.
	second := c.acme.leaf(t, []string{"spiffe://acme.example/second"})
	got := c.told(t, "By=spiffe://acme.example/second;URI="+admin+","+c.says(second, cert(second))+c.ours())
	if got.Workload != "spiffe://acme.example/second" || got.Forwards {
		t.Errorf("a chain of proxies: %+v", got)
	}
}

// TestBehindWindow: who is behind counts while both certificates do.
func TestBehindWindow(t *testing.T) {
	c := newChain(t, "")
	client := c.acme.leaf(t, []string{deployer}, func(l *x509.Certificate) {
		l.NotBefore, l.NotAfter = now.Add(-time.Second), now.Add(time.Minute)
	})
	want := identity.Validity{NotBefore: now.Add(-time.Second), NotAfter: now.Add(time.Minute + time.Second)}
	header := []string{c.says(client, cert(client)) + c.ours()}
	for at, valid := range map[time.Time]bool{now: true, want.NotBefore: true, want.NotAfter.Add(-1): true,
		want.NotAfter:          false,
		want.NotBefore.Add(-1): false} {
		got := c.Behind(c.Peer(c.proxy, gateway, at), header, at)
		if got.Certificate != want {
			t.Errorf("%s: window %s, want %s", at, got.Certificate, want)
		}
		if valid && got.Workload != deployer {
			t.Errorf("%s: %+v", at, got)
		}
		if !valid {
			wantDoubt(t, got, identity.DoubtForwarded, "valid from")
		}
	}
}

func TestIgnoredURINames(t *testing.T) {
	c := newChain(t, "")
	if got := c.Peer(encode(c.odd), sid+"S-1-5", now); got.Device != fingerprint(c.odd) || got.Workload != "" {
		t.Errorf("%+v", got)
	}
	both := c.devices.leaf(t, []string{sid + "S-1", sid + "S-2"})
	if got := c.Peer(encode(both), "", now); got.Device != fingerprint(both) {
		t.Errorf("two ignored names: %+v", got)
	}
	for want, leaf := range map[string]*x509.Certificate{
		"2 URI names":           c.acme.leaf(t, []string{deployer, sid + "S-1"}),
		"3 URI names":           c.devices.leaf(t, []string{sid + "S-1", deployer, sid + "S-2"}),
		"no SPIFFE ID":          c.devices.leaf(t, []string{"tag:microsoft.com,2022-09-15:sid:S-1"}),
		"signed by no CA in":    c.acme.leaf(t, []string{sid + "S-1"}),
		"is no SPIFFE ID: a SP": c.devices.leaf(t, []string{strings.ToUpper(sid)}),
	} {
		wantDoubt(t, c.Peer(encode(leaf), "", now), identity.DoubtCertificate, want)
	}
	foreign, err := identity.ParseSPIFFEPattern("spiffe://other.example/gateway")
	if err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]identity.AuthorityOptions{
		"other.example":      {Forwarders: []identity.SPIFFEPattern{foreign}},
		`of trust domain ""`: {Forwarders: []identity.SPIFFEPattern{{}}},
		`"" has 0 bytes`:     {IgnoreURINames: []string{""}},
		`"tag:" has 4`:       {IgnoreURINames: []string{"tag:x", "tag:"}},
		`"sPiFFe"`:           {IgnoreURINames: []string{"sPiFFe"}},
		`"SPIFFE:x"`:         {IgnoreURINames: []string{"SPIFFE:x"}},
		`"spiffe:"`:          {IgnoreURINames: []string{"spiffe:"}},
	} {
		if _, err := identity.NewAuthority(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want an error with %q", o, err, want)
		}
	}
	if _, err := identity.NewAuthority(identity.AuthorityOptions{Awaited: []string{"other.example"},
		Forwarders: []identity.SPIFFEPattern{foreign}}); err != nil {
		t.Errorf("a domain that is awaited: %v", err)
	}
}
