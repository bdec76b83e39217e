package policy

import "strings"

// node is one place in the trie of a host's patterns: what has been matched so far leads here.
type node struct {
	exact    map[string]*node
	variable *node // {name}
	any      *node // *
	end      place // a pattern ends here
	rest     place // a pattern ends here with **
}

// place is where the routes of one shape of pattern stand; they split its methods between them.
type place []*route

// insert adds a route at its pattern.
func (n *node) insert(r *route) {
	for _, s := range r.pattern {
		if s.Kind == SegmentRest {
			n.rest = append(n.rest, r)
			return
		}
		n = n.child(s)
	}
	n.end = append(n.end, r)
}

func (n *node) child(s Segment) *node {
	next := &n.any
	switch s.Kind {
	case SegmentExact:
		if n.exact == nil {
			n.exact = map[string]*node{}
		}
		if n.exact[s.Text] == nil {
			n.exact[s.Text] = &node{}
		}
		return n.exact[s.Text]
	case SegmentVariable:
		next = &n.variable
	case SegmentAny, SegmentRest:
	}
	if *next == nil {
		*next = &node{}
	}
	return *next
}

// find walks a path, without its leading slash, and returns the place of the most exact pattern that covers it, nil if
// none does. Exact goes before a variable, that before *, all before the end of the pattern, ** comes last; a turn that
// leads nowhere is taken back. Each node is visited at most once, so that the trie bounds the work, not the path.
func (n *node) find(path string, more bool) place {
	if !more {
		if n.end != nil {
			return n.end
		}
		return n.rest
	}
	segment, rest, another := strings.Cut(path, "/")
	if segment != "" {
		if next := n.exact[segment]; next != nil {
			if found := next.find(rest, another); found != nil {
				return found
			}
		}
		if n.variable != nil {
			if found := n.variable.find(rest, another); found != nil {
				return found
			}
		}
		if n.any != nil {
			if found := n.any.find(rest, another); found != nil {
				return found
			}
		}
	} else if !another && n.end != nil {
		return n.end // one trailing slash is covered by the pattern without it
	}
	return n.rest
}

// of returns the route that lists the method, nil if none does.
func (p place) of(method string) *route {
	for _, r := range p {
		if len(r.methods) == 0 {
			return r
		}
		for _, m := range r.methods {
			if m == method {
				return r
			}
		}
	}
	return nil
}
