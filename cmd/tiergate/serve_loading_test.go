package main

import (
	"context"
	"slices"
	"testing"
)

// TestLoading: what came at the last moment is not said to be missing; a process once ended over asking why it was.
func TestLoading(t *testing.T) {
	t.Parallel()
	there, ended := make(chan struct{}), t.Context()
	close(there)
	ended, cancel := context.WithCancel(ended)
	cancel()
	for range 100 { // where two are ready, select takes either
		got := loading(ended, []loads{{there, "a"}, {nil, "b"}, {there, "c"}, {nil, "d"}})
		if !slices.Equal(got, []string{"b", "d"}) {
			t.Fatalf("missing %q", got)
		}
	}
	if got := loading(t.Context(), []loads{{there, "a"}, {there, "b"}}); got != nil {
		t.Errorf("missing %q", got)
	}
}
