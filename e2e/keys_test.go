package e2e_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// keyServer is where an issuer publishes its keys, or fails to.
type keyServer struct {
	*httptest.Server
	body    atomic.Pointer[string] // nil: it is down
	fetches atomic.Int64
}

func newKeyServer(t *testing.T) *keyServer {
	k := &keyServer{}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		k.fetches.Add(1)
		body := k.body.Load()
		if body == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Cache-Control", "max-age=3600")
		_, _ = w.Write([]byte(*body))
	}))
	t.Cleanup(k.Close)
	return k
}

func (k *keyServer) publishes(t *testing.T, issuer *devca.Issuer) {
	t.Helper()
	set, err := issuer.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	body := string(set)
	k.body.Store(&body)
}

// withKid is a token with another kid; its signature is no longer right.
func withKid(token, kid string) string {
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"at+jwt","kid":"` + kid + `"}`))
	return header + token[strings.IndexByte(token, '.'):]
}

var fetchFailed = regexp.MustCompile(`tiergate_issuer_key_fetches_total\{issuer="corp",result="failed"\} [1-9]`)

// TestKeysAreFetched: serve starts while the issuer is down and refuses its tokens, takes them once it has the keys, and goes
// on while the issuer is down again; with strangers asking all the time.
func TestKeysAreFetched(t *testing.T) {
	t.Parallel()
	s, keys := aCompany(t, stage.StoreEmbedded), newKeyServer(t)
	settings, err := os.ReadFile(s.Settings())
	if err != nil {
		t.Fatal(err)
	}
	fetched := strings.Replace(string(settings), "jwksFile: pki/corp-jwks.json", "jwksURL: "+keys.URL+"/jwks", 1)
	if fetched == string(settings) {
		t.Fatalf("no jwksFile to replace in\n%s", settings)
	}
	if err := os.WriteFile(s.Settings(), []byte(fetched), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill("serve"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := s.Restart(soon(t, time.Minute), "serve"); err != nil {
		t.Fatal(err)
	}
	ana := stage.Request{As: "ana", Host: stage.PortalHost}
	caller, err := s.Caller("ana")
	if err != nil {
		t.Fatal(err)
	}
	stranger := ana
	stranger.Token = withKid(s.Cast.Tokens[caller.Token], "nobody-knows")

	if answer := eventually(t, s, ana, http.StatusServiceUnavailable); answer.DecisionID() == "" {
		t.Error("nobody decided")
	}
	for ctx := soon(t, 30*time.Second); ; time.Sleep(10 * time.Millisecond) { // who asks is refused before the first fetch has failed, too
		text := metrics(t, s)
		if strings.Contains(text, `tiergate_issuer_keys{issuer="corp"} 0`) && fetchFailed.MatchString(text) {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("metrics while the issuer is down:\n%s", text)
		}
	}
	keys.publishes(t, s.Cast.Issuer)
	for published := time.Now(); s.Ask(soon(t, 10*time.Second), ana).Status != http.StatusOK; {
		if time.Since(published) > 30*time.Second { // it fetches once in 10 s
			t.Fatal("the keys are published and were not fetched")
		}
		if answer := s.Ask(soon(t, 10*time.Second), stranger); answer.Status != http.StatusUnauthorized &&
			answer.Status != http.StatusServiceUnavailable { // until there are keys, nobody can tell
			t.Fatalf("a token of an unknown key: %d %s", answer.Status, answer.Reason())
		}
	}
	if text := metrics(t, s); !strings.Contains(text, `tiergate_issuer_keys{issuer="corp"} 1`) {
		t.Errorf("metrics while the keys are held:\n%s", text)
	}
	keys.body.Store(nil)
	for range 200 {
		if answer := s.Ask(soon(t, 10*time.Second), stranger); answer.Status != http.StatusUnauthorized {
			t.Fatalf("a token of an unknown key: %d %s", answer.Status, answer.Reason())
		}
		if answer := s.Ask(soon(t, 10*time.Second), ana); answer.Status != http.StatusOK {
			t.Fatalf("while the issuer is down again: %d %s", answer.Status, answer.Reason())
		}
	}
	if n, most := keys.fetches.Load(), int64(time.Since(began)/(10*time.Second))+2; n > most {
		t.Errorf("%d fetches; at most one per 10 s is %d", n, most)
	}
}

func metrics(t *testing.T, s *stage.Stage) string {
	t.Helper()
	response, err := http.Get("http://" + s.Ports.ServeMetrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
