package config

import "fmt"

func (c *check) standard(at string, s *Source) {
	if len(s.SecretFiles) == 0 {
		c.fault(at+".secretFiles", fmt.Sprintf("source %q has no secret", s.Name),
			"name at least one file with a whsec_ secret in secretFiles")
	}
}
