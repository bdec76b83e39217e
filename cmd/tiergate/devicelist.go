package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/replica"
)

// deviceFilter is what a list leaves out. The zero filter leaves out nothing.
type deviceFilter struct {
	failing, tier, source, platform, ownership, user string
	silentFor                                        time.Duration
	after                                            signals.DeviceID
	limit                                            int
	summary                                          bool
}

// The parameters of GET /v1/devices.
const (
	paramFailing   = "failing"   // a signal that is failing or unknown
	paramTier      = "tier"      // a tier that refuses the device
	paramSource    = "source"    // a source that reports it
	paramPlatform  = "platform"  // as a source says
	paramOwnership = "ownership" // likewise
	paramUser      = "user"      // enrolled_user
	paramSilentFor = "silentFor" // a duration: no source (or not that of "source") has told anything for so long
	paramAfter     = "after"     // a device id: the page begins behind it
	paramLimit     = "limit"     // lines of a page; 0: all
	paramSummary   = "summary"   // "true": numbers instead of lines
)

func readDeviceFilter(q url.Values) (f deviceFilter, err error) {
	for name := range q {
		if !slices.Contains([]string{paramFailing, paramTier, paramSource, paramPlatform, paramOwnership, paramUser,
			paramSilentFor, paramAfter, paramLimit, paramSummary}, name) {
			return f, fmt.Errorf("there is no parameter %q", name)
		}
	}
	f = deviceFilter{failing: q.Get(paramFailing), tier: q.Get(paramTier), source: q.Get(paramSource),
		platform: q.Get(paramPlatform), ownership: q.Get(paramOwnership), user: q.Get(paramUser),
		after: signals.DeviceID(q.Get(paramAfter)), summary: q.Get(paramSummary) == "true"}
	if text := q.Get(paramSilentFor); text != "" {
		if f.silentFor, err = time.ParseDuration(text); err != nil || f.silentFor <= 0 {
			return f, fmt.Errorf("%s is a time above 0 such as 26h, not %q", paramSilentFor, text)
		}
	}
	if text := q.Get(paramLimit); text != "" {
		if f.limit, err = strconv.Atoi(text); err != nil || f.limit < 0 {
			return f, fmt.Errorf("%s is a number of devices, not %q", paramLimit, text)
		}
	}
	return f, nil
}

// known refuses names that the policy in force does not have: a list that is empty for a typo would be believed.
func (f *deviceFilter) known(s policy.Standing) error {
	names := make([]string, 0, len(s.Signals))
	for i := range s.Signals {
		names = append(names, s.Signals[i].Signal)
	}
	if f.failing != "" && !slices.Contains(names, f.failing) {
		return fmt.Errorf("the policy in force has no signal %q; it has %v", f.failing, names)
	}
	names = names[:0]
	for i := range s.Tiers {
		names = append(names, s.Tiers[i].Tier)
	}
	if f.tier != "" && !slices.Contains(names, f.tier) {
		return fmt.Errorf("in the policy in force no tier %q asks anything of devices; these do: %v", f.tier, names)
	}
	return nil
}

// matches judges what needs no policy.
func (f *deviceFilter) matches(line *admin.DeviceLine, p *signals.Posture, now time.Time) bool {
	if f.platform != "" && f.platform != line.Platform || f.ownership != "" && f.ownership != line.Ownership ||
		f.user != "" && f.user != line.User {
		return false
	}
	if f.source == "" && f.silentFor == 0 {
		return true
	}
	told, newest := false, time.Time{}
	for i := range p.Facts {
		if f.source == "" || p.Facts[i].Source == f.source {
			if at := p.Facts[i].AgesFrom(); !told || at.After(newest) {
				newest = at
			}
			told = true
		}
	}
	if f.source != "" && !told {
		return false
	}
	return f.silentFor == 0 || now.Sub(newest) >= f.silentFor
}

// lineOf describes a device without a policy.
func lineOf(held replica.Held, p *signals.Posture) admin.DeviceLine {
	line := admin.DeviceLine{Device: held.Device, Gone: held.Gone, Names: []signals.Alias{}}
	if held.Corrupt != nil {
		line.Fault = held.Corrupt.Error()
	}
	if p == nil {
		return line
	}
	line.Names = p.Aliases
	newest := map[string]time.Time{}
	for i := range p.Facts {
		f := &p.Facts[i]
		if at := f.AgesFrom(); at.After(line.Newest) {
			line.Newest = at
		}
		into := map[string]*string{"platform": &line.Platform, "ownership": &line.Ownership, "enrolled_user": &line.User}[f.Attribute]
		if text, ok := f.Value.AsText(); ok && into != nil && (*into == "" || f.Observed.After(newest[f.Attribute])) {
			*into, newest[f.Attribute] = text, f.Observed
		}
	}
	return line
}

// judge adds what the policy says, and reports whether the filter leaves the device in.
func (f *deviceFilter) judge(line *admin.DeviceLine, s policy.Standing) bool {
	for i := range s.Signals {
		switch s.Signals[i].Status {
		case policy.StatusFailing:
			line.Failing = append(line.Failing, s.Signals[i].Signal)
		case policy.StatusUnknown:
			line.Unknown = append(line.Unknown, s.Signals[i].Signal)
		case policy.StatusPassing:
		}
	}
	for i := range s.Tiers {
		if s.Tiers[i].Refuses {
			line.Refused = append(line.Refused, s.Tiers[i].Tier)
		}
	}
	return (f.failing == "" || slices.Contains(line.Failing, f.failing) || slices.Contains(line.Unknown, f.failing)) &&
		(f.tier == "" || slices.Contains(line.Refused, f.tier))
}

// each yields the devices that the filter leaves in, in the order of their ids, one unpacked at a time. A device whose
// record cannot be believed, or that the store no longer has, is left in by every filter: nothing can be said of it, least
// of all that it is fine.
func (d *deviceDesk) each(f *deviceFilter, judge authz.Judge, yield func(*admin.DeviceLine, *policy.Standing) bool) {
	now, left := d.now(), f.limit
	all := d.devices.All()
	slices.SortFunc(all, func(a, b replica.Held) int { return cmp.Compare(a.Device, b.Device) })
	for _, held := range all {
		if held.Device <= f.after && f.after != "" {
			continue
		}
		var p *signals.Posture
		if held.Posture != nil {
			p = held.Posture.Posture()
		}
		line, standing := lineOf(held, p), policy.Standing{}
		switch {
		case line.Fault != "" || p == nil:
		case len(p.Aliases) == 0: // retired: it has neither names nor facts
			continue
		case line.Gone:
		default:
			if standing = judge(p, now); !f.matches(&line, p, now) || !f.judge(&line, standing) {
				continue
			}
		}
		if !yield(&line, &standing) {
			return
		}
		if left--; left == 0 {
			return
		}
	}
}

// flushEvery lines the reader has so much time again: a list of all devices may take longer than the server's bound.
const (
	flushEvery  = 500
	flushWithin = 30 * time.Second
)

func (d *deviceDesk) list(w http.ResponseWriter, r *http.Request) {
	if !d.ready(w) {
		return
	}
	f, err := readDeviceFilter(r.URL.Query())
	judge, digest := d.judge()
	var all policy.Standing
	switch {
	case err != nil:
	case judge == nil:
		admin.Refuse(w, http.StatusServiceUnavailable, "no policy is in force yet")
		return
	default:
		all = judge(&signals.Posture{}, d.now())
		err = f.known(all)
	}
	if err != nil {
		admin.Refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if f.summary {
		admin.Answer(w, http.StatusOK, d.summary(&f, judge, all, digest))
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	out, lines := bufio.NewWriterSize(w, 64<<10), 0
	control := http.NewResponseController(w)
	encoder := json.NewEncoder(out)
	d.each(&f, judge, func(line *admin.DeviceLine, _ *policy.Standing) bool {
		if lines++; lines%flushEvery == 0 {
			_ = control.SetWriteDeadline(time.Now().Add(flushWithin)) // without it the list breaks off, and the reader is told
		}
		return encoder.Encode(line) == nil && r.Context().Err() == nil
	})
	_ = out.Flush() // the reader went away; there is nobody to tell
}

// summary counts. all is the standing of a device of which nothing is known: every signal and tier is in it.
func (d *deviceDesk) summary(
	f *deviceFilter, judge authz.Judge, all policy.Standing, digest string,
) admin.DeviceSummary {
	out := admin.DeviceSummary{Policy: digest, Signals: []admin.SignalCount{}, Tiers: []admin.TierCount{}}
	for i := range all.Signals {
		out.Signals = append(out.Signals, admin.SignalCount{Signal: all.Signals[i].Signal})
	}
	demands := make([]map[string]*admin.SignalCount, len(all.Tiers))
	for i := range all.Tiers {
		out.Tiers, demands[i] = append(out.Tiers, admin.TierCount{Tier: all.Tiers[i].Tier}), map[string]*admin.SignalCount{}
	}
	d.each(f, judge, func(line *admin.DeviceLine, s *policy.Standing) bool {
		out.Devices++
		if line.Fault != "" {
			out.Faulty++
			return true
		}
		if line.Gone {
			out.Gone++
			return true
		}
		for i := range s.Signals {
			countSignal(&out.Signals[i], s.Signals[i].Status)
		}
		for i := range s.Tiers {
			if s.Tiers[i].Refuses {
				out.Tiers[i].Refused++
			}
			countDemands(demands[i], s.Tiers[i].Unmet)
		}
		return true
	})
	for i := range out.Tiers {
		for _, name := range slices.Sorted(maps.Keys(demands[i])) {
			out.Tiers[i].Demands = append(out.Tiers[i].Demands, *demands[i][name])
		}
	}
	return out
}

func countSignal(into *admin.SignalCount, status policy.Status) {
	switch status {
	case policy.StatusFailing:
		into.Failing++
	case policy.StatusUnknown:
		into.Unknown++
	case policy.StatusPassing:
	}
}

// countDemands counts a device once for each signal, by the worse status if the tier lists it more than once.
func countDemands(into map[string]*admin.SignalCount, unmet []policy.TierUnmet) {
	worst := map[string]policy.Status{}
	for i := range unmet {
		worst[unmet[i].Signal] = max(worst[unmet[i].Signal], unmet[i].Status)
	}
	for signal, status := range worst {
		if into[signal] == nil {
			into[signal] = &admin.SignalCount{Signal: signal}
		}
		countSignal(into[signal], status)
	}
}
