package authz

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// connectDetail is a detail of a Connect error: the name of a message and its bytes.
type connectDetail struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// connectError is the error of the Connect protocol (connectrpc.com/docs/protocol, "Error Codes" and "Unary-Response").
type connectError struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Details []connectDetail `json:"details,omitempty"`
}

// connectCodes are the words that Connect has for what we say; the HTTP statuses that go with them are ours too.
var connectCodes = map[codes.Code]string{codes.InvalidArgument: "invalid_argument", codes.Unauthenticated: "unauthenticated",
	codes.PermissionDenied: "permission_denied", codes.Unavailable: "unavailable"}

// connect writes the error of a unary call as JSON with its HTTP status, and that of a stream as the end of a stream that is
// fine, which is where clients look. The error is JSON whatever the format of the stream is, which its type repeats.
func (r *refusal) connect(t *told, streamOf string) {
	fault := connectError{Code: connectCodes[t.code], Message: t.message()}
	for _, detail := range t.details() {
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(detail)
		if err != nil {
			continue // as in grpc
		}
		fault.Details = append(fault.Details, connectDetail{string(detail.ProtoReflect().Descriptor().FullName()),
			base64.RawStdEncoding.EncodeToString(raw)})
	}
	if streamOf == "" {
		r.body = jsonOf(fault)
		r.headers = append(r.headers, text{"content-type", "application/json"})
		return
	}
	r.status = http.StatusOK
	r.body = endOfStream(jsonOf(map[string]connectError{"error": fault}))
	r.headers = append(r.headers, text{"content-type", streamOf})
}

// endOfStream puts the prefix of the last message in front: its flag, and its length in four bytes. All of it must be UTF-8
// in a CheckResponse, so blanks behind the JSON make up a length whose bytes are each below 128.
func endOfStream(body string) string {
	n := len(body)
	for n&0x80 != 0 || n&0x8000 != 0 {
		n++
	}
	body += strings.Repeat(" ", n-len(body))
	return string([]byte{0x02, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) + body
}

func jsonOf(v any) string {
	raw, err := json.Marshal(v)
	if err != nil { // texts cannot fail
		return `{"code":"internal"}`
	}
	return string(raw)
}
