package authz

import (
	"strings"
	"testing"
)

// TestForms: clients as they really ask.
func TestForms(t *testing.T) {
	t.Parallel()
	const chrome = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
	for name, c := range map[string]struct {
		call Call
		want form
	}{
		"nothing is known":         {Call{}, formProblem},
		"curl":                     {Call{Client: Client{Accept: "*/*"}}, formProblem},
		"a browser":                {Call{Client: Client{Accept: chrome, FetchMode: "navigate", FetchDest: "document"}}, formPage},
		"a frame":                  {Call{Client: Client{Accept: chrome, FetchMode: "navigate", FetchDest: "iframe"}}, formPage},
		"a form that is sent":      {Call{Method: "POST", Client: Client{Accept: chrome, FetchMode: "navigate", ContentType: "application/x-www-form-urlencoded"}}, formPage},
		"an old browser":           {Call{Client: Client{Accept: chrome}}, formPage},
		"only the destination":     {Call{Client: Client{FetchDest: "document"}}, formPage},
		"fetch":                    {Call{Client: Client{Accept: "*/*", FetchMode: "cors", FetchDest: "empty"}}, formProblem},
		"fetch that likes HTML":    {Call{Client: Client{Accept: "text/html", FetchMode: "same-origin"}}, formProblem},
		"an image":                 {Call{Client: Client{Accept: chrome, FetchMode: "no-cors", FetchDest: "image"}}, formProblem},
		"an image, old":            {Call{Client: Client{Accept: chrome, FetchDest: "image"}}, formProblem},
		"WebSocket":                {Call{Client: Client{Accept: chrome, FetchMode: "websocket"}}, formProblem},
		"XMLHttpRequest":           {Call{Client: Client{Accept: chrome, RequestedWith: "XMLHttpRequest"}}, formProblem},
		"JSON as well as HTML":     {Call{Client: Client{Accept: "text/html, application/json"}}, formProblem},
		"gRPC":                     {Call{Client: Client{ContentType: "application/grpc"}}, formGRPC},
		"gRPC with a format":       {Call{Client: Client{ContentType: "application/grpc+proto"}}, formGRPC},
		"gRPC, odd":                {Call{Client: Client{ContentType: " Application/gRPC ; x=y"}}, formGRPC},
		"gRPC-Web":                 {Call{Client: Client{ContentType: "application/grpc-web+proto", FetchMode: "cors"}}, formGRPCWeb},
		"gRPC-Web in text":         {Call{Client: Client{ContentType: "application/grpc-web-text"}}, formGRPCWebText},
		"Connect":                  {Call{Client: Client{ContentType: "application/proto"}}, formConnect},
		"a Connect stream":         {Call{Client: Client{ContentType: "application/connect+proto"}}, formConnect},
		"Connect by GET":           {Call{Method: "GET", Path: "/a.B/C?encoding=json&connect=v1&message=x"}, formConnect},
		"POST that says connect":   {Call{Method: "POST", Path: "/?connect=v1"}, formProblem},
		"a link that says connect": {Call{Method: "GET", Path: "/?connect=v1", Client: Client{FetchMode: "navigate"}}, formPage},
		"no gRPC":                  {Call{Client: Client{ContentType: "application/grpcx"}}, formProblem},
		"a flood":                  {Call{Client: Client{ContentType: strings.Repeat("x", 90<<10), Accept: strings.Repeat("a/b,", 20<<10)}}, formProblem},
	} {
		if got := formOf(&c.call); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if formOf(nil) != formProblem {
		t.Error("a call that could not be read")
	}
}

// FuzzForm: whatever a client says of itself, its refusal can be sent and is one.
func FuzzForm(f *testing.F) {
	f.Add("GET", "/", "text/html", "de", "", "navigate")
	f.Add("POST", "/x?connect=v1", "*/*;q=0.001", "*", "application/connect+json", "")
	f.Add("HEAD", "", ",;q=,q=1.0001", "de-de-de-;q=2", "application/grpc-web-text; x", "\xff")
	s := New(Options{})
	f.Fuzz(func(t *testing.T, method, path, accept, language, content, mode string) {
		d := refusedFor("posture", nil, "")
		s.addressed(d, &Call{Method: method, Path: path, Client: Client{Accept: accept, AcceptLanguage: language, ContentType: content, FetchMode: mode}})
		response := respond(d)
		if response.GetStatus().GetCode() != 7 || string(respondWire(nil, d)) == string(lastRefusal) {
			t.Fatalf("%v", response)
		}
		readable(t, response)
	})
}

// TestWhatAClientSaysIsRead, by both readers: the first of a name, in the spelling that Envoy sends.
func TestWhatAClientSaysIsRead(t *testing.T) {
	t.Parallel()
	message := marshal(t, fullRequest())
	want := Client{Accept: "text/html", AcceptLanguage: "de", ContentType: "c", FetchMode: "m", FetchDest: "d", FetchSite: "s",
		RequestedWith: "w", Origin: "o", PreflightMethod: "r"}
	call, err := readWithProto(message)
	if err != nil || call.Client != want {
		t.Errorf("%+v, %v", call, err)
	}
	r := &reader{}
	if err := r.read(message); err != nil || r.call.Client != want {
		t.Errorf("%+v, %v", r.call.Client, err)
	}
	r.clear()
	if r.call.Client != (Client{}) {
		t.Error("it is still there for the next request")
	}
}
