package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// attestation is how grpc learns who has connected: by asking the kernel, once for each connection. Nothing is encrypted, a
// Unix socket leaves the machine nowhere.
type attestation struct{}

var _ credentials.TransportCredentials = attestation{}

// attested is what grpc keeps of a connection.
type attested struct {
	credentials.CommonAuthInfo
	caller Caller
}

func (attested) AuthType() string { return "SO_PEERCRED" }

// ServerHandshake implements credentials.TransportCredentials.
func (attestation) ServerHandshake(connection net.Conn) (net.Conn, credentials.AuthInfo, error) {
	unixConnection, ok := connection.(*net.UnixConn)
	if !ok {
		return nil, nil, fmt.Errorf("a connection over %s has no process at its other end", connection.LocalAddr().Network())
	}
	caller, err := peerOf(unixConnection)
	if err != nil {
		return nil, nil, fmt.Errorf("who has connected cannot be told: %w", err)
	}
	level := credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}
	return connection, attested{CommonAuthInfo: level, caller: caller}, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (attestation) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("the agent's attestation is for its server only")
}

// Info implements credentials.TransportCredentials.
func (attestation) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: attested{}.AuthType()}
}

// Clone implements credentials.TransportCredentials.
func (a attestation) Clone() credentials.TransportCredentials { return a }

// OverrideServerName implements credentials.TransportCredentials; nothing here has a server name.
func (attestation) OverrideServerName(string) error { return nil }

func callerOf(ctx context.Context) (Caller, error) {
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(attested); ok {
			return info.caller, nil
		}
	}
	return Caller{}, status.Error(codes.Internal, "the caller was not attested")
}

// securityHeader must come with every call of the Workload API, so that no browser can be talked into making one (SPIFFE
// Workload Endpoint, section 4).
const securityHeader = "workload.spiffe.io"

func checkHeader(ctx context.Context, method string) error {
	if !strings.HasPrefix(method, "/"+workload.SpiffeWorkloadAPI_ServiceDesc.ServiceName+"/") {
		return nil
	}
	if values := metadata.ValueFromIncomingContext(ctx, securityHeader); len(values) != 1 || values[0] != "true" {
		return status.Error(codes.InvalidArgument, "security header missing from request: send metadata workload.spiffe.io: true")
	}
	return nil
}

func streamHeader(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := checkHeader(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return handler(service, stream)
}

func unaryHeader(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := checkHeader(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handler(ctx, request)
}
