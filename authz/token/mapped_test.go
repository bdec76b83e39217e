package token_test

import (
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/signals"
)

// TestEmails: not verified is none, unless the email is the user's very name.
func TestEmails(t *testing.T) {
	beside, same := corp(), corp()
	beside.EmailClaim = "email"
	same.UserClaim, same.EmailClaim = "mail", "mail"
	v, w := newVerifier(t, beside), newVerifier(t, same)
	for _, c := range []struct {
		v      *token.Verifier
		change object
		email  string
		want   string
	}{
		{v, object{"email": "Ana@acme.example"}, "Ana@acme.example", ""}, {v, nil, "", ""},
		{v, object{"email": "a@b", "email_verified": true}, "a@b", ""},
		{v, object{"email": "a@b", "email_verified": "true"}, "a@b", ""},
		{v, object{"email": "a@b", "email_verified": false}, "", ""},
		{v, object{"email": "a@b", "email_verified": "false"}, "", ""},
		{v, object{"email": "a@b", "email_verified": 1}, "", ""},
		{v, object{"email": "a@b", "email_verified": "TRUE"}, "", ""},
		{v, object{"email": 7}, "", "email is no text"}, {v, object{"email": ""}, "", "email is empty"},
		{v, object{"email": 7, "email_verified": false}, "", "email is no text"},
		{v, object{"email": strings.Repeat("e", 257)}, "", "email is empty, longer"},
		{v, object{"email": "a\n@b"}, "", "control"},
		{v, object{"Email": "a@b"}, "", "take for email"}, {v, object{"email": "a@b", "EMAIL": "c@d"}, "", "take for email"},
		{v, object{"_claim_names": object{"email": "src1"}}, "", "where to ask for its email"},
		{w, object{"mail": "a@b"}, "a@b", ""}, {w, object{"mail": "a@b", "email_verified": true}, "a@b", ""},
		{w, object{"mail": "a@b", "email_verified": false}, "", "not verified"}, {w, nil, "", "no mail"},
	} {
		user, err := c.v.Verify(sign(corpEC, header(nil), claims(c.change)), nobody, now)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || err == nil &&
			user.Email != c.email {
			t.Errorf("%v: %+v, %v; want %q, %q", c.change, user, err, c.email, c.want)
		}
	}
	for want, change := range map[string]func(*token.Issuer){
		"something else":        func(i *token.Issuer) { i.EmailClaim = "groups" },
		"of something else":     func(i *token.Issuer) { i.UserClaim, i.EmailClaim = "mail", "Mail" },
		"meaning of its own":    func(i *token.Issuer) { i.EmailClaim = "sub" },
		"has a meaning":         func(i *token.Issuer) { i.EmailClaim = "email_verified" },
		"cannot be the claim":   func(i *token.Issuer) { i.EmailClaim = "a.b" },
		"claim of its device":   func(i *token.Issuer) { i.EmailClaim, i.DeviceClaim = "x", "x" },
		"the claim of its":      func(i *token.Issuer) { i.UserClaim, i.DeviceClaim = "x", "x" },
		"device claim names a":  func(i *token.Issuer) { i.DeviceClaim, i.DeviceNames = "did", "" },
		"names a \"vendor\"":    func(i *token.Issuer) { i.DeviceClaim, i.DeviceNames = "did", signals.AliasVendor },
		"\"cnf\" cannot be the": func(i *token.Issuer) { i.DeviceClaim = "cnf" },
	} {
		i := corp()
		i.DeviceNames = signals.AliasSerial
		change(&i)
		if _, err := token.New([]token.Issuer{i}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestDeviceClaims: what a token calls the device is one name, normalised, and binds as the token itself is bound.
func TestDeviceClaims(t *testing.T) {
	issuer := func(kind signals.AliasKind, bearer bool) token.Issuer {
		i := corp()
		i.DeviceClaim, i.DeviceNames, i.DeviceBearer = "did", kind, bearer
		return i
	}
	serial := signals.Alias{Kind: signals.AliasSerial, Value: "C02X1"}
	for _, c := range []struct {
		bearer bool
		change object
		shown  identity.Thumbprint
		want   signals.Alias
		binds  bool
		fault  string
	}{
		{false, nil, nobody, signals.Alias{}, false, ""}, {true, nil, nobody, signals.Alias{}, false, ""},
		{false, object{"did": " c02x1"}, nobody, serial, false, ""}, {true, object{"did": "C02X1"}, nobody, serial, true, ""},
		{false, object{"did": "C02X1", "cnf": boundTo(own)}, own, serial, true, ""},
		{false, object{"did": "To be filled by O.E.M."}, nobody, signals.Alias{}, false,
			"the token's device claim names no device"},
		{false, object{"did": "0"}, nobody, signals.Alias{}, false, "names no device"},
		{false, object{"did": 7}, nobody, signals.Alias{}, false, "did is no text"},
		{false, object{"did": ""}, nobody, signals.Alias{}, false, "did is empty"},
		{false, object{"did": []string{"C02X1"}}, nobody, signals.Alias{}, false, "did is no text"},
		{false, object{"did": strings.Repeat("C", 201)}, nobody, signals.Alias{}, false, "names no device"},
		{false, object{"DID": "C02X1"}, nobody, signals.Alias{}, false, "take for did"},
		{false, object{"_claim_names": object{"did": "x"}}, nobody, signals.Alias{}, false, "where to ask for its did"},
	} {
		v := newVerifier(t, issuer(signals.AliasSerial, c.bearer))
		for range 2 {
			user, err := v.Verify(sign(corpEC, header(nil), claims(c.change)), c.shown, now)
			if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%v: %v, want %q", c.change, err, c.fault)
			}
			if err == nil && (user.Device != c.want || user.DeviceBinds != c.binds) {
				t.Errorf("%v: %v, binds %t", c.change, user.Device, user.DeviceBinds)
			}
		}
	}
	v := newDPoP(t, issuer(signals.AliasDirectory, false))
	raw := sign(corpEC, header(nil), claims(object{"did": "d-1", "cnf": object{"jkt": thumbprint(clientEC)}}))
	if got, err := v.Judge(byKey(raw, proof(clientEC, raw, nil, nil)), now); err != nil || !got.User.DeviceBinds {
		t.Errorf("bound to a key: %+v, %v", got.User, err)
	}
}
