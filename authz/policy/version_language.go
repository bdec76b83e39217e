package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"

	"github.com/tiergate/tiergate/signals"
)

// maxAttributeText is the longest text of an attribute, in bytes, that the receiver lets in.
const maxAttributeText = signals.MaxTextBytes

// maxNodes bounds the operators, names and values of an expression, those that all and exists are made of included.
// CEL's limit on costs takes && and literals for free, so this is what bounds a loop's body.
const maxNodes = 500

// signalLanguage is what of CEL's standard library a signal may use, for an environment of cel.NewCustomEnv. Left out
// is what reads a disk (time zones), what a limit on costs does not see (a regular expression with counted
// repetitions, lists that are joined) and what a condition over a device has no use for.
func signalLanguage() []cel.EnvOption {
	subset := env.NewLibrarySubset().AddIncludedMacros(operators.All, operators.Exists)
	for _, name := range []string{operators.Conditional, operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot,
		operators.NotStrictlyFalse, operators.Equals, operators.NotEquals, overloads.StartsWith, overloads.EndsWith,
		overloads.Contains} {
		subset.AddIncludedFunctions(env.NewFunction(name))
	}
	include := func(name string, ids ...string) {
		function := env.NewFunction(name)
		for _, id := range ids {
			function.Overloads = append(function.Overloads, env.NewOverload(id, nil, nil))
		}
		subset.AddIncludedFunctions(function)
	}
	include(operators.In, overloads.InList)
	include(operators.Less, overloads.LessInt64, overloads.LessDouble, overloads.LessInt64Double,
		overloads.LessDoubleInt64, overloads.LessString)
	include(operators.LessEquals, overloads.LessEqualsInt64, overloads.LessEqualsDouble, overloads.LessEqualsInt64Double,
		overloads.LessEqualsDoubleInt64, overloads.LessEqualsString)
	include(operators.Greater, overloads.GreaterInt64, overloads.GreaterDouble, overloads.GreaterInt64Double,
		overloads.GreaterDoubleInt64, overloads.GreaterString)
	include(operators.GreaterEquals, overloads.GreaterEqualsInt64, overloads.GreaterEqualsDouble,
		overloads.GreaterEqualsInt64Double, overloads.GreaterEqualsDoubleInt64, overloads.GreaterEqualsString)
	return []cel.EnvOption{cel.StdLib(cel.StdLibSubset(subset)), cel.CrossTypeNumericComparisons(true),
		cel.ExpressionNodeLimit(maxNodes)}
}

// costFault refuses an expression that may cost more than costLimit for some device, and one whose cost has no bound
// because it holds a list within a list, or a map. It is nil for all others.
func costFault(environment *cel.Env, checked *cel.Ast) *expressionFault {
	native := checked.NativeRep()
	for _, e := range ast.MatchDescendants(ast.NavigateAST(native), ast.AllMatcher()) {
		if message := faultOfShape(native, e); message != "" {
			where, _ := native.SourceInfo().GetOffsetRange(e.ID())
			return &expressionFault{offset: int(where.Start), message: message}
		}
	}
	estimate, err := environment.EstimateCost(checked, attributeSizes{})
	switch {
	case err != nil:
		return &expressionFault{message: fmt.Sprintf("the cost of the expression cannot be estimated: %v", err)}
	case estimate.Max == math.MaxUint64:
		return &expressionFault{message: fmt.Sprintf("the cost of the expression has no bound; the limit is %d", costLimit)}
	case estimate.Max > costLimit:
		return &expressionFault{message: fmt.Sprintf("the expression may cost %d steps; the limit is %d: "+
			"shorten its lists, or make two signals of it", estimate.Max, costLimit)}
	}
	return nil
}

func faultOfShape(checked *ast.AST, e ast.Expr) string {
	isList := func(e ast.Expr) bool { return checked.GetType(e.ID()).Kind() == types.ListKind }
	switch e.Kind() {
	case ast.MapKind, ast.StructKind:
		return "a signal has no use for a map; write a list, or conditions joined by ||"
	case ast.ListKind:
		if slices.ContainsFunc(e.AsList().Elements(), isList) {
			return "a list may hold texts, numbers, true and false, but no list; make one list of them"
		}
	case ast.CallKind:
		if name := e.AsCall().FunctionName(); name == operators.Equals || name == operators.NotEquals {
			if slices.ContainsFunc(e.AsCall().Args(), isList) {
				return "lists are not compared; ask for single values with in, all or exists"
			}
		}
	default:
	}
	return ""
}

// attributeSizes tells CEL's estimate how long the texts of a device can be.
type attributeSizes struct{}

// EstimateSize implements cost.Estimator.
func (attributeSizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	if node.Type() == versionType {
		return &cost.SizeEstimate{Min: 1, Max: 1}
	}
	if len(node.Path()) != 1 {
		return nil
	}
	name, _ := strings.CutPrefix(node.Path()[0], "device.")
	attribute, found := signals.LookupAttribute(name)
	if !found || attribute.Kind != signals.KindText {
		return nil
	}
	return &cost.SizeEstimate{Max: maxAttributeText}
}

// EstimateCallCost implements cost.Estimator: CEL knows its functions, and versionLibrary says what version costs.
func (attributeSizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
