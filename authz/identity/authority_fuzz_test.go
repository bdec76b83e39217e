package identity_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// FuzzPeerGarbageNamesNobody: only what the CAs of this test signed names anybody, and nothing panics.
func FuzzPeerGarbageNamesNobody(f *testing.F) {
	w := newWorld(f, "")
	svid, laptop := w.acme.leaf(f, []string{deployer}), w.devices.device(f, []string{"C02ABC123"})
	ours := map[string]bool{string(svid.Raw): true, string(laptop.Raw): true}
	for _, seed := range []string{"", "garbage", "%", encode(svid), encode(laptop), encode(svid, laptop),
		string(toPEM(laptop)),
		encode(w.partner.leaf(f, []string{deployer}))} {
		f.Add(seed, "", []byte(nil))
		f.Add(seed, deployer, []byte(nil))
	}
	f.Add("", "", svid.Raw)
	f.Fuzz(func(t *testing.T, encoded, principal string, der []byte) {
		if len(der) > 0 { // mutate below the armour too
			encoded = encode(&x509.Certificate{Raw: der})
		}
		got := w.Peer(encoded, principal, now)
		named := got.Workload != "" || got.Device != signals.Alias{}
		if named && len(got.Doubts) > 0 {
			t.Fatalf("a name and a doubt: %+v", got)
		}
		if !named {
			if len(got.Doubts) == 0 && (encoded != "" || principal != "") {
				t.Fatalf("%q, %q: neither a name nor a doubt", encoded, principal)
			}
			return
		}
		var text strings.Builder
		for i := 0; i < len(encoded); i++ {
			if encoded[i] == '%' {
				var b byte
				if _, err := fmt.Sscanf(encoded[i+1:i+3], "%02x", &b); err != nil {
					t.Fatal(err)
				}
				text.WriteByte(b)
				i += 2
				continue
			}
			text.WriteByte(encoded[i])
		}
		block, _ := pem.Decode([]byte(text.String()))
		if block == nil || !ours[string(block.Bytes)] {
			t.Fatalf("%q was believed as %+v and never signed", encoded, got)
		}
	})
}

func BenchmarkPeer(b *testing.B) {
	w := newWorld(b, "")
	encoded := encode(w.acme.leaf(b, []string{deployer}))
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			fresh := newAuthority(b, identity.AuthorityOptions{TrustDomains: map[string][]byte{"acme.example": w.acme.pem()}})
			b.StartTimer()
			fresh.Peer(encoded, deployer, now)
		}
	})
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w.Peer(encoded, deployer, now)
		}
	})
}
