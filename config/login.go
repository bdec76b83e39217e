package config

// Login is what tiergate shares with the login application of routes that have `login`. Without it a policy may have no such
// route.
type Login struct {
	// KeyFile holds the key by which the application knows that tiergate has sent a browser (package authz/returnto): 32 to 64
	// bytes in base64, mode 0600. `openssl rand -base64 32` makes one. All sidecars share it. It is read at start.
	KeyFile string `yaml:"keyFile"`
}

func (c *check) login(l *Login) {
	if l != nil {
		c.file("login.keyFile", &l.KeyFile)
	}
}
