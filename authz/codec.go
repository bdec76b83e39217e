package authz

import (
	"context"
	"fmt"
	"sync"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	stockproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

const (
	// maxMessageBytes bounds a CheckRequest. Envoy's own limit on headers is 60 KiB, and the rest is small unless it sends
	// bodies, which nothing here reads.
	maxMessageBytes = 1 << 20
	// maxReceivedBytes is where gRPC stops to read, which it tells as an error; up to there a message that is too large is
	// answered with a denial, as everything is.
	maxReceivedBytes = 16 << 20
)

// exchange is one Check on its way through a transport, which puts the message in. It ends when its answer is in bytes of
// its own.
type exchange struct {
	message []byte     // whole while the Call is in use, whose texts are parts of it
	fault   string     // why there is none
	held    mem.Buffer // what grpc-go keeps it in
	slow    func()     // tells the transport that something is waited for from here on; nil: it need not know
	reader  reader
	// decision is of this exchange and ends with it; it is large, and would else be made anew for each request.
	decision Decision
	// known: the Envoy that asks is authenticated. It is looked at only where assertions are made.
	known bool
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// take holds the bytes of a message.
func (x *exchange) take(data mem.BufferSlice) {
	x.drop() // a client that breaks the protocol sends a second one; gRPC then answers for us
	x.held = data.MaterializeToBuffer(mem.DefaultBufferPool())
	x.message = x.held.ReadOnlyData()
}

func (x *exchange) drop() {
	if x.held != nil {
		x.held.Free()
	}
	x.held, x.message, x.fault, x.slow = nil, nil, "", nil
}

// release ends the exchange: from here on the bytes are somebody else's.
func (x *exchange) release() {
	x.reader.clear()
	x.decision, x.known = Decision{}, false
	x.drop()
	exchanges.Put(x)
}

// call reads the message, with our reader or with protobuf's. What cannot be read is a Call that says so.
func (x *exchange) call(withProto bool) *Call {
	call, message := &x.reader.call, x.message
	switch {
	case x.fault != "":
		call.Malformed = x.fault
	case len(message) > maxMessageBytes:
		call.Malformed = fmt.Sprintf("the message has %d bytes; the limit is %d: let Envoy send no bodies (with_request_body)",
			len(message), maxMessageBytes)
	case withProto:
		request := &authv3.CheckRequest{}
		if err := proto.Unmarshal(message, request); err != nil {
			call.Malformed = undecodable(err)
			break
		}
		call = parseCall(request)
	default:
		if err := x.reader.read(message); err != nil {
			x.reader.clear() // of a message that is refused, nothing is kept
			call.Malformed = undecodable(err)
		}
	}
	call.slow = x.slow
	return call
}

// answerer appends to bytes: the wire bytes of a CheckResponse, which answers an exchange.
type answerer interface {
	answer(to []byte, x *exchange) []byte
}

// answerFunc is an answerer without a policy.
type answerFunc func(*Call) []byte

func (f answerFunc) answer(to []byte, x *exchange) []byte { return append(to, f(x.call(false))...) }

// RegisterFunc serves Check with a function in the place of a Server, on a gRPC server that was made with Codec: it gets
// the Call that our reader read and returns the wire bytes of a CheckResponse. The benchmark measures the transport with
// it. It must not panic, and the Call is valid until it returns.
func RegisterFunc(g grpc.ServiceRegistrar, answer func(*Call) []byte) {
	g.RegisterService(&checkService, answerFunc(answer))
}

// checkService is the service as the API defines it, with a handler that gets the bytes of a message and not a message.
var checkService = grpc.ServiceDesc{
	ServiceName: authv3.Authorization_ServiceDesc.ServiceName,
	HandlerType: (*answerer)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Check", Handler: handleCheck}},
	Metadata:    authv3.Authorization_ServiceDesc.Metadata,
}

// handleCheck answers one Check. It fails only where gRPC could not receive one whole message, and has told so already.
// Interceptors see that there is a Check and not what is in it.
//
//nolint:revive // context-as-argument: gRPC wants the arguments in this order
func handleCheck(srv any, ctx context.Context, receive func(any) error, between grpc.UnaryServerInterceptor) (any, error) {
	x, _ := exchanges.Get().(*exchange)
	defer x.release()
	if err := receive(x); err != nil {
		return nil, err
	}
	service, _ := srv.(answerer) // gRPC has checked it when it was registered
	if s, ok := srv.(*Server); ok && s.opts.Assertions != nil {
		x.known = authenticated(ctx)
	}
	if between == nil {
		return &reply{wire: service.answer(nil, x)}, nil
	}
	info := &grpc.UnaryServerInfo{Server: srv, FullMethod: authv3.Authorization_Check_FullMethodName}
	return between(ctx, x, info, func(context.Context, any) (any, error) { return &reply{wire: service.answer(nil, x)}, nil })
}

// reply is a CheckResponse in bytes.
type reply struct {
	wire    []byte
	buffers [1]mem.Buffer
}

// Codec is what a gRPC server must be made with (grpc.ForceServerCodecV2) to serve Check. It carries the bytes of this
// one service and leaves every other message, those of health and reflection, to gRPC's own codec.
func Codec() encoding.CodecV2 { return codec{encoding.GetCodecV2(stockproto.Name)} }

type codec struct{ encoding.CodecV2 }

// Unmarshal never fails for a Check: gRPC would tell Envoy of the error itself, and an error is an allow under
// failure_mode_allow.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if x, ok := v.(*exchange); ok {
		x.take(data)
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// Marshal gives gRPC bytes that nobody else holds.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if r, ok := v.(*reply); ok {
		r.buffers[0] = mem.SliceBuffer(r.wire)
		return r.buffers[:], nil
	}
	return c.CodecV2.Marshal(v)
}
