package checkpoint

import (
	"context"
	"errors"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Standing is how a store stands to its checkpoint.
type Standing struct {
	Checkpoint *Checkpoint // nil: there is none that can be believed
	Fault      string      // why not; empty: there is one, or neither one nor a device
	Devices    int         // that the store shows, signed
	RolledBack int         // of them, older than the checkpoint says
	Missing    int         // devices of the checkpoint that the store does not show
	Some       []string    // the first of both, by id or by mark
}

// someMost bounds Standing.Some.
const someMost = 100

// Compare looks at every device of a sealed store. It writes nothing.
func Compare(ctx context.Context, store signals.Store) (Standing, error) {
	var s Standing
	c, err := Read(ctx, store)
	none := errors.Is(err, signals.ErrNotFound)
	switch {
	case errors.Is(err, signals.ErrNotFound), errors.Is(err, signals.ErrCorrupt):
		s.Fault, c = err.Error(), &Checkpoint{}
	case err != nil:
		return s, err
	default:
		s.Checkpoint = c
	}
	var shown []signals.DeviceID
	note := func(what string) {
		if len(s.Some) < someMost {
			s.Some = append(s.Some, what)
		}
	}
	_, err = store.EachPosture(ctx, func(p signals.Posture) error {
		s.Devices++
		shown = append(shown, p.Device)
		if p.Revision < c.Revision(p.Device) {
			s.RolledBack++
			note("older than the checkpoint: posture " + string(p.Device))
		}
		return nil
	}, func(device signals.DeviceID, _ error) { shown = append(shown, device) }) // there, and told by others
	if err != nil {
		return s, err
	}
	for _, m := range c.Without(func(yield func(signals.DeviceID) bool) {
		for _, device := range shown {
			if !yield(device) {
				return
			}
		}
	}) {
		s.Missing++
		note("not in the store: the device with mark " + m.String())
	}
	if s.Checkpoint == nil && len(shown) == 0 && none {
		s.Fault = ""
	}
	return s, nil
}

// Vouch writes a new checkpoint of what a sealed store shows, whatever the one before said. Whoever calls it vouches for that;
// no keeper may run.
func Vouch(ctx context.Context, store signals.Store, name string, now time.Time) error {
	k := New(store, Options{Name: name, Now: func() time.Time { return now }})
	if _, err := store.EachPosture(ctx, func(p signals.Posture) error {
		k.raise(p.Device, p.Revision)
		return nil
	}, nil); err != nil {
		return err
	}
	s, err := read(ctx, store)
	if err != nil {
		return err
	}
	if s.unsigned {
		if err := s.findRevisions(ctx, store); err != nil {
			return err
		}
	}
	for part := range parts {
		s.bad[part] = s.revisions[baseKey(part)] > 0 || s.revisions[deltaKey(part)] > 0
		s.parts[part].base, s.parts[part].delta = nil, nil
	}
	return (&writer{keeper: k, stored: s}).write(ctx)
}
