//go:build !linux

package agent

import (
	"fmt"
	"net"
	"runtime"
)

// peerOf needs SO_PEERCRED, which only Linux has.
func peerOf(*net.UnixConn) (Caller, error) {
	return Caller{}, fmt.Errorf("%s has no SO_PEERCRED; run the demo's agent on Linux", runtime.GOOS)
}
