package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// checkVouched wants Envoy's word that a token of this issuer with the very same claims verified in this request: what
// its jwt_authn filter wrote under payload_in_metadata, which no client can write. It stands in the place of the
// signature, so it is asked for on every call and nothing is remembered.
func (i *issuer) checkVouched(t *jws, vouched []byte) error {
	const help = "tiergate takes tokens of issuer %s with the word of the Envoy that it programs (verifiedBy: envoy), and "
	if vouched == nil {
		return fmt.Errorf(help+"there is none: the signature did not verify there, or the request came past its jwt_authn "+
			"filter", i.Name)
	}
	var metadata structpb.Struct
	if err := proto.Unmarshal(vouched, &metadata); err != nil {
		return fmt.Errorf(help+"what Envoy left of it cannot be read", i.Name)
	}
	word := metadata.GetFields()[i.VouchedKey].GetStructValue()
	if word == nil {
		return fmt.Errorf(help+"there is none under %q: the signature did not verify there", i.Name, i.VouchedKey)
	}
	var claims map[string]any
	if err := json.Unmarshal(t.payload, &claims); err != nil {
		return errors.New("the token's payload has a number that nobody can hold")
	}
	if !reflect.DeepEqual(claims, word.AsMap()) {
		return fmt.Errorf(help+"Envoy's is on a token with other claims", i.Name)
	}
	return nil
}
