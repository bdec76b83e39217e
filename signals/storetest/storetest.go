// Package storetest is the one suite that binds every store to the comments of signals.Postures, signals.Records and
// signals.Store. A store that passes it may stand behind tiergate; a store that cannot pass it is not a store.
package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Corruption is one way in which a stored value can be something else than what it should be.
type Corruption struct {
	Name string
	// Posture replaces the stored value of a device that exists; nil where this corruption cannot happen to a posture.
	Posture func(t *testing.T, s signals.Store, device signals.DeviceID)
	// Record replaces the stored value of a record that exists; nil where this corruption cannot happen to a record.
	Record func(t *testing.T, s signals.Store, kind, key string)
}

// Hooks are what the suite cannot do through the interface. Each may be left out; its checks are then left out too.
type Hooks struct {
	// Reopen ends s as a restart of its process would and returns a store over the same data.
	Reopen func(t *testing.T, s signals.Store) signals.Store
	// Corruptions are planted one by one.
	Corruptions []Corruption
	// OpenForgetful opens an empty store whose change streams no longer reach back over Forgets changes of one key.
	OpenForgetful func(t *testing.T) signals.Store
	Forgets       int
	// Seals: the store signs what it keeps (signals.Sealed), so that a posture's own seal is not what comes out.
	Seals bool
}

// Run runs the suite. open returns a new, empty store each time and closes it when the test that it was given ends.
func Run(t *testing.T, open func(t *testing.T) signals.Store, hooks Hooks) {
	t.Run("Postures", func(t *testing.T) { runPostures(t, open) })
	if !hooks.Seals {
		t.Run("a seal is kept", func(t *testing.T) { keepsSeals(t, open(t)) })
	}
	t.Run("Records", func(t *testing.T) { runRecords(t, open) })
	t.Run("Watch", func(t *testing.T) { runWatch(t, open) })
	t.Run("Races", func(t *testing.T) { runRaces(t, open) })
	t.Run("Ends", func(t *testing.T) { runEnds(t, open) })
	if hooks.Reopen != nil {
		t.Run("Restart", func(t *testing.T) { runRestart(t, open, hooks.Reopen) })
	}
	if hooks.OpenForgetful != nil {
		t.Run("Forgetful", func(t *testing.T) { runForgetful(t, hooks.OpenForgetful, hooks.Forgets) })
	}
	for _, c := range hooks.Corruptions {
		t.Run("Corrupt/"+c.Name, func(t *testing.T) { runCorruption(t, open, c) })
	}
}

// patience is how long the suite waits for what must come; silence is how long it listens for what must not.
const (
	patience = 30 * time.Second
	silence  = 150 * time.Millisecond
)

// odd are keys that a careless encoding would confuse or refuse.
func odd() []string {
	long := make([]byte, 300)
	for i := range long {
		long[i] = "abc{}:/é"[i%7]
	}
	return []string{
		"plain", "a:b", "a", "b", ":", "::", "{", "}", "{}", "{a}b", "a{b}", "with space", "tab\tand\nnewline",
		"nul\x00inside", "ünïcødé-設備-💻", "UPPER", "upper", "*", "[a-z]", "\\", "\"quoted\"", "%2f", "../..", "0", "-1",
		string(long),
	}
}

// posture is a posture that uses every kind of value.
func posture(device string, revision signals.Revision) signals.Posture {
	at := time.Date(2026, 11, 20, 8, 0, 0, 123456789, time.UTC)
	fact := func(attribute string, v signals.Value) signals.Fact {
		return signals.Fact{Attribute: attribute, Value: v, Source: "mdm", Path: "$.a[0]", Observed: at, Received: at}
	}
	return signals.Posture{
		Device: signals.DeviceID(device), Revision: revision,
		Aliases: []signals.Alias{
			{Kind: signals.AliasSerial, Value: "C02{" + device + "}"}, {Kind: signals.AliasVendor, Value: "mdm/" + device},
		},
		Facts: []signals.Fact{
			fact("disk_encryption", signals.Bool(revision%2 == 0)), fact("edr_risk_score", signals.Number(-1.5)),
			fact("os_version", signals.Text(`15.6 "é" <&>`)), fact("secure_boot", signals.Unknown),
		},
		Clearances: []signals.Clearance{
			{Attribute: "compromised", Source: "edr", Until: at.Add(1), Name: "clearance-" + device},
			{Attribute: "compromised", Source: "mdm", Until: at, Name: `of "two" people`},
		},
	}
}

// same fails the test if two values do not read alike.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	g, errG := json.Marshal(got)
	w, errW := json.Marshal(want)
	if errG != nil || errW != nil {
		t.Fatalf("%s: %v, %v", what, errG, errW)
	}
	if string(g) != string(w) {
		t.Fatalf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, s signals.Store, p signals.Posture, expected signals.Revision) {
	t.Helper()
	must(t, s.PutPosture(t.Context(), p, expected))
}

func putRecord(t *testing.T, s signals.Store, r signals.Record, expected signals.Revision) {
	t.Helper()
	must(t, s.PutRecord(t.Context(), r, expected))
}

// readAll reads every posture and fails on a device that comes twice.
func readAll(t *testing.T, s signals.Store) (map[signals.DeviceID]signals.Posture, signals.Cursor) {
	t.Helper()
	all := map[signals.DeviceID]signals.Posture{}
	cursor, err := s.EachPosture(t.Context(), func(p signals.Posture) error {
		if _, twice := all[p.Device]; twice {
			return fmt.Errorf("%q came twice", p.Device)
		}
		all[p.Device] = p
		return nil
	}, nil)
	must(t, err)
	return all, cursor
}

// listening is a Watch that runs beside the test.
type listening struct {
	changes chan signals.Change
	done    chan error
	stop    context.CancelFunc
}

// listen starts watch and ends it with the test.
func listen(t *testing.T, watch func(context.Context, func(signals.Change) error) error) *listening {
	ctx, stop := context.WithCancel(context.Background())
	l := &listening{changes: make(chan signals.Change, 10000), done: make(chan error, 1), stop: stop}
	go func() {
		l.done <- watch(ctx, func(c signals.Change) error {
			l.changes <- c
			return nil
		})
		close(l.done)
	}()
	t.Cleanup(func() {
		stop()
		for range l.done { // closed when the watch has ended; what it ended with was looked at
		}
	})
	return l
}

func watchPostures(t *testing.T, s signals.Store, from signals.Cursor) *listening {
	return listen(t, func(ctx context.Context, yield func(signals.Change) error) error {
		return s.WatchPostures(ctx, from, yield)
	})
}

func watchRecords(t *testing.T, s signals.Store, kind string, from signals.Cursor) *listening {
	return listen(t, func(ctx context.Context, yield func(signals.Change) error) error {
		return s.WatchRecords(ctx, kind, from, yield)
	})
}

func (l *listening) next(t *testing.T) signals.Change {
	t.Helper()
	select {
	case c := <-l.changes:
		return c
	case err := <-l.done:
		t.Fatalf("the watch ended: %v", err)
	case <-time.After(patience):
		t.Fatal("no change came")
	}
	return signals.Change{}
}

func (l *listening) nothing(t *testing.T) {
	t.Helper()
	select {
	case c := <-l.changes:
		t.Fatalf("a change of %q came that nobody made", c.Key)
	case err := <-l.done:
		t.Fatalf("the watch ended: %v", err)
	case <-time.After(silence):
	}
}

func (l *listening) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-l.done:
		return err
	case <-time.After(patience):
		t.Fatal("the watch did not end")
	}
	return nil
}
