package load

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of an answer that say whether it is an OK: CheckResponse.status and google.rpc.Status.code.
const (
	fieldStatus = 1
	fieldCode   = 1
)

// checkAnswer wants one gRPC message that is a CheckResponse with OK.
func checkAnswer(body []byte) error {
	if len(body) < 5 || body[0] != 0 || int(binary.BigEndian.Uint32(body[1:])) != len(body)-5 {
		return fmt.Errorf("an answer of %d bytes is not one uncompressed gRPC message", len(body))
	}
	status, there, err := bytesField(body[5:], fieldStatus)
	if err != nil {
		return fmt.Errorf("the answer is no CheckResponse: %w", err)
	}
	if !there {
		return errors.New("the answer has no status; Envoy would take it for OK, no server means to say it so")
	}
	code, err := varintField(status, fieldCode)
	if err != nil {
		return fmt.Errorf("the status of the answer is no google.rpc.Status: %w", err)
	}
	if codes.Code(code) != codes.OK {
		return fmt.Errorf("the answer is %s and should be OK; ask the server's log why", codes.Code(code))
	}
	return nil
}

// bytesField returns the last field of that number; the messages of servers under test do not split it.
func bytesField(message []byte, number protowire.Number) (value []byte, there bool, err error) {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return nil, false, protowire.ParseError(size)
		}
		message = message[size:]
		if n == number && kind == protowire.BytesType {
			if value, size = protowire.ConsumeBytes(message); size >= 0 {
				there = true
			}
		} else {
			size = protowire.ConsumeFieldValue(n, kind, message)
		}
		if size < 0 {
			return nil, false, protowire.ParseError(size)
		}
		message = message[size:]
	}
	return value, there, nil
}

func varintField(message []byte, number protowire.Number) (value uint64, err error) {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return 0, protowire.ParseError(size)
		}
		message = message[size:]
		if n == number && kind == protowire.VarintType {
			value, size = protowire.ConsumeVarint(message)
		} else {
			size = protowire.ConsumeFieldValue(n, kind, message)
		}
		if size < 0 {
			return 0, protowire.ParseError(size)
		}
		message = message[size:]
	}
	return value, nil
}
