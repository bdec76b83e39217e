package returnto

import (
	"net/url"
	"testing"
)

// FuzzVerifyBelievesOnlyWhatWasSigned: of all queries that a browser can be made to bring, those are believed that our key has
// signed, with each parameter as it was and no more than once.
func FuzzVerifyBelievesOnlyWhatWasSigned(f *testing.F) {
	key := keyOf(f, keyText)
	signed := map[Return]bool{}
	for _, r := range examples() {
		if err := key.Sign(&r, signedAt); err != nil {
			f.Fatal(err)
		}
		signed[r] = true
		query := r.Query()
		for _, seed := range []string{query, query + "&" + ParamPath + "=/", query + "&x=y", "x&" + query, query + "#", query + "%00",
			query + ";" + ParamHost + "=evil.example"} {
			f.Add(seed)
		}
	}
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		query, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		got, err := Verify(query, signedAt, key)
		if (err == nil) != (got != nil) {
			t.Fatalf("%+v with %v", got, err)
		}
		if got == nil {
			return
		}
		if !signed[*got] {
			t.Fatalf("%q is believed: %+v", text, got)
		}
		for _, name := range Params {
			if len(query[name]) > 1 {
				t.Fatalf("%q is believed, with %s %d times", text, name, len(query[name]))
			}
		}
	})
}
