package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/config/strictyaml"
)

// check collects what is wrong with decoded settings.
type check struct {
	document *strictyaml.Document
	base     string // relative paths start here
	words    Vocabulary
	known    []string // paths that the decoder has already found wrong
	problems strictyaml.Problems
}

// fault notes a problem at a field, unless the decoder has said what is wrong with it: the value judged here would be one
// that nobody wrote.
func (c *check) fault(path, message, help string) {
	if !slices.Contains(c.known, path) {
		c.problems = append(c.problems, c.document.Problem(path, message, help))
	}
}

func (c *check) settings(s *Settings) {
	c.absolute(&s.RuntimeDir)
	if _, err := s.Sockets(); err != nil {
		c.fault("runtimeDir", err.Error(), "choose a shorter path")
	}
	if s.Policy.Dir != "" {
		c.dir("policy.dir", &s.Policy.Dir)
	}
	c.history(s)
	c.store(&s.Store)
	c.identity(&s.Identity)
	c.sources(s.Sources, s.Identity.Issuers)
	c.ssf(s)
	c.outlets(s.Outlets)
	c.ingest(&s.Ingest)
	c.approvals(s)
	c.oneOf("authz.reader", s.Authz.Reader, ReaderFast, ReaderProto)
	c.oneOf("authz.transport", s.Authz.Transport, TransportOwn, TransportGRPCGo)
	c.envoy(s)
	c.workloads(s)
	c.assertion(s.Assertion)
	c.login(s.Login)
	c.tokens(s)
	c.evidence(s)
	c.ingestEvidence(s)
	c.answers(&s.Answers)
	c.census(&s.Census)
	c.listens(s)
	c.oneOf("log.level", s.Log.Level, "debug", "info", "warn", "error")
	c.oneOf("log.format", s.Log.Format, "json", "console")
}

// absolute takes a path from the settings file's directory.
func (c *check) absolute(path *string) {
	if !filepath.IsAbs(*path) {
		*path = filepath.Join(c.base, *path)
	}
	*path = filepath.Clean(*path)
}

// file makes a path absolute and wants a file there. Whether we may read it is said by whoever reads it.
func (c *check) file(path string, file *string) {
	if *file == "" {
		return // the decoder has said so, or the field is optional
	}
	c.absolute(file)
	info, err := os.Stat(*file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		c.fault(path, "file not found: "+*file, "create it, or correct the path")
	case err != nil:
		c.fault(path, "the file cannot be looked at: "+err.Error(), "correct the path or its permissions")
	case info.IsDir():
		c.fault(path, *file+" is a directory", "name a file in it")
	}
}

func (c *check) dir(path string, dir *string) {
	c.absolute(dir)
	info, err := os.Stat(*dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		c.fault(path, "directory not found: "+*dir, "create it, or correct the path")
	case err != nil:
		c.fault(path, "the directory cannot be looked at: "+err.Error(), "correct the path or its permissions")
	case !info.IsDir():
		c.fault(path, *dir+" is no directory", "name the directory that holds the files")
	}
}

func (c *check) oneOf(path, value string, allowed ...string) {
	if value == "" || slices.Contains(allowed, value) {
		return
	}
	help := "write one of " + strings.Join(allowed, ", ")
	if len(allowed) == 1 {
		help = "write " + allowed[0]
	}
	c.fault(path, fmt.Sprintf("%s is %q", last(path), value), help)
}

func last(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// name wants a name that fits into a URL, a metric label and a policy.
func (c *check) name(path, value string) {
	if value != "" && !namePattern.MatchString(value) {
		c.fault(path, fmt.Sprintf("%q is no name", value),
			"write 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit")
	}
}

// unique notes every value that an earlier place already has.
type unique map[string]string

func (c *check) unique(seen unique, path, value string) {
	if value == "" {
		return
	}
	if first, taken := seen[value]; taken {
		c.fault(path, fmt.Sprintf("%q is already %s", value, first), "each may stand once; remove one or change it")
		return
	}
	seen[value] = path
}

// ipPort wants a literal IP address and a port: what a name resolves to may change under us.
func (c *check) ipPort(path, value string, lowest uint16) netip.AddrPort {
	if value == "" {
		return netip.AddrPort{}
	}
	address, err := netip.ParseAddrPort(value)
	if err != nil || address.Addr().Zone() != "" {
		c.fault(path, fmt.Sprintf("%q is no literal IP address with a port", value),
			"write IP:PORT, such as 127.0.0.1:8443 or [::1]:8443")
		return netip.AddrPort{}
	}
	if address.Port() < lowest {
		c.fault(path, fmt.Sprintf("%q has no port", value), "write a port from 1 to 65535")
	}
	return address
}

// listens refuses two addresses that one machine cannot both listen on. Port 0 is any free port.
func (c *check) listens(s *Settings) {
	type listen struct {
		path    string
		address netip.AddrPort
	}
	all := []listen{
		{"ingest.listen", c.ipPort("ingest.listen", s.Ingest.Listen, 0)},
		{"metrics.listen", c.ipPort("metrics.listen", s.Metrics.Listen, 0)},
		{"ingest.metrics.listen", c.ipPort("ingest.metrics.listen", s.Ingest.Metrics.Listen, 0)},
	}
	if l := s.Authz.Listen; l != nil {
		all = append(all, listen{"authz.listen.address", c.ipPort("authz.listen.address", l.Address, 1)})
	}
	if a := s.Assertion; a != nil && c.document.Has("assertion.listen") {
		all = append(all, listen{"assertion.listen", c.ipPort("assertion.listen", a.Listen, 1)})
	}
	if a := s.Ingest.Approvals; a != nil {
		all = append(all, listen{"ingest.approvals.listen", c.ipPort("ingest.approvals.listen", a.Listen, 0)})
	}
	for i, l := range s.Envoy.Listeners {
		path := fmt.Sprintf("envoy.listeners[%d].address", i)
		all = append(all, listen{path, c.ipPort(path, l.Address, 1)})
	}
	if path, address, ok := c.probes(&s.Envoy); ok {
		all = append(all, listen{path, address})
	}
	for i, later := range all {
		for _, earlier := range all[:i] {
			if later.address.Port() != 0 && overlap(earlier.address, later.address) {
				at, other := later, earlier
				if !c.document.Has(at.path) {
					at, other = earlier, later // the default cannot be corrected, what is written can
				}
				c.fault(at.path, fmt.Sprintf("%s is taken by %s, %s", at.address, other.path, other.address),
					"choose another port")
			}
		}
	}
}

// overlap reports whether two addresses want the same port of the same interface. [::] takes IPv4 as well, as Linux has it
// by default.
func overlap(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && (a.Addr() == b.Addr() || covers(a.Addr(), b.Addr()) || covers(b.Addr(), a.Addr()))
}

func covers(all, one netip.Addr) bool {
	return all.IsUnspecified() && (all.Is6() || one.Is4())
}
