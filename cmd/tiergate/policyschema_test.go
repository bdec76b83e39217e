package main

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// fullDisk takes no byte.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// Half a schema, or none, is never taken for one: `tiergate policy schema >FILE` fails when FILE cannot hold it.
func TestPolicySchemaOnAFullDisk(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	if status := run(t.Context(), []string{"policy", "schema"}, fullDisk{}, &said); status != exitNo {
		t.Errorf("exit status %d", status)
	}
	if got := said.String(); got != "tiergate: no space left on device\n" {
		t.Errorf("said %q", got)
	}
	if status := run(t.Context(), []string{"policy", "schema"}, io.Discard, &said); status != exitFine {
		t.Errorf("exit status %d", status)
	}
}
