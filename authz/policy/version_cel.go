package policy

import (
	"fmt"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

const (
	versionFunction = "version"
	versionOverload = "version_string"
)

// versionType is what version(text) gives. No expression can name it.
var versionType = cel.ObjectType("tiergate.version", traits.ComparerType)

// versionOrder are the overloads that order versions. CEL's own bindings of the operators call versionValue.Compare.
var versionOrder = map[string]string{
	operators.Less: "less_version", operators.LessEquals: "less_equals_version",
	operators.Greater: "greater_version", operators.GreaterEquals: "greater_equals_version",
}

// versionLibrary declares version(text) and the comparisons of two versions. What is no version, or not comparable
// with the other side, is a CEL error: `true || x` and `false && x` absorb it, and everything else passes it on, also
// through !, ?:, == and !=. The argument's unknown stays unknown.
func versionLibrary() []cel.EnvOption { return []cel.EnvOption{cel.Lib(versions{})} }

type versions struct{}

// CompileOptions implements cel.Library.
func (versions) CompileOptions() []cel.EnvOption {
	options := []cel.EnvOption{
		cel.Function(versionFunction, cel.Overload(versionOverload, []*cel.Type{cel.StringType}, versionType,
			cel.UnaryBinding(versionOf))),
		cel.CostModel(cost.Overload(versionOverload,
			cost.EvalCost(cost.Sum(cost.Const(1), cost.Scale(cost.Arg(0), cost.StringTraversalCostFactor))))),
	}
	for operator, overload := range versionOrder {
		options = append(options, cel.Function(operator,
			cel.Overload(overload, []*cel.Type{versionType, versionType}, cel.BoolType)))
	}
	return options
}

// ProgramOptions implements cel.Library.
func (versions) ProgramOptions() []cel.ProgramOption {
	return []cel.ProgramOption{cel.CustomDecoratorV2(strictEquality)}
}

func versionOf(text ref.Val) ref.Val {
	s, isText := text.(types.String)
	v, ok := parseVersion(string(s))
	if !isText || !ok {
		return types.NewErr("%.60q is no version", text)
	}
	return &versionValue{version: v}
}

// versionValue is a version in CEL. It is a pointer because CEL may ask for a hash of a value.
type versionValue struct{ version version }

// Compare implements traits.Comparer.
func (v *versionValue) Compare(other ref.Val) ref.Val {
	w, ok := other.(*versionValue)
	if !ok {
		return types.NewErr("a version is compared with a version only")
	}
	order, ok := v.version.compare(w.version)
	if !ok {
		return types.NewErr("the versions are of two kinds")
	}
	return types.Int(order)
}

// Equal implements ref.Val.
func (v *versionValue) Equal(other ref.Val) ref.Val {
	order := v.Compare(other)
	if types.IsError(order) {
		return order
	}
	return types.Bool(order == types.IntZero)
}

// ConvertToNative implements ref.Val: there is nothing to convert to.
func (v *versionValue) ConvertToNative(to reflect.Type) (any, error) {
	return nil, fmt.Errorf("a version does not become a %v", to)
}

// ConvertToType implements ref.Val: there is nothing to convert to.
func (v *versionValue) ConvertToType(to ref.Type) ref.Val {
	return types.NewErr("a version does not become a %s", to.TypeName())
}

// Type implements ref.Val.
func (v *versionValue) Type() ref.Type { return versionType }

// Value implements ref.Val.
func (v *versionValue) Value() any { return v.version }

// strictEquality replaces CEL's ==, != and in, which fail open: != takes an error of Equal for true, a list takes two
// elements that cannot be compared for equal ones, and `in` for different ones. It also ends what CEL's cost limit
// does not see: the price of == is the length of a list, even if its elements are lists of lists. So only single
// values have an equality here, and versions none with `in`.
func strictEquality(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := i.(interpreter.InterpretableCall)
	if !ok {
		return i, nil
	}
	var judge func(a, b ref.Val) ref.Val
	switch call.Function() {
	case operators.Equals:
		judge = equal
	case operators.NotEquals:
		judge = func(a, b ref.Val) ref.Val {
			result := equal(a, b)
			if same, ok := result.(types.Bool); ok {
				return !same
			}
			return result
		}
	case operators.In:
		judge = within
	default:
		return i, nil
	}
	return interpreter.NewCall(i.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
		return judge(args[0], args[1])
	}), nil
}

func equal(a, b ref.Val) ref.Val {
	_, aVersion := a.(*versionValue)
	_, bVersion := b.(*versionValue)
	if aVersion && bVersion || single(a) && single(b) {
		return a.Equal(b)
	}
	return types.NewErr("a %s is not compared with a %s", a.Type().TypeName(), b.Type().TypeName())
}

func within(a, list ref.Val) ref.Val {
	if container, ok := list.(traits.Container); ok && single(a) {
		return container.Contains(a)
	}
	return types.NewErr("a %s is not looked for in a list", a.Type().TypeName())
}

func single(v ref.Val) bool {
	switch v.(type) {
	case types.Bool, types.Double, types.Int, types.String, types.Uint:
		return true
	}
	return false
}
