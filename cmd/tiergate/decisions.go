package main

import (
	"context"
	"net"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/unary"
	"github.com/tiergate/tiergate/config"
)

const (
	// greetWithin bounds the handshake of a connection and its first words.
	greetWithin = 5 * time.Second
	// pingAfter is how long a peer over TCP may be silent before it is asked whether it is there: one that went away without a
	// word is found out.
	pingAfter = 30 * time.Second
	// pingWithin is how long it has to answer, with grpc-go.
	pingWithin = 10 * time.Second
)

// decisions serves Check, and health, on a listener until its context ends. admission: who may connect; nil: whoever can.
func (sc *sidecar) decisions(listener net.Listener, admission credentials.TransportCredentials) func(context.Context) error {
	if sc.settings.Authz.Transport == config.TransportGRPCGo {
		return sc.decisionsByGRPCGo(listener, admission)
	}
	o := unary.Options{Methods: sc.authz.Methods(), Patience: greetWithin, Ended: sc.observer.connectionEnded(),
		Admit: func(raw net.Conn) (net.Conn, any, error) { return raw, authz.Envoy{}, nil }}
	o.Methods[healthpb.Health_Check_FullMethodName] = sc.healthMethod
	if admission != nil {
		o.Ping = pingAfter
		o.Admit = func(raw net.Conn) (net.Conn, any, error) {
			conn, _, err := admission.ServerHandshake(raw) // it admits nobody without a certificate that it has judged
			return conn, authz.Envoy{}, err
		}
	}
	server := unary.New(o)
	return func(ctx context.Context) error {
		failed := make(chan error, 1)
		go func() { failed <- server.Serve(listener) }()
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
		}
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
		defer cancel()
		server.Shutdown(bound)
		return <-failed
	}
}

func (sc *sidecar) decisionsByGRPCGo(listener net.Listener, admission credentials.TransportCredentials) func(context.Context) error {
	options := append(sc.authz.ServerOptions(), grpc.ConnectionTimeout(greetWithin))
	if admission != nil {
		options = append(options, grpc.Creds(admission),
			grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingWithin}),
			// One that pings is not cut for it.
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}))
	}
	server := grpc.NewServer(options...)
	sc.authz.Register(server)
	healthpb.RegisterHealthServer(server, sc.health)
	return func(ctx context.Context) error { return serveGRPC(ctx, server, listener) }
}

// healthMethod is grpc.health.v1.Health/Check, which Envoy's health checks and Kubernetes' probes ask.
func (sc *sidecar) healthMethod(call *unary.Call, reply []byte) ([]byte, unary.Status) {
	var request healthpb.HealthCheckRequest
	if call.Fault != "" {
		return reply, unary.Malformed(call.Fault)
	}
	if err := proto.Unmarshal(call.Message, &request); err != nil {
		return reply, unary.Malformed(err.Error())
	}
	answer, err := sc.health.Check(context.Background(), &request)
	if err != nil {
		told := status.Convert(err)
		return reply, unary.Status{Code: uint32(told.Code()), Message: told.Message()}
	}
	wire, err := proto.MarshalOptions{}.MarshalAppend(reply, answer)
	if err != nil {
		return reply, unary.Malformed(err.Error()) // not possible: a number
	}
	return wire, unary.Status{}
}

// connectionEnded logs connections that end because their other end breaks the protocol, one now and then.
func (o *observer) connectionEnded() func(remote string, err error) {
	seldom := nowAndThen()
	return func(remote string, err error) {
		seldom(func(more int) {
			o.log.Warn("a connection to authz has ended: Envoy opens another", zap.String("remote", remote), zap.Error(err),
				zap.Int("moreSinceTheLast", more))
		})
	}
}
