package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/replica"
)

// deviceDesk answers what is known of devices, from the copy that decisions are made with and the policy in force. The
// store itself is only asked for what no decision needs: why names are one device's.
type deviceDesk struct {
	devices *replica.Replica
	records signals.Records                           // claims and contests, with their seals taken off
	judge   func() (judge authz.Judge, digest string) // nil: no policy is in force
	now     func() time.Time
}

// recordsWithin bounds the reading of claims, so that a store that hangs costs the reasons and not the answer.
const recordsWithin = 2 * time.Second

// showDevices puts the devices, and an embedded store, on the admin socket.
func (sc *sidecar) showDevices(mux *http.ServeMux) error {
	desk := &deviceDesk{devices: sc.replica, records: sc.store, judge: sc.authz.Judge, now: time.Now}
	if r := sc.settings.Store.Redis; r != nil && !r.Unsealed {
		checker, err := sealChecker(r.Seal)
		if err != nil {
			return err
		}
		desk.records = signals.Sealed(sc.store, nil, checker) // it only reads
	}
	desk.register(mux)
	if embedded, ok := sc.store.(*boltstore.Store); ok {
		storePaths(mux, embedded)
	}
	return nil
}

func (d *deviceDesk) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/devices/{name...}", d.get)
	mux.HandleFunc("GET /v1/devices", d.list)
	mux.HandleFunc("GET /v1/contested", d.contested)
}

// ready answers itself while there is no copy yet.
func (d *deviceDesk) ready(w http.ResponseWriter) bool {
	if status := d.devices.Status(); !status.Loaded {
		admin.Refuse(w, http.StatusServiceUnavailable, "the postures are not loaded yet: "+status.LastError)
		return false
	}
	return true
}

func (d *deviceDesk) get(w http.ResponseWriter, r *http.Request) {
	if !d.ready(w) {
		return
	}
	name := r.PathValue("name")
	found := d.resolve(name)
	switch {
	case len(found) == 0:
		if lost := d.lost(r.Context(), name); lost != "" {
			admin.Refuse(w, http.StatusNotFound, lost)
			return
		}
		admin.Refuse(w, http.StatusNotFound, fmt.Sprintf("no device is known as %q; a name is our id, KIND:VALUE, or a serial "+
			"number, UUID or vendor's SOURCE/ID alone", name))
		return
	case len(found) > 1:
		admin.Refuse(w, http.StatusMultipleChoices, ambiguous(name, found))
		return
	}
	held, ok := d.devices.Device(found[0].Device)
	if !ok {
		admin.Refuse(w, http.StatusNotFound, fmt.Sprintf("device %s was removed just now", found[0].Device))
		return
	}
	admin.Answer(w, http.StatusOK, d.device(r.Context(), held))
}

// candidate is a device and the names by which it fits.
type candidate struct {
	Device signals.DeviceID
	Names  []signals.Alias
}

// deviceKinds are the kinds of names that a bare value is tried against.
var deviceKinds = []signals.AliasKind{
	signals.AliasCertificate, signals.AliasDirectory, signals.AliasSerial, signals.AliasUUID, signals.AliasVendor,
}

// resolve finds the devices that a name means: our own id, KIND:VALUE, or a value of any kind.
func (d *deviceDesk) resolve(name string) []candidate {
	if _, ok := d.devices.Device(signals.DeviceID(name)); ok {
		return []candidate{{Device: signals.DeviceID(name)}}
	}
	var found []candidate
	for _, alias := range namedBy(name) {
		for _, id := range d.devices.Holders(alias) {
			at := slices.IndexFunc(found, func(c candidate) bool { return c.Device == id })
			if at < 0 {
				at, found = len(found), append(found, candidate{Device: id})
			}
			found[at].Names = append(found[at].Names, alias)
		}
	}
	return found
}

func ambiguous(name string, found []candidate) string {
	lines := make([]string, 0, len(found))
	for _, c := range found {
		lines = append(lines, fmt.Sprintf("  %s (%v)", c.Device, c.Names))
	}
	slices.Sort(lines)
	return fmt.Sprintf("%q names %d devices; say which by its id:\n%s", name, len(found), strings.Join(lines, "\n"))
}

// device describes one device.
func (d *deviceDesk) device(ctx context.Context, held replica.Held) admin.Device {
	now := d.now()
	out := admin.Device{Device: held.Device, AsOf: d.devices.Status().AsOf, Gone: held.Gone, Names: []admin.DeviceName{},
		Facts: []admin.DeviceFact{}}
	if held.Corrupt != nil {
		out.Fault = held.Corrupt.Error()
	}
	if held.Posture == nil {
		return out
	}
	p := held.Posture.Posture()
	out.Revision = p.Revision
	for _, f := range p.Facts {
		out.Facts = append(out.Facts, admin.DeviceFact{Fact: f, Age: now.Sub(f.AgesFrom()).Round(time.Second).String()})
	}
	ctx, cancel := context.WithTimeout(ctx, recordsWithin)
	defer cancel()
	for _, alias := range p.Aliases {
		out.Names = append(out.Names, d.name(ctx, held.Device, alias, &out.WhyFault))
	}
	contests, err := d.contests(ctx)
	if err != nil && out.WhyFault == "" {
		out.WhyFault = err.Error()
	}
	for _, c := range contests {
		if slices.ContainsFunc(c.Claims, func(n ingest.ContestedName) bool { return n.Device == held.Device }) {
			out.Contests = append(out.Contests, c)
		}
	}
	for _, c := range p.Clearances {
		out.Clearances = append(out.Clearances, d.clearance(ctx, c))
	}
	if out.Fault == "" && !out.Gone { // what cannot be believed, or is not there, stands nowhere
		if judge, digest := d.judge(); judge != nil {
			standing := judge(p, now)
			out.Standing, out.Policy = &standing, digest
		}
	}
	return out
}

// name tells who says that a name is the device's. After the first fault of the store no further claim is asked for.
func (d *deviceDesk) name(
	ctx context.Context, device signals.DeviceID, alias signals.Alias, whyFault *string,
) admin.DeviceName {
	out := admin.DeviceName{Name: alias}
	if carriers := d.devices.Holders(alias); len(carriers) > 1 {
		out.Fault = fmt.Sprintf("contested: %v carry it, so it names none of them", carriers)
	}
	if *whyFault != "" {
		return out
	}
	record, err := d.records.Record(ctx, ingest.KindAlias, alias.String())
	switch {
	case errors.Is(err, signals.ErrNotFound):
		out.Fault = "nobody has claimed it: the store has lost that record, and the next delivery makes another device of it"
		return out
	case errors.Is(err, signals.ErrCorrupt):
		out.Fault = err.Error()
		return out
	case err != nil:
		*whyFault = fmt.Sprintf("the claims of names cannot be read from here: %v; let the sidecar's user of the store read "+
			"the records of kind %s", err, ingest.KindAlias)
		return out
	}
	claim, err := ingest.ReadClaim(record)
	switch {
	case err != nil:
		out.Fault = err.Error()
	case claim.Device != device:
		out.Fault = fmt.Sprintf("its claim is of device %s: what is reported under it from now on goes there", claim.Device)
	default:
		out.Said = claim.Said
	}
	return out
}

// contests reads the contests that are not over: names that one device has by now are none.
func (d *deviceDesk) contests(ctx context.Context) ([]ingest.Contest, error) {
	contests := []ingest.Contest{}
	_, err := d.records.EachRecord(ctx, ingest.KindContested, func(record signals.Record) error {
		c, err := ingest.ReadContest(record)
		if err != nil || !d.settled(c) {
			contests = append(contests, c) // one that cannot be read is there and says nothing
		}
		return nil
	})
	if err != nil {
		return contests, fmt.Errorf("the contests of names cannot be read from here: %w; let the sidecar's user of the store "+
			"read the records of kind %s", err, ingest.KindContested)
	}
	return contests, nil
}

// settled tells that all names of a contest are carried by one device now.
func (d *deviceDesk) settled(c ingest.Contest) bool {
	var one signals.DeviceID
	for _, name := range c.Claims {
		carriers := d.devices.Holders(name.Alias)
		if len(carriers) != 1 || one != "" && carriers[0] != one {
			return false
		}
		one = carriers[0]
	}
	return true
}

func (d *deviceDesk) contested(w http.ResponseWriter, r *http.Request) {
	if !d.ready(w) {
		return
	}
	out := admin.ContestedNames{Carried: []admin.CarriedName{}}
	for alias, devices := range d.devices.Contested() {
		out.Carried = append(out.Carried, admin.CarriedName{Name: alias, Devices: devices})
	}
	slices.SortFunc(out.Carried, func(a, b admin.CarriedName) int { return signals.CompareAliases(a.Name, b.Name) })
	ctx, cancel := context.WithTimeout(r.Context(), recordsWithin)
	defer cancel()
	said, err := d.contests(ctx)
	if err != nil {
		out.Fault = err.Error()
	}
	out.Said = said
	admin.Answer(w, http.StatusOK, out)
}
