package signals

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// AliasKind says what sort of name an alias is. Only names that identify one device join records; a MAC address, a host
// name or a user never does (SIGNALS: two demo hosts share one MAC).
type AliasKind string

// The kinds of names that join.
const (
	AliasSerial      AliasKind = "serial"      // hardware serial number, upper-case
	AliasUUID        AliasKind = "uuid"        // hardware UUID, upper-case with dashes; opaque UDIDs as they are
	AliasDirectory   AliasKind = "directory"   // the id in the company's directory (Entra device id)
	AliasCertificate AliasKind = "certificate" // SHA-256 of the device certificate's DER, 64 lower-case hex digits
	AliasVendor      AliasKind = "vendor"      // "<source>/<the source's own id>"
)

var aliasKinds = []AliasKind{AliasCertificate, AliasDirectory, AliasSerial, AliasUUID, AliasVendor}

// Alias is one name of a device.
type Alias struct {
	Kind  AliasKind `json:"kind"`
	Value string    `json:"value"`
}

func (a Alias) String() string { return string(a.Kind) + ":" + a.Value }

// MarshalText writes kind:value, so that an alias can be a key.
func (a Alias) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote. It does not judge the value again: a name that was accepted when it was
// stored must stay readable when the list of placeholders grows.
func (a *Alias) UnmarshalText(text []byte) error {
	kind, value, ok := strings.Cut(string(text), ":")
	if !ok || value == "" || !slices.Contains(aliasKinds, AliasKind(kind)) {
		return fmt.Errorf("a device name is KIND:VALUE with KIND one of %v, not %q", aliasKinds, text)
	}
	*a = Alias{Kind: AliasKind(kind), Value: value}
	return nil
}

// CompareAliases orders by kind, then value.
func CompareAliases(a, b Alias) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Value, b.Value))
}

// ErrPlaceholder marks the refusal of a name that says nothing: empty, garbage bytes, or what thousands of machines
// carry. A reader of deliveries may leave such a name out; any other refusal means that the name is malformed.
var ErrPlaceholder = errors.New("it joins nothing")

// junk are the names that thousands of unrelated machines carry (SIGNALS 1.4; tailscale#16800). Compared upper-case,
// without blanks, dashes, colons and dots.
var junk = map[string]bool{
	"": true, "0": true, "NONE": true, "NULL": true, "UNKNOWN": true, "NA": true, "N/A": true, "-1": true, "1": true,
	"DEFAULTSTRING": true, "TOBEFILLEDBYOEM": true, "SYSTEMSERIALNUMBER": true, "SERIALNUMBER": true,
	"NOTSPECIFIED": true, "NOTAPPLICABLE": true, "NOTAVAILABLE": true, "INVALID": true, "OEM": true, "EMPTY": true,
	"SYSTEM.BYTE[]": true, "SYSTEMBYTE[]": true, "[REDACTED]": true, "CHASSISSERIALNUMBER": true,
	"BASEBOARDSERIALNUMBER": true, "03000200040005000006000700080009": true, "123456789": true, "0123456789": true,
	// The SHA-256 of nothing: an inventory that hashed the certificate it did not have.
	"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855": true,
}

var junkBlanks = strings.NewReplacer(" ", "", "-", "", ":", "", ".", "", "_", "")

const maxAliasBytes = 200

// NewAlias normalises a name as its kind wants it. It refuses, with the reason, what must never join two records: junk,
// one repeated character, control bytes, more than 200 bytes.
func NewAlias(kind AliasKind, raw string) (Alias, error) {
	if !slices.Contains(aliasKinds, kind) {
		return Alias{}, fmt.Errorf("%q is no kind of device name; use one of %v", kind, aliasKinds)
	}
	value := strings.TrimSpace(raw)
	if len(value) > maxAliasBytes {
		return Alias{}, fmt.Errorf("a %s of %d bytes is no device name; the limit is %d", kind, len(value), maxAliasBytes)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '�' }) {
		return Alias{}, fmt.Errorf("the %s has control bytes; %w", kind, ErrPlaceholder)
	}
	if (kind == AliasSerial || kind == AliasUUID) && strings.ContainsFunc(value, notASCII) {
		return Alias{}, fmt.Errorf("the %s %q is not ASCII, which no maker prints; %w", kind, value, ErrPlaceholder)
	}
	if isPlaceholder(kind, value) {
		return Alias{}, fmt.Errorf("%s %q is a placeholder that many devices carry; %w", kind, value, ErrPlaceholder)
	}
	switch kind {
	case AliasSerial:
		value = strings.ToUpper(value)
	case AliasUUID:
		value = normaliseUUID(strings.ToUpper(value))
	case AliasDirectory:
		value = normaliseUUID(value) // one vendor writes the same Entra device id in capitals, another does not
	case AliasCertificate:
		value = strings.ToLower(strings.ReplaceAll(value, ":", ""))
		if len(value) != 64 || !isHex(value) {
			return Alias{}, fmt.Errorf("a certificate is named by its SHA-256 in 64 hex digits, not %q", raw)
		}
	case AliasVendor:
		source, id, ok := strings.Cut(value, "/")
		if !ok || source == "" || id == "" {
			return Alias{}, fmt.Errorf("a vendor name is SOURCE/ID, not %q", raw)
		}
	}
	return Alias{Kind: kind, Value: value}, nil
}

// ParseAlias reads kind:value as String writes it.
func ParseAlias(s string) (Alias, error) {
	kind, value, ok := strings.Cut(s, ":")
	if !ok {
		return Alias{}, fmt.Errorf("a device name is KIND:VALUE with KIND one of %v, not %q", aliasKinds, s)
	}
	return NewAlias(AliasKind(kind), value)
}

// notASCII keeps letters out whose upper-case form is another letter of ASCII: ſ becomes S, ı becomes I.
func notASCII(r rune) bool { return r > 0x7e }

// isPlaceholder reports a name without meaning. Of a vendor's name SOURCE/ID only the ID counts, and a short number is
// a good one there: many products number their devices from 1.
func isPlaceholder(kind AliasKind, value string) bool {
	if kind == AliasVendor {
		if _, id, ok := strings.Cut(value, "/"); ok {
			value = strings.TrimSpace(id)
		}
		if n, err := strconv.ParseUint(value, 10, 64); err == nil && n > 0 {
			return false
		}
	}
	bare := junkBlanks.Replace(strings.ToUpper(value))
	return junk[bare] || oneCharacter(bare)
}

// normaliseUUID writes 32 hex digits, with or without dashes, as an upper-case UUID. Anything else (iOS UDIDs of 40 or
// 25 characters) is opaque and stays as it is.
func normaliseUUID(s string) string {
	hex := strings.ToUpper(strings.ReplaceAll(s, "-", ""))
	if len(hex) != 32 || !isHex(hex) {
		return s
	}
	return hex[:8] + "-" + hex[8:12] + "-" + hex[12:16] + "-" + hex[16:20] + "-" + hex[20:]
}

func isHex(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'f') && (r < 'A' || r > 'F')
	})
}

// oneCharacter reports 0000… and FFFF… of any length above one.
func oneCharacter(s string) bool { return len(s) > 1 && strings.Count(s, s[:1]) == len(s) }
