package prove

import (
	"testing"

	"github.com/tiergate/tiergate/authz/policy"
)

// TestMayMatch errs on the side of yes, and says no where that is plain.
func TestMayMatch(t *testing.T) {
	t.Parallel()
	route := func(host, path string, methods ...string) *policy.Route {
		return &policy.Route{Hosts: []string{host}, Path: path, Methods: methods}
	}
	for _, c := range []struct {
		r             *policy.Route
		host, request string
		methods       []string
		want          bool
	}{
		{route("a.example", "/x"), "a.example", "path /x", nil, true},
		{route("a.example", "/x"), "a.example", "path /x/", nil, true},
		{route("a.example", "/x"), "a.example", "path /y", nil, false},
		{route("a.example", "/x"), "b.example", "path /x", nil, false},
		{route("a.example", "/x"), "*", "any", nil, true},
		{route("a.example", "/x"), "*.example", "prefix /", nil, true},
		{route("a.example", "/x"), "*.other", "prefix /", nil, false},
		{route("a.example", "/x"), "A.example:8443", "prefix /", nil, true},
		{route("*.example", "/x"), "a.example", "prefix /", nil, true},
		{route("*.example", "/x"), "*.b.example", "prefix /", nil, true},
		{route("*.example", "/x"), "*.other", "prefix /", nil, false},
		{route("a.example", "/x/{id}/y"), "a.example", "path /x/1/y", nil, true},
		{route("a.example", "/x/**"), "a.example", "path /x", nil, true},
		{route("a.example", "/x/**"), "a.example", "under /x/y", nil, true},
		{route("a.example", "/x/y"), "a.example", "under /x", nil, true},
		{route("a.example", "/x"), "a.example", "prefix /y", nil, false},
		{route("a.example", "/x"), "a.example", "regex /y", nil, true},
		{route("a.example", "/x", "GET"), "a.example", "path /x", []string{"POST"}, false},
		{route("a.example", "/x", "GET"), "a.example", "path /x", []string{"POST", "GET"}, true},
	} {
		if got := mayMatch(c.r, c.host, c.request, c.methods); got != c.want {
			t.Errorf("%v %s against %s %s %v: %v", c.r.Hosts, c.r.Path, c.host, c.request, c.methods, got)
		}
	}
}
