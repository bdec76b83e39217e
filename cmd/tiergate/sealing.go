package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/checkpoint"
	"github.com/tiergate/tiergate/signals/replica"
)

// sealedStore is the shared store as a receiver uses it: what it writes is signed, and only what is signed counts. An
// embedded store has one owner and is as safe as its file; nothing in it is signed.
func sealedStore(s *config.Settings, store signals.Store) (signals.Store, error) {
	r := s.Store.Redis
	if r == nil || r.Unsealed {
		return store, nil
	}
	sealer, checker, err := sealKeys(r.Seal)
	if err != nil {
		return nil, err
	}
	return signals.Sealed(store, sealer, checker), nil
}

// sealKeys reads a receiver's own key and those that it believes, its own among them.
func sealKeys(seal *config.Seal) (*signals.Sealer, *signals.Checker, error) {
	if seal.KeyFile == "" {
		return nil, nil, fmt.Errorf("store.redis.seal.keyFile is not set, so that what this process writes would count nowhere; "+
			"make a key with: %s; and name seal.key there", config.SealKeys)
	}
	text, err := readSecret(seal.KeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("store.redis.seal.keyFile: %w; make a key with: %s", err, config.SealKeys)
	}
	sealer, err := signals.NewSealer([]byte(text))
	if err != nil {
		return nil, nil, fmt.Errorf("store.redis.seal.keyFile: %s: %w", seal.KeyFile, err)
	}
	checker, err := sealChecker(seal)
	if err != nil {
		return nil, nil, err
	}
	if !checker.Knows(sealer.Key()) {
		return nil, nil, fmt.Errorf("store.redis.seal: %s is key %s, and no file of trustFiles holds its public half, so every "+
			"sidecar would refuse what this process writes; write it with: openssl pkey -in %[1]s -pubout; and name it in trustFiles, "+
			"here and at every sidecar", seal.KeyFile, sealer.Key())
	}
	return sealer, checker, nil
}

func sealChecker(seal *config.Seal) (*signals.Checker, error) {
	texts := make([][]byte, 0, len(seal.TrustFiles))
	for i, file := range seal.TrustFiles {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("store.redis.seal.trustFiles[%d]: %w", i, err)
		}
		texts = append(texts, text)
	}
	checker, err := signals.NewChecker(texts...)
	if err != nil {
		return nil, fmt.Errorf("store.redis.seal.trustFiles: %w", err)
	}
	return checker, nil
}

// believedPostures are the postures of the store as a sidecar reads them, and how its copy is to be kept. Its own records are
// nobody's word on a device; they go to the store itself.
func believedPostures(s *config.Settings, o *observer, store signals.Store) (signals.Postures, replica.Options, error) {
	r, options := s.Store.Redis, replica.Options{Events: o.replicaChecked()}
	switch {
	case r == nil:
		return store, options, nil
	case r.Unsealed:
		o.log.Warn("store.redis.unsealed: nothing in the store is signed, so whoever can write to it decides which devices are " +
			"healthy")
		return store, options, nil
	}
	checker, err := sealChecker(r.Seal)
	if err != nil {
		return nil, options, err
	}
	records := signals.Sealed(store, nil, checker) // it only reads
	options.MaxAge = r.Seal.CheckpointMaxAge
	options.Checkpoint = func(ctx context.Context) (*checkpoint.Checkpoint, error) { return checkpoint.Read(ctx, records) }
	return signals.CheckedPostures(store, checker), options, nil
}

// keptStore is a sealed store as its receiver uses it, and what keeps its checkpoint; nil where nothing is sealed.
func keptStore(s *config.Settings, o *observer, store signals.Store, name string) (signals.Store, *checkpoint.Keeper) {
	if r := s.Store.Redis; r == nil || r.Unsealed {
		return store, nil
	}
	if name == "" {
		name = rand.Text()
	}
	keeper := checkpoint.New(store, checkpoint.Options{Name: name, Events: o.keeper()})
	return keeper.Guard(), keeper
}
