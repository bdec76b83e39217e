package authz

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tiergate/tiergate/authz/policy"
)

// errorDomain says whose reasons these are (google.rpc.ErrorInfo domain).
const errorDomain = "tiergate.dev"

// maxDetailBytes bounds the demands among the details: they go into a header, and gRPC clients take 8 KiB of headers in all
// unless they are told otherwise. What finds no room is only counted.
const maxDetailBytes = 3 << 10

// grpc writes the status as headers. Of a gRPC call Envoy makes a trailers-only answer of them; a body would take the place
// of grpc-message. Of gRPC-Web they are one (PROTOCOL-WEB.md, "trailers may be sent together with headers"): a frame of
// trailers begins with 0x80, which is no text, and a CheckResponse takes no other body. What stands there instead is an
// empty frame, because Envoy takes Content-Type from answers without a body, and clients want it. They look at the status
// in the headers before they look at frames.
//
// The HTTP status of gRPC-Web is 200, which Envoy makes of gRPC itself: clients read the status of a call from nothing else.
func (r *refusal) grpc(t *told, f form) {
	r.headers = append(r.headers,
		text{"content-type", map[form]string{formGRPC: "application/grpc", formGRPCWeb: "application/grpc-web+proto",
			formGRPCWebText: "application/grpc-web-text+proto"}[f]},
		text{"grpc-status", strconv.Itoa(int(t.code))}, text{"grpc-message", percentEncoded(t.message())})
	status := &rpcstatus.Status{Code: int32(t.code), Message: t.message()}
	for _, detail := range t.details() {
		packed := &anypb.Any{}
		if anypb.MarshalFrom(packed, detail, proto.MarshalOptions{Deterministic: true}) != nil {
			continue // a text that is not UTF-8: the client gets what can be told
		}
		status.Details = append(status.Details, packed)
	}
	if raw, err := proto.Marshal(status); err == nil {
		r.headers = append(r.headers, text{"grpc-status-details-bin", base64.RawStdEncoding.EncodeToString(raw)})
	}
	const empty = "\x00\x00\x00\x00\x00"
	switch f {
	case formGRPCWeb:
		r.status, r.body = http.StatusOK, empty
	case formGRPCWebText:
		r.status, r.body = http.StatusOK, base64.StdEncoding.EncodeToString([]byte(empty))
	default:
	}
}

// message is what a developer reads first.
func (t *told) message() string {
	if t.detail == "" {
		return t.title
	}
	return t.title + ": " + t.detail
}

// details are what google.rpc has for the parts of a refusal (googleapis/google/rpc/error_details.proto).
func (t *told) details() []proto.Message {
	info := &errdetails.ErrorInfo{Reason: t.codeWord(), Domain: errorDomain, Metadata: map[string]string{"decisionId": t.id}}
	for name, value := range map[string]string{"reason": string(t.reason), "tier": t.tier, "contact": t.contact} {
		if value != "" {
			info.Metadata[name] = value
		}
	}
	if len(t.unmet) > 0 {
		info.Metadata["unmet"] = strconv.Itoa(len(t.unmet))
	}
	all := []proto.Message{info}
	if t.code == codes.Unavailable {
		all = append(all, &errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter * time.Second)})
	}
	unmet, help := &errdetails.PreconditionFailure{}, &errdetails.Help{}
	for i, size := 0, 0; i < len(t.unmet); i++ {
		u := &t.unmet[i]
		violation := &errdetails.PreconditionFailure_Violation{Type: string(u.List) + "/" + u.Status.String(), Subject: u.Signal,
			Description: describeUnmet(u)}
		link := &errdetails.Help_Link{Description: u.Signal, Url: u.Fix.URL}
		if size += proto.Size(violation) + proto.Size(link); size > maxDetailBytes {
			break
		}
		unmet.Violations = append(unmet.Violations, violation)
		if link.GetUrl() != "" {
			help.Links = append(help.Links, link)
		}
	}
	if len(unmet.GetViolations()) > 0 {
		all = append(all, unmet)
	}
	if len(help.GetLinks()) > 0 {
		all = append(all, help)
	}
	return all
}

// describeUnmet is a fix with whom to ask.
func describeUnmet(u *policy.Unmet) string {
	who := u.Owner
	if u.Contact != "" {
		who += ", " + u.Contact
	}
	switch {
	case who == "":
		return u.Fix.Text
	case u.Fix.Text == "":
		return "(" + who + ")"
	}
	return u.Fix.Text + " (" + who + ")"
}

// percentEncoded is Percent-Encoded of gRPC over HTTP/2, "Responses": all but printable ASCII, and % itself.
func percentEncoded(message string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(message) {
		if c := message[i]; isHeaderByte(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}
