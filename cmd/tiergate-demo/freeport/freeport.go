// Package freeport finds ports on loopback for servers that are told their port before they listen.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// The ports that are given out are none of those from which the kernel gives to whoever connects (ip_local_port_range, from
// 32768 on Linux), one of which may be gone again before it is used.
const (
	first, last = 10_000, 32_000
	tries       = 1000
)

// given are the ports that this process has given out: each is free until somebody listens there.
var given sync.Map

// Address is a port on loopback where nobody listens, HOST:PORT. No other call gives it out while this process lives: in no
// process of this machine, on Linux; elsewhere in this process.
func Address() (string, error) {
	for range tries {
		address := fmt.Sprintf("127.0.0.1:%d", first+rand.N(last-first)) //nolint:gosec // G404: any will do
		if claim, taken := claim(address); taken {
			continue
		} else if _, ours := given.LoadOrStore(address, claim); ours {
			continue
		}
		if free(address) {
			return address, nil
		}
	}
	return "", fmt.Errorf("find a free port: none of %d between %d and %d is", tries, first, last)
}

// For is Address for a test, which ends without one.
func For(t interface {
	Helper()
	Fatal(args ...any)
},
) string {
	t.Helper()
	address, err := Address()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// free asks by connecting. A listener of our own would answer as well, but every program that this process starts just then
// holds it too from fork until exec, and keeps the port from who is to listen there.
func free(address string) bool {
	connection, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		_ = connection.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// claim listens on an abstract socket (unix(7)) that is named after the port: one process can, and it ends with the process.
func claim(address string) (claimed net.Listener, taken bool) {
	if runtime.GOOS != "linux" {
		return nil, false
	}
	claimed, err := net.Listen("unix", "@tiergate-port-"+address)
	return claimed, err != nil
}
