package e2e_test

import (
	"context"
	"os"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that answers are read with
	"google.golang.org/grpc/mem"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// TestBothReadersAndTransportsBehindEnvoy: the same people get the same answers through a real Envoy whichever reader and
// transport the settings name, and what is no CheckRequest is a written denial, never an error, which Envoy could be told to
// overlook.
func TestBothReadersAndTransportsBehindEnvoy(t *testing.T) {
	t.Parallel()
	s := aCompany(t, stage.StoreEmbedded)
	asks := []stage.Request{
		{As: "ana", Host: stage.PortalHost},
		{As: "ana", Host: stage.PortalHost, HTTP1: true, NoToken: true},
		{As: "ana", Host: stage.PortalHost, Token: "a.b.c"},
		{As: "ana", Host: stage.PortalHost, Path: "/x%2f..%2fy"},
		{As: "ana", Host: stage.PayrollHost, Path: "/admin/x", Method: "DELETE"},
		{As: "ben", Host: stage.PortalHost},
		{As: "deployer", Host: stage.PayrollHost, Path: "/admin/x"},
	}
	type told struct {
		status int
		reason string
	}
	usual := make([]told, len(asks))
	for i, ask := range asks {
		answer := s.Ask(soon(t, 10*time.Second), ask)
		usual[i] = told{answer.Status, answer.Reason()}
	}
	garbage(t, s)
	different := map[told]bool{}
	for _, ours := range []string{"{reader: proto}", "{transport: grpc-go}"} {
		restartWith(t, s, "authz: "+ours)
		for i, ask := range asks {
			answer := eventually(t, s, ask, usual[i].status)
			if got := (told{answer.Status, answer.Reason()}); got != usual[i] {
				t.Errorf("%+v: usually %v, %v with %s", ask, usual[i], got, ours)
			}
			different[usual[i]] = true
		}
		garbage(t, s)
	}
	if len(different) < 4 || !different[told{200, "allowed"}] {
		t.Errorf("the answers are too much alike to tell anything: %v", usual)
	}
}

// restartWith has the sidecar start again with one more line of settings.
func restartWith(t *testing.T, s *stage.Stage, line string) {
	t.Helper()
	settings, err := os.ReadFile(s.Settings())
	if err != nil {
		t.Fatal(err)
	}
	err = os.WriteFile(s.Settings(), append(settings[:len(settings):len(settings)], "\n"+line+"\n"...), 0o600)
	if err == nil {
		err = s.Kill("serve")
	}
	if err == nil {
		err = s.Restart(soon(t, time.Minute), "serve")
	}
	if err == nil {
		err = os.WriteFile(s.Settings(), settings, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// asIs sends bytes instead of a message; answers are read as ever.
type asIs struct{ encoding.CodecV2 }

func (c asIs) Marshal(v any) (mem.BufferSlice, error) {
	if raw, ok := v.([]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(raw)}, nil
	}
	return c.CodecV2.Marshal(v)
}

// garbage sends what is no CheckRequest to the socket that Envoy asks.
func garbage(t *testing.T, s *stage.Stage) {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+s.Path("run", "authz.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // what it was for has been said
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for name, message := range map[string][]byte{
		"nothing": {}, "garbage": []byte("garbage"), "half a field": {0x0a, 0x05}, "a path that is not UTF-8": []byte("\x0a\x07\x22\x05\x12\x03\x22\x01\xff"),
		"5 MiB": make([]byte, 5<<20),
	} {
		response := &authv3.CheckResponse{}
		err := conn.Invoke(ctx, authv3.Authorization_Check_FullMethodName, message, response,
			grpc.ForceCodecV2(asIs{encoding.GetCodecV2("proto")}))
		if err != nil || codes.Code(response.GetStatus().GetCode()) != codes.InvalidArgument || response.GetDeniedResponse() == nil {
			t.Errorf("%s: %v, %v", name, response, err)
		}
	}
}
