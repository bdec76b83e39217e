package world

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
)

// good is what a healthy laptop reports: the eight signals' attributes, and its platform.
var good = []struct {
	attribute string
	value     signals.Value
}{
	{"compromised", signals.Bool(false)}, {"disk_encryption", signals.Bool(true)}, {"edr_healthy", signals.Bool(true)},
	{"firewall", signals.Bool(true)}, {"mdm_managed", signals.Bool(true)}, {"platform", signals.Text("macos")},
	{"screen_lock", signals.Bool(true)}, {"secure_boot", signals.Bool(true)}, {"supervised", signals.Bool(true)},
}

// enrolledUser is what is reported besides: for whom a laptop is enrolled, by the name in their token.
const enrolledUser = "enrolled_user"

func userOf(i int) string {
	if i == 0 {
		return asker
	}
	return fmt.Sprintf("user-%06d@acme.example", i)
}

// Posture is that of laptop i; laptop 0 is the one that asks.
func (w *World) Posture(i int, at time.Time) (signals.Posture, error) {
	fingerprint := w.Laptop.Fingerprint()
	if i > 0 {
		sum := sha256.Sum256(fmt.Appendf(nil, "laptop %d", i))
		fingerprint = hex.EncodeToString(sum[:])
	}
	return PostureOf(i, fingerprint, at)
}

// PostureOf is the posture of laptop i with a certificate of that fingerprint: ten facts of one source.
func PostureOf(i int, fingerprint string, at time.Time) (signals.Posture, error) {
	certificate, err := signals.NewAlias(signals.AliasCertificate, fingerprint)
	if err != nil {
		return signals.Posture{}, err
	}
	serial, err := signals.NewAlias(signals.AliasSerial, fmt.Sprintf("C02BENCH%06d", i))
	if err != nil {
		return signals.Posture{}, err
	}
	o := signals.Observation{Aliases: []signals.Alias{certificate, serial}}
	for _, g := range good {
		o.Facts = append(o.Facts, signals.Fact{Attribute: g.attribute, Value: g.value, Source: source,
			Path: "data.attributes." + g.attribute, Observed: at, Received: at})
	}
	o.Facts = append(o.Facts, signals.Fact{Attribute: enrolledUser, Value: signals.Text(userOf(i)), Source: source,
		Path: "data.attributes." + enrolledUser, Observed: at, Received: at})
	posture, _ := signals.Posture{
		Device: signals.DeviceID(fmt.Sprintf("dev-%06d", i)), Revision: signals.NextRevision(0, at),
	}.Merge(o)
	return posture, nil
}

// writers is how many write at once; the store lets them share its transactions.
const writers = 256

// writeStore makes a store file with n laptops.
func (w *World) writeStore(ctx context.Context, file string, n int) error {
	store, err := boltstore.Open(file)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	at := time.Now()
	numbers := make(chan int)
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for i := range numbers {
				posture, err := w.Posture(i, at)
				if err == nil {
					err = store.PutPosture(ctx, posture, 0)
				}
				if err != nil {
					cancel(fmt.Errorf("write laptop %d: %w", i, err))
				}
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		_ = store.Close() // the first fault is the one that says why
		return err
	}
	return store.Close()
}
