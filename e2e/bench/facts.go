package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"google.golang.org/grpc"
)

var versionNumber = regexp.MustCompile(`\d+\.\d+\.\d+`)

// versionOf runs a program for its version.
func versionOf(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	said, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %v: %w (make tools)", program, args, err)
	}
	version := versionNumber.Find(said)
	if version == nil {
		return "", errors.New(program + " tells no version")
	}
	return filepath.Base(program) + " " + string(version), nil
}

// printMachine tells what it was measured on; busy is what the machine did before the bench began.
func printMachine(out io.Writer, busy string) {
	fmt.Fprintf(out, "%d cores, %s, load average before the bench %s; %s %s/%s; grpc-go %s\n",
		runtime.NumCPU(), processor(), busy, runtime.Version(), runtime.GOOS, runtime.GOARCH, grpc.Version)
}
