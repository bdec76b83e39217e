package ingest

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// The ids of deliveries are remembered for 96 hours, however many they are: an id that is forgotten sooner could be
// replayed. What is bounded is how many new ones a source may bring in that time (Options.MaxRemembered); beyond that its
// deliveries are refused with 429 until the oldest run out.
//
// Nothing is counted by reading: every receiver reserves ids in blocks, in one record per source and hour, which expires
// when the last id of its hour has. A block that a crash left half used stays counted, so the count is too high rather
// than too low; one that an hour began with is not carried into the next.
const (
	// KindReserved are the counts; the key is SOURCE/HOURS-SINCE-1970 and the value a decimal number.
	KindReserved = "delivery-count"
	reserveFor   = rememberFor + 2*time.Hour // its own hour, and one in which the delivery may wait in the inbox
	mostReserved = 256                       // ids of one block
	// earlierFor is how long the sum of the hours before is believed; it only gets smaller.
	earlierFor = time.Minute
	// fullFor is how long a source that is full is refused without looking again.
	fullFor = 2 * time.Second
	// longestWait bounds Retry-After: the oldest id may have days to go.
	longestWait = time.Hour
)

// ledger is what one receiver has reserved for one source. Its lock is a channel, because it is held during calls.
type ledger struct {
	lock chan struct{}
	reservation
}

// reservation is the part of a ledger that an hour begins anew.
type reservation struct {
	hour    int64
	left    int
	earlier int // ids of the other hours
	oldest  time.Time
	read    time.Time // when earlier was
	full    time.Time // refused until then
}

func newLedger() *ledger { return &ledger{lock: make(chan struct{}, 1)} }

// reserve takes one id of a source's bound; if there is none, it says after what time to ask again.
func (r *Receiver) reserve(ctx context.Context, source string) (wait time.Duration, ok bool, err error) {
	l := r.ledgers[source]
	select {
	case l.lock <- struct{}{}:
		defer func() { <-l.lock }()
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
	now := r.now()
	hour := now.Unix() / 3600
	if l.hour != hour {
		l.reservation = reservation{hour: hour} // not the lock, which others are waiting for
	}
	if l.left > 0 {
		l.left--
		return 0, true, nil
	}
	if now.Before(l.full) {
		return l.wait(now), false, nil
	}
	if now.Sub(l.read) > earlierFor {
		if err := r.readEarlier(ctx, l, source, now); err != nil {
			return 0, false, err
		}
	}
	for range attempts {
		got, err := r.reserveBlock(ctx, l, source, now)
		switch {
		case errors.Is(err, signals.ErrConflict):
			continue
		case err != nil:
			return 0, false, err
		case got == 0:
			l.full, l.read = now.Add(fullFor), time.Time{}
			return l.wait(now), false, nil
		}
		l.left = got - 1
		return 0, true, nil
	}
	return 0, false, errBusy
}

// unreserve gives back an id that was not needed.
func (r *Receiver) unreserve(ctx context.Context, source string) {
	l := r.ledgers[source]
	select {
	case l.lock <- struct{}{}:
		if l.hour == r.now().Unix()/3600 {
			l.left++
		}
		<-l.lock
	case <-ctx.Done(): // it stays counted
	}
}

func (l *ledger) wait(now time.Time) time.Duration {
	if l.oldest.IsZero() {
		return longestWait
	}
	return min(max(l.oldest.Sub(now), fullFor), longestWait)
}

// readEarlier sums up the other hours.
func (r *Receiver) readEarlier(ctx context.Context, l *ledger, source string, now time.Time) error {
	earlier, oldest := 0, time.Time{}
	_, err := r.store.EachRecord(ctx, KindReserved, func(record signals.Record) error {
		from, text := splitKey(record.Key)
		hour, err := strconv.ParseInt(text, 10, 64)
		if from != source || err != nil {
			return nil
		}
		if expires := time.Unix(hour*3600, 0).Add(reserveFor); oldest.IsZero() || expires.Before(oldest) {
			oldest = expires
		}
		if hour != l.hour {
			earlier += reserved(record.Value, r.maxRemembered)
		}
		return nil
	})
	if err != nil && !errors.Is(err, signals.ErrCorrupt) {
		return err
	}
	l.earlier, l.oldest, l.read = earlier, oldest, now
	return nil
}

// reserved reads a count. One that cannot be read counts as full: it would only be too low otherwise.
func reserved(value []byte, full int) int {
	n, err := strconv.Atoi(strings.TrimSpace(string(value)))
	if err != nil || n < 0 {
		return full
	}
	return n
}

// reserveBlock adds a block to the count of this hour, as large as there is room for; 0: there is none.
func (r *Receiver) reserveBlock(ctx context.Context, l *ledger, source string, now time.Time) (int, error) {
	key := source + "/" + strconv.FormatInt(l.hour, 10)
	before, err := r.store.Record(ctx, KindReserved, key)
	current := 0
	switch {
	case err == nil:
		current = reserved(before.Value, r.maxRemembered)
	case !errors.Is(err, signals.ErrNotFound):
		return 0, err
	}
	block := max(1, min(mostReserved, r.maxRemembered/1000))
	if block = min(block, r.maxRemembered-l.earlier-current); block <= 0 {
		return 0, nil
	}
	return block, r.store.PutRecord(ctx, signals.Record{
		Kind: KindReserved, Key: key, Revision: signals.NextRevision(before.Revision, now),
		Expires: time.Unix(l.hour*3600, 0).Add(reserveFor), Value: []byte(strconv.Itoa(current + block)),
	}, before.Revision)
}
