package signals

import (
	"context"
	"errors"
)

// Exchanger is a store that can put one record and delete another in one atomic step, which saves the time of a second one.
type Exchanger interface {
	// Exchange stores put if there is none of its kind and key, and deletes the record of kind remove under the same key if
	// its revision is expected. ErrConflict: one of both is not so, and nothing was done. errors.ErrUnsupported: this store
	// cannot; do the one and then the other. Any other error: either both were done or nothing.
	Exchange(ctx context.Context, put Record, remove string, expected Revision) error
}

// Exchange implements Exchanger as far as the store below does.
func (s *sealed) Exchange(ctx context.Context, put Record, remove string, expected Revision) error {
	below, ok := s.Store.(Exchanger)
	if !ok {
		return errors.ErrUnsupported
	}
	return below.Exchange(ctx, s.seal(put), remove, expected)
}
