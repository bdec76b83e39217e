// Package google is Google's two lists of devices: Cloud Identity (endpoint management and endpoint verification) and the
// ChromeOS devices of the Admin SDK. Google has no webhook for device state, so both are asked. The README beside this file
// shows how to connect them.
package google

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// The lists.
const (
	ListDevices  = "devices"  // Cloud Identity: computers and phones
	ListChromeOS = "chromeos" // Admin SDK: ChromeOS devices
)

// Options say what a Google Workspace or Cloud Identity account is to us.
type Options struct {
	Name string // the source's name in the settings
	// Devices is asked for the list "devices"; its base is https://cloudidentity.googleapis.com. ChromeOS is asked for
	// "chromeos"; its base is https://admin.googleapis.com. At least one is there.
	Devices  *source.Client
	ChromeOS *source.Client
	// Customer is the account: "customers/my_customer" of Cloud Identity, "my_customer" of the Admin SDK; default my_customer.
	Customer string
	// Users asks who uses each device of "devices" (deviceUsers), which also tells passwordState and managementState.
	Users bool
	// Unreadable is told of a device whose record in the list does not have Google's shape: it is listed, and nothing of it
	// counts. It may be called at once from several goroutines; nil: nobody is told.
	Unreadable func(id string, reason error)
}

// Adapter is one account. It is immutable.
type Adapter struct {
	source.Silent
	opts Options
}

var _ source.Inventory = (*Adapter)(nil)

// New makes an adapter; it asks nobody yet. The error names the option that is at fault.
func New(opts Options) (*Adapter, error) {
	if opts.Devices == nil && opts.ChromeOS == nil {
		return nil, errors.New("a google source needs a list to ask for: devices or chromeos")
	}
	if opts.Customer == "" {
		opts.Customer = "my_customer"
	}
	if strings.Trim(opts.Customer, letters) != "" || len(opts.Customer) > 40 {
		return nil, fmt.Errorf("%.60q is no customer; write the id of the Admin console (C0…), or leave it out", opts.Customer)
	}
	if _, err := signals.NewAlias(signals.AliasVendor, opts.Name+"/devices/a1"); err != nil || opts.Name == "" {
		return nil, fmt.Errorf("%q cannot name a source", opts.Name)
	}
	if opts.Unreadable == nil {
		opts.Unreadable = func(string, error) {}
	}
	return &Adapter{opts: opts}, nil
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

// maxID bounds the ids: of Cloud Identity about 60 bytes of base64, with its padding as %3D.
const maxID = 160

// split takes apart our id of a device: the list, and Google's own id in it.
func split(id string) (list, own string, err error) {
	list, own, _ = strings.Cut(id, "/")
	if list != ListDevices && list != ListChromeOS || own == "" || len(own) > maxID || strings.Trim(own, letters+"=.~") != "" {
		return "", "", fmt.Errorf("%.80q is no device of Google: it is LIST/ID with LIST devices or chromeos", id)
	}
	return list, own, nil
}

// Alias implements source.Inventory. id is devices/ID or chromeos/ID.
func (a *Adapter) Alias(id string) (signals.Alias, error) {
	if _, _, err := split(id); err != nil {
		return signals.Alias{}, err
	}
	return signals.NewAlias(signals.AliasVendor, a.opts.Name+"/"+id)
}

// lists are those that are asked for, in their order.
func (a *Adapter) lists() []string {
	var lists []string
	if a.opts.Devices != nil {
		lists = append(lists, ListDevices)
	}
	if a.opts.ChromeOS != nil {
		lists = append(lists, ListChromeOS)
	}
	return lists
}

// Device implements source.Inventory.
func (a *Adapter) Device(ctx context.Context, id string) ([]signals.Observation, error) {
	list, own, err := split(id)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(a.lists(), list) {
		return nil, fmt.Errorf("%s: this source does not ask for the list %s", id, list)
	}
	var o signals.Observation
	if list == ListChromeOS {
		o, err = a.chromebook(ctx, own)
	} else {
		o, err = a.endpoint(ctx, own)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	return []signals.Observation{o}, nil
}

// Page implements source.Inventory. The cursor is the list, a slash and Google's page token. Total is not known.
func (a *Adapter) Page(ctx context.Context, cursor string) (source.Page, error) {
	lists := a.lists()
	list, token, _ := strings.Cut(cursor, "/")
	if cursor == "" {
		list = lists[0]
	}
	at := slices.Index(lists, list)
	if at < 0 {
		return source.Page{}, fmt.Errorf("%.40q is no place in the lists of this source; begin again", cursor)
	}
	read := a.devicesPage
	if list == ListChromeOS {
		read = a.chromeosPage
	}
	page, err := read(ctx, token)
	switch {
	case errors.Is(err, source.ErrGone): // a list that is not there says nothing of any device
		return source.Page{}, fmt.Errorf("the list %s is not there; check its URL and customer", list)
	case err != nil:
		return source.Page{}, fmt.Errorf("a page of %s: %w", list, err)
	case page.Next != "" && (page.Next == token || len(page.Next) > 2048):
		return source.Page{}, fmt.Errorf("the list %s does not go on: its next page is the one that was asked for, or too long", list)
	case page.Next != "":
		page.Next = list + "/" + page.Next
	case at+1 < len(lists):
		page.Next = lists[at+1] + "/"
	}
	return page, nil
}
