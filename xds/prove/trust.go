package prove

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/xds/dump"
	"github.com/tiergate/tiergate/xds/reach"
)

// trust compares who gets past the handshakes of listeners.
type trust struct {
	certificates map[string][]string // by name of the secret: digests of the CA certificates in it
}

func newTrust(config *dump.Config) *trust {
	t := &trust{certificates: map[string][]string{}}
	for _, s := range config.Secrets {
		context := s.Value.Get("validation_context")
		t.add(s.Name, context.Get("trusted_ca"))
		for _, domain := range context.Get("custom_validator_config").Config().Get("trust_domains").List() {
			t.add(s.Name, domain.Get("trust_bundle"))
		}
	}
	return t
}

// add takes a DataSource apart. A file is taken for itself: it cannot be read from here.
func (t *trust) add(secret string, source dump.Value) {
	if file := source.Get("filename").Text(); file != "" {
		t.certificates[secret] = append(t.certificates[secret], "file "+file)
	}
	text := []byte(source.Get("inline_string").Text())
	if raw, err := base64.StdEncoding.DecodeString(source.Get("inline_bytes").Text()); err == nil && len(raw) > 0 {
		text = raw
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		sum := sha256.Sum256(block.Bytes)
		t.certificates[secret] = append(t.certificates[secret], hex.EncodeToString(sum[:]))
	}
}

// admits: can a member of the audience get past the handshake of a path's filter chain? No only where every member is a workload
// of which the chain wants a certificate that no member has.
func (t *trust) admits(a *population, path *reach.Path) bool {
	if !a.byWorkloadAlone() || path.Trust.Certificate != "required" || path.Trust.Loose != "" {
		return true
	}
	var domains []string
	for _, authority := range path.Trust.Authorities {
		if name, ok := strings.CutPrefix(authority, "trust domain "); ok {
			domains = append(domains, name)
		}
	}
	names, understood := patternsOf(path.Trust.Names)
	return slices.ContainsFunc(a.entries, func(e entry) bool {
		if len(domains) > 0 && !slices.Contains(domains, e.pattern.domain) {
			return false
		}
		return len(names) == 0 || !understood || slices.ContainsFunc(names, func(n pattern) bool { return n.meets(*e.pattern) })
	})
}

// meets: does some ID match both?
func (p pattern) meets(q pattern) bool {
	return len(cells(p.domain, []pattern{p, q}, max(len(p.segments), len(q.segments)))) > 0
}

// A segment as xds writes it into the matcher of a SPIFFE pattern.
const anySegment = `(?:\.{0,2}[A-Za-z0-9_-][A-Za-z0-9._-]*|\.{3,}[A-Za-z0-9._-]*)`

var escaped = regexp.MustCompile(`\\(.)`)

// patternsOf reads matchers of URI names back; understood is false if one is not of the form that xds writes.
func patternsOf(names []string) (all []pattern, understood bool) {
	for _, name := range names {
		text, exact := strings.CutPrefix(name, "URI exact ")
		if !exact {
			regex, ok := strings.CutPrefix(name, "URI regex ")
			if !ok {
				return nil, false
			}
			fixed, below := strings.CutSuffix(regex, "(?:/"+anySegment+")+")
			text = escaped.ReplaceAllString(strings.ReplaceAll(fixed, "/"+anySegment, "/*"), "$1")
			if strings.ContainsAny(strings.ReplaceAll(text, "/*", ""), `*(){}[]|+?^$\`) {
				return nil, false
			}
			if below {
				text += "/**"
			}
		}
		if !strings.HasPrefix(text, "spiffe://") {
			return nil, false
		}
		all = append(all, parsePattern(text))
	}
	return all, true
}

// onlyMembers: the names that a chain lets in are all those of members.
func (t *trust) onlyMembers(a *population, path *reach.Path) bool {
	names, understood := patternsOf(path.Trust.Names)
	if path.Trust.Certificate != "required" || path.Trust.Loose != "" || !understood || len(names) == 0 {
		return false
	}
	return !slices.ContainsFunc(names, func(n pattern) bool {
		return !slices.ContainsFunc(a.entries, func(e entry) bool {
			return e.pattern != nil && e.issuer == "" && e.ownership == "" && e.pattern.covers(n)
		})
	})
}

func (t *trust) of(path *reach.Path) (all []string) {
	for _, authority := range path.Trust.Authorities {
		if name, ok := strings.CutPrefix(authority, "secret "); ok && len(t.certificates[name]) > 0 {
			all = append(all, t.certificates[name]...)
			continue
		}
		if !strings.HasPrefix(authority, "trust domain ") { // their certificates stand in the secret
			all = append(all, authority)
		}
	}
	return all
}

// foreignTrust finds a CA of the audience's own listener by which others come in at a listener of theirs.
func (p *prover) foreignTrust(a *population, own string) {
	for _, w := range p.envoy.paths {
		if w.path.Listener != own || p.envoy.trust.onlyMembers(a, &w.path) {
			continue
		}
		if w.path.Trust.Loose != "" {
			p.trusting(a, &w, "listener "+own+" is "+a.name+"'s own, and "+w.path.Trust.Loose)
			return
		}
		mine := p.envoy.trust.of(&w.path)
		for _, x := range p.envoy.paths {
			if slices.Contains(p.envoy.own[a.name], x.path.Listener) {
				continue
			}
			for _, authority := range p.envoy.trust.of(&x.path) {
				if slices.Contains(mine, authority) {
					p.trusting(a, &w, fmt.Sprintf("listener %s is %s's own, and takes certificates of a CA whose clients come "+
						"in at listener %s, too: the handshake does not keep the others out", own, a.name, x.path.Listener))
					return
				}
			}
		}
	}
}

func (p *prover) trusting(a *population, w *way, what string) {
	c := Counterexample{Kind: Trust, Audience: a.name, Listener: w.path.Listener, Cluster: w.path.Cluster, Endpoint: firstEnd(w),
		Where: w.path.Where, Route: w.chosen, What: what,
		Fix: "let members have a CA of their own, or narrow the listener by clientSPIFFEIDs"}
	if r, asker, ok := p.stranger(a, w.chosen); ok {
		shown := p.caseOf(a, r, &asker)
		c.Who, c.Request, c.Case = shown.who.String(), lineOf(p.requests[r.Meta.Name]), shown.text
	}
	p.found(c)
}

// stranger is somebody of another audience who asks for a route of this one.
func (p *prover) stranger(a *population, route string) (*policy.Route, class, bool) {
	r := p.routeNamed(route)
	if r == nil {
		return nil, class{}, false
	}
	if _, ok := p.requests[route]; !ok {
		return nil, class{}, false
	}
	for _, name := range p.otherNames(a) {
		e := &p.audiences[name].entries[0]
		var c class
		found := false
		_ = p.joint(e, e, p.tiers[r.Tier], func(first class) bool { c, found = first, true; return false })
		if found && !a.mayBe(&c) {
			return r, c, true
		}
	}
	return nil, class{}, false
}

func (p *prover) otherNames(a *population) (names []string) {
	for i := range p.spec.Audiences {
		if name := p.spec.Audiences[i].Meta.Name; name != a.name {
			names = append(names, name)
		}
	}
	return names
}
