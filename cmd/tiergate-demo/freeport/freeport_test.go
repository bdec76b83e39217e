package freeport

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// asChild has this program, run again, find ports until its standard input ends.
const asChild = "TIERGATE_FREEPORT_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) == "" {
		os.Exit(m.Run())
	}
	for range 50 {
		address, err := Address()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(address)
	}
	fmt.Println("all")
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// No port is given out twice, somebody can listen on each, and it is no port that is taken. Programs that this process starts
// meanwhile hold, from fork until exec, every socket that was open at the fork: none of them is one of ours.
func TestNoPortTwice(t *testing.T) {
	t.Parallel()
	done, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- startUntil(done) }()
	seen := map[string]bool{}
	for range 500 {
		address, err := Address()
		if err != nil || seen[address] {
			t.Fatalf("%q, seen %t: %v", address, seen[address], err)
		}
		seen[address] = true
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
	}
	close(done)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// startUntil starts one program after the other until done is closed.
func startUntil(done <-chan struct{}) error {
	for {
		select {
		case <-done:
			return nil
		default:
		}
		if err := exec.Command(os.Args[0], "-test.run=^$").Run(); err != nil {
			return err
		}
	}
}

// Where somebody listens, on this address or on all, is not free.
func TestTakenIsNotFree(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", ""} {
		listener, err := net.Listen("tcp", host+":0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil || free("127.0.0.1:"+port) {
			t.Errorf("somebody listens on %s: %v", listener.Addr(), err)
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What another process was given, and does not use yet, is taken until that process ends. Not in parallel: this process must not be
// given them when the other has ended.
func TestClaimsOfOtherProcesses(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // there is nothing to claim with
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), asChild+"=1")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var theirs []string
	for {
		var line string
		if _, err := fmt.Fscanln(stdout, &line); err != nil {
			t.Fatal(err)
		}
		if line == "all" {
			break
		}
		theirs = append(theirs, line)
	}
	if len(theirs) != 50 || !strings.HasPrefix(theirs[0], "127.0.0.1:") {
		t.Fatalf("%q", theirs)
	}
	for _, address := range theirs {
		if _, taken := claim(address); !taken {
			t.Errorf("%s is given out again", address)
		}
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, address := range theirs {
		claimed, taken := claim(address)
		if taken {
			t.Fatalf("%s stays taken", address)
		}
		_ = claimed.Close()
	}
}
