package ssf_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals/ssf"
)

// FuzzSETNobodySigned: whatever comes is refused with a fault, unless its signature is the issuer's.
func FuzzSETNobodySigned(f *testing.F) {
	good := rawSigned(nil, `{"iss":"`+issuer+`","aud":"`+audience+`","iat":1772366400,"jti":"j","events":{"x":{}}}`)
	f.Add(good)
	f.Add(good + "A")
	f.Add(raw(`{"typ":"secevent+jwt","alg":"none"}`, `{}`) + ".")
	s := stream(f)
	f.Fuzz(func(t *testing.T, set string) {
		_, err := s.Authenticate(delivery(set), now)
		if (err == nil) != (set == good) {
			t.Fatalf("%q: %v", set, err)
		}
		if err != nil {
			codeOf(t, err)
		}
	})
}

// FuzzEventHasBoundedEffects: whatever an issuer signs, what comes of it can be kept, is about somebody, and void no login to come.
func FuzzEventHasBoundedEffects(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.json")
	for _, file := range files {
		claims, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(claims))
	}
	s := stream(f, func(o *ssf.Options) { o.SubjectInEvent = true })
	f.Fuzz(func(t *testing.T, claims string) {
		d := delivery(raw(`{"typ":"secevent+jwt","alg":"RS256"}`, claims) + ".AAAA")
		revocations, err := s.Effects(d)
		observations, _ := s.Observe(d)
		if err != nil && len(revocations) > 0 {
			t.Fatal("a fault with effects")
		}
		for _, r := range revocations {
			if _, err := r.Record(); err != nil || r.NotBefore.After(now) || r.Issuer != "corp" {
				t.Fatalf("%+v: %v", r, err)
			}
		}
		for _, o := range observations {
			if len(o.Aliases) == 0 || len(o.Facts) != 1 {
				t.Fatalf("%+v", o)
			}
		}
	})
}

// FuzzSubject: a subject is refused, or names somebody.
func FuzzSubject(f *testing.F) {
	for _, seed := range []string{`{"format":"email","email":"a@b"}`,
		`{"format":"aliases","identifiers":[{"format":"opaque","id":"x"}]}`,
		`{"subject_type":"iss-sub","iss":"i","sub":"s"}`, `{"format":"complex","user":{"format":"opaque","id":"u"}}`,
		`{"user":{"format":"did","url":"u"}}`,
		`{"format":"ip-addresses","ip-addresses":["10.0.0.1"]}`,
		`{"format":"saml_assertion_id","issuer":"i","assertion_id":"a"}`} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, old bool) {
		s, err := ssf.ReadSubject(json.RawMessage(text), old)
		if err == nil && s.ID == "" && len(s.Members) == 0 && len(s.Aliases) == 0 && len(s.IPs) == 0 {
			t.Fatalf("%q names nobody: %+v", text, s)
		}
		if !old && err == nil && strings.Contains(text, `subject_type`) && s.Format == "" {
			t.Fatalf("%q: %+v", text, s)
		}
	})
}
