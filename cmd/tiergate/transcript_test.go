package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tiergate": main, "seed-store": seedStore, "seed-people": seedPeople, "keep-and-die": keepAndDie})
}

// TestTranscripts runs testdata/*.txtar: commands as a user types them, and what they print, to the letter.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			if err := layEnvoy(e); err != nil {
				return err
			}
			return os.CopyFS(e.WorkDir+"/ingress", os.DirFS("../../examples/ingress"))
		},
		UpdateScripts: os.Getenv("UPDATE_TRANSCRIPTS") != "",
	})
}
