package signals

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Value is what an attribute is: a bool, a text, a number, or not known. It is comparable with ==, and the zero Value is
// Unknown: an absent fact is never false.
type Value struct {
	text   string
	number float64
	kind   Kind
	truth  bool
}

// Unknown says that the source looked and could not tell.
var Unknown = Value{}

// Bool is a known truth.
func Bool(b bool) Value { return Value{kind: KindBool, truth: b} }

// Text is a known text or a name on an attribute's scale.
func Text(s string) Value { return Value{kind: KindText, text: s} }

// Number is a known finite number; anything else (NaN, infinity) is Unknown.
func Number(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Unknown
	}
	return Value{kind: KindNumber, number: f + 0} // + 0 turns -0 into 0, so that == means equal
}

// Kind says which of the accessors holds the value.
func (v Value) Kind() Kind { return v.kind }

// Known reports whether the value says anything.
func (v Value) Known() bool { return v.kind != KindUnknown }

// AsBool, AsText and AsNumber return the value if it is of that kind, else the kind's zero and false.
func (v Value) AsBool() (b, ok bool) { return v.truth, v.kind == KindBool }

// AsText returns the text, see AsBool.
func (v Value) AsText() (s string, ok bool) { return v.text, v.kind == KindText }

// AsNumber returns the number, see AsBool.
func (v Value) AsNumber() (f float64, ok bool) { return v.number, v.kind == KindNumber }

func (v Value) String() string {
	switch v.kind {
	case KindBool:
		return strconv.FormatBool(v.truth)
	case KindText:
		return v.text
	case KindNumber:
		return strconv.FormatFloat(v.number, 'g', -1, 64)
	default:
		return "unknown"
	}
}

// MarshalJSON writes true, "text", 1.5 or null for unknown.
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.kind {
	case KindBool:
		return strconv.AppendBool(nil, v.truth), nil
	case KindText:
		return json.Marshal(v.text)
	case KindNumber:
		return json.Marshal(v.number)
	default:
		return []byte("null"), nil
	}
}

// UnmarshalJSON reads what MarshalJSON writes; objects and arrays are refused.
func (v *Value) UnmarshalJSON(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	var into any
	if err := json.Unmarshal(raw, &into); err != nil {
		return err
	}
	switch x := into.(type) {
	case nil:
		*v = Unknown
	case bool:
		*v = Bool(x)
	case string:
		*v = Text(x)
	case float64:
		*v = Number(x)
	default:
		return fmt.Errorf("a fact's value is true, false, a text, a number or null, not %.40s", raw)
	}
	return nil
}
