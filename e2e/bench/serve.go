package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/pprof"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/redis/go-redis/v9"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/tiergate/tiergate/authz"
)

// serve is a server process: KIND SOCKET and what the kind needs. It ends with ctx.
func serve(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("serve KIND SOCKET [ARGUMENT]")
	}
	kind, socket, rest := args[0], args[1], args[2:]
	var server *grpc.Server
	var err error
	switch {
	case kind == "stock" && len(rest) == 0:
		server = stockServer()
	case kind == "reader" && len(rest) == 0:
		server, err = readerServer()
	case kind == "lookup" && len(rest) == 1:
		server = lookupServer(rest[0])
	case kind == "profiled" && len(rest) == 2:
		return serveProfiled(ctx, socket, rest[0], rest[1])
	default:
		return fmt.Errorf("there is no server %q with %d arguments", kind, len(rest))
	}
	if err != nil {
		return err
	}
	return serveUntil(ctx, server, socket)
}

func serveUntil(ctx context.Context, server *grpc.Server, socket string) error {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	stopped := context.AfterFunc(ctx, server.Stop)
	defer stopped()
	return server.Serve(listener)
}

// alwaysOK is the answer of servers that decide nothing: what a service must say to be understood by every Envoy.
func alwaysOK() *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-authorized", Value: "yes"}}},
		}},
	}
}

// stock is server (a): grpc-go as anyone writes it.
type stock struct {
	authv3.UnimplementedAuthorizationServer
}

func (stock) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return alwaysOK(), nil
}

func stockServer() *grpc.Server {
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, stock{})
	return server
}

// readerServer is server (b): the same answer behind tiergate's own reader.
func readerServer() (*grpc.Server, error) {
	answer, err := proto.Marshal(alwaysOK())
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(authz.Codec()))
	authz.RegisterFunc(server, func(*authz.Call) []byte { return append([]byte(nil), answer...) })
	return server, nil
}

// lookup is server (e), what teams write: each Check reads the device's hash, keyed by the peer's name.
type lookup struct {
	authv3.UnimplementedAuthorizationServer
	client *redis.Client
}

func lookupServer(address string) *grpc.Server {
	server := grpc.NewServer()
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: address})
	authv3.RegisterAuthorizationServer(server, lookup{client: client})
	return server
}

func (l lookup) Check(ctx context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	device, err := l.client.HGetAll(ctx, deviceKey(req.GetAttributes().GetSource().GetPrincipal())).Result()
	if err != nil || device["disk_encryption"] != "true" || device["edr_healthy"] != "true" ||
		device["compromised"] != "false" {
		return &authv3.CheckResponse{Status: &rpcstatus.Status{Code: int32(codes.PermissionDenied)}}, nil
	}
	return alwaysOK(), nil
}

func deviceKey(principal string) string { return "device:" + principal }

// startProfile writes a CPU profile until stop is called, which also writes what is on the heap and what was ever put
// there, to the file of that name and .heap. What the process does while nobody asks is nearly nothing, so that the
// profile is that of the load.
func startProfile(file string) (stop func() error, err error) {
	out, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return errors.Join(out.Close(), writeHeap(file+heapSuffix))
	}, nil
}

const heapSuffix = ".heap"

func writeHeap(file string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	runtime.GC() // the profile tells of the last collection
	return errors.Join(pprof.WriteHeapProfile(out), out.Close())
}
