package load

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ticker is a timer of the kernel (timerfd_create(2)) that the runtime waits for as it does for sockets: exact to some
// µs, and it keeps no core busy.
type ticker struct{ file *os.File }

func newTicker(every time.Duration) (*ticker, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a timer: %w", err)
	}
	t := &ticker{file: os.NewFile(uintptr(fd), "timer")}
	beat := unix.NsecToTimespec(every.Nanoseconds())
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: beat, Value: beat}, nil); err != nil {
		t.close()
		return nil, fmt.Errorf("set a timer: %w", err)
	}
	return t, nil
}

// wait returns at the next beat, or at once if one has passed since the last call.
func (t *ticker) wait() error {
	var beats [8]byte
	_, err := t.file.Read(beats[:])
	return err
}

func (t *ticker) close() { _ = t.file.Close() } // a timer has nothing to lose
