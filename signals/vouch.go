package signals

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"
)

// Vouched is what Vouch found, by sort of thing: "posture" or the kind of a record.
type Vouched struct {
	Sealed     map[string]int    // a key that counts has signed them
	Unsealed   map[string]int    // nobody whose word counts has signed them as they stand
	Names      []string          // the first hundred of those
	Unreadable []string          // what the store could not read, which cannot be signed
	Changed    map[string]string // what was written meanwhile and is as its writer left it, with why
}

// maxVouchedNames bounds Vouched.Names.
const maxVouchedNames = 100

// Vouch looks at every posture and at every record of the kinds, in the store itself, and signs what a receiver whose key
// counts has not signed: as it stands, under its next revision. Whoever calls it vouches for what is there. With sign false
// nothing is written.
//
// It reads each sort of thing whole before it writes; a receiver that writes meanwhile wins. After an error of the store it
// can be called again, and goes on from where it was.
func Vouch(ctx context.Context, store Store, sealer *Sealer, checker *Checker, kinds []string, now time.Time, sign bool) (
	Vouched, error,
) {
	v := &vouching{store: store, sealer: sealer, checker: checker, now: now, sign: sign, found: Vouched{
		Sealed: map[string]int{}, Unsealed: map[string]int{}, Changed: map[string]string{},
	}}
	err := v.postures(ctx)
	for _, kind := range kinds {
		if err != nil {
			break
		}
		err = v.records(ctx, kind)
	}
	return v.found, err
}

type vouching struct {
	store   Store
	sealer  *Sealer
	checker *Checker
	now     time.Time
	sign    bool
	found   Vouched
}

func (v *vouching) postures(ctx context.Context) error {
	const what = "posture"
	var open []Posture
	_, err := v.store.EachPosture(ctx, func(p Posture) error {
		if v.checker.check(p.Seal, p.content()) == nil {
			v.found.Sealed[what]++
			return nil
		}
		open = append(open, p)
		v.note(what, string(p.Device))
		return nil
	}, func(_ DeviceID, err error) {
		v.found.Unreadable = append(v.found.Unreadable, err.Error())
	})
	if err != nil {
		return fmt.Errorf("the postures cannot be read: %w", err)
	}
	for _, p := range open {
		before := p.Revision
		p.Revision, p.Checkpointed = NextRevision(before, v.now), true // whoever vouches makes a checkpoint of it
		seal := v.sealer.sign(p.content())
		p.Seal = &seal
		if err := v.wrote(what, string(p.Device), func() error { return v.store.PutPosture(ctx, p, before) }); err != nil {
			return err
		}
	}
	return nil
}

func (v *vouching) records(ctx context.Context, kind string) error {
	var open []Record
	seals := &sealed{checker: v.checker}
	_, err := v.store.EachRecord(ctx, kind, func(r Record) error {
		if _, err := seals.open(r); err == nil {
			v.found.Sealed[kind]++
			return nil
		}
		r.Value = withoutSeal(r.Value)
		open = append(open, r)
		v.note(kind, r.Key)
		return nil
	})
	switch {
	case errors.Is(err, ErrCorrupt): // told at the end of a whole walk
		v.found.Unreadable = append(v.found.Unreadable, err.Error())
	case err != nil:
		return fmt.Errorf("the records of kind %s cannot be read: %w", kind, err)
	}
	write := &sealed{Store: v.store, sealer: v.sealer}
	for _, r := range open {
		before := r.Revision
		r.Revision = NextRevision(before, v.now)
		if err := v.wrote(kind, r.Key, func() error { return write.PutRecord(ctx, r, before) }); err != nil {
			return err
		}
	}
	return nil
}

// wrote writes one, unless nothing is to be written.
func (v *vouching) wrote(what, key string, put func() error) error {
	if !v.sign {
		return nil
	}
	err := put()
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		v.found.Changed[what+" "+key] = err.Error()
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s %q cannot be signed: %w", what, key, err)
	}
	return nil
}

func (v *vouching) note(what, key string) {
	v.found.Unsealed[what]++
	if len(v.found.Names) < maxVouchedNames {
		v.found.Names = append(v.found.Names, fmt.Sprintf("%s %q", what, key))
	}
}

// withoutSeal takes off what has the form of a seal: that of another key, or of another version of the record.
func withoutSeal(value []byte) []byte {
	key, rest, ok := cutText(value)
	signature, rest, ok2 := cutText(rest)
	if !ok || !ok2 || len(key) != 2*nameBytes || len(signature) != ed25519.SignatureSize {
		return value
	}
	return rest
}
