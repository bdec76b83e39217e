package policy

// Login is where a route sends browsers whose login does not do. It opens the route to nobody: whoever comes back is judged
// as anybody.
type Login struct {
	// URL is the page of the login application: https://HOST[:PORT]/PATH, or /PATH on the host that was asked. Browsers that go
	// to the route by GET or HEAD without a login, with an expired one, or with one that is not as strong or as fresh as the
	// tier wants, are redirected to it, with what is wanted and a signed word on where they came from (package
	// authz/returnto). Anything else gets the plain refusal.
	URL string `yaml:"url"`
}
