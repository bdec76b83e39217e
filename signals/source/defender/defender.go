// Package defender is Microsoft Defender for Endpoint. It has no webhook, so its list of machines is asked for. The
// README beside this file shows how to connect one.
package defender

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// Options say what a tenant of Defender is to us.
type Options struct {
	Name string // the source's name in the settings
	// Client's base is https://api.securitycenter.microsoft.com, or that of a region or national cloud.
	Client *source.Client
	// PageSize is how many machines are asked for at once, 1 to 10,000; default 1,000.
	PageSize int
	// SeenWithin, if not 0, leaves out machines that were silent for longer: they count as gone. At least MinSeenWithin.
	SeenWithin time.Duration
	// JoinDuplicates joins a machine with isPotentialDuplication to the device of its aadDeviceId as well; else such a one
	// stands alone, since it is in doubt which machine it is.
	JoinDuplicates bool
	// Unreadable is told of a machine whose record in the list does not have Defender's shape: it is listed, and nothing
	// of it counts. It may be called at once from several goroutines; nil: nobody is told.
	Unreadable func(id string, reason error)
	Now        func() time.Time // default time.Now
}

// The bounds of Options.
const (
	DefaultPageSize = 1000
	MaxPageSize     = 10_000
	// MinSeenWithin: a machine reports in full about once a day.
	MinSeenWithin = 48 * time.Hour
)

// Adapter is one tenant. It is immutable.
type Adapter struct {
	source.Silent
	opts Options
}

var _ source.Inventory = (*Adapter)(nil)

// New makes an adapter; it asks nobody yet. The error names the option that is at fault.
func New(opts Options) (*Adapter, error) {
	if opts.Client == nil {
		return nil, errors.New("a defender source needs a client: machines are asked for")
	}
	if _, err := signals.NewAlias(signals.AliasVendor, opts.Name+"/1"); err != nil || opts.Name == "" {
		return nil, fmt.Errorf("%q cannot name a source", opts.Name)
	}
	opts.PageSize = cmp.Or(opts.PageSize, DefaultPageSize)
	if opts.PageSize < 1 || opts.PageSize > MaxPageSize {
		return nil, fmt.Errorf("pageSize is %d; give 1 to %d", opts.PageSize, MaxPageSize)
	}
	if opts.SeenWithin != 0 && opts.SeenWithin < MinSeenWithin {
		return nil, fmt.Errorf("seenWithin is %s; give at least %s, or 0 for all machines", opts.SeenWithin, MinSeenWithin)
	}
	if opts.Unreadable == nil {
		opts.Unreadable = func(string, error) {}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Adapter{opts: opts}, nil
}

const machinesPath = "/api/machines"

// isID knows the ids of machines: 40 hex digits were seen, their length is not documented.
func isID(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "0123456789abcdefABCDEF") == ""
}

// Alias implements source.Inventory. id is the machine's.
func (a *Adapter) Alias(id string) (signals.Alias, error) {
	if !isID(id) {
		return signals.Alias{}, fmt.Errorf("%.80q is no machine of Defender; its ids are hex digits", id)
	}
	return signals.NewAlias(signals.AliasVendor, a.opts.Name+"/"+strings.ToLower(id))
}

// cursor is a place in a listing: how many machines were read, and since when a machine must have been seen, in seconds
// since 1970 (0: ever). The instant is that of the first page, so that all pages are of one list.
type cursor struct {
	since int64
	skip  int
}

func (a *Adapter) place(text string) (cursor, error) {
	var c cursor
	if text == "" {
		if a.opts.SeenWithin > 0 {
			c.since = a.opts.Now().Add(-a.opts.SeenWithin).Unix()
		}
		return c, nil
	}
	since, skip, _ := strings.Cut(text, "/")
	var err, bad error
	c.since, err = strconv.ParseInt(since, 10, 64)
	c.skip, bad = strconv.Atoi(skip)
	if err != nil || bad != nil || c.since < 0 || c.skip <= 0 {
		return c, fmt.Errorf("%.40q is no place in the list of machines; begin again", text)
	}
	return c, nil
}

// Page implements source.Inventory. The list ends with a page that has no machines, and not with a short one: a server
// may give fewer at once than it is asked for. Total is not known.
func (a *Adapter) Page(ctx context.Context, at string) (source.Page, error) {
	c, err := a.place(at)
	if err != nil {
		return source.Page{}, err
	}
	query := url.Values{"$top": {strconv.Itoa(a.opts.PageSize)}, "$skip": {strconv.Itoa(c.skip)}}
	if c.since > 0 {
		query.Set("$filter", "lastSeen gt "+time.Unix(c.since, 0).UTC().Format(time.RFC3339))
	}
	raw, err := a.opts.Client.GetJSON(ctx, machinesPath, query)
	if errors.Is(err, source.ErrGone) { // a list that is not there says nothing of any machine
		return source.Page{}, fmt.Errorf("there is no %s; check api.url", machinesPath)
	}
	if err != nil {
		return source.Page{}, fmt.Errorf("the machines from %d on: %w", c.skip, err)
	}
	var answer struct {
		Value *[]json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Value == nil {
		return source.Page{}, errors.New(`the answer has no array "value"; check api.url`)
	}
	var page source.Page
	for i, raw := range *answer.Value {
		o, gone, err := a.listed(raw)
		if err != nil {
			return source.Page{}, fmt.Errorf("the machines from %d on, entry %d: %w", c.skip, i, err)
		}
		if !gone {
			page.Observations = append(page.Observations, o)
		}
	}
	if n := len(*answer.Value); n > 0 {
		page.Next = fmt.Sprintf("%d/%d", c.since, c.skip+n)
	}
	return page, nil
}

// listed reads one machine of the list. One that cannot be read is listed without facts: it is there, and what was
// known of it goes on ageing. One without an id ends the listing, because nobody could say which machine is not
// missing. One that was merged into another is there no more.
func (a *Adapter) listed(raw json.RawMessage) (o signals.Observation, gone bool, err error) {
	var who struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(raw, &who) // what has no id is no object either
	alias, err := a.Alias(who.ID)
	if err != nil {
		return o, false, err
	}
	var m machine
	if err = json.Unmarshal(raw, &m); err == nil {
		if m.MergedInto != "" {
			return o, true, nil
		}
		if o, err = a.observed(&m); err == nil {
			return o, false, nil
		}
	}
	a.opts.Unreadable(strings.ToLower(who.ID), fmt.Errorf("the record does not have Defender's shape: %w", err))
	return signals.Observation{Aliases: []signals.Alias{alias}}, false, nil
}

// Device implements source.Inventory: GET /api/machines/{id}. A machine that was merged into another, or was silent for
// longer than SeenWithin, is gone. An answer about another machine is an error: its facts would stand on the wrong
// device.
func (a *Adapter) Device(ctx context.Context, id string) ([]signals.Observation, error) {
	if _, err := a.Alias(id); err != nil {
		return nil, err
	}
	raw, err := a.opts.Client.GetJSON(ctx, machinesPath+"/"+strings.ToLower(id), nil)
	if err != nil {
		return nil, fmt.Errorf("machine %s: %w", id, err)
	}
	var m machine
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("machine %s: the answer does not have Defender's shape: %w", id, err)
	}
	if !strings.EqualFold(m.ID, id) {
		return nil, fmt.Errorf("machine %s: the answer is not about this machine; check api.url", id)
	}
	if m.MergedInto != "" {
		return nil, fmt.Errorf("machine %s was merged into %.80q: %w", id, m.MergedInto, source.ErrGone)
	}
	o, err := a.observed(&m)
	if err != nil {
		return nil, fmt.Errorf("machine %s: %w", id, err)
	}
	seen, _ := source.Instant(m.LastSeen)
	if within := a.opts.SeenWithin; within > 0 && !seen.IsZero() && a.opts.Now().Sub(seen) > within {
		return nil, fmt.Errorf("machine %s was last seen at %s: %w", id, seen.Format(time.RFC3339), source.ErrGone)
	}
	return []signals.Observation{o}, nil
}
