package evidence

import (
	"reflect"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// anyText draws any bytes, with a liking for those that JSON has trouble with.
func anyText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "/reports", "\xff", "a\xc3", "\uFFFD", "\uFFFDff", `\ufffd`, "\u2028<&>", "\x00\x7f", "\xed\xa0\x80"}),
		rapid.String(),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 8), func(b []byte) string { return string(b) }),
	)
}

func anyInstant() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.IntRange(0, 9).Draw(t, "far") == 0 {
			return rapid.SampledFrom([]time.Time{{}, time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC),
				time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)}).Draw(t, "instant")
		}
		return time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
	})
}

func anyValue() *rapid.Generator[signals.Value] {
	return rapid.OneOf(rapid.Just(signals.Unknown), rapid.Map(rapid.Bool(), signals.Bool), rapid.Map(anyText(), signals.Text),
		rapid.Map(rapid.Float64(), signals.Number))
}

// anyRecord fills every field that a line can hold, whatever fields there will be.
func anyRecord() *rapid.Generator[*Record] {
	return rapid.Custom(func(t *rapid.T) *Record {
		r := &Record{}
		fill(t, reflect.ValueOf(r).Elem())
		r.ID = "id" + r.ID
		return r
	})
}

func fill(t *rapid.T, v reflect.Value) {
	switch v.Addr().Interface().(type) {
	case *time.Time:
		v.Set(reflect.ValueOf(anyInstant().Draw(t, "at")))
		return
	case *signals.Value:
		v.Set(reflect.ValueOf(anyValue().Draw(t, "value")))
		return
	case *signals.AliasKind:
		v.SetString(string(rapid.SampledFrom([]signals.AliasKind{signals.AliasSerial, signals.AliasVendor}).Draw(t, "kind")))
		return
	case *policy.Outcome, *policy.Status:
		v.SetUint(uint64(rapid.IntRange(0, 2).Draw(t, "word")))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(anyText().Draw(t, "text"))
	case reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "number"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "truth"))
	case reflect.Int, reflect.Uint64:
		panic("a new kind of field: draw it here")
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		}
	case reflect.Slice:
		for range rapid.IntRange(0, 2).Draw(t, "length") {
			element := reflect.New(v.Type().Elem()).Elem()
			fill(t, element)
			v.Set(reflect.Append(v, element))
		}
	case reflect.Map:
		if rapid.Bool().Draw(t, "there") {
			key, element := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, key)
			fill(t, element)
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(key, element)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && field.Tag.Get("json") != "-" {
				fill(t, v.Field(i))
			}
		}
		if alias, ok := v.Addr().Interface().(*signals.Alias); ok {
			alias.Value = "x" + alias.Value // none is without a value, but the zero one
		}
	}
}
