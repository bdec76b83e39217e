package policydiff_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policydiff"
)

// TestWhosePages: each change of cors, and the way back, goes in the direction that it goes, in words of its own.
func TestWhosePages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change      func(*policy.Route)
		there, back policydiff.Direction
		said        string
	}{
		{func(r *policy.Route) { r.CORS = nil }, policydiff.Tightens, policydiff.Loosens, "no longer opens to web pages of https://*.pages.example, https://web.example"},
		{func(r *policy.Route) { r.CORS.Origins = r.CORS.Origins[:1] }, policydiff.Tightens, policydiff.Loosens, "https://*.pages.example"},
		{func(r *policy.Route) { r.CORS.Origins = append(r.CORS.Origins[1:], "https://web.example:8443") }, policydiff.Loosens,
			policydiff.Loosens, "opens to web pages of https://web.example:8443"},
		{func(r *policy.Route) { r.CORS.Origins = append(r.CORS.Origins, "https://a.pages.example") }, policydiff.Neither, policydiff.Neither,
			"https://a.pages.example, which were covered before"},
		{func(r *policy.Route) { r.CORS.Methods = nil }, policydiff.Loosens, policydiff.Tightens, "web pages may use POST"},
		{func(r *policy.Route) { r.CORS.Headers = []string{"Authorization"} }, "", "", ""},
		{func(r *policy.Route) { r.CORS.Headers = nil }, policydiff.Tightens, policydiff.Loosens, "web pages may no longer send authorization"},
		{func(r *policy.Route) { r.CORS.ExposeHeaders = nil }, policydiff.Tightens, policydiff.Loosens, "web pages may no longer read etag"},
		{func(r *policy.Route) { r.CORS.Credentials = true }, policydiff.Loosens, policydiff.Tightens, "may send cookies and certificates"},
		{func(r *policy.Route) { r.CORS.MaxAge = 0 }, policydiff.Tightens, policydiff.Loosens, "for 5s instead of 1h"},
		{func(r *policy.Route) { r.CORS.MaxAge += time.Minute }, policydiff.Loosens, policydiff.Tightens, "for 1h1m instead of 1h"},
	} {
		was, is := world(), world()
		c.change(&is.Routes[0])
		there, back := policydiff.CompareSpecs(was, is, sources), policydiff.CompareSpecs(is, was, sources)
		if c.said == "" {
			if len(there)+len(back) > 0 {
				t.Errorf("the case of a header's name means something: %+v", there)
			}
			continue
		}
		if policydiff.Fold(there) != c.there || policydiff.Fold(back) != c.back || !strings.Contains(fmt.Sprint(there), c.said) {
			t.Errorf("%q: %s and back %s: %+v", c.said, policydiff.Fold(there), policydiff.Fold(back), there)
		}
	}
}
