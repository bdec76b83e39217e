package e2e_test

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

// pureImports looks at what pure packages import, and at what the packages of ours import that they stand on.
func pureImports(t tree) []violation {
	var found []violation
	for s := range t.production {
		if !slices.Contains(t.pureAndBelow(), s.dir) {
			continue
		}
		for in := range s.imported {
			bad := slices.ContainsFunc(impure, func(p string) bool { return below(in.path, p) })
			if bad && !slices.Contains(harmless, in.path) {
				found = append(found, violation{s.at(in.at), in.path + " does I/O or is random; pass the value in"})
			}
			if in.name == "." {
				found = append(found, violation{s.at(in.at), "a dot import hides what is called"})
			}
		}
	}
	return found
}

// pureAndBelow returns the pure packages and every package of ours that one of them imports, by whatever way.
func (t tree) pureAndBelow() []string {
	all := slices.Clone(pure)
	for i := 0; i < len(all); i++ {
		for s := range t.production {
			if s.dir != all[i] {
				continue
			}
			for in := range s.imported {
				if dir, ok := t.ours(in.path); ok && !slices.Contains(all, dir) {
					all = append(all, dir)
				}
			}
		}
	}
	return all
}

// pureClocks finds every mention of a clock, called or handed on.
func pureClocks(t tree) []violation {
	var found []violation
	for s := range t.production {
		if slices.Contains(t.pureAndBelow(), s.dir) {
			for _, name := range clocks {
				for at := range s.mentions("time", name) {
					found = append(found, violation{s.at(at.Pos()), "time." + name + " reads the clock; take a time.Time"})
				}
			}
		}
	}
	return found
}

// mentions yields each use of name from the package with that import path.
func (s source) mentions(importPath, name string) func(yield func(*ast.SelectorExpr) bool) {
	known := s.names(importPath)
	return func(yield func(*ast.SelectorExpr) bool) {
		if len(known) == 0 {
			return
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if use, ok := n.(*ast.SelectorExpr); ok && use.Sel.Name == name {
				if of, ok := use.X.(*ast.Ident); ok && slices.Contains(known, of.Name) {
					return yield(use)
				}
			}
			return true
		})
	}
}

// pureDependencies looks at what the pure packages link through libraries.
func pureDependencies(t tree) []violation {
	var found []violation
	for _, dir := range pure {
		for _, dep := range t.linked[dir] {
			if slices.ContainsFunc(neverLinked, func(p string) bool { return below(dep, p) }) {
				found = append(found, violation{dir, "links " + dep + "; `go list -deps` and `go mod why` tell by which way"})
			}
		}
	}
	return found
}

// doors finds imports of a library outside the packages that are open to it.
func doors(t tree) []violation {
	var found []violation
	for s := range t.production {
		for in := range s.imported {
			for _, d := range oneDoorEach {
				open := slices.ContainsFunc(d.open, func(pattern string) bool { return within(s.dir, pattern) })
				if below(in.path, d.library) && !open {
					found = append(found, violation{s.at(in.at), fmt.Sprintf("%s is for %v only", in.path, d.open)})
				}
			}
		}
	}
	return found
}

// answers finds every place but one that makes, or has room for, a message that Envoy obeys. A mention is harmless only
// as a pointer type: new(T), T{}, var x T and []T all make a zero value, which is an ALLOW.
func answers(t tree) []violation {
	var found []violation
	for s := range t.production {
		if s.path == answerFile {
			continue
		}
		pointers := pointedAt(s.file)
		for _, name := range answerTypes {
			for use := range s.mentions(authPackage, name) {
				if !pointers[use] {
					found = append(found, violation{s.at(use.Pos()), name + " is made in " + answerFile + " only; pass a pointer"})
				}
			}
		}
		if slices.Contains(s.names(authPackage), ".") {
			found = append(found, violation{s.path, "a dot import of the answers' package hides who makes one"})
		}
	}
	return found
}

// pointedAt returns the type expressions that stand behind a star.
func pointedAt(file *ast.File) map[ast.Expr]bool {
	pointers := map[ast.Expr]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if star, ok := n.(*ast.StarExpr); ok {
			pointers[star.X] = true
		}
		return true
	})
	return pointers
}

// layers holds every import of ours to the order, tests apart: a test may look from above.
func layers(t tree) []violation {
	var found []violation
	for _, s := range t.sources {
		if s.test {
			continue
		}
		allowed, known := placeOf(s.dir)
		if !known {
			found = append(found, violation{s.dir, "this package has no place among the layers; give it one in inwardOrder"})
			continue
		}
		for in := range s.imported {
			dir, ours := t.ours(in.path)
			if ours && dir != s.dir && !slices.ContainsFunc(allowed, func(p string) bool { return within(dir, p) }) {
				found = append(found, violation{s.at(in.at),
					fmt.Sprintf("%s may import only %v of ours, not %s", s.dir, allowed, dir)})
			}
		}
	}
	return found
}

func placeOf(dir string) (allowed []string, known bool) {
	for _, l := range inwardOrder {
		if within(dir, l.pkg) {
			return l.below, true
		}
	}
	return nil, false
}

// product looks at the whole of what the product binary links.
func product(t tree) []violation {
	var found []violation
	for _, dep := range t.linked["cmd/tiergate"] {
		name := dep
		if dir, ok := t.ours(dep); ok {
			name = dir
		}
		if slices.ContainsFunc(notInProduct, func(p string) bool { return below(name, p) }) {
			found = append(found, violation{"cmd/tiergate", "links " + dep})
		}
	}
	return found
}

// vendors wants of each vendor's package what makes it provable: deliveries, what they become, a fuzz target, a README.
func vendors(t tree) []violation {
	var found []violation
	for _, dir := range t.packages() {
		if !within(dir, "signals/source/*") || dir == "signals/source/mapping" {
			continue
		}
		deliveries, fuzzed := false, false
		for name := range t.text {
			in, ok := strings.CutPrefix(name, dir+"/testdata/")
			deliveries = deliveries || ok && !strings.HasPrefix(in, "fuzz/")
		}
		for _, s := range t.sources {
			fuzzed = fuzzed || s.dir == dir && s.test && declares(s.file, "Fuzz")
		}
		if !deliveries {
			found = append(found, violation{dir, "has no deliveries and goldens in testdata"})
		}
		if !fuzzed {
			found = append(found, violation{dir, "has no fuzz target"})
		}
		if t.text[dir+"/README.md"] == "" {
			found = append(found, violation{dir, "has no README.md that tells how to connect it"})
		}
	}
	return found
}

// declares reports whether a file has a top-level function whose name begins so.
func declares(file *ast.File, prefix string) bool {
	return slices.ContainsFunc(file.Decls, func(d ast.Decl) bool {
		f, ok := d.(*ast.FuncDecl)
		return ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, prefix)
	})
}

// packageComments wants exactly one file of each package to have the comment.
func packageComments(t tree) []violation {
	with := map[string][]string{}
	for _, s := range t.sources {
		if !s.test && strings.TrimSpace(s.file.Doc.Text()) != "" {
			with[s.dir] = append(with[s.dir], path.Base(s.path))
		}
	}
	var found []violation
	for _, dir := range t.packages() {
		switch len(with[dir]) {
		case 0:
			found = append(found, violation{dir, "no file has the package comment"})
		case 1:
		default:
			found = append(found, violation{dir, "has a package comment in each of " + strings.Join(with[dir], ", ")})
		}
	}
	return found
}

// packageNames refuses names that say nothing.
func packageNames(t tree) []violation {
	var found []violation
	for _, s := range t.sources {
		for _, part := range append(strings.Split(s.dir, "/"), s.file.Name.Name) {
			v := violation{s.dir, fmt.Sprintf("%q says nothing; name the package for its noun", part)}
			if slices.Contains(emptyNames, part) && !slices.Contains(found, v) {
				found = append(found, v)
			}
		}
	}
	return found
}

// skips finds ways out of an end-to-end test.
func skips(t tree) []violation {
	var found []violation
	for _, s := range t.sources {
		if !within(s.dir, "e2e/...") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if of, ok := call.Fun.(*ast.SelectorExpr); ok &&
					slices.Contains([]string{"Skip", "Skipf", "SkipNow", "Short"}, of.Sel.Name) && wayOut(of) {
					found = append(found, violation{s.at(n.Pos()), "an end-to-end test that misses something fails and says what"})
				}
			}
			return true
		})
	}
	return found
}

// wayOut tells a test's own Skip, and testing.Short, from methods of other things with such names.
func wayOut(of *ast.SelectorExpr) bool {
	x, ok := of.X.(*ast.Ident)
	if !ok {
		return false
	}
	if of.Sel.Name == "Short" {
		return x.Name == "testing"
	}
	return slices.Contains([]string{"t", "tb", "b", "f", "ts"}, x.Name)
}
