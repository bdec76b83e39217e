package policy

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// versionFaults finds what can be seen to be wrong with the versions of an expression: a text that is no version, two
// of two kinds, a version that is not compared at all, and texts that are ordered where versions are meant. Each fault
// stands at the text, the call or the operator, in runes.
func versionFaults(checked *cel.Ast) []expressionFault {
	native := checked.NativeRep()
	var faults []expressionFault
	for _, e := range ast.MatchDescendants(ast.NavigateAST(native), ast.KindMatcher(ast.CallKind)) {
		at, message := e.ID(), ""
		switch call := e.AsCall(); {
		case call.FunctionName() == versionFunction:
			at, message = faultOfVersion(e)
		case versionOrder[call.FunctionName()] != "" && native.GetType(call.Args()[0].ID()).Kind() == types.StringKind:
			message = `texts are ordered letter by letter, where "9" stands behind "15"; compare version(…) with version(…)`
		case isComparison(call):
			message = faultOfKinds(call)
		}
		if message != "" {
			where, _ := native.SourceInfo().GetOffsetRange(at)
			faults = append(faults, expressionFault{offset: int(where.Start), message: message})
		}
	}
	return faults
}

func isComparison(call ast.CallExpr) bool {
	name := call.FunctionName()
	return name == operators.Equals || name == operators.NotEquals || versionOrder[name] != ""
}

// faultOfVersion judges one call of version and returns where its fault stands.
func faultOfVersion(e ast.NavigableExpr) (at int64, message string) {
	text := e.AsCall().Args()[0]
	if _, literal, ok := literalVersion(e); literal && !ok {
		return text.ID(), fmt.Sprintf("%.60q is no version; versions are written like 15.6, 10.0.22631.3593, 15.6.1 (a), "+
			"24G90, 22H2, 2026-10-05 and 6.8.0-31-generic", text.AsLiteral().Value())
	}
	for child := e; ; {
		parent, found := child.Parent()
		switch {
		case !found || parent.Kind() != ast.CallKind:
		case isComparison(parent.AsCall()):
			return 0, ""
		case parent.AsCall().FunctionName() == operators.Conditional:
			child = parent
			continue
		}
		return e.ID(), "a version is nothing but a side of <, <=, >, >=, == or !=; the other side is a version as well"
	}
}

// faultOfKinds judges a comparison of two versions that are both written out.
func faultOfKinds(call ast.CallExpr) string {
	a, _, known := literalVersion(call.Args()[0])
	b, _, knownToo := literalVersion(call.Args()[1])
	if !known || !knownToo || a.comparable(b) {
		return ""
	}
	return "these are versions of two kinds, so this is always unknown"
}

// literalVersion reads version("…"). It reports whether e is that, and whether the text is a version.
func literalVersion(e ast.Expr) (v version, literal, ok bool) {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != versionFunction {
		return version{}, false, false
	}
	argument := e.AsCall().Args()[0]
	if argument.Kind() != ast.LiteralKind {
		return version{}, false, false
	}
	text, _ := argument.AsLiteral().(types.String)
	v, ok = parseVersion(string(text))
	return v, true, ok
}
