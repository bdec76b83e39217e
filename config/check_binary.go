package config

import "os"

// executable wants a file that somebody may run. Whether it is Envoy is said by whoever runs it.
func (c *check) executable(path string, file *string) {
	if *file == "" {
		return // the field is optional
	}
	before := len(c.problems)
	c.file(path, file)
	if len(c.problems) > before {
		return
	}
	info, err := os.Stat(*file)
	switch {
	case err != nil: // gone meanwhile
		c.fault(path, "the file cannot be looked at: "+err.Error(), "correct the path or its permissions")
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		c.fault(path, *file+" is no executable file", "name Envoy's executable, or make it one: chmod +x")
	}
}
