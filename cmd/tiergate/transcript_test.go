package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
)

func TestMain(m *testing.M) {
	storePatience = 20 * time.Second
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
			address, err := freeport.Address() // nobody else is given it while this process lives; that of a command ends at once
			if err != nil {
				return err
			}
			e.Setenv("FREE_PORT", strings.TrimPrefix(address, "127.0.0.1:"))
			return os.CopyFS(e.WorkDir+"/ingress", os.DirFS("../../examples/ingress"))
		},
		UpdateScripts: os.Getenv("UPDATE_TRANSCRIPTS") != "",
	})
}
