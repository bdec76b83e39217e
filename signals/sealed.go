package signals

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
)

// Sealed is a Store as a receiver uses it: every posture and record that it writes is signed, and of what it reads only
// what is signed counts. What is not answers as ErrCorrupt: it is not built upon, and never signed anew.
//
// A sealed record's value begins with its seal. Records that others write too, such as a sidecar's own, go to the store
// itself.
func Sealed(store Store, sealer *Sealer, checker *Checker) Store {
	return &sealed{Store: store, Postures: CheckedPostures(store, checker), sealer: sealer, checker: checker}
}

// CheckedPostures reads postures and believes those that a known receiver signed, which it returns without their seals; the
// others are ErrCorrupt. Writing goes through as it is.
func CheckedPostures(store Postures, checker *Checker) Postures {
	return &checkedPostures{Postures: store, checker: checker}
}

type checkedPostures struct {
	Postures
	checker *Checker
}

func (c *checkedPostures) check(p *Posture) error {
	if err := c.checker.check(p.Seal, p.content()); err != nil {
		return fmt.Errorf("posture %q: %w: %w", p.Device, err, ErrCorrupt)
	}
	return nil
}

// Posture implements Postures.
func (c *checkedPostures) Posture(ctx context.Context, device DeviceID) (Posture, error) {
	p, err := c.Postures.Posture(ctx, device)
	if err != nil {
		return Posture{}, err
	}
	if err := c.check(&p); err != nil {
		return Posture{}, err
	}
	p.Seal = nil
	return p, nil
}

// EachPosture implements Postures.
func (c *checkedPostures) EachPosture(
	ctx context.Context, yield func(Posture) error, corrupt func(DeviceID, error),
) (Cursor, error) {
	each := c.Postures.EachPosture
	if many, ok := c.Postures.(ManyPostures); ok {
		each = many.EachPostureAtOnce
	}
	var one sync.Mutex // verifying takes most of the time, and is done at once
	tell := func(device DeviceID, err error) {
		one.Lock()
		defer one.Unlock()
		if corrupt != nil {
			corrupt(device, err)
		}
	}
	return each(ctx, func(p Posture) error {
		if err := c.check(&p); err != nil {
			tell(p.Device, err)
			return nil
		}
		p.Seal = nil
		one.Lock()
		defer one.Unlock()
		return yield(p)
	}, tell)
}

type sealed struct {
	Store
	Postures Postures // checked
	sealer   *Sealer
	checker  *Checker
}

// Posture implements Postures.
func (s *sealed) Posture(ctx context.Context, device DeviceID) (Posture, error) {
	return s.Postures.Posture(ctx, device)
}

// EachPosture implements Postures.
func (s *sealed) EachPosture(
	ctx context.Context, yield func(Posture) error, corrupt func(DeviceID, error),
) (Cursor, error) {
	return s.Postures.EachPosture(ctx, yield, corrupt)
}

// PutPosture implements Postures. A stored posture that is not ours is not overwritten: it may stand where an alarm stood.
func (s *sealed) PutPosture(ctx context.Context, p Posture, expected Revision) error {
	seal := s.sealer.sign(p.content())
	p.Seal = &seal
	return s.Store.PutPosture(ctx, p, expected)
}

// Record implements Records.
func (s *sealed) Record(ctx context.Context, kind, key string) (Record, error) {
	r, err := s.Store.Record(ctx, kind, key)
	if err != nil {
		return Record{}, err
	}
	return s.open(r)
}

// PutRecord implements Records.
func (s *sealed) PutRecord(ctx context.Context, r Record, expected Revision) error {
	return s.Store.PutRecord(ctx, s.seal(r), expected)
}

// seal puts the seal before a record's value.
func (s *sealed) seal(r Record) Record {
	seal := s.sealer.sign(r.content(r.Value))
	b := appendText(nil, seal.Key)
	b = appendText(b, string(seal.Signature))
	r.Value = append(b, r.Value...)
	return r
}

// EachRecord implements Records. A record that nobody of ours has signed is given without its value: it is there, and says
// nothing.
func (s *sealed) EachRecord(ctx context.Context, kind string, yield func(Record) error) (Cursor, error) {
	return s.Store.EachRecord(ctx, kind, func(r Record) error {
		opened, err := s.open(r)
		if err != nil {
			r.Value = nil
			return yield(r)
		}
		return yield(opened)
	})
}

// open takes the seal off a record.
func (s *sealed) open(r Record) (Record, error) {
	key, rest, ok := cutText(r.Value)
	signature, value, ok2 := cutText(rest)
	if !ok || !ok2 {
		return Record{}, fmt.Errorf("record %s %q: nobody has signed it: %w", r.Kind, r.Key, ErrCorrupt)
	}
	if err := s.checker.check(&Seal{Key: key, Signature: []byte(signature)}, r.content(value)); err != nil {
		return Record{}, fmt.Errorf("record %s %q: %w: %w", r.Kind, r.Key, err, ErrCorrupt)
	}
	r.Value = value
	return r, nil
}

func cutText(b []byte) (text string, rest []byte, ok bool) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return "", nil, false
	}
	end := n + int(length) // not more than len(b)
	return string(b[n:end]), b[end:], true
}
