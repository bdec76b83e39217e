package xds

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

func testMutations(t *testing.T, r *rig) {
	c := r.client("ingress", ana, true)
	for _, name := range []string{":path", ":authority", "cookie", "x-forwarded-client-cert", "x-envoy-retry-on"} {
		r.authz.set(func(*authv3.CheckRequest) *authv3.CheckResponse { return allowWith(name, "/admin") })
		if got := c.do("GET", "app.acme.example", "/x", nil); got.status != 500 {
			t.Errorf("a decision set %s: %d %s", name, got.status, got.body)
		}
	}
	r.authz.set(func(*authv3.CheckRequest) *authv3.CheckResponse {
		return allowWith("x-envoy-upstream-stream-duration-ms", "5000")
	})
	if got := c.do("GET", "app.acme.example", "/x", nil); got.status != 200 {
		t.Errorf("a decision bounded the stream: %d %s", got.status, got.body)
	}
}

func testAdmin(t *testing.T, r *rig) {
	response, err := r.admin.Post("http://admin/runtime_modify?envoy.reloadable_features.x=false", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode == 200 {
		t.Error("the admin interface changed the runtime")
	}
	info, err := os.Stat(filepath.Join(r.dir, "envoy.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the admin socket has mode %v", info.Mode())
	}
}

func testNobodyDecides(t *testing.T, r *rig) {
	c := r.client("ingress", ana, true)
	r.authz.set(func(*authv3.CheckRequest) *authv3.CheckResponse {
		time.Sleep(MaxCheckTimeout + 100*time.Millisecond)
		return nil
	})
	if got := c.do("GET", "app.acme.example", "/", nil); got.status != 503 {
		t.Errorf("no answer in time: %d %s", got.status, got.body)
	}
	r.authz.set(nil)
	r.stopAuthz()
	for range 3 {
		if got := c.do("GET", "app.acme.example", "/", nil); got.status != 503 {
			t.Errorf("nobody there: %d %s", got.status, got.body)
		}
	}
	r.startAuthz()
	r.eventually("decisions are back", func() error {
		if got := c.do("GET", "app.acme.example", "/", nil); got.status != 200 {
			return fmt.Errorf("%d %s", got.status, got.body)
		}
		return nil
	})
}

func testAccessLog(t *testing.T, r *rig) {
	c := r.client("ingress", ana, true)
	if got := c.do("GET", "app.acme.example", "/logged?token=secret", nil); got.status != 200 {
		t.Fatalf("got %d", got.status)
	}
	r.eventually("the access log", func() error {
		text, err := os.ReadFile(filepath.Join(r.dir, "access.log"))
		if err != nil {
			return err
		}
		if !strings.Contains(string(text), `"path":"/logged"`) {
			return fmt.Errorf("no line in:\n%s", tail(string(text), 800))
		}
		if strings.Contains(string(text), "secret") {
			t.Errorf("the access log has the query: %s", text)
		}
		if !strings.Contains(string(text), `"peer":"`+ana+`"`) || !strings.Contains(string(text), `"route":"app"`) {
			t.Errorf("the access log lacks peer or route: %s", tail(string(text), 800))
		}
		return nil
	})
}
