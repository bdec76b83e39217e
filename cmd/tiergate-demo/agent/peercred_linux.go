package agent

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// peerOf asks the kernel who made the connection (unix(7), SO_PEERCRED): its process and user at that instant.
func peerOf(connection *net.UnixConn) (Caller, error) {
	raw, err := connection.SyscallConn()
	if err != nil {
		return Caller{}, err
	}
	var credentials *unix.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) {
		credentials, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, asked); err != nil {
		return Caller{}, err
	}
	return Caller{PID: int(credentials.Pid), UID: int(credentials.Uid), GID: int(credentials.Gid)}, nil
}
