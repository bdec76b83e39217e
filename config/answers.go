package config

// Answers are what refusals say.
type Answers struct {
	// Dir holds texts of one's own, LANGUAGE.yaml each (en.yaml, pt-br.yaml), over those that come with tiergate. `serve` reads
	// it when it starts, and does not start with a text that is wrong or missing. See authz/answers/README.md. Default: none.
	Dir string `yaml:"dir,omitempty"`
}

// answers makes the path absolute; what stands in the files is judged by package answers.
func (c *check) answers(a *Answers) {
	if c.document.Has("answers.dir") {
		c.dir("answers.dir", &a.Dir)
	}
}
