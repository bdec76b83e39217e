package boltstore

import (
	"context"

	bolt "go.etcd.io/bbolt"

	"github.com/tiergate/tiergate/signals"
)

var posturesFeed = feedName{postures: true}

// Posture implements signals.Postures. It reads memory only.
func (s *Store) Posture(ctx context.Context, device signals.DeviceID) (signals.Posture, error) {
	if err := s.usable(ctx); err != nil {
		return signals.Posture{}, err
	}
	s.mu.RLock()
	h, ok := s.postures[device]
	s.mu.RUnlock()
	switch {
	case !ok:
		return signals.Posture{}, signals.ErrNotFound
	case h.corrupt != nil:
		return signals.Posture{}, h.corrupt
	}
	return *h.posture.Posture(), nil
}

// PutPosture implements signals.Postures. A stored value that cannot be read is not overwritten (ErrCorrupt): it
// may hold an alarm.
func (s *Store) PutPosture(ctx context.Context, p signals.Posture, expected signals.Revision) error {
	if err := firstOf(s.usable(ctx), signals.CheckKey("device", string(p.Device)), signals.CheckRevision(p.Revision, expected)); err != nil {
		return err
	}
	raw, err := encodePosture(p)
	if err != nil {
		return err
	}
	// What is kept in memory is what a restart would read.
	kept, err := decodePosture(p.Device, raw)
	if err != nil {
		return err
	}
	return s.write(func(tx *bolt.Tx) (change, error) {
		bucket, key := tx.Bucket(bucketPostures), []byte(p.Device)
		var revision signals.Revision
		if old := bucket.Get(key); old != nil {
			stored, err := decodePosture(p.Device, old)
			if err != nil {
				return change{}, err
			}
			revision = stored.Revision
		}
		if revision != expected {
			return change{}, signals.ErrConflict
		}
		return change{feed: posturesFeed, key: string(p.Device), posture: signals.Pack(&kept)}, putPosture(tx, key, raw)
	})
}

// EachPosture implements signals.Postures. It yields the postures as they were at one instant, that of the cursor.
func (s *Store) EachPosture(
	ctx context.Context, yield func(signals.Posture) error, corrupt func(signals.DeviceID, error),
) (signals.Cursor, error) {
	if err := s.usable(ctx); err != nil {
		return "", err
	}
	s.mu.Lock()
	cursor := s.now(posturesFeed)
	all := make([]held, 0, len(s.postures))
	broken := map[signals.DeviceID]error{}
	for device, h := range s.postures {
		if h.corrupt != nil {
			broken[device] = h.corrupt
			continue
		}
		all = append(all, h)
	}
	s.mu.Unlock()
	for device, err := range broken {
		if corrupt != nil {
			corrupt(device, err)
		}
	}
	for _, h := range all {
		if err := s.usable(ctx); err != nil {
			return "", err
		}
		if err := yield(*h.posture.Posture()); err != nil {
			return "", err
		}
	}
	return cursor, nil
}

// WatchPostures implements signals.Postures.
func (s *Store) WatchPostures(ctx context.Context, from signals.Cursor, yield func(signals.Change) error) error {
	return s.watch(ctx, posturesFeed, from, yield)
}
