package config

import "path/filepath"

// PolicyHistory is where `serve` keeps the policies that were in force, so that one can be brought back.
type PolicyHistory struct {
	// Dir is created with mode 0700, if its parent is there; nobody else may enter it, and no two processes share one. Default:
	// policies in the runtime directory, which on most systems does not outlive a reboot: name one that does.
	Dir string `yaml:"dir,omitempty"`
	// Keep is how many policies are kept, the one in force included: 2 to 1000, default 20. The oldest go, but never the one in
	// force nor a pinned one.
	Keep int `yaml:"keep,omitempty"`
}

// Defaults and bounds of PolicyHistory.
const (
	DefaultHistoryKeep = 20
	defaultHistoryDir  = "policies"

	minHistoryKeep, maxHistoryKeep = 2, 1000
)

// history fills in the defaults of policy.history and checks. A directory that is a part of the policy directory would make
// every kept policy an edit.
func (c *check) history(s *Settings) {
	h := &s.Policy.History
	const field = "policy.history.dir"
	if h.Dir == "" {
		h.Dir = filepath.Join(s.RuntimeDir, defaultHistoryDir)
	} else {
		c.absolute(&h.Dir)
		parent := filepath.Dir(h.Dir)
		if s.RuntimeDir != parent { // which serve creates
			c.dir(field, &parent)
		}
	}
	if s.Policy.Dir != "" && (inside(s.Policy.Dir, h.Dir) || inside(h.Dir, s.Policy.Dir)) {
		c.fault(field, h.Dir+" and the policy directory "+s.Policy.Dir+" lie within each other",
			"name a directory of its own, beside policy.dir")
	}
	bounded(c, "policy.history.keep", &h.Keep, DefaultHistoryKeep, minHistoryKeep, maxHistoryKeep)
}

// inside reports whether a path is a directory or below it.
func inside(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
