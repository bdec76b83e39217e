package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Inventory is an adapter whose vendor can be asked: because its deliveries only say that something happened to a device,
// or because what was never delivered must be found too. Its methods may be called at once.
//
// Facts carry the instant at which the vendor saw the device, never that of a delivery that pointed at it.
type Inventory interface {
	Adapter
	// Points lists the vendor's own ids of the devices that an authentic delivery says have changed, without saying how:
	// each is asked for before the delivery counts as dealt with. It is pure.
	Points(d Delivery) (ids []string, err error)
	// Device asks for one device by the vendor's own id. ErrGone: the vendor has no such device any more.
	Device(ctx context.Context, id string) ([]signals.Observation, error)
	// Page asks for one page of all devices; the first has the cursor "".
	Page(ctx context.Context, cursor string) (Page, error)
	// Alias is the name (signals.AliasVendor) under which a device's own id joins records; every observation of Device and
	// Page carries it.
	Alias(id string) (signals.Alias, error)
}

// Page is a part of a vendor's list of devices.
type Page struct {
	Observations []signals.Observation
	Next         string // the cursor of the page that follows; empty: this is the last
	Total        int    // how many devices there are in all, as far as the vendor says; 0: it does not
	// Also are statements on devices that are no proof of their being there, such as results of checks that a vendor keeps
	// for longer than the device. They count like others, but a device that stands here alone is not listed.
	Also []signals.Observation
}

// Relister is an Inventory whose deliveries may say that something was lost on the way (Microsoft Graph's lifecycle events):
// all devices are then listed as soon as possible.
type Relister interface {
	// Relist says why an authentic delivery makes a listing necessary, for the operator; empty: it does not. It is pure.
	Relist(d Delivery) (why string, err error)
}

// ErrGone says that the vendor no longer has a device.
var ErrGone = errors.New("the vendor no longer has this device")

// Busy is a vendor's wish not to be asked for a while.
type Busy struct {
	After  time.Duration // at least so long; 0: the vendor does not say
	Reason error
}

func (b *Busy) Error() string {
	return fmt.Sprintf("%v; asked again in %s at the earliest", b.Reason, b.After)
}

func (b *Busy) Unwrap() error { return b.Reason }
