package main

import (
	"fmt"

	"github.com/tiergate/tiergate/authz/answers"
	"github.com/tiergate/tiergate/config"
)

// newAnswers are the texts of refusals. With one that is wrong the process does not start: whoever wrote it is there then.
func newAnswers(a config.Answers) (*answers.Catalogue, error) {
	if a.Dir == "" {
		return answers.BuiltIn(), nil
	}
	catalogue, err := answers.Load(a.Dir)
	if err != nil {
		return nil, fmt.Errorf("answers.dir: %w", err)
	}
	return catalogue, nil
}
