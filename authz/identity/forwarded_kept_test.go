package identity_test

import (
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

// TestBehindKeepsNothing: the header may be a part of a message whose bytes are used again after the call.
func TestBehindKeepsNothing(t *testing.T) {
	c := newChain(t, "")
	peer := c.Peer(c.proxy, gateway, now)
	for _, header := range []string{
		c.says(c.client, "URI="+deployer) + c.ours(), c.says(c.client, `URI="`+deployer+`"`) + c.ours(),
		c.says(c.client, cert(c.client)) + c.ours(), c.says(c.laptop) + c.ours(),
		c.says(c.client, "URI=https://x") + c.ours(), "garbage",
	} {
		message := []byte(header)
		got := c.Behind(peer, []string{unsafe.String(unsafe.SliceData(message), len(message))}, now)
		clear(message)
		if diff := cmp.Diff(c.Behind(peer, []string{header}, now), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", header, diff)
		}
	}
}

func BenchmarkBehind(b *testing.B) {
	c := newChain(b, "")
	peer, header := c.Peer(c.proxy, gateway, now), []string{c.says(c.client, cert(c.client), "URI="+deployer) + c.ours()}
	b.ReportAllocs()
	for b.Loop() {
		if got := c.Behind(peer, header, now); got.Workload != deployer {
			b.Fatal(got)
		}
	}
}
