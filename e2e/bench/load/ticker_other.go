//go:build !linux

package load

import "time"

// ticker is time.Ticker where the kernel's own timers are not spoken to.
type ticker struct{ ticker *time.Ticker }

func newTicker(every time.Duration) (*ticker, error) { return &ticker{time.NewTicker(every)}, nil }

func (t *ticker) wait() error {
	<-t.ticker.C
	return nil
}

func (t *ticker) close() { t.ticker.Stop() }
