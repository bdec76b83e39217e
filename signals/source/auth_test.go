package source_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
)

func credentials(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestAuth(t *testing.T) {
	const long, old = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	basic := source.Basic{User: "jamf", Passwords: []string{"new", "old:er", ""}}
	header := source.Header{Name: "x-secret", Values: []string{"new", "old", ""}}
	bearer := source.Header{Name: "Authorization", Values: []string{"Bearer new"}}
	inURL := source.URLSecret{Values: []string{long, old, "short", ""}}
	h := func(pairs ...string) source.Delivery {
		d := source.Delivery{Header: http.Header{}}
		for i := 0; i < len(pairs); i += 2 {
			d.Header.Add(pairs[i], pairs[i+1])
		}
		return d
	}
	u := func(segment string, secrets ...string) source.Delivery {
		return source.Delivery{Segment: segment, Query: url.Values{"secret": secrets}}
	}
	for name, c := range map[string]struct {
		auth      source.Auth
		delivery  source.Delivery
		challenge string // empty: it is authentic
	}{
		"basic":                   {basic, h("Authorization", credentials("jamf", "new")), ""},
		"basic, old password":     {basic, h("Authorization", credentials("jamf", "old:er")), ""},
		"basic, lower case":       {basic, h("Authorization", "b"+credentials("jamf", "new")[1:]), ""},
		"basic, wrong password":   {basic, h("Authorization", credentials("jamf", "wrong")), "Basic realm="},
		"basic, empty password":   {basic, h("Authorization", credentials("jamf", "")), "Basic realm="},
		"basic, wrong user":       {basic, h("Authorization", credentials("jam", "fnew")), "Basic realm="},
		"basic, part of password": {basic, h("Authorization", credentials("jamf", "ne")), "Basic realm="},
		"basic, no base64":        {basic, h("Authorization", "Basic jamf:new"), "Basic realm="},
		"basic, another scheme":   {basic, h("Authorization", "Bearer new"), "Basic realm="},
		"basic, missing":          {basic, h(), "Basic realm="},
		"basic, twice": {basic, h("Authorization", credentials("jamf", "new"), "Authorization", credentials("jamf", "new")),
			"Basic realm="},
		"basic, nobody may":       {source.Basic{User: "jamf"}, h("Authorization", credentials("jamf", "")), "Basic realm="},
		"header":                  {header, h("X-Secret", "new"), ""},
		"header, old":             {header, h("X-Secret", "old"), ""},
		"header, wrong":           {header, h("X-Secret", "News"), `Header name="X-Secret"`},
		"header, empty":           {header, h("X-Secret", ""), `Header name="X-Secret"`},
		"header, twice":           {header, h("X-Secret", "new", "X-Secret", "wrong"), `Header name="X-Secret"`},
		"bearer":                  {bearer, h("Authorization", "Bearer new"), ""},
		"bearer, wrong":           {bearer, h("Authorization", "Bearer old"), "Bearer realm="},
		"url, segment":            {inURL, u(long), ""},
		"url, old one in query":   {inURL, u("", old), ""},
		"url, none":               {inURL, u(""), "URL realm="},
		"url, wrong":              {inURL, u(strings.ToUpper(long)), "URL realm="},
		"url, too short to count": {inURL, u("short"), "URL realm="},
		"url, both":               {inURL, u(long, long), "URL realm="},
		"url, twice":              {inURL, u("", long, "x"), "URL realm="},
		"any, second":             {source.Any{basic, header}, h("X-Secret", "new"), ""},
		"any, neither":            {source.Any{basic, header}, h("X-Secret", "wrong"), "Header name="},
		"any of none":             {source.Any{}, h(), "None"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.auth.Authentic(c.delivery, time.Now())
			if c.challenge == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			refusal, ok := errors.AsType[*source.Refusal](err)
			if !ok || refusal.Status != http.StatusUnauthorized || !strings.HasPrefix(refusal.Challenge, c.challenge) {
				t.Fatalf("%#v, want a challenge %s", err, c.challenge)
			}
			for _, secret := range []string{"new", "old", long, old, "wrong", "short"} {
				if strings.Contains(strings.ReplaceAll(refusal.Detail+err.Error(), "wrong.", ""), `"`+secret) {
					t.Errorf("the refusal has a secret: %s, %v", refusal.Detail, err)
				}
			}
		})
	}
}

func TestDigestID(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	d := source.Delivery{Source: "jamf", Body: []byte("{}"), Received: at}
	id := source.DigestID(d, 0)
	if !source.ValidID(id) || !strings.HasPrefix(id, "sha256-") || len(id) != 71 {
		t.Errorf("%q", id)
	}
	later, other, moved := d, d, d
	later.Received = at.Add(30 * time.Minute)
	other.Source = "jam"
	moved.Source, moved.Body = "jamf\n", []byte("{}")
	switch {
	case source.DigestID(later, 0) != id || source.DigestID(later, time.Hour) != source.DigestID(d, time.Hour):
		t.Error("the same bytes, soon after, are another delivery")
	case source.DigestID(later, time.Minute) == source.DigestID(d, time.Minute):
		t.Error("the same bytes, half an hour later, are the same delivery within a minute")
	case source.DigestID(other, 0) == id || source.DigestID(moved, 0) == id:
		t.Error("two sources share an id")
	}
}
