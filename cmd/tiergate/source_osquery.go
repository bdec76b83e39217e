package main

import (
	"fmt"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/osquery"
)

func newOsquery(x *config.Source, _ func(source, device, reason string)) (source.Adapter, error) {
	o := x.Osquery
	secrets, err := readSecrets("osquery.enrollSecretFiles", o.EnrollSecretFiles)
	if err != nil {
		return nil, err
	}
	key, err := readSecret(o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("osquery.keyFile: %w", err)
	}
	adapter, err := osquery.New(osquery.Options{Name: x.Name, EnrollSecrets: secrets, Key: key, Interval: o.Interval})
	if err != nil {
		return nil, fmt.Errorf("osquery.%w", err)
	}
	return adapter, nil
}
