package unary_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/unary"
)

// TestConformance has h2spec (RFC 9113 and RFC 7541, 145 cases, strict) ask. Its requests are no gRPC, so that all of them
// are answered 415; what else it wants of a server is the same.
func TestConformance(t *testing.T) {
	tool := filepath.Join("..", "..", ".tools", "bin", "h2spec")
	if _, err := os.Stat(tool); err != nil {
		t.Fatalf("%v: make test builds it", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := unary.New(unary.Options{Methods: methods(nil)})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// It waits for nothing that it gets: its two seconds by default are little where processors are busy.
	out, err := exec.CommandContext(t.Context(), tool, "-h", "127.0.0.1", "-p", port, "-P", echoPath, "-S", "-o", "20").CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 0 skipped, 0 failed") || !strings.Contains(string(out), " passed") {
		t.Errorf("%v\n%s", err, out)
	}
	shutdown(server, 2*time.Second)
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
