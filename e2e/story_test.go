package e2e_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// TestStory plays the demo as `make demo EXIT=1` does, on both stores; it compares every answer with what is told.
func TestStory(t *testing.T) {
	t.Parallel()
	binaries, err := stage.FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	for _, store := range []string{stage.StoreRedis, stage.StoreEmbedded} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			out, err := exec.CommandContext(soon(t, 8*time.Minute), binaries.Demo, "-exit", "-store="+store).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "Every answer is what the story tells.") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
