package ssf_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/ssf"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// held are keys that are there.
type held struct {
	set   jose.JSONWebKeySet
	err   error
	asked int
}

func (h *held) Keys(time.Time) (*jose.JSONWebKeySet, error) { return &h.set, h.err }
func (h *held) Ask()                                        { h.asked++ }

func keys() *held {
	return &held{set: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: rsaKey().Public(), KeyID: "k1"},
		{Key: weakRSA().Public(), KeyID: "weak"}}}}
}

const issuer = "https://idp.example.com/123456789/"

func stream(t testing.TB, changes ...func(*ssf.Options)) *ssf.Stream {
	t.Helper()
	o := ssf.Options{Name: "login", Issuer: issuer, Audiences: []string{audience}, Keys: keys(),
		Users: ssf.Users{Issuer: "corp", Email: true}, Devices: ssf.Devices{Names: signals.AliasVendor, Source: "mdm"}}
	for _, change := range changes {
		change(&o)
	}
	s, err := ssf.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func claims(change object) object {
	c := object{"iss": issuer, "aud": audience, "iat": now.Unix(), "jti": "j1", "sub_id": user("ana"),
		"events": object{caepURI + "session-revoked": object{}}}
	for name, value := range change {
		if value == nil {
			delete(c, name)
			continue
		}
		c[name] = value
	}
	return c
}

func delivery(set string) source.Delivery {
	return source.Delivery{Source: "login", Body: []byte(set), Received: now,
		Header: http.Header{"Content-Type": {ssf.ContentType}}}
}

func codeOf(t *testing.T, err error) ssf.Code {
	t.Helper()
	refusal, ok := errors.AsType[*source.Refusal](err)
	if !ok {
		t.Fatalf("%v is no refusal", err)
	}
	f, ok := errors.AsType[*ssf.Fault](err)
	if !ok || refusal.Status != http.StatusBadRequest || f.Description() == "" {
		t.Fatalf("%v (%d) has no fault", err, refusal.Status)
	}
	return f.Code
}

func raw(header, payload string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
}

// rawSigned signs a payload that no encoder writes.
func rawSigned(header object, payload string) string {
	options := (&jose.SignerOptions{}).WithType("secevent+jwt").WithHeader("kid", "k1")
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: rsaKey()}, options)
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign([]byte(payload))
	if err != nil {
		panic(err)
	}
	compact, _ := signed.CompactSerialize()
	return compact
}

// TestCorpus: JWT attacks on SETs. Accepted: 0.
func TestCorpus(t *testing.T) {
	s := stream(t)
	rs := func(header, change object) string { return signAs(rsaKey(), jose.RS256, header, claims(change)) }
	if _, err := s.Authenticate(delivery(rs(nil, nil)), now); err != nil {
		t.Fatal(err)
	}
	payload, _ := json.Marshal(claims(nil))
	public, _ := json.Marshal(jose.JSONWebKey{Key: rsaKey().Public()})
	good, other := rs(nil, nil), rs(nil, object{"jti": "j2"})
	event := func(uri string, e any, change object) string {
		if change == nil {
			change = object{}
		}
		change["events"] = object{uri: e}
		return rs(nil, change)
	}
	accepted, refused := 0, map[ssf.Code]int{}
	for name, c := range map[string]struct {
		set  string
		want ssf.Code
	}{
		"alg none": {raw(`{"typ":"secevent+jwt","alg":"none"}`, string(payload)) + ".",
			ssf.AuthenticationFailed},
		"alg nOnE with a signature": {raw(`{"typ":"secevent+jwt","alg":"nOnE"}`, string(payload)) + ".AAAA",
			ssf.AuthenticationFailed},
		"signature cut off":         {good[:strings.LastIndexByte(good, '.')+1], ssf.AuthenticationFailed},
		"HS256 with the public key": {signAs(public, jose.HS256, nil, claims(nil)), ssf.InvalidKey},
		"HS256 with zeros":          {signAs(make([]byte, 32), jose.HS256, nil, claims(nil)), ssf.InvalidKey},
		"RS512, not listed":         {signAs(rsaKey(), jose.RS512, nil, claims(nil)), ssf.InvalidKey},
		"RSA of 1024 bits":          {signAs(weakRSA(), jose.RS256, object{"kid": "weak"}, claims(nil)), ssf.InvalidKey},
		"stranger's key":            {signAs(otherRSA(), jose.RS256, nil, claims(nil)), ssf.InvalidKey},
		"stranger, no kid":          {signAs(otherRSA(), jose.RS256, object{"kid": nil}, claims(nil)), ssf.InvalidKey},
		"kid ../../dev/null":        {rs(object{"kid": "../../dev/null"}, nil), ssf.InvalidKey},
		"kid with SQL":              {rs(object{"kid": "k1' OR 1=1 --"}, nil), ssf.InvalidKey},
		"kid of 8 KiB":              {rs(object{"kid": strings.Repeat("k", 8192)}, nil), ssf.InvalidKey},
		"jwk brings a key": {signAs(otherRSA(), jose.RS256, object{"jwk": jose.JSONWebKey{Key: otherRSA().Public()}},
			claims(nil)), ssf.InvalidRequest},
		"jku":  {rs(object{"jku": "https://evil.example"}, nil), ssf.InvalidRequest},
		"x5u":  {rs(object{"x5u": "https://evil.example"}, nil), ssf.InvalidRequest},
		"crit": {rs(object{"crit": []string{"x"}, "x": 1}, nil), ssf.InvalidRequest},
		"ALG beside alg": {raw(`{"typ":"secevent+jwt","alg":"RS256","ALG":"none"}`, string(payload)) + ".AAAA",
			ssf.InvalidRequest},
		"JWE":             {"a.b.c.d.e", ssf.InvalidRequest},
		"padded base64":   {good + "=", ssf.InvalidRequest},
		"line end":        {good[:10] + "\n" + good[10:], ssf.InvalidRequest},
		"typ JWT":         {rs(object{"typ": "JWT"}, nil), ssf.InvalidRequest},
		"typ at+jwt":      {rs(object{"typ": "at+jwt"}, nil), ssf.InvalidRequest},
		"no typ":          {raw(`{"alg":"RS256","kid":"k1"}`, string(payload)) + ".AAAA", ssf.InvalidRequest},
		"sub":             {rs(nil, object{"sub": "ana"}), ssf.InvalidRequest},
		"exp":             {rs(nil, object{"exp": now.Unix() + 60}), ssf.InvalidRequest},
		"no jti":          {rs(nil, object{"jti": nil}), ssf.InvalidRequest},
		"jti a number":    {rs(nil, object{"jti": 7}), ssf.InvalidRequest},
		"no iat":          {rs(nil, object{"iat": nil}), ssf.InvalidRequest},
		"iat a text":      {rs(nil, object{"iat": "1700000000"}), ssf.InvalidRequest},
		"iat in 2451":     {rs(nil, object{"iat": 15203800012}), ssf.InvalidRequest},
		"iat 6 min ahead": {rs(nil, object{"iat": now.Unix() + 360}), ssf.InvalidRequest},
		"iss of another":  {rs(nil, object{"iss": issuer + "/"}), ssf.InvalidIssuer},
		"no iss":          {rs(nil, object{"iss": nil}), ssf.InvalidRequest},
		"aud of another":  {rs(nil, object{"aud": []string{"x", audience + "/"}}), ssf.InvalidAudience},
		"aud empty":       {rs(nil, object{"aud": []string{}}), ssf.InvalidRequest},
		"no aud":          {rs(nil, object{"aud": nil}), ssf.InvalidRequest},
		"two events":      {rs(nil, object{"events": object{"a": object{}, "b": object{}}}), ssf.InvalidRequest},
		"no event":        {rs(nil, object{"events": object{}}), ssf.InvalidRequest},
		"events an array": {rs(nil, object{"events": []string{"a"}}), ssf.InvalidRequest},
		"event a text":    {event(caepURI+"session-revoked", "now", nil), ssf.InvalidRequest},
		"no sub_id":       {rs(nil, object{"sub_id": nil}), ssf.InvalidRequest},
		"subject in event": {event(caepURI+"session-revoked", object{"subject": user("ana")}, object{"sub_id": nil}),
			ssf.InvalidRequest},
		"sub_id of no kind": {rs(nil, object{"sub_id": object{"format": "nobody"}}), ssf.InvalidRequest},
		"duplicate iss": {rawSigned(nil, strings.Replace(string(payload), `"iss":`, `"iss":"x","iss":`, 1)),
			ssf.InvalidRequest},
		"Iss beside iss": {rawSigned(nil, strings.Replace(string(payload), `"iss":`, `"Iss":"x","iss":`, 1)),
			ssf.InvalidRequest},
		"event_timestamp":   {event(caepURI+"session-revoked", object{"event_timestamp": "soon"}, nil), ssf.InvalidRequest},
		"no current_status": {event(caepURI+"device-compliance-change", object{}, nil), ssf.InvalidRequest},
		"too long":          {rs(nil, object{"x": strings.Repeat("x", 70000)}), ssf.InvalidRequest},
		"empty":             {"", ssf.InvalidRequest},
		"nested SET":        {rawSigned(object{"cty": "JWT"}, good), ssf.InvalidRequest},
		"not UTF-8":         {rawSigned(nil, "{\"iss\":\"\xff\"}"), ssf.InvalidRequest},
		"signature of other": {good[:strings.LastIndexByte(good, '.')] + other[strings.LastIndexByte(other, '.'):],
			ssf.InvalidKey},
	} {
		id, err := s.Authenticate(delivery(c.set), now)
		if err == nil {
			accepted++
			t.Errorf("%s: accepted as %s", name, id)
			continue
		}
		code := codeOf(t, err)
		if refused[code]++; code != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	t.Logf("accepted %d, refused %v", accepted, refused)
}

// TestPushShowsItself: the content type and the bearer token of a push; a polled SET needs neither.
func TestPushShowsItself(t *testing.T) {
	s := stream(t, func(o *ssf.Options) { o.PushTokens = []string{"new", "old"} })
	set := signAs(rsaKey(), jose.RS256, nil, claims(nil))
	for _, c := range []struct {
		kind, authorization string
		want                ssf.Code
	}{
		{ssf.ContentType, "Bearer new", ""}, {ssf.ContentType + "; charset=utf-8", "bearer old", ""},
		{ssf.ContentType, "", ssf.AuthenticationFailed}, {ssf.ContentType, "Bearer newer", ssf.AuthenticationFailed},
		{ssf.ContentType, "Basic new", ssf.AuthenticationFailed}, {"application/json", "Bearer new", ssf.InvalidRequest},
		{"", "Bearer new", ssf.InvalidRequest},
	} {
		d := delivery(set)
		d.Header = http.Header{"Content-Type": {c.kind}, "Authorization": {c.authorization}}
		_, err := s.Authenticate(d, now)
		if c.want == "" && err != nil || c.want != "" && codeOf(t, err) != c.want {
			t.Errorf("%q, %q: %v, want %q", c.kind, c.authorization, err, c.want)
		}
	}
	d := delivery(set)
	d.Header, d.Segment = http.Header{}, ssf.Polled
	if _, err := s.Authenticate(d, now); err != nil {
		t.Errorf("polled: %v", err)
	}
}

// TestNoKeys: a transmitter whose keys are not at hand is asked to come again, and its keys are asked for.
func TestNoKeys(t *testing.T) {
	none := &held{err: errors.New("down")}
	s := stream(t, func(o *ssf.Options) { o.Keys = none })
	_, err := s.Authenticate(delivery(signAs(rsaKey(), jose.RS256, nil, claims(nil))), now)
	refusal, ok := errors.AsType[*source.Refusal](err)
	if !ok || refusal.Status != http.StatusServiceUnavailable || !errors.Is(err, ssf.ErrNoKeys) || none.asked != 1 {
		t.Errorf("%v, asked %d", err, none.asked)
	}
	some := keys()
	s = stream(t, func(o *ssf.Options) { o.Keys = some })
	for range 100 { // a wrong signature of a known kid is no reason to fetch
		_, _ = s.Authenticate(delivery(signAs(otherRSA(), jose.RS256, nil, claims(nil))), now)
	}
	if some.asked != 0 {
		t.Errorf("asked %d times", some.asked)
	}
}

// TestSameEventSameID: signed anew it is the same; what says something else under one jti is another, since the examples of
// the specifications, and who copies them, reuse jti.
func TestSameEventSameID(t *testing.T) {
	s := stream(t, func(o *ssf.Options) { o.Algorithms = []string{"RS256", "PS256"} })
	id := func(algorithm jose.SignatureAlgorithm, change object) string {
		got, err := s.Authenticate(delivery(signAs(rsaKey(), algorithm, nil, claims(change))), now)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := id(jose.RS256, nil)
	if again := id(jose.PS256, object{"iat": now.Unix() - 5}); again != first || !strings.HasPrefix(first, "j1~") {
		t.Errorf("%s and %s", first, again)
	}
	for _, other := range []object{{"sub_id": user("ben")}, {"jti": "j2"},
		{"events": object{riscURI + "account-disabled": object{}}}} {
		if id(jose.RS256, other) == first {
			t.Errorf("%v has the same id", other)
		}
	}
	if odd := id(jose.RS256, object{"jti": "a b/ü"}); !source.ValidID(odd) {
		t.Errorf("%q", odd)
	}
}
