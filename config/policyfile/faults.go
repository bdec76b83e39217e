package policyfile

import (
	"fmt"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// fault puts a place to what policy.New found, unless it only follows from a fault that is already named.
func (c *compiler) fault(f policy.Fault) {
	if !c.follows(f) {
		c.problems = append(c.problems, c.place(f))
	}
}

// follows reports whether a fault may be no more than the consequence of another. It may be
//   - in a field that the decoder refused, or above or below one;
//   - in a field that is not written, beside one that the decoder refused: the two may depend on each other;
//   - in a document as a whole ("no route uses this tier") while any document is partly decoded: the route that uses it
//     may be the broken one.
func (c *compiler) follows(f policy.Fault) bool {
	doc := c.documents[f.Kind+"/"+f.Name]
	if doc == nil {
		return false
	}
	absent := !doc.yaml.Has(f.Field)
	for _, wrong := range doc.wrong {
		if within(f.Field, wrong) || within(wrong, f.Field) || absent && parent(f.Field) == parent(wrong) {
			return true
		}
	}
	return f.Field == "metadata.name" && c.anyWrong()
}

func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

func (c *compiler) anyWrong() bool {
	for _, doc := range c.documents {
		if len(doc.wrong) > 0 {
			return true
		}
	}
	return false
}

// within reports whether a path is another or lies below it.
func within(path, above string) bool {
	rest, ok := strings.CutPrefix(path, above)
	return ok && (above == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

func (c *compiler) place(f policy.Fault) strictyaml.Problem {
	if nearest, ok := strictyaml.Nearest(f.Wrong, f.Known); ok && f.Wrong != "" {
		f.Help = fmt.Sprintf("did you mean %q?", nearest)
	}
	doc := c.documents[f.Kind+"/"+f.Name]
	if doc != nil {
		return doc.yaml.ProblemInside(f.Field, f.Offset, f.Message, f.Help)
	}
	message := f.Message
	if f.Kind != "" {
		message = fmt.Sprintf("%s %q, %s: %s", f.Kind, f.Name, f.Field, f.Message)
	}
	return strictyaml.Problem{
		Position: strictyaml.Position{File: c.dir},
		Path:     f.Field,
		Message:  message,
		Help:     f.Help,
	}
}
