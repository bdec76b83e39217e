package admin

import (
	"context"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"syscall"
)

// peerKey finds the peer in the context of a request.
type peerKey struct{}

// withPeer notes who connected, as the kernel says (SO_PEERCRED, unix(7)). Over TCP nobody is named.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return ctx
	}
	var peer *syscall.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) {
		peer, asked = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err != nil || asked != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, peer.Uid)
}

// Peer is the user who sent a request over a Unix socket, such as "ana (uid 1000)", or "uid 1000" where that user has no
// name. It is false where the kernel did not say.
func Peer(ctx context.Context) (string, bool) {
	uid, ok := ctx.Value(peerKey{}).(uint32)
	if !ok {
		return "", false
	}
	id := strconv.FormatUint(uint64(uid), 10)
	if known, err := user.LookupId(id); err == nil {
		return fmt.Sprintf("%s (uid %s)", known.Username, id), true
	}
	return "uid " + id, true
}
