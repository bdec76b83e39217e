package signals_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/signals"
)

var kinds = []signals.AliasKind{
	signals.AliasSerial, signals.AliasUUID, signals.AliasDirectory, signals.AliasCertificate, signals.AliasVendor,
}

// Names that vendors really send for machines that have none: each would join thousands of devices.
var placeholders = []string{
	"", " ", "\t", "0", "00", "1", "-1", "Default string", "default string", "DEFAULT STRING", "Default_String",
	"System.Byte[]", "000000000000", "00:00:00:00:00:00", "00-00-00-00-00-00", "00000000-0000-0000-0000-000000000000",
	"FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "ffffffffffffffff", "XXXXXXX", "[REDACTED]", "To be filled by O.E.M.",
	"To Be Filled By O.E.M.", "tobefilledbyoem", "None", "none", "null", "NULL", "unknown", "N/A", "n/a", "NA",
	"Not Specified", "Not Applicable", "Not Available", "INVALID", "O.E.M.", "System Serial Number", "Serial Number",
	"Chassis Serial Number", "Base Board Serial Number", "03000200-0400-0500-0006-000700080009", "0123456789", "123456789",
	"empty", "....", "----", "\x00\x00\x00\x00", "\xff\xff\xff\xff",
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", strings.Repeat("0", 64), strings.Repeat("f", 64),
}

func TestPlaceholdersNeverJoin(t *testing.T) {
	for _, kind := range kinds {
		for _, raw := range placeholders {
			if kind == signals.AliasVendor {
				if n, err := strconv.Atoi(raw); err == nil && n > 0 {
					continue // many products number their devices from 1
				}
				raw = "jamf/" + raw
			}
			if alias, err := signals.NewAlias(kind, raw); !errors.Is(err, signals.ErrPlaceholder) {
				t.Errorf("%s %q became %q (%v)", kind, raw, alias, err)
			}
		}
	}
	for _, raw := range []string{"ſN123", "SN123ı", "C02…", "ÿÿÿÿ"} {
		if alias, err := signals.NewAlias(signals.AliasSerial, raw); !errors.Is(err, signals.ErrPlaceholder) {
			t.Errorf("the serial %q became %q (%v)", raw, alias, err)
		}
	}
}

func TestMalformedNamesAreRefused(t *testing.T) {
	for _, tt := range []struct {
		kind signals.AliasKind
		raw  string
	}{
		{"mac", "14:7d:da:00:11:22"}, {"hostname", "mac-ana"}, {"", "C02D91CNPV4M"}, {"Serial", "C02D91CNPV4M"},
		{signals.AliasSerial, strings.Repeat("AB", 101)},
		{signals.AliasCertificate, strings.Repeat("ab", 31)}, {signals.AliasCertificate, strings.Repeat("ab", 33)},
		{signals.AliasCertificate, strings.Repeat("ag", 32)}, {signals.AliasCertificate, strings.Repeat("ab", 20)},
		{signals.AliasVendor, "jamf"}, {signals.AliasVendor, "/17"},
	} {
		if alias, err := signals.NewAlias(tt.kind, tt.raw); err == nil || errors.Is(err, signals.ErrPlaceholder) {
			t.Errorf("%s %q became %q (%v)", tt.kind, tt.raw, alias, err)
		}
	}
	for _, raw := range []string{"", "serial", ":C02", "mac:14:7d", "serial:", "serial:0"} {
		if alias, err := signals.ParseAlias(raw); err == nil {
			t.Errorf("%q was read as %q", raw, alias)
		}
	}
}

func TestNormalisation(t *testing.T) {
	const fingerprint = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	const uuid = "564D8F05-7A8B-9C0D-1E2F-3A4B5C6D7E8F"
	for _, tt := range []struct {
		kind signals.AliasKind
		raws []string
		want string
	}{
		{signals.AliasSerial, []string{"C02D91CNPV4M", "c02d91cnpv4m", " C02D91CNPV4M\n"}, "C02D91CNPV4M"},
		{signals.AliasSerial, []string{"VMware-42 03 aa"}, "VMWARE-42 03 AA"},
		{signals.AliasUUID, []string{uuid, strings.ToLower(uuid), "564d8f057a8b9c0d1e2f3a4b5c6d7e8f"}, uuid},
		{signals.AliasUUID, []string{"00008101-000a1b2c3d4e001e"}, "00008101-000A1B2C3D4E001E"}, // iOS, 25 characters
		{signals.AliasUUID, []string{"2b6f0cc904d137be2e1730235f5664094b831186"}, "2B6F0CC904D137BE2E1730235F5664094B831186"},
		{signals.AliasDirectory, []string{uuid, strings.ToLower(uuid)}, uuid},
		{signals.AliasDirectory, []string{"dn=Ana,o=Acme"}, "dn=Ana,o=Acme"},
		{signals.AliasCertificate, []string{fingerprint, strings.ToUpper(fingerprint), colons(fingerprint)}, fingerprint},
		{signals.AliasVendor, []string{"jamf/1"}, "jamf/1"},
		{signals.AliasVendor, []string{"fleet/22"}, "fleet/22"},
		{signals.AliasVendor, []string{"kolide/a/b"}, "kolide/a/b"},
	} {
		for _, raw := range tt.raws {
			if got, err := signals.NewAlias(tt.kind, raw); err != nil || got != (signals.Alias{Kind: tt.kind, Value: tt.want}) {
				t.Errorf("%s %q became %q (%v), want %q", tt.kind, raw, got.Value, err, tt.want)
			}
		}
	}
}

func colons(hex string) string {
	var pairs []string
	for i := 0; i < len(hex); i += 2 {
		pairs = append(pairs, hex[i:i+2])
	}
	return strings.Join(pairs, ":")
}

// FuzzAliasIsItsOwnNormalForm: a name that was taken is taken again as the same name, in every spelling that we write.
func FuzzAliasIsItsOwnNormalForm(f *testing.F) {
	for i, raw := range append(placeholders, "C02D91CNPV4M", "564d8f05-7a8b-9c0d-1e2f-3a4b5c6d7e8f", "a/ɐɐɐ", "x:y", " a ") {
		f.Add(i%len(kinds), raw)
	}
	f.Fuzz(func(t *testing.T, kind int, raw string) {
		alias, err := signals.NewAlias(kinds[uint(kind)%uint(len(kinds))], raw)
		if err != nil {
			return
		}
		if again, err := signals.NewAlias(alias.Kind, alias.Value); err != nil || again != alias {
			t.Fatalf("%q became %q and then %q (%v)", raw, alias, again, err)
		}
		if parsed, err := signals.ParseAlias(alias.String()); err != nil || parsed != alias {
			t.Fatalf("%q is parsed as %q (%v)", alias, parsed, err)
		}
		stored, err := json.Marshal(alias)
		var read signals.Alias
		if err != nil || json.Unmarshal(stored, &read) != nil || read != alias {
			t.Fatalf("%q stored as %s and read as %q (%v)", alias, stored, read, err)
		}
	})
}

func TestAliasText(t *testing.T) {
	for _, raw := range []string{`"serial"`, `"mac:14"`, `"serial:"`, `":x"`, `{"kind":"serial","value":"C02"}`, `7`} {
		var alias signals.Alias
		if err := json.Unmarshal([]byte(raw), &alias); err == nil {
			t.Errorf("%s was read as %q", raw, alias)
		}
	}
	var alias signals.Alias // stored before its value became a placeholder
	if err := json.Unmarshal([]byte(`"serial:DEFAULT STRING"`), &alias); err != nil || alias.Value != "DEFAULT STRING" {
		t.Errorf("%q (%v): what is stored must stay readable", alias, err)
	}
}

func TestCompareAliasesIsATotalOrder(t *testing.T) {
	anyAlias := rapid.Custom(func(t *rapid.T) signals.Alias {
		return signals.Alias{Kind: rapid.SampledFrom(kinds).Draw(t, "kind"),
			Value: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "value")}
	})
	rapid.Check(t, func(t *rapid.T) {
		aliases := rapid.SliceOf(anyAlias).Draw(t, "aliases")
		slices.SortFunc(aliases, signals.CompareAliases)
		for i := 1; i < len(aliases); i++ {
			order := signals.CompareAliases(aliases[i-1], aliases[i])
			if order > 0 || (order == 0) != (aliases[i-1] == aliases[i]) {
				t.Fatalf("%q before %q", aliases[i-1], aliases[i])
			}
		}
	})
}
