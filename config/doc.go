// Package config holds the settings of a tiergate process: where to listen, which store, which sources, whom to trust. It
// stands alone: it knows no other package of ours but its own strict YAML reader.
package config
