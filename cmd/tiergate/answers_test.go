package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/config"
)

// TestAnswersOfOnesOwn: none, good ones, and a fault that says where it is and keeps the process from starting.
func TestAnswersOfOnesOwn(t *testing.T) {
	t.Parallel()
	if texts, err := newAnswers(config.Answers{}); err != nil || texts.Choose("de").Tag != "de" {
		t.Error(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "en.yaml")
	for text, fault := range map[string]string{
		"reasons: {posture: {title: Mend it}}":  "",
		"reasons: {postures: {title: Mend it}}": `answers.dir: ` + file + `:1:11: "postures" is none of the reasons`,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		texts, err := newAnswers(config.Answers{Dir: dir})
		switch {
		case fault == "" && (err != nil || texts.Choose("").Reason("posture").Title != "Mend it"):
			t.Error(err)
		case fault != "" && (err == nil || !strings.HasPrefix(err.Error(), fault)):
			t.Errorf("%v, want %s", err, fault)
		}
	}
}
