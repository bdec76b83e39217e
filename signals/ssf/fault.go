package ssf

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/tiergate/tiergate/signals/source"
)

// Code is what a transmitter is told of a SET that is not taken: RFC 8935 section 2.4, and invalid_state of SSF 1.0 section
// 8.1.4.
type Code string

// The codes.
const (
	InvalidRequest       Code = "invalid_request"
	InvalidKey           Code = "invalid_key"
	InvalidIssuer        Code = "invalid_issuer"
	InvalidAudience      Code = "invalid_audience"
	AuthenticationFailed Code = "authentication_failed"
	AccessDenied         Code = "access_denied"
	InvalidState         Code = "invalid_state"
)

// descriptions are what the transmitter may read; the reasons are the operator's.
var descriptions = map[Code]string{
	InvalidRequest:       "The request is not one well-formed Security Event Token of this stream.",
	InvalidKey:           "The token is not signed with a key of its issuer that is accepted here.",
	InvalidIssuer:        "The issuer of the token is not the issuer of this stream.",
	InvalidAudience:      "The token is not meant for this receiver.",
	AuthenticationFailed: "The token or its transmitter could not be authenticated.",
	AccessDenied:         "The transmitter may not send this here.",
	InvalidState:         "The state is not one that this receiver has asked for.",
}

// Fault is a SET that is not taken.
type Fault struct {
	Code   Code
	Reason error // for the operator
}

func (f *Fault) Error() string { return string(f.Code) + ": " + f.Reason.Error() }

func (f *Fault) Unwrap() error { return f.Reason }

// Description is what the transmitter is told; nothing of the token stands in it.
func (f *Fault) Description() string { return descriptions[f.Code] }

// ErrNoKeys says that the keys of the issuer are not at hand, so that nothing can be said of a SET. It is to be sent again.
var ErrNoKeys = errors.New("the keys of the transmitter are not at hand")

func fault(code Code, format string, args ...any) error {
	return &Fault{Code: code, Reason: fmt.Errorf(format, args...)}
}

// refusal is a fault as an Adapter answers it.
func refusal(err error) error {
	if f, ok := errors.AsType[*Fault](err); ok {
		return &source.Refusal{Status: http.StatusBadRequest, Detail: f.Description(), Reason: f}
	}
	return &source.Refusal{Status: http.StatusServiceUnavailable, Detail: "The token cannot be judged now. Send it again later.",
		Reason: err}
}
