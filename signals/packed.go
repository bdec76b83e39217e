package signals

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"
	"unique"
)

// Packed is a posture in the form in which a process holds one for every device: a twentieth of the memory of a Posture,
// from which it can be had again at any time. It is immutable.
type Packed struct {
	Device   DeviceID
	Revision Revision
	Aliases  []Alias

	// shape is how many facts there are, and attribute, source and path of each. Thousands of devices share one.
	shape unique.Handle[string]
	// data is each fact's value and instants, in the order of the shape.
	data string
	seal *Seal
	// checkpointed: see Posture.
	checkpointed bool
	// whole is the posture itself where it has no packed form: instants outside of what 64 bits of nanoseconds reach, or
	// clearances, which are too rare to be worth one.
	whole *Posture
}

// Pack makes the small form of a posture.
func Pack(p *Posture) *Packed {
	packed := &Packed{Device: p.Device, Revision: p.Revision, Aliases: slices.Clip(slices.Clone(p.Aliases)),
		seal: p.Seal, checkpointed: p.Checkpointed}
	if len(p.Clearances) > 0 {
		packed.whole = p
		return packed
	}
	var shape strings.Builder
	shape.Write(binary.AppendUvarint(nil, uint64(len(p.Facts))))
	data := make([]byte, 0, 8*len(p.Facts))
	previous := int64(0)
	for i := range p.Facts {
		f := &p.Facts[i]
		if !f.packable() {
			packed.whole = p
			return packed
		}
		for _, name := range [...]string{f.Attribute, f.Source, f.Path} {
			shape.Write(binary.AppendUvarint(nil, uint64(len(name))))
			shape.WriteString(name)
		}
		data = appendValue(data, f.Value)
		observed, received := f.Observed.UnixNano(), f.Received.UnixNano()
		data = binary.AppendVarint(data, observed-previous)
		data = binary.AppendVarint(data, received-observed)
		previous = observed
	}
	packed.shape, packed.data = unique.Make(shape.String()), string(data)
	return packed
}

// packable tells whether both instants have a form in nanoseconds since 1970 (time.Time.UnixNano: 1678 to 2262). Half of
// that range is taken, so that differences have one too.
func (f *Fact) packable() bool {
	const farthest = math.MaxInt64 / 4 / int64(time.Second)
	inside := func(at time.Time) bool { return at.Unix() > -farthest && at.Unix() < farthest }
	return inside(f.Observed) && inside(f.Received)
}

// Posture returns the posture anew; the caller may keep and change it.
func (k *Packed) Posture() *Posture {
	p := &Posture{}
	k.Unpack(p)
	return p
}

// Unpack writes the posture over p, whose slices it uses again: for who looks at very many, one after the other.
func (k *Packed) Unpack(p *Posture) {
	aliases, facts, clearances := p.Aliases, p.Facts, p.Clearances
	if k.whole != nil {
		*p = *k.whole
		p.Aliases, p.Facts, p.Clearances = again(aliases, p.Aliases), again(facts, p.Facts), again(clearances, p.Clearances)
		return
	}
	*p = Posture{Device: k.Device, Revision: k.Revision, Aliases: again(aliases, k.Aliases), Facts: facts[:0],
		Clearances: clearances[:0], Seal: k.seal, Checkpointed: k.checkpointed}
	number, shape := cutUvarint(k.shape.Value())
	p.Facts = slices.Grow(p.Facts, int(number)) // Pack wrote it
	data, previous := k.data, int64(0)
	for range number {
		var f Fact
		for _, name := range [...]*string{&f.Attribute, &f.Source, &f.Path} {
			var length uint64
			length, shape = cutUvarint(shape)
			*name, shape = shape[:length], shape[length:]
		}
		f.Value, data = cutValue(data)
		var fromPrevious, delay int64
		fromPrevious, data = cutVarint(data)
		delay, data = cutVarint(data)
		previous += fromPrevious
		f.Observed, f.Received = time.Unix(0, previous).UTC(), time.Unix(0, previous+delay).UTC()
		p.Facts = append(p.Facts, f)
	}
}

// again copies from into memory that was used before, if there is any.
func again[T any](into, from []T) []T {
	if into == nil {
		return slices.Clone(from)
	}
	return append(into[:0], from...)
}

// cutUvarint and cutVarint read what Pack wrote.
func cutUvarint(s string) (uint64, string) {
	x, n := binary.Uvarint([]byte(s[:min(len(s), binary.MaxVarintLen64)]))
	return x, s[n:]
}

func cutVarint(s string) (int64, string) {
	x, n := binary.Varint([]byte(s[:min(len(s), binary.MaxVarintLen64)]))
	return x, s[n:]
}

// appendValue writes the kind and what it needs; a bool is in the first byte.
func appendValue(data []byte, v Value) []byte {
	switch v.kind {
	case KindBool:
		if v.truth {
			return append(data, byte(KindBool)|1<<4)
		}
		return append(data, byte(KindBool))
	case KindText:
		data = binary.AppendUvarint(append(data, byte(KindText)), uint64(len(v.text)))
		return append(data, v.text...)
	case KindNumber:
		return binary.LittleEndian.AppendUint64(append(data, byte(KindNumber)), math.Float64bits(v.number))
	case KindUnknown:
	}
	return append(data, byte(KindUnknown))
}

func cutValue(data string) (Value, string) {
	kind, rest := data[0], data[1:]
	switch Kind(kind & 0xf) {
	case KindBool:
		return Bool(kind>>4 == 1), rest
	case KindText:
		length, text := cutUvarint(rest)
		return Text(text[:length]), text[length:]
	case KindNumber:
		return Number(math.Float64frombits(binary.LittleEndian.Uint64([]byte(rest[:8])))), rest[8:]
	case KindUnknown:
	}
	return Unknown, rest
}
