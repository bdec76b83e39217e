package policy

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseEndpoint(t *testing.T) {
	long := strings.Repeat("a", 63)
	for text, want := range map[string]Endpoint{
		"127.0.0.1:8443":            {Addr: netip.MustParseAddr("127.0.0.1"), Port: 8443},
		"[::1]:1":                   {Addr: netip.MustParseAddr("::1"), Port: 1},
		"payroll:65535":             {Name: "payroll", Port: 65535},
		"pay-roll.acme.example:443": {Name: "pay-roll.acme.example", Port: 443},
		"1.acme.example:443":        {Name: "1.acme.example", Port: 443},
		long + ".example:1":         {Name: long + ".example", Port: 1},
	} {
		if got, err := ParseEndpoint(text); err != nil || got != want || got.Literal() != want.Addr.IsValid() {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", ":", ":80", "payroll", "payroll:", "payroll:0", "payroll:65536", "payroll:+1", "payroll:080", "payroll:1:2",
		"127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "127.1:80", "0x7f.1:80", "0x7f000001:80", "2130706433:80", "10.0.0.256:80", "::1:80",
		"[::1]", "[::1]:0", "[fe80::1%eth0]:80", "[payroll]:80", "Payroll:80", "pay_roll:80", "-a:80", "a-:80", "a..b:80",
		".a:80", "a.:80", "*.a:80", "a/b:80", "a b:80", "ä:80", "a\x00:80", long + "a:80",
		strings.Repeat(long+".", 4) + "example:80", "spiffe://acme.example/a", "http://a:80", "a@b:80",
	} {
		if got, err := ParseEndpoint(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}
