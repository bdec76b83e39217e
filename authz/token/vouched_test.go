package token_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/tiergate/tiergate/authz/token"
)

const vouchedKey = "tiergate/corp"

func vouchedCorp() token.Issuer {
	i := corp()
	i.Keys.Keys, i.Vouched, i.VouchedKey = nil, true, vouchedKey
	return i
}

// word is what Envoy's jwt_authn leaves: under each key the claims that it verified.
func word(t testing.TB, metadata object) []byte {
	t.Helper()
	s, err := structpb.NewStruct(metadata)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// plain are claims as a JSON decoder has them.
func plain(change object) object {
	return with(object{"iss": corpURL, "aud": "tiergate", "sub": "u-1", "exp": float64(now.Unix() + 600),
		"groups": []any{"staff", "eng"}, "deep": object{"a": []any{1.5, nil, true, object{}}}, "big": 9007199254740993.0},
		change)
}

// TestEnvoysWord: a token of such an issuer counts with Envoy's word on the very same claims, on every call, and is
// still judged.
func TestEnvoysWord(t *testing.T) {
	v, err := token.New([]token.Issuer{vouchedCorp(), partner()}, token.WithDPoP(window))
	if err != nil {
		t.Fatal(err)
	}
	raw := sign(strangersEC, header(nil), plain(nil)) // nobody here knows the key
	vouched := func(change object) []byte { return word(t, object{vouchedKey: plain(change)}) }
	huge := signRaw(strangersEC, toJSON(header(nil)), dup(plain(nil), `"x":1e999`))
	for name, c := range map[string]struct {
		raw     string
		vouched []byte
		want    string
	}{
		"the same":          {raw, vouched(nil), ""},
		"and others":        {raw, word(t, object{vouchedKey: plain(nil), "tiergate/birch": object{}, "x": 1.0}), ""},
		"none":              {raw, nil, "there is none"},
		"empty":             {raw, []byte{}, "there is none under"},
		"under another key": {raw, word(t, object{"tiergate/partner": plain(nil)}), "there is none under"},
		"under no key":      {raw, word(t, plain(nil)), "there is none under"},
		"no object":         {raw, word(t, object{vouchedKey: "yes"}), "there is none under"},
		"no Struct":         {raw, []byte("\xff\xff"), "cannot be read"},
		"another user":      {raw, vouched(object{"sub": "u-2"}), "other claims"},
		"a claim more":      {raw, vouched(object{"acr": "phr"}), "other claims"},
		"a claim less":      {raw, vouched(object{"groups": nil}), "other claims"},
		"groups turned":     {raw, vouched(object{"groups": []any{"eng", "staff"}}), "other claims"},
		"a number as text":  {raw, vouched(object{"exp": "1795349400"}), "other claims"},
		"a second more":     {raw, vouched(object{"exp": float64(now.Unix() + 601)}), "other claims"},
		"deeper": {raw, vouched(object{"deep": object{"a": []any{1.5, nil, true, object{"b": nil}}}}),
			"other claims"},
		"no number": {huge, vouched(nil), "a number that nobody can hold"},
		"still expired": {sign(strangersEC, header(nil), plain(object{"exp": 1e9})), vouched(object{"exp": 1e9}),
			"expired"},
		"still for another": {sign(strangersEC, header(nil), plain(object{"aud": "x"})), vouched(object{"aud": "x"}),
			"audience"},
		"still of an alg":    {sign(strangersEC, header(object{"alg": "ES384"}), plain(nil)), vouched(nil), "lists"},
		"still with its typ": {sign(strangersEC, header(object{"typ": "logout+jwt"}), plain(nil)), vouched(nil), "typ"},
		"still not crit":     {sign(strangersEC, header(object{"crit": []string{"x"}}), plain(nil)), vouched(nil), "crit"},
		"still bound": {sign(strangersEC, header(nil), plain(object{"cnf": boundTo2(own)})),
			vouched(object{"cnf": boundTo2(own)}), "none was shown"},
		"not another's": {sign(strangersEC, header(object{"typ": "at+jwt"}), plain(object{"iss": partnerURL})),
			vouched(object{"iss": partnerURL}), "does not verify"},
		"the payload, nobody": {"e30." + strings.Split(raw, ".")[1] + ".AAAA", vouched(nil), "signed with"},
	} {
		for range 2 {
			got, err := v.Judge(&token.Credential{Token: c.raw, Vouched: c.vouched}, now)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) ||
				(err == nil) != (got.User != nil) {
				t.Errorf("%s: %+v, %v; want %q", name, got.User, err, c.want)
			}
			if err == nil && (got.User.Name != "u-1" || len(got.User.Groups) != 2) {
				t.Errorf("%s: %+v", name, got.User)
			}
		}
	}
}

func boundTo2(holder [32]byte) object { return object{"x5t#S256": encode(holder[:])} }

func TestIssuersOfEnvoy(t *testing.T) {
	for want, change := range map[string]func(*token.Issuer){
		"":                        func(*token.Issuer) {},
		"it has keys here":        func(i *token.Issuer) { i.Keys = corpKeys() },
		"has keys here":           func(i *token.Issuer) { i.Source = &source{} },
		"is named":                func(i *token.Issuer) { i.VouchedKey = "" },
		"key of Envoy's metadata": func(i *token.Issuer) { i.Vouched, i.Keys = false, corpKeys() },
		"is not accepted":         func(i *token.Issuer) { i.Algorithms = []string{"HS256"} },
	} {
		i := vouchedCorp()
		change(&i)
		if _, err := token.New([]token.Issuer{i}); (err == nil) != (want == "") || err != nil &&
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
