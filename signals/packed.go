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

	// shape is which facts there are: attribute, source and path of each. Thousands of devices share one.
	shape unique.Handle[string]
	// data is each fact's value and instants, in the order of the shape.
	data string
	seal *Seal
	// checkpointed: see Posture.
	checkpointed bool
	// whole is the posture itself where it has no packed form: instants outside of what 64 bits of nanoseconds reach.
	whole *Posture
}

// Pack makes the small form of a posture.
func Pack(p *Posture) *Packed {
	packed := &Packed{Device: p.Device, Revision: p.Revision, Aliases: slices.Clip(slices.Clone(p.Aliases)),
		seal: p.Seal, checkpointed: p.Checkpointed}
	var shape strings.Builder
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
	if k.whole != nil {
		whole := *k.whole
		whole.Aliases, whole.Facts = slices.Clone(whole.Aliases), slices.Clone(whole.Facts)
		return &whole
	}
	p := &Posture{Device: k.Device, Revision: k.Revision, Aliases: slices.Clone(k.Aliases), Seal: k.seal,
		Checkpointed: k.checkpointed}
	shape, data, previous := k.shape.Value(), []byte(k.data), int64(0)
	for shape != "" {
		var f Fact
		for _, name := range [...]*string{&f.Attribute, &f.Source, &f.Path} {
			length, n := binary.Uvarint([]byte(shape[:min(len(shape), binary.MaxVarintLen64)]))
			*name, shape = shape[n:n+int(length)], shape[n+int(length):] // Pack wrote the length
		}
		f.Value, data = cutValue(data)
		fromPrevious, n := binary.Varint(data)
		delay, m := binary.Varint(data[n:])
		data = data[n+m:]
		previous += fromPrevious
		f.Observed, f.Received = time.Unix(0, previous).UTC(), time.Unix(0, previous+delay).UTC()
		p.Facts = append(p.Facts, f)
	}
	return p
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

func cutValue(data []byte) (Value, []byte) {
	kind, rest := data[0], data[1:]
	switch Kind(kind & 0xf) {
	case KindBool:
		return Bool(kind>>4 == 1), rest
	case KindText:
		length, n := binary.Uvarint(rest)
		end := n + int(length) // Pack wrote the length
		return Text(string(rest[n:end])), rest[end:]
	case KindNumber:
		return Number(math.Float64frombits(binary.LittleEndian.Uint64(rest))), rest[8:]
	case KindUnknown:
	}
	return Unknown, rest
}
