package policy

import (
	"fmt"
	"math"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/tiergate/tiergate/signals"
)

// costLimit stops a hostile expression: the worst known end after 0.4 ms, at 10,000 they took 4 (see
// TestHostileExpressionIsStopped). Comparing two versions costs up to 25 of it, of which most is their length.
const costLimit = 1_000

// maxExpressionBytes bounds what the compiler is given.
const maxExpressionBytes = 4 << 10

// expression is one compiled CEL condition over device.<attribute>.
type expression struct {
	program    cel.Program
	attributes []string // the attributes that it reads, sorted
	always     Status   // what it comes to while nothing is known
}

// expressionFault is what is wrong with an expression and how many runes into its text.
type expressionFault struct {
	offset  int
	message string
}

// newEnvironment declares each attribute as a typed variable named "device.<attribute>", so that a misspelt name and a
// comparison of unlike types are faults of the policy and not of a request.
func newEnvironment() (*cel.Env, error) {
	options := slices.Concat(signalLanguage(), versionLibrary())
	for _, a := range signals.Attributes() {
		options = append(options, cel.Variable("device."+a.Name, celType(a.Kind)))
	}
	return cel.NewCustomEnv(options...)
}

func celType(k signals.Kind) *cel.Type {
	switch k {
	case signals.KindBool:
		return cel.BoolType
	case signals.KindNumber:
		return cel.DoubleType
	case signals.KindText, signals.KindUnknown:
		return cel.StringType
	}
	return cel.StringType
}

func compileExpression(env *cel.Env, text string) (*expression, []expressionFault) {
	if len(text) > maxExpressionBytes {
		return nil, []expressionFault{{message: fmt.Sprintf("the expression has %d bytes; the limit is %d", len(text),
			maxExpressionBytes)}}
	}
	checked, issues := env.Compile(text)
	if issues != nil && issues.Err() != nil {
		return nil, expressionFaults(text, issues)
	}
	if checked.OutputType() != cel.BoolType {
		return nil, []expressionFault{{message: fmt.Sprintf("the expression gives a %s; a signal is true or false",
			checked.OutputType())}}
	}
	attributes := referencedAttributes(checked)
	if len(attributes) == 0 {
		return nil, []expressionFault{{message: "the expression reads no attribute of the device"}}
	}
	if faults := versionFaults(checked); len(faults) > 0 {
		return nil, faults
	}
	if fault := costFault(env, checked); fault != nil {
		return nil, []expressionFault{*fault}
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptPartialEval, cel.OptOptimize), cel.CostLimit(costLimit))
	if err != nil {
		return nil, []expressionFault{{message: err.Error()}}
	}
	e := &expression{program: program, attributes: attributes}
	e.always = e.judge(func(string) signals.Value { return signals.Unknown })
	return e, nil
}

func expressionFaults(text string, issues *cel.Issues) []expressionFault {
	var faults []expressionFault
	for _, e := range issues.Errors() {
		offset := e.Location.Column()
		for line := 1; line < e.Location.Line(); line++ {
			offset += lineLength(text, line)
		}
		faults = append(faults, expressionFault{offset: max(offset, 0), message: e.Message})
	}
	if len(faults) == 0 {
		faults = []expressionFault{{message: issues.Err().Error()}}
	}
	return faults
}

// lineLength is the length in runes of the n-th line, its newline included.
func lineLength(text string, n int) int {
	length, line := 0, 1
	for _, r := range text {
		if line == n {
			length++
		}
		if r == '\n' {
			line++
		}
	}
	return length
}

func referencedAttributes(checked *cel.Ast) []string {
	var names []string
	for _, ref := range checked.NativeRep().ReferenceMap() {
		if name, ok := attributeOf(ref); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func attributeOf(ref *ast.ReferenceInfo) (string, bool) {
	const prefix = "device."
	if len(ref.Name) <= len(prefix) || ref.Name[:len(prefix)] != prefix {
		return "", false
	}
	return ref.Name[len(prefix):], true
}

// judge evaluates the expression over what is known. An attribute that is not known is a CEL unknown, so `true || unknown`
// is true; what remains undecided, errs or costs too much is unknown.
func (e *expression) judge(known func(attribute string) signals.Value) Status {
	vars := make(map[string]any, len(e.attributes))
	var missing []*cel.AttributePatternType
	for _, name := range e.attributes {
		value := known(name)
		if !value.Known() {
			missing = append(missing, cel.AttributePattern("device."+name))
			continue
		}
		vars["device."+name] = celValue(value)
	}
	activation, err := cel.PartialVars(vars, missing...)
	if err != nil {
		return StatusUnknown
	}
	out, _, err := e.program.Eval(activation)
	switch {
	case err != nil || out == nil:
		return StatusUnknown
	case out == types.True:
		return StatusPassing
	case out == types.False:
		return StatusFailing
	}
	return StatusUnknown
}

// lasting is the last of the instants, in order, at which something is decided. judge is told from which instant on facts
// still count.
func (e *expression) lasting(ageing []int64, judge func(from int64) Status) int64 {
	if e.always != StatusUnknown {
		return math.MaxInt64
	}
	for i := 1; i < len(ageing); i++ {
		if judge(ageing[i]) == StatusUnknown {
			return ageing[i-1]
		}
	}
	return ageing[len(ageing)-1]
}

func celValue(v signals.Value) any {
	if b, ok := v.AsBool(); ok {
		return b
	}
	if f, ok := v.AsNumber(); ok {
		return f
	}
	s, _ := v.AsText()
	return s
}
