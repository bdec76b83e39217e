package authz

import "strings"

// recent is a map by texts of its own that finds what was asked for last without a look into the map: who calls once calls
// again, and by the same way. The zero value is empty. It belongs to whoever holds the lock beside it.
type recent[V any] struct {
	all  map[string]*kept[V]
	last *kept[V]
}

type kept[V any] struct {
	key string
	is  V
}

// get is nil for what was never made.
func (r *recent[V]) get(key string) *V {
	if r.last != nil && r.last.key == key {
		return &r.last.is
	}
	k := r.all[key]
	if k == nil {
		return nil
	}
	r.last = k
	return &k.is
}

// make adds a zero value under a copy of a key that is not there.
func (r *recent[V]) make(key string) *V {
	k := &kept[V]{key: strings.Clone(key)}
	if r.all == nil {
		r.all = map[string]*kept[V]{}
	}
	r.all[k.key], r.last = k, k
	return &k.is
}

func (r *recent[V]) forget(key string) {
	delete(r.all, key)
	r.last = nil
}
