package signals_test

import (
	"context"

	"github.com/tiergate/tiergate/signals"
)

// shelf holds one posture and one record, whatever they are asked for by, as a store in the hands of a stranger would. The
// real stores are run under the seals in their own packages.
type shelf struct {
	signals.Store
	posture signals.Posture
	record  signals.Record
}

func (s *shelf) Posture(context.Context, signals.DeviceID) (signals.Posture, error) {
	return s.posture, nil
}

func (s *shelf) PutPosture(_ context.Context, p signals.Posture, _ signals.Revision) error {
	s.posture = p
	return nil
}

func (s *shelf) EachPosture(
	_ context.Context, yield func(signals.Posture) error, _ func(signals.DeviceID, error),
) (signals.Cursor, error) {
	return "now", yield(s.posture)
}

func (s *shelf) Record(context.Context, string, string) (signals.Record, error) { return s.record, nil }

func (s *shelf) PutRecord(_ context.Context, r signals.Record, _ signals.Revision) error {
	s.record = r
	return nil
}

func (s *shelf) EachRecord(_ context.Context, _ string, yield func(signals.Record) error) (signals.Cursor, error) {
	return "now", yield(s.record)
}
