package agent

import (
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func jwtParams(audience string) jwtsvid.Params { return jwtsvid.Params{Audience: audience} }

func TestJWT(t *testing.T) {
	w := newWorld(t, Options{JWTTTL: time.Minute}, deployer, partner)
	source, err := workloadapi.NewJWTSource(soon(t), w.client())
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	svid, err := source.FetchJWTSVID(soon(t), jwtParams("payroll"))
	if err != nil || svid.ID.String() != deployer {
		t.Fatalf("%v, %v", svid, err)
	}
	if left := time.Until(svid.Expiry); left > time.Minute || left < 50*time.Second {
		t.Errorf("it lasts %s", left)
	}
	if judged, err := jwtsvid.ParseAndValidate(svid.Marshal(), source, []string{"payroll"}); err != nil || judged.ID != svid.ID {
		t.Errorf("%v, %v", judged, err)
	}
	if _, err := jwtsvid.ParseAndValidate(svid.Marshal(), source, []string{"portal"}); err == nil {
		t.Error("it counts for another audience")
	}
	asked := jwtParams("payroll")
	asked.Subject = spiffeid.RequireFromString(partner)
	if foreign, err := source.FetchJWTSVID(soon(t), asked); err != nil || foreign.ID.String() != partner {
		t.Errorf("%v, %v", foreign, err)
	} else if _, err := jwtsvid.ParseAndValidate(foreign.Marshal(), source, []string{"payroll"}); err != nil {
		t.Errorf("the federated bundle: %v", err)
	}
	asked.Subject = spiffeid.RequireFromString(reporter)
	if _, err := source.FetchJWTSVID(soon(t), asked); status.Code(err) != codes.PermissionDenied {
		t.Errorf("somebody else's: %v", err)
	}
}

// TestJudgedByTheAgent is for callers that cannot judge themselves.
func TestJudgedByTheAgent(t *testing.T) {
	w := newWorld(t, Options{}, deployer)
	client := newClient(t, w)
	svid, err := client.FetchJWTSVID(soon(t), jwtParams("payroll"))
	if err != nil {
		t.Fatal(err)
	}
	if judged, err := client.ValidateJWTSVID(soon(t), svid.Marshal(), "payroll"); err != nil || judged.ID != svid.ID {
		t.Errorf("%v, %v", judged, err)
	}
	for name, row := range map[string]struct{ token, audience string }{
		"another audience": {svid.Marshal(), "portal"},
		"no audience":      {svid.Marshal(), ""},
		"no token":         {"", "payroll"},
		"no JWT":           {"a.b.c", "payroll"},
		"another key":      {svid.Marshal()[:len(svid.Marshal())-4] + "AAAA", "payroll"},
	} {
		if _, err := client.ValidateJWTSVID(soon(t), row.token, row.audience); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := client.FetchJWTSVID(soon(t), jwtsvid.Params{}); status.Code(err) == codes.OK {
		t.Error("a token for no audience")
	}
}

// TestKeysRotate: a token is believed as long as it lives, whatever signs by then.
func TestKeysRotate(t *testing.T) {
	w := newWorld(t, Options{TTL: 2 * time.Second, JWTTTL: time.Minute}, deployer)
	source, err := workloadapi.NewJWTSource(soon(t), w.client())
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	count := func() int {
		bundle, err := source.GetJWTBundleForTrustDomain(acmeDomain)
		if err != nil {
			t.Fatal(err)
		}
		return len(bundle.JWTAuthorities())
	}
	svid, err := source.FetchJWTSVID(soon(t), jwtParams("payroll"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.PrepareCA("acme.example"); err != nil {
		t.Fatal(err)
	}
	until(t, "two keys", func() bool { return count() == 2 })
	if err := w.ActivateCA("acme.example"); err != nil {
		t.Fatal(err)
	}
	next, err := source.FetchJWTSVID(soon(t), jwtParams("payroll"))
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{svid.Marshal(), next.Marshal()} {
		if _, err := jwtsvid.ParseAndValidate(token, source, []string{"payroll"}); err != nil {
			t.Error(err)
		}
	}
	if end, err := w.retireCA("acme.example"); err == nil || time.Until(end) < 50*time.Second {
		t.Errorf("withdrawn under a token that is valid: %v, %v", end, err)
	}
}
