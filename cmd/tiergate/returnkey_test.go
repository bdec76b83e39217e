package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/config"
)

// TestReturnKeyOfSettings: a key that others can read, or that is none, keeps the process from starting, and is not printed.
func TestReturnKeyOfSettings(t *testing.T) {
	t.Parallel()
	const good = "dGllcmdhdGUgZXhhbXBsZSBrZXksIG5ldmVyIHVzZSE="
	for name, row := range map[string]struct {
		text string
		mode os.FileMode
		want string // "": it is taken
	}{
		"good": {good + "\n", 0o600, ""}, "read by others": {good, 0o640, "chmod 600"}, "empty": {"\n", 0o600, "is empty"},
		"short": {"c2hvcnQ=", 0o600, "must have 32 to 64"}, "no base64": {good + "!", 0o600, "openssl rand -base64 32"},
	} {
		file := filepath.Join(t.TempDir(), "return.key")
		if err := os.WriteFile(file, []byte(row.text), row.mode); err != nil {
			t.Fatal(err)
		}
		_, err := newReturnKey(&config.Login{KeyFile: file})
		if (err == nil) != (row.want == "") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "login.keyFile: ") || !strings.Contains(err.Error(), row.want) ||
			strings.Contains(err.Error(), good[:20])) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := newReturnKey(nil); err != nil {
		t.Error(err)
	}
	if _, err := newReturnKey(&config.Login{KeyFile: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a key that is not there")
	}
}
