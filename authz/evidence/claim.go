package evidence

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// claimWithin is how long a claim that was given up may still be held: by a process that this one is just starting, until
// that has become the program that it is to be, or by one that is on its way out.
const claimWithin = 3 * time.Second

// ErrTaken says that another process has claimed what a lock file stands for.
var ErrTaken = errors.New("another process has claimed it")

// Claim takes a lock file for as long as it is open, or until the process ends; it makes one where there is none. The error is
// ErrTaken, an *fs.PathError where the file cannot be opened, or flock's.
func Claim(path string) (*os.File, error) {
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		f, err := tryClaim(path)
		if !errors.Is(err, ErrTaken) || time.Since(began) > claimWithin {
			return f, err
		}
	}
}

func tryClaim(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrTaken
		}
		return nil, err
	}
	return f, nil
}
