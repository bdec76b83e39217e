package config_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tiergate/tiergate/config"
)

// shortDir is a directory of ours whose path leaves room for the name of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestSockets(t *testing.T) {
	s := config.Settings{RuntimeDir: "/run/tiergate"}
	got, err := s.Sockets()
	want := config.Sockets{
		Authz: "/run/tiergate/authz.sock", XDS: "/run/tiergate/xds.sock", Admin: "/run/tiergate/admin.sock",
		IngestAdmin: "/run/tiergate/ingest-admin.sock",
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	// ingest-admin.sock is the longest name: 17 bytes and a slash.
	for n, fits := range map[int]bool{82: true, 83: false} {
		s.RuntimeDir = "/" + strings.Repeat("d", n-1)
		if _, err := s.Sockets(); (err == nil) != fits {
			t.Errorf("a directory of %d bytes: %v", n, err)
		}
	}
}

func TestSocketDir(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, base string) (dir string)
		want string // empty: accepted
	}{
		{"absent", func(_ *testing.T, base string) string { return base + "/new" }, ""},
		{"ours", func(t *testing.T, base string) string { return mkdir(t, base+"/d", 0o700) }, ""},
		{"group may enter", func(t *testing.T, base string) string { return mkdir(t, base+"/d", 0o710) },
			"the socket directory $BASE/d has mode 0710, so others may enter it: run chmod 0700 $BASE/d"},
		{"others may write", func(t *testing.T, base string) string { return mkdir(t, base+"/d", 0o702) },
			"the socket directory $BASE/d has mode 0702, so others may enter it: run chmod 0700 $BASE/d"},
		{"parent of everybody", func(t *testing.T, base string) string { return mkdir(t, mkdir(t, base+"/p", 0o777)+"/d", 0o700) },
			"$BASE/p has mode 0777, so others may replace the socket directory in it: run chmod o-w $BASE/p"},
		{"sticky parent", func(t *testing.T, base string) string {
			return mkdir(t, mkdir(t, base+"/p", 0o777|os.ModeSticky)+"/d", 0o700)
		}, ""},
		{"link", func(t *testing.T, base string) string {
			mkdir(t, base+"/d", 0o700)
			if err := os.Symlink("d", base+"/l"); err != nil {
				t.Fatal(err)
			}
			return base + "/l"
		}, "the socket directory $BASE/l is a symbolic link: name the directory itself in runtimeDir"},
		{"file", func(t *testing.T, base string) string {
			if err := os.WriteFile(base+"/f", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return base + "/f"
		}, "$BASE/f is no directory: remove it, or set runtimeDir in the settings"},
		{"no parent", func(_ *testing.T, base string) string { return base + "/a/b" },
			"the socket directory cannot be created: mkdir $BASE/a/b: no such file or directory; " +
				"create it with mode 0700 for the user that runs tiergate, or set runtimeDir in the settings"},
		{"relative", func(*testing.T, string) string { return "run" },
			`the socket directory "run" is no absolute path: correct runtimeDir in the settings`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := shortDir(t)
			dir := tt.make(t, base)
			err := config.SocketDir(dir)
			if tt.want == "" {
				if info, errStat := os.Lstat(dir); err != nil || errStat != nil || info.Mode() != 0o700|os.ModeDir {
					t.Errorf("%v, %v, %v", err, info, errStat)
				}
				return
			}
			if err == nil || strings.ReplaceAll(err.Error(), base, "$BASE") != tt.want {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}

// A directory that belongs to somebody else: root can make one, any other user finds / there.
func TestSocketDirOfSomebodyElse(t *testing.T) {
	dir, owner := "/", 0
	if os.Geteuid() == 0 {
		dir, owner = mkdir(t, shortDir(t)+"/d", 0o700), 65534
		if err := os.Chown(dir, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	want := fmt.Sprintf("the socket directory %s belongs to user %d, not to user %d that runs tiergate: "+
		"remove it or change its owner", dir, owner, os.Geteuid())
	if err := config.SocketDir(dir); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// mkdir makes a directory with exactly this mode, whatever the umask.
func mkdir(t *testing.T, dir string, mode os.FileMode) string {
	t.Helper()
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestListenUnix(t *testing.T) {
	path := filepath.Join(shortDir(t), "run", "authz.sock")
	first, err := config.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	want := "another tiergate is listening on " + path + ": stop it, or set another runtimeDir"
	if _, err := config.ListenUnix(path); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if conn, err := net.Dial("unix", path); err != nil {
		t.Error("the refused second listener cost the first its socket:", err)
	} else {
		conn.Close()
	}
	// A process that is killed leaves its socket behind.
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close()
	second, err := config.ListenUnix(path)
	if err != nil {
		t.Fatal("a stale socket was not replaced:", err)
	}
	second.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("closing left the socket behind:", err)
	}
}

func TestListenUnixRefuses(t *testing.T) {
	dir := shortDir(t)
	file := filepath.Join(dir, "f.sock")
	if err := os.WriteFile(file, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(dir, strings.Repeat("s", 100))
	for path, want := range map[string]string{
		file:        file + " exists and is no socket: remove it",
		long:        fmt.Sprintf("the socket path %s has %d bytes; at most 100 are possible", long, len(long)),
		"@abstract": `the socket directory "." is no absolute path: correct runtimeDir in the settings`,
	} {
		if _, err := config.ListenUnix(path); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "data" {
		t.Error("the file is gone", err)
	}
}

// A listener with a full backlog is somebody, not a stale socket.
func TestListenUnixRespectsAFullBacklog(t *testing.T) {
	path := filepath.Join(shortDir(t), "busy.sock")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	waiting, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	if _, err := config.ListenUnix(path); err == nil || !strings.HasPrefix(err.Error(), "another tiergate is listening") {
		t.Errorf("got %v", err)
	}
}

// Of many that start at once over a stale socket, exactly one listens, and it can be reached.
func TestListenUnixOnlyOneWins(t *testing.T) {
	path := filepath.Join(shortDir(t), "race.sock")
	stale, err := config.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()
	var wins atomic.Int32
	var group sync.WaitGroup
	listeners := make(chan net.Listener, 16)
	for range 16 {
		group.Go(func() {
			if l, err := config.ListenUnix(path); err == nil {
				wins.Add(1)
				listeners <- l
			}
		})
	}
	group.Wait()
	close(listeners)
	conn, err := net.Dial("unix", path)
	if err != nil || wins.Load() != 1 {
		t.Errorf("%d listen, dial: %v", wins.Load(), err)
	} else {
		conn.Close()
	}
	for l := range listeners {
		l.Close()
	}
}
