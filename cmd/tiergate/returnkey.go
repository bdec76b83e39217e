package main

import (
	"fmt"

	"github.com/tiergate/tiergate/authz/returnto"
	"github.com/tiergate/tiergate/config"
)

// newReturnKey reads the key that is shared with the login application; without settings there is none.
func newReturnKey(l *config.Login) (returnto.Key, error) {
	if l == nil {
		return returnto.Key{}, nil
	}
	secret, err := readSecret(l.KeyFile)
	if err != nil {
		return returnto.Key{}, fmt.Errorf("login.keyFile: %w", err)
	}
	key, err := returnto.ParseKey([]byte(secret))
	if err != nil {
		return returnto.Key{}, fmt.Errorf("login.keyFile: %s: %w", l.KeyFile, err)
	}
	return key, nil
}
