package engine

import "time"

// A look at 10,000 devices is 100 ms of work at once. In a process that also decides, on one core, decisions would wait for
// it as long as the scheduler lets it run, 10 ms; so there it works a little and then leaves the core to them.
const (
	breathAfter = 200 * time.Microsecond
	breathFor   = 4 * breathAfter
)

// breath is how a look makes way. The zero value makes none.
type breath struct {
	beside bool // decisions are made in this process
	since  time.Time
	slept  time.Duration // in this look
}

func (b *breath) begin() { b.since, b.slept = time.Now(), 0 }

// take is called between two devices.
func (b *breath) take() {
	if !b.beside {
		return
	}
	began := time.Now()
	if began.Sub(b.since) < breathAfter {
		return
	}
	time.Sleep(breathFor)
	b.since = time.Now()
	b.slept += b.since.Sub(began)
}
