package signals

import (
	"cmp"
	"fmt"
	"slices"
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

// CompareAliases orders by kind, then value.
func CompareAliases(a, b Alias) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Value, b.Value))
}

// junk are the names that thousands of unrelated machines carry (SIGNALS 1.4; tailscale#16800). Compared upper-case,
// without blanks, dashes, colons and dots.
var junk = map[string]bool{
	"": true, "0": true, "NONE": true, "NULL": true, "UNKNOWN": true, "NA": true, "N/A": true, "-1": true, "1": true,
	"DEFAULTSTRING": true, "TOBEFILLEDBYOEM": true, "SYSTEMSERIALNUMBER": true, "SERIALNUMBER": true,
	"NOTSPECIFIED": true, "NOTAPPLICABLE": true, "NOTAVAILABLE": true, "INVALID": true, "OEM": true, "EMPTY": true,
	"SYSTEM.BYTE[]": true, "SYSTEMBYTE[]": true, "[REDACTED]": true, "CHASSISSERIALNUMBER": true,
	"BASEBOARDSERIALNUMBER": true, "03000200040005000006000700080009": true, "123456789": true, "0123456789": true,
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
		return Alias{}, fmt.Errorf("the %s has control bytes", kind)
	}
	if bare := junkBlanks.Replace(strings.ToUpper(value)); junk[bare] || oneCharacter(bare) {
		return Alias{}, fmt.Errorf("%s %q is a placeholder that many devices carry; it joins nothing", kind, value)
	}
	switch kind {
	case AliasSerial:
		value = strings.ToUpper(value)
	case AliasUUID:
		value = normaliseUUID(value)
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

// normaliseUUID writes 32 hex digits, with or without dashes, as an upper-case UUID. Anything else (iOS UDIDs of 40 or 25
// characters) is opaque and stays as it is, upper-cased.
func normaliseUUID(s string) string {
	hex := strings.ToUpper(strings.ReplaceAll(s, "-", ""))
	if len(hex) != 32 || !isHex(hex) {
		return strings.ToUpper(s)
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
