package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/token"
)

const rolesURL = "https://acme.example/claims/roles"

// mapped is an issuer that calls everything by names of its own.
func mapped() token.Issuer {
	i := corp()
	i.UserClaim, i.GroupsClaim, i.ACRClaim, i.AMRClaim, i.AuthTimeClaim = "upn", rolesURL, "urn:acme:level", "methods",
		"login_at"
	return i
}

// TestClaimsAreFoundByTheirNames: the standard names mean nothing where the settings name others, of whatever type they
// are.
func TestClaimsAreFoundByTheirNames(t *testing.T) {
	v := newVerifier(t, mapped())
	login := now.Add(-5 * time.Minute)
	standard := object{"groups": 1, "acr": []int{2}, "amr": object{}, "auth_time": "yesterday", "upn": "ana"}
	named := object{rolesURL: []string{"staff"}, "urn:acme:level": "phr", "methods": "hwk", "login_at": login.Unix()}
	got, err := v.Verify(sign(corpEC, header(nil), with(claims(standard), named)), nobody, now)
	want := &identity.User{Issuer: "corp", Name: "ana", Subject: "u-1", Groups: []string{"staff"}, ACR: "phr",
		AMR: []string{"hwk"}, AuthTime: login,
		Issued: now.Add(-time.Minute), Token: identity.Validity{NotBefore: now.Add(-time.Minute - leeway), NotAfter: now.Add(10*time.Minute + leeway)}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	got, err = v.Verify(sign(corpEC, header(nil), claims(standard)), nobody, now)
	if err != nil || got.Groups != nil || got.ACR != "" || got.AMR != nil || !got.AuthTime.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestMappedClaimsOfWrongType: never an absent claim, always a reason that names the claim as it stands in the token.
func TestMappedClaimsOfWrongType(t *testing.T) {
	v := newVerifier(t, mapped())
	long := strings.Repeat("x", 257)
	for name, values := range map[string]map[string]any{
		"upn": {"no text": 7, "no  text": []string{"ana"}, "no   text": true, "empty": "", "longer": long,
			"control": "a\n"},
		rolesURL: {"no text": 7, "no text and no array": object{"a": 1}, "entry 1": []string{long},
			"limit is 500": manyTexts(501), "entry 2": []string{"a", ""}},
		"urn:acme:level": {"no text": 2, "no  text": []string{"phr"}, "no   text": object{}, "empty": "", "longer": long,
			"control": "\x00"},
		"methods": {"no text": 2, "no text and no array": object{}, "limit is 32": manyTexts(33), "entry 1": "",
			"entry 3": []string{"a", "b", long}},
		"login_at": {"no number": "2026-11-22T12:00:00Z", "no  number": []int{1}, "no   number": true, "1970": -1,
			"9998":           1e15,
			"claims a login": now.Unix() + 31},
	} {
		for want, value := range values {
			want = strings.Join(strings.Fields(want), " ")
			change := object{"upn": "ana"}
			change[name] = value
			user, err := v.Verify(sign(corpEC, header(nil), claims(change)), nobody, now)
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s %.30v: %v, %v; want a reason with %q", name, value, user, err, want)
			}
		}
		raw := signRaw(corpEC, toJSON(header(nil)), dup(with(claims(object{"upn": "ana"}), object{name: nil}),
			`"`+name+`":null`))
		if user, err := v.Verify(raw, nobody, now); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s null: %v, %v", name, user, err)
		}
	}
}

func manyTexts(n int) []string { return strings.Split(strings.Repeat("g,", n-1)+"g", ",") }

// TestClaimsThatAreElsewhere: the place of a claim is not its absence.
func TestClaimsThatAreElsewhere(t *testing.T) {
	v := newVerifier(t, mapped())
	for claim, want := range map[string]string{rolesURL: "emit fewer", strings.ToUpper(rolesURL): "emit fewer",
		"upn":            "upn",
		"urn:acme:level": "urn:acme:level", "methods": "methods", "login_at": "login_at", "Methods": "methods"} {
		raw := sign(corpEC, header(nil), claims(object{"upn": "ana", "_claim_names": object{"address": "a", claim: "src1"}}))
		if user, err := v.Verify(raw, nobody, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", claim, user, err)
		}
	}
	for _, raw := range []string{`"_claim_names":null`, `"_claim_names":["` + rolesURL + `"]`} {
		if _, err := v.Verify(signRaw(corpEC, toJSON(header(nil)), dup(claims(object{"upn": "ana"}), raw)), nobody,
			now); err == nil {
			t.Errorf("%s is taken", raw)
		}
	}
	if _, err := v.Verify(sign(corpEC, header(nil), claims(object{"upn": "ana",
		"_claim_names": object{"groups": "src1"}})), nobody, now); err != nil {
		t.Errorf("a claim that means nothing here: %v", err)
	}
}

// TestNamesThatNoClaimMayHave: paths are not guessed, claims with a meaning of their own get no other.
func TestNamesThatNoClaimMayHave(t *testing.T) {
	set := map[string]func(*token.Issuer, string){
		"user":     func(i *token.Issuer, s string) { i.UserClaim = s },
		"groups":   func(i *token.Issuer, s string) { i.GroupsClaim = s },
		"acr":      func(i *token.Issuer, s string) { i.ACRClaim = s },
		"amr":      func(i *token.Issuer, s string) { i.AMRClaim = s },
		"authTime": func(i *token.Issuer, s string) { i.AuthTimeClaim = s },
	}
	for meaning, change := range set {
		for name, want := range map[string]string{
			"realm_access.roles": "path", "$.x": "path", "/x": "path", "x[0]": "path", "a b": "path",
			"ftp://x.example/y":      "path",
			"https://acme.example/ä": "path", "https://acme.example/a b": "path", "größe": "path",
			"x\n": "path", "x\x00": "path",
			strings.Repeat("x", 257): "path", "iss": "of its own", "aud": "of its own", "exp": "of its own", "cnf": "of its own",
			"CNF": "of its own", "Sub": "of its own", "jti": "of its own", "_claim_names": "of its own",
			"HASGROUPS": "of its own",
		} {
			i := corp()
			change(&i, name)
			if _, err := token.New([]token.Issuer{i}); err == nil || !strings.Contains(err.Error(), want) ||
				!strings.Contains(err.Error(), "its "+meaning) {
				t.Errorf("%s: %.40q: %v", meaning, name, err)
			}
		}
		for _, name := range []string{"x", strings.Repeat("x", 256), "cognito:groups", "https://acme.example/a.b/c?d#e",
			"http://x/y"} {
			i := corp()
			change(&i, name)
			if _, err := token.New([]token.Issuer{i}); err != nil {
				t.Errorf("%s: %.40q: %v", meaning, name, err)
			}
		}
	}
	for _, pair := range [][2]string{{"user", "acr"}, {"groups", "amr"}, {"acr", "authTime"}} {
		i := corp()
		set[pair[0]](&i, "level")
		set[pair[1]](&i, "Level")
		if _, err := token.New([]token.Issuer{i}); err == nil || !strings.Contains(err.Error(), "one meaning") {
			t.Errorf("%v: %v", pair, err)
		}
	}
	i := corp()
	i.GroupsClaim = "sub"
	if _, err := token.New([]token.Issuer{i}); err == nil {
		t.Error("the subject as groups")
	}
	i.GroupsClaim, i.UserClaim = "", "groups"
	if _, err := token.New([]token.Issuer{i}); err == nil {
		t.Error("a claim that another has by default")
	}
}
