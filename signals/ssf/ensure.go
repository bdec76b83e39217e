package ssf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// KindStream is the kind of the records that say which stream at a transmitter is ours, so that every receiver uses one. The key
// is the stream's name in the settings.
const KindStream = "ssf-stream"

// stored is the value of such a record.
type stored struct {
	Issuer string `json:"issuer"`
	ID     string `json:"streamID"`
}

// ensure returns the stream as the transmitter has it: the one that the settings name, else the one that the store knows, else
// one of ours that the transmitter lists, else a new one.
func (m *Manager) ensure(ctx context.Context, meta metadata) (config, error) {
	id := m.o.StreamID
	if id == "" {
		var err error
		if id, err = m.load(ctx); err != nil {
			return config{}, err
		}
	}
	if id != "" {
		found, err := m.client.read(ctx, meta, id)
		if err == nil {
			return m.fit(ctx, meta, found)
		}
		if !errors.Is(err, source.ErrGone) || m.o.StreamID != "" {
			return config{}, fmt.Errorf("stream %q: %w", id, err)
		}
		if err := m.forgetStored(ctx); err != nil { // the transmitter has ended it, as after a time without polls
			return config{}, err
		}
	}
	found, made, err := m.findOrMake(ctx, meta)
	if err != nil {
		return config{}, err
	}
	ours, err := m.remember(ctx, found.ID)
	if err != nil {
		return config{}, err
	}
	if ours != found.ID { // another receiver was faster
		if made {
			if err := m.client.delete(ctx, meta, found.ID); err != nil && !errors.Is(err, source.ErrGone) {
				return config{}, fmt.Errorf("stream %q, which is one too many: %w", found.ID, err)
			}
		}
		if found, err = m.client.read(ctx, meta, ours); err != nil {
			return config{}, fmt.Errorf("stream %q: %w", ours, err)
		}
	}
	return m.fit(ctx, meta, found)
}

// wanted is how the stream should be.
func (m *Manager) wanted() config {
	c := config{Delivery: configDeliver{Method: MethodPoll}, Requested: m.o.Events, Description: "tiergate " + m.o.Stream.Name()}
	if m.o.PushURL != "" {
		c.Delivery = configDeliver{Method: MethodPush, Endpoint: m.o.PushURL}
		if m.o.PushToken != "" {
			c.Delivery.Authorization = "Bearer " + m.o.PushToken
		}
	}
	return c
}

// isOurs knows a stream by where it pushes to, or if it is polled by what we called it.
func (m *Manager) isOurs(c config) bool {
	wanted := m.wanted()
	if c.Delivery.Method != wanted.Delivery.Method {
		return false
	}
	if m.o.PushURL != "" {
		return c.Delivery.Endpoint == m.o.PushURL
	}
	return c.Description == wanted.Description
}

func (m *Manager) findOrMake(ctx context.Context, meta metadata) (found config, made bool, err error) {
	all, err := m.client.list(ctx, meta)
	if err != nil && !errors.Is(err, source.ErrGone) {
		return config{}, false, fmt.Errorf("the transmitter's streams: %w", err)
	}
	if at := slices.IndexFunc(all, m.isOurs); at >= 0 {
		return all[at], false, nil
	}
	if len(meta.Methods) > 0 && !slices.Contains(meta.Methods, m.wanted().Delivery.Method) {
		return config{}, false, fmt.Errorf("the transmitter delivers by %v and not by %s; change delivery", meta.Methods,
			m.wanted().Delivery.Method)
	}
	found, err = m.client.create(ctx, meta, m.wanted())
	switch {
	case errors.Is(err, errConflict) && len(all) == 1:
		return all[0], false, nil // it allows one, and that is made ours
	case errors.Is(err, errConflict):
		return config{}, false, fmt.Errorf("%w, and lists %d; delete one, or name ours in streamID", err, len(all))
	case err != nil:
		return config{}, false, fmt.Errorf("no stream could be made: %w", err)
	}
	return found, true, nil
}

// fit checks who sends what to whom, and has the transmitter change what is not as wanted.
func (m *Manager) fit(ctx context.Context, meta metadata, c config) (config, error) {
	if c.Issuer != "" && c.Issuer != m.o.Client.Issuer {
		return config{}, fmt.Errorf("stream %q is of issuer %.200q, and the settings name %q; nothing of it is taken", c.ID, c.Issuer,
			m.o.Client.Issuer)
	}
	ours := m.o.Stream.o.Audiences
	if len(c.Audience) > 0 && !slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(ours, a) }) {
		return config{}, fmt.Errorf("stream %q is for audience %.200q, and the settings name %q; add one to audiences", c.ID, c.Audience,
			ours)
	}
	wanted := m.wanted()
	asked, wants := slices.Sorted(slices.Values(c.Requested)), slices.Sorted(slices.Values(wanted.Requested))
	same := c.Delivery.Method == wanted.Delivery.Method && slices.Equal(asked, wants) &&
		(wanted.Delivery.Endpoint == "" || c.Delivery.Endpoint == wanted.Delivery.Endpoint)
	if same || m.o.Poll.Kolide { // whose streams are made in its own way
		return c, nil
	}
	wanted.ID = c.ID
	updated, err := m.client.update(ctx, meta, wanted)
	if err != nil {
		return config{}, fmt.Errorf("stream %q cannot be changed: %w", c.ID, err)
	}
	if updated.ID == "" {
		return m.client.read(ctx, meta, c.ID)
	}
	return updated, nil
}

// load returns the id that the store has; one of another issuer, as after a change of the settings, is none.
func (m *Manager) load(ctx context.Context) (string, error) {
	record, err := m.o.Records.Record(ctx, KindStream, m.o.Stream.Name())
	if errors.Is(err, signals.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("which stream is ours is not known: %w", err)
	}
	var s stored
	if err := json.Unmarshal(record.Value, &s); err != nil {
		return "", fmt.Errorf("which stream is ours cannot be read: %w", err)
	}
	if s.Issuer != m.o.Client.Issuer {
		return "", m.forgetStored(ctx)
	}
	return s.ID, nil
}

// remember writes the id unless another is there, and returns the one that is.
func (m *Manager) remember(ctx context.Context, id string) (string, error) {
	value, err := json.Marshal(stored{Issuer: m.o.Client.Issuer, ID: id})
	if err != nil {
		return "", err
	}
	err = m.o.Records.PutRecord(ctx, signals.Record{Kind: KindStream, Key: m.o.Stream.Name(),
		Revision: signals.NextRevision(0, time.Now()), Value: value}, 0)
	if errors.Is(err, signals.ErrConflict) {
		return m.load(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("which stream is ours could not be kept: %w", err)
	}
	return id, nil
}

func (m *Manager) forgetStored(ctx context.Context) error {
	record, err := m.o.Records.Record(ctx, KindStream, m.o.Stream.Name())
	if err == nil {
		err = m.o.Records.DeleteRecord(ctx, KindStream, m.o.Stream.Name(), record.Revision)
	}
	if errors.Is(err, signals.ErrNotFound) {
		return nil
	}
	return err
}
