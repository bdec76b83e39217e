// Package mapping reads a vendor that has no source of its own, by a table: where in its JSON the names, the time and each
// fact stand, and what its words mean. The README beside this file is the manual, with a complete example.
//
// Whatever is not understood makes a device no healthier: a word that no table lists is unknown (or an error, if the table
// says so), a value of another shape is unknown, a record without its time is refused.
package mapping

import (
	"net/url"
	"time"
)

// Record says how one device is read from a value. All texts named path are Paths.
type Record struct {
	// Devices is the path of the records in a body; empty: the whole body is one. Every element that it finds must be an
	// object.
	Devices string
	// Kind tells records apart, if it is there.
	Kind *Kind
	// Serial, UUID, Directory and ID are the paths of the device's names; ID is the vendor's own. At least one stands.
	Serial, UUID, Directory, ID string
	Observed                    Observed
	// Facts are the attributes, by our names.
	Facts map[string]Fact
}

// Kind is a word by which a sender tells what it sends, such as the type of an event.
type Kind struct {
	Path   string
	Read   []string // the words of records that are read
	Ignore []string // the words of records that say nothing of a device; any other word, or none, is an error
}

// Observed is when the vendor saw the device.
type Observed struct {
	// Paths of the instants; of several the earliest counts, and each must be there.
	Paths []string
	Time  Time
	// Received: the record has no time, and what it says is dated by the moment at which we were told. Only for a sender
	// that says what is the case now: a record that was kept for a week would be taken for a fresh one.
	Received bool
}

// Time is how an instant is written.
type Time struct {
	// Format is auto (the default: RFC 3339 and its relatives with a zone, seconds or milliseconds since 1970 by their size),
	// rfc3339, seconds, milliseconds, or layout.
	Format string
	Layout string // of format layout: as Go's package time writes Mon Jan 2 15:04:05 MST 2006
	// Zone is that of texts that name none: UTC, or an offset such as +02:00. Empty: such a text is an error.
	Zone string
	// Never are texts that stand for no instant, besides the usual ("", 0, null, years 0, 1, 1970 and 9999).
	Never []string
}

// Fact is one attribute. Exactly one of Path, All and Always stands.
type Fact struct {
	Path string
	// As is how the value is read: empty is the attribute's own way (a truth; a number; os_version without its name and
	// build; platform by all its known names; text). text: as it stands; version, build, patch: that part of a text such as
	// "macOS 13.5 (22G74)"; count: how many elements the array at Path has.
	As string
	// Values are the vendor's words in our words ("true", "false", a name of the attribute's scale, a text), compared
	// without case. An attribute with a scale, but platform, needs them. A word that is "silent" says nothing: what was said
	// before goes on ageing.
	Values map[string]string
	// Else is what any other word means: unknown (the default), worst (the least healthy value), or error (the record is
	// refused).
	Else string
	// Factor and Offset of a number: ours is the vendor's times Factor (default 1) plus Offset. 100 minus a score: -1, 100.
	Factor, Offset float64
	// All are parts that are read each by itself, of which the worst counts; one that is unknown or not said makes the whole
	// unknown, unless another is the worst already. Parts have no Observed, All or Always.
	All []Fact
	// Always is what each record means by being there, such as enrolled.
	Always string
	// Observed is when the vendor saw this attribute, where that is not when it saw the device. Without an instant there the
	// attribute is not said.
	Observed *Observed
}

// Delivery says what a webhook's body is.
type Delivery struct {
	NDJSON bool // one JSON object per line
	// Points is the path of the vendor's ids of devices, which are asked for; nothing else of the body counts.
	Points string
	// Record is how the body is read where it holds facts itself.
	Record *Record
	// ID is the path of the event's id, by which a repetition is known; only where the sender signs the body.
	ID string
	// Kind is that of events that point.
	Kind *Kind
}

// List says how all devices are listed.
type List struct {
	Path  string
	Query url.Values
	// Post: the query goes as a JSON object in a POST.
	Post bool
	// Page is none (one answer has them all), cursor, link, number or offset.
	Page string
	// Parameter is the query parameter of the cursor, the number or the offset.
	Parameter string
	// Next is the path of the next cursor or link; where nothing or "" stands, the list ends.
	Next string
	// First is the number of the first page (number), and Size how many devices a page has (offset). The list ends with a
	// page without devices.
	First, Size int
	Total       string // path of how many devices there are; empty: not known
}

// Get says how one device is asked for: {id} in Path and Query is the vendor's id.
type Get struct {
	Path  string
	Query url.Values
	// Device is the path of the record in the answer; empty: the whole answer. If it ends in [*] or a filter, an answer
	// without any means that the device is gone.
	Device string
}

// Spec is a mapping. At least one of Delivery and List stands.
type Spec struct {
	Delivery *Delivery
	Record   *Record // of the answers of List and Get
	List     *List
	Get      *Get
	// Doubt is what an experimental mapping says of itself; empty: it is none.
	Doubt string
}

// clock is for tests.
type clock func() time.Time
