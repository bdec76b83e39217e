package ssf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiergate/tiergate/signals/source"
)

// What an operator may ask of a stream's transmitter.

// Verify has the transmitter send a verification event now. A *source.Busy says that it was asked too often.
func (m *Manager) Verify(ctx context.Context) error {
	meta, id, err := m.managed()
	if err != nil {
		return err
	}
	asked := time.Now().Round(0).UTC().Truncate(time.Microsecond)
	if err := m.client.verify(ctx, meta, id, m.o.Stream.newState(asked)); err != nil {
		return fmt.Errorf("a verification of stream %q cannot be asked for: %w", id, err)
	}
	m.change(func(s *Status) { s.Asked = asked })
	return nil
}

// Delete ends the stream at the transmitter. This process makes no other.
func (m *Manager) Delete(ctx context.Context) error {
	meta, id, err := m.managed()
	if err != nil {
		return err
	}
	if err := m.client.delete(ctx, meta, id); err != nil && !errors.Is(err, source.ErrGone) {
		return fmt.Errorf("stream %q cannot be deleted: %w", id, err)
	}
	m.mu.Lock()
	m.deleted = true
	m.status.State, m.status.StreamID, m.status.Delivered = "deleted", "", nil
	m.mu.Unlock()
	m.look()
	return m.forgetStored(ctx)
}

// Statuses are what a stream's status may be asked to be (SSF 1.0 section 8.1.2): a paused transmitter holds events back, a
// disabled one drops them.
var Statuses = []string{"enabled", "paused", "disabled"}

// SetStatus has the transmitter enable, pause or disable the stream; reason, which may be empty, is for its operators.
func (m *Manager) SetStatus(ctx context.Context, status, reason string) error {
	if !slices.Contains(Statuses, status) {
		return fmt.Errorf("%.40q is no status of a stream; use one of %v", status, Statuses)
	}
	meta, id, err := m.managed()
	if err != nil {
		return err
	}
	now, err := m.client.setStatus(ctx, meta, streamStatus{ID: id, Status: status, Reason: reason})
	if err != nil {
		return fmt.Errorf("the status of stream %q cannot be changed: %w", id, err)
	}
	m.change(func(s *Status) { m.looked, s.State, s.Reason = time.Now(), now.Status, short(now.Reason) })
	m.o.Stream.o.Events.Updated(now.Status, short(now.Reason))
	if now.Status != status {
		return fmt.Errorf("the transmitter was asked for %s, and stream %q is %.40s; it may take a while: see tiergate ssf list", status, id,
			now.Status)
	}
	return nil
}

// Subject adds a subject to the stream, or removes it; it is JSON as sub_id has it.
func (m *Manager) Subject(ctx context.Context, subject json.RawMessage, add bool) error {
	if _, err := ReadSubject(subject, false); err != nil {
		return err
	}
	meta, id, err := m.managed()
	if err != nil {
		return err
	}
	return m.client.subject(ctx, meta, id, subject, add)
}

// errUnmanaged answers what only a managed stream can do.
var errUnmanaged = errors.New("the stream is not managed, or not there yet: see its state and fault")

func (m *Manager) managed() (metadata, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.o.Managed || m.status.StreamID == "" {
		return metadata{}, "", errUnmanaged
	}
	return m.meta, m.status.StreamID, nil
}
