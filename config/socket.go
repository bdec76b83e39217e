package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// maxSocketPath keeps below the 104 to 108 bytes that sockaddr_un has (unix(7)).
const maxSocketPath = 100

// Sockets are the paths of the Unix sockets of a process.
type Sockets struct {
	Authz       string // gRPC, envoy.service.auth.v3
	XDS         string // gRPC, aggregated discovery
	Admin       string // the verbs
	IngestAdmin string // the verbs that write shared records
}

// Sockets are in RuntimeDir. It refuses a directory whose socket paths would be longer than 100 bytes.
func (s *Settings) Sockets() (Sockets, error) {
	sockets := Sockets{
		Authz:       filepath.Join(s.RuntimeDir, "authz.sock"),
		XDS:         filepath.Join(s.RuntimeDir, "xds.sock"),
		Admin:       filepath.Join(s.RuntimeDir, "admin.sock"),
		IngestAdmin: filepath.Join(s.RuntimeDir, "ingest-admin.sock"),
	}
	if n := len(sockets.IngestAdmin); n > maxSocketPath {
		return Sockets{}, fmt.Errorf("the socket path %s has %d bytes; at most %d are possible",
			sockets.IngestAdmin, n, maxSocketPath)
	}
	return sockets, nil
}

// SocketDir makes sure that only we can reach sockets in a directory: it is created with mode 0700 if it is absent, and
// refused if it is a symbolic link, belongs to somebody else, or lets group or others in.
func SocketDir(dir string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("the socket directory %q is no absolute path: correct runtimeDir in the settings", dir)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("the socket directory cannot be created: %w; "+
			"create it with mode 0700 for the user that runs tiergate, or set runtimeDir in the settings", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("the socket directory cannot be looked at: %w", err)
	}
	owner, err := ownerOf(info)
	switch {
	case info.Mode()&os.ModeSymlink != 0:
		return fmt.Errorf("the socket directory %s is a symbolic link: name the directory itself in runtimeDir", dir)
	case !info.IsDir():
		return fmt.Errorf("%s is no directory: remove it, or set runtimeDir in the settings", dir)
	case err != nil:
		return err
	case owner != os.Geteuid():
		return fmt.Errorf("the socket directory %s belongs to user %d, not to user %d that runs tiergate: "+
			"remove it or change its owner", dir, owner, os.Geteuid())
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("the socket directory %s has mode %04o, so others may enter it: run chmod 0700 %s",
			dir, info.Mode().Perm(), dir)
	}
	return checkParent(filepath.Dir(dir))
}

// checkParent refuses a parent in which others may replace our directory: one they can write, without the sticky bit.
func checkParent(parent string) error {
	info, err := os.Stat(parent)
	if err != nil {
		return fmt.Errorf("the parent of the socket directory cannot be looked at: %w", err)
	}
	if info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0 {
		return fmt.Errorf("%s has mode %04o, so others may replace the socket directory in it: run chmod o-w %s",
			parent, info.Mode().Perm(), parent)
	}
	return nil
}

func ownerOf(info os.FileInfo) (int, error) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("the owner of %s is not known on this system", info.Name())
	}
	return int(stat.Uid), nil
}

// ListenUnix listens on a Unix socket that only we may connect to, in a directory that passes SocketDir. A socket that a
// dead process left is removed; one that still answers is refused. Closing the listener removes the socket.
func ListenUnix(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the socket path %s has %d bytes; at most %d are possible", path, len(path), maxSocketPath)
	}
	dir := filepath.Dir(path)
	if err := SocketDir(dir); err != nil {
		return nil, err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("the socket cannot be closed to others: %w", err)
	}
	return listener, nil
}

// lockDir keeps two starting processes from each removing the other's new socket as stale. The lock ends with the
// process, so it cannot be left behind.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("the socket directory cannot be opened: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("the socket directory %s cannot be locked: %w", dir, err)
	}
	return func() { f.Close() }, nil
}

// removeStale removes a socket that nobody answers on. Only a refused connection proves that: a full backlog, for one,
// is somebody.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("the socket cannot be looked at: %w", err)
	case info.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("%s exists and is no socket: remove it", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("another tiergate is listening on %s: stop it, or set another runtimeDir", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("the stale socket cannot be removed: %w", err)
	}
	return nil
}
