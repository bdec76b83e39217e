package drift

import (
	"fmt"

	"github.com/tiergate/tiergate/xds/dump"
	"github.com/tiergate/tiergate/xds/lint"
)

// maxLinted is how much of a dump is kept to be looked through as a whole, in bytes. What is longer is compared, not linted.
const maxLinted = 16 << 20

// keptDump keeps what passes by, as long as it is not too long.
type keptDump struct {
	text []byte
	long bool
}

// Write never fails.
func (k *keptDump) Write(p []byte) (int, error) {
	if k.long = k.long || len(k.text)+len(p) > maxLinted; k.long {
		k.text = nil
	} else {
		k.text = append(k.text, p...)
	}
	return len(p), nil
}

// lint says what is careless in the configuration as it runs, or why nothing can be said.
func (k *keptDump) lint(origin string) (findings []lint.Finding, why string) {
	if k.long {
		return []lint.Finding{}, fmt.Sprintf("the dump is longer than %d MiB; lint a bootstrap or a part of it", maxLinted>>20)
	}
	config, err := dump.Read(k.text, origin)
	if err != nil {
		return []lint.Finding{}, err.Error()
	}
	return append([]lint.Finding{}, lint.Check(config)...), ""
}
