package main

import (
	"context"
	"time"

	"github.com/tiergate/tiergate/config/linkfile"
	"github.com/tiergate/tiergate/signals"
)

// linksEvery is how often the documents about names are read again.
const linksEvery = time.Second

// deviceLinks follows the documents of a directory. What cannot be read, or has any fault, keeps the last good ones.
type deviceLinks struct {
	dir    string
	use    func([]signals.DeviceLink)
	tell   linkEvents
	every  time.Duration
	seen   string // digest of what was read last, good or not, or why it could not be read
	inUse  string // digest of what is in force
	broken bool
}

// linkEvents are told what becomes of a change.
type linkEvents struct {
	loaded func(documents int, digest string)
	broken func(err error)
}

// readLinks reads the documents at the start: a fault is an error. Without a directory there are none, and nothing is
// followed.
func readLinks(dir string, tell linkEvents) (*deviceLinks, []signals.DeviceLink, error) {
	if dir == "" {
		return nil, nil, nil
	}
	files, err := linkfile.Read(dir)
	if err != nil {
		return nil, nil, err
	}
	links, err := files.Parse()
	if err != nil {
		return nil, nil, err
	}
	digest := files.Digest()
	tell.loaded(len(links), digest)
	return &deviceLinks{dir: dir, tell: tell, every: linksEvery, seen: digest, inUse: digest}, links, nil
}

// run looks for changes until ctx ends.
func (d *deviceLinks) run(ctx context.Context) error {
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			d.look()
		}
	}
}

func (d *deviceLinks) look() {
	files, err := linkfile.Read(d.dir)
	var seen string
	if err != nil {
		seen = err.Error()
	} else {
		seen = files.Digest()
	}
	if seen == d.seen {
		return
	}
	d.seen = seen
	var links []signals.DeviceLink
	if err == nil {
		links, err = files.Parse()
	}
	if err != nil {
		d.broken = true
		d.tell.broken(err)
		return
	}
	if seen != d.inUse {
		d.use(links)
	} else if !d.broken {
		return
	}
	d.inUse, d.broken = seen, false
	d.tell.loaded(len(links), seen)
}
