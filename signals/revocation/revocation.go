package revocation

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Kind is the kind of these records in a store.
const Kind = "revocation"

// Sort is what a revocation says.
type Sort string

// The sorts of revocations.
const (
	// Ended: logins at or before the instant count no longer.
	Ended Sort = "ended"
	// Risk: how much the subject is to be feared since the instant; Level says it. It voids no login, but may refuse all of them.
	Risk Sort = "risk"
)

// Levels are the levels of a Risk, the harmless first. OpenID CAEP 1.0, risk-level-change.
var Levels = []string{"low", "medium", "high"}

// Revocation is what a transmitter said of one subject. At least one of User, Email, Session and Device is set; of several
// all must fit.
type Revocation struct {
	Sort   Sort   `json:"sort"`
	Issuer string `json:"issuer,omitempty"` // the issuer's name in the settings; empty: of any (of a device only)
	User   string `json:"user,omitempty"`   // the sub claim
	Email  string `json:"email,omitempty"`  // in lower case
	// Session is the issuer's own id of a session, as tokens have it in sid.
	Session string `json:"session,omitempty"`
	Device  string `json:"device,omitempty"` // an alias of a device, KIND:VALUE as signals.Alias writes it
	// NotBefore: what was issued or logged in at or before this instant is void.
	NotBefore time.Time `json:"notBefore"`
	Level     string    `json:"level,omitempty"` // of a Risk, one of Levels
	// Refuses, of a Risk: whatever login the subject comes with is refused, for as long as this is the last word.
	Refuses bool   `json:"refuses,omitempty"`
	Reason  string `json:"reason,omitempty"` // for operators
	Event   string `json:"event,omitempty"`  // the jti of the SET
	Stream  string `json:"stream,omitempty"` // who said so, by its name in the settings
	// Until is when no token can live any more that was issued before NotBefore.
	Until time.Time `json:"until"`
}

// maxText bounds each text of a revocation.
const maxText = 1024

// Key names the subject and the sort: two revocations of one key are joined.
func (r Revocation) Key() string {
	var b []byte
	for _, text := range []string{string(r.Sort), r.Issuer, r.User, r.Email, r.Session, r.Device} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Check says why a revocation cannot count, or nil.
func (r Revocation) Check() error {
	switch {
	case r.Sort != Ended && r.Sort != Risk:
		return fmt.Errorf("%.40q is no sort of revocation", r.Sort)
	case r.User == "" && r.Email == "" && r.Session == "" && r.Device == "":
		return errors.New("the revocation names nobody")
	case r.User != "" && r.Email != "":
		return errors.New("the revocation names a user twice, by sub and by email; write two")
	case r.Issuer == "" && (r.User != "" || r.Email != "" || r.Session != ""):
		return errors.New("the revocation names no issuer, and users and sessions are an issuer's")
	case r.NotBefore.IsZero() || !r.Until.After(r.NotBefore):
		return errors.New("the revocation has no instant, or ends before it")
	case r.Sort == Risk && !slices.Contains(Levels, r.Level):
		return fmt.Errorf("%.40q is no level of risk", r.Level)
	case r.Sort != Risk && r.Refuses:
		return errors.New("the revocation refuses later logins too, which only a risk can")
	case r.Email != strings.ToLower(r.Email):
		return errors.New("the revocation's email is not in lower case")
	}
	return r.checkTexts()
}

func (r Revocation) checkTexts() error {
	for _, text := range []string{r.Issuer, r.User, r.Email, r.Session, r.Device, r.Reason, r.Event, r.Stream} {
		if len(text) > maxText {
			return fmt.Errorf("a text of the revocation has %d bytes; the limit is %d", len(text), maxText)
		}
		if strings.ContainsRune(text, 0) { // which the places of a Table use
			return errors.New("a text of the revocation has a NUL")
		}
	}
	return nil
}

// Join returns the one of two revocations of one key that counts: the newest, of one instant the worse. It counts until the
// later of both ends. Join is commutative, associative and idempotent.
func Join(a, b Revocation) Revocation {
	newest := a
	if order(a, b) < 0 {
		newest = b
	}
	if a.Until.After(newest.Until) {
		newest.Until = a.Until
	}
	if b.Until.After(newest.Until) {
		newest.Until = b.Until
	}
	return newest
}

func order(a, b Revocation) int {
	return cmp.Or(a.NotBefore.Compare(b.NotBefore),
		worse(&a, &b), cmp.Compare(a.Event, b.Event), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Stream, b.Stream))
}

// worse orders two risks, of which one that refuses is the worse whatever the levels are: streams may draw the line elsewhere.
func worse(a, b *Revocation) int {
	if a.Refuses != b.Refuses {
		if a.Refuses {
			return 1
		}
		return -1
	}
	return cmp.Compare(slices.Index(Levels, a.Level), slices.Index(Levels, b.Level))
}

// Record is the revocation as a store keeps it, until Until; the revision is the caller's to set.
func (r Revocation) Record() (signals.Record, error) {
	// Round(0) drops the monotonic reading and UTC the zone, so that what is stored is what is compared.
	r.NotBefore, r.Until = r.NotBefore.Round(0).UTC(), r.Until.Round(0).UTC()
	if err := r.Check(); err != nil {
		return signals.Record{}, err
	}
	value, err := json.Marshal(r)
	if err != nil {
		return signals.Record{}, fmt.Errorf("the revocation cannot be written: %w", err)
	}
	return signals.Record{Kind: Kind, Key: r.Key(), Expires: r.Until, Value: value}, nil
}

// Read reads what Record made. The error wraps signals.ErrCorrupt: a record whose key is not its own, as one that somebody
// moved, counts as little as one that cannot be read.
func Read(record signals.Record) (Revocation, error) {
	var r Revocation
	if err := json.Unmarshal(record.Value, &r); err != nil {
		return Revocation{}, fmt.Errorf("revocation %.80q: %w: %w", record.Key, signals.ErrCorrupt, err)
	}
	if err := r.Check(); err != nil {
		return Revocation{}, fmt.Errorf("revocation %.80q: %w: %w", record.Key, signals.ErrCorrupt, err)
	}
	place, _, _ := strings.Cut(record.Key, "~") // it stands beside a record that nobody of ours has signed
	if r.Key() != place || record.Kind != Kind {
		return Revocation{}, fmt.Errorf("revocation %.80q is stored under the key of another: %w", record.Key,
			signals.ErrCorrupt)
	}
	return r, nil
}
