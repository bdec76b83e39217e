package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// explain asks for a device by its serial, and holds the answer to what every source said of one attribute, to how the
// signal on it stands, and to a reason why the records of all these sources are one device.
type explain struct {
	serial, of        string // the laptop of this caller
	attribute, signal string
	says              map[string]any // source → value
	status            string         // of the signal
	disputed          bool
}

func (e explain) perform(ctx context.Context, p *play, _ want) got {
	known, err := p.world.Device(ctx, e.serial)
	if err != nil {
		return got{err: err}
	}
	var faults []error
	differ := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if p.devices[e.of] != known.Device || known.Fault != "" {
		differ("%s is device %q (%s); the upstream was told %q", e.serial, known.Device, known.Fault, p.devices[e.of])
	}
	facts, faulty := e.facts(known)
	joins, unjoined := e.joins(known)
	faults = append(append(faults, faulty...), unjoined...)
	var standing []string
	for _, s := range known.Standing.Signals {
		if s.Signal != e.signal {
			continue
		}
		text := s.Signal + " is " + s.Status
		if s.Disputed {
			text += " (disputed)"
		}
		standing = append(standing, text+": "+s.Detail)
		if s.Status != e.status || s.Disputed != e.disputed {
			differ("%s is %s, disputed %t; want %s, %t", s.Signal, s.Status, s.Disputed, e.status, e.disputed)
		}
	}
	if len(standing) != 1 {
		differ("there are %d words on %s, want one", len(standing), e.signal)
	}
	return got{lines: slices.Concat(facts, standing, joins), err: errors.Join(faults...)}
}

// facts are each source's word, when and where it said so.
func (e explain) facts(known stage.Known) (lines []string, faults []error) {
	said := 0
	for _, f := range known.Facts {
		if f.Attribute != e.attribute {
			continue
		}
		said++
		value, asked := e.says[f.Source]
		if !asked || f.Value != value {
			faults = append(faults, fmt.Errorf("%s says %s=%v, want %v", f.Source, f.Attribute, f.Value, value))
		}
		if f.Path == "" || f.Observed.IsZero() {
			faults = append(faults, fmt.Errorf("nobody knows where or when %s said so", f.Source))
		}
		lines = append(lines, fmt.Sprintf("%s=%v by %s, seen %s, in %s", f.Attribute, f.Value, f.Source, stamp(f.Observed), f.Path))
	}
	if said != len(e.says) {
		faults = append(faults, fmt.Errorf("%d sources speak of %s, want %d", said, e.attribute, len(e.says)))
	}
	return lines, faults
}

// joins tell by which deliveries every source gave the serial to this device, beside which other names.
func (e explain) joins(known stage.Known) (lines []string, faults []error) {
	silent := map[string]bool{}
	for source := range e.says {
		silent[source] = true
	}
	for _, name := range known.Names {
		if name.Name != "serial:"+e.serial {
			continue
		}
		for _, w := range name.Said {
			if len(w.With) > 0 && w.Delivery != "" {
				delete(silent, w.Source)
			}
			lines = append(lines, fmt.Sprintf("one device, for %s called it %s with %s (delivery %s of %s)", w.Source, name.Name,
				strings.Join(w.With, ", "), w.Delivery, stamp(w.At)))
		}
	}
	for source := range silent {
		faults = append(faults, fmt.Errorf("no reason why what %s said is of %s", source, e.serial))
	}
	sort.Slice(faults, func(i, j int) bool { return faults[i].Error() < faults[j].Error() })
	return lines, faults
}

// inundate has both sources report laptops while the receiver is killed.
type inundate struct{ laptops, kills int }

func (i inundate) perform(ctx context.Context, p *play, _ want) got {
	f, err := p.world.Flood(ctx, i.laptops, i.kills)
	p.flooded = f
	switch {
	case err != nil:
	case f.Kills != i.kills:
		err = fmt.Errorf("%s was killed %d times, want %d", p.world.Receiver(), f.Kills, i.kills)
	case f.Acknowledged != 2*i.laptops || len(f.Laptops) != i.laptops:
		err = fmt.Errorf("%d deliveries on %d laptops were acknowledged, want %d on %d", f.Acknowledged, len(f.Laptops),
			2*i.laptops, i.laptops)
	case f.Attempts <= f.Acknowledged:
		err = errors.New("no delivery met a dead receiver")
	}
	return got{err: err, note: fmt.Sprintf("%d deliveries acknowledged after %d attempts and %s; tiergate %s was killed %d times",
		f.Acknowledged, f.Attempts, milliseconds(f.Took), p.world.Receiver(), f.Kills)}
}

// arrived waits until every delivery of the flood shows in the list of devices: of each laptop one device, called as each
// of the sources calls it, with the word of each.
type arrived struct{ within time.Duration }

func (a arrived) perform(ctx context.Context, p *play, _ want) got {
	began := time.Now()
	for {
		list, err := p.world.Devices(ctx)
		applied, missing := 0, []string(nil)
		if err == nil {
			applied, missing, err = count(p.flooded.Laptops, list)
		}
		lost := p.flooded.Acknowledged - applied
		if err == nil && lost > 0 {
			err = fmt.Errorf("%d of %d acknowledged deliveries are lost, the first: %s", lost, p.flooded.Acknowledged, missing[0])
		}
		if err == nil || time.Since(began) >= a.within || !pause(ctx) {
			return got{err: err, note: fmt.Sprintf("%d acknowledged, %d in the store, lost %d; %d laptops are %d devices",
				p.flooded.Acknowledged, applied, lost, len(p.flooded.Laptops), len(p.flooded.Laptops))}
		}
	}
}

// count returns how many deliveries on these laptops show, and which do not. A laptop that is several devices, or one whose
// record cannot be believed, is an error.
func count(serials []string, list []stage.Listed) (applied int, missing []string, err error) {
	bySerial := map[string]stage.Listed{}
	for _, line := range list {
		for _, name := range line.Names {
			serial, is := strings.CutPrefix(name, "serial:")
			if before, twice := bySerial[serial]; is && twice {
				return 0, nil, fmt.Errorf("laptop %s is two devices, %s and %s", serial, before.Device, line.Device)
			}
			if is {
				bySerial[serial] = line
			}
		}
	}
	for _, serial := range serials {
		line := bySerial[serial]
		if line.Fault != "" {
			return 0, nil, fmt.Errorf("the record of laptop %s cannot be believed: %s", serial, line.Fault)
		}
		named := func(source, suffix string) bool {
			return slices.Contains(line.Names, "vendor:"+source+"/"+serial+suffix)
		}
		for _, said := range []struct {
			what string
			is   bool
		}{
			{stage.SourceName + " on " + serial, named(stage.SourceName, "-managed") && line.User == stage.FloodUser(serial)},
			{stage.EDRName + " on " + serial, named(stage.EDRName, "-agent") && slices.Contains(line.Failing, "disk-encrypted")},
		} {
			if said.is {
				applied++
			} else {
				missing = append(missing, said.what)
			}
		}
	}
	return applied, missing, nil
}

// beside forgives refusals that come of a receiver that was killed. Where it is part of `serve`, nobody decides meanwhile, and
// one that starts refuses tokens until it has the issuer's keys. Where it is not, Envoy may refuse a few: those that were not
// decided on within its 250 ms, on a machine whose every core starts processes.
func (t *tally) beside(receiver string) (note string) {
	if receiver == "serve" {
		t.lost, t.first = t.lost-t.away, t.wrong
		return fmt.Sprintf("; %d refused while serve, which the receiver is part of, was dead or starting", t.away)
	}
	if t.away == 0 || t.away > t.sent/10 {
		return ""
	}
	forgiven := t.away
	t.lost -= forgiven
	return fmt.Sprintf("; %d refused by Envoy, to which nobody answered in time", forgiven)
}
