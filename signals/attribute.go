package signals

import "slices"

// Kind is the type of an attribute's value.
type Kind uint8

// The kinds of values. The zero Kind is "not known".
const (
	KindUnknown Kind = iota
	KindBool
	KindText
	KindNumber
)

func (k Kind) String() string {
	return [...]string{"unknown", "bool", "text", "number"}[k]
}

// Attribute is one thing that a source can say of a device, in our words.
type Attribute struct {
	Name string
	Kind Kind
	// Scale lists the values of an enumeration, the healthiest first; a text attribute without a scale is free text.
	Scale []string
	// Healthy is the good value of a bool attribute: true for disk_encryption, false for compromised.
	Healthy bool
	// HigherIsWorse says which way a number points.
	HigherIsWorse bool
}

// attributes is the vocabulary. The names are part of the policy language: `device.<name>` in a signal's expression.
var attributes = []Attribute{
	{Name: "certificate_status", Kind: KindText, Scale: []string{"valid", "expired", "revoked"}},
	{Name: "compromised", Kind: KindBool, Healthy: false},
	{Name: "config_compliance", Kind: KindText, Scale: []string{
		"compliant", "not_applicable", "in_grace", "pending", "error", "conflict", "noncompliant",
	}},
	{Name: "disk_encryption", Kind: KindBool, Healthy: true},
	{Name: "edr_healthy", Kind: KindBool, Healthy: true},
	{Name: "edr_present", Kind: KindBool, Healthy: true},
	{Name: "edr_risk_score", Kind: KindNumber, HigherIsWorse: true},
	{Name: "enrolled_user", Kind: KindText},
	{Name: "firewall", Kind: KindBool, Healthy: true},
	{Name: "lifecycle", Kind: KindText, Scale: []string{"enrolled", "retiring", "missing", "blocked", "removed"}},
	{Name: "mdm_managed", Kind: KindBool, Healthy: true},
	{Name: "os_build", Kind: KindText},
	{Name: "os_version", Kind: KindText},
	{Name: "ownership", Kind: KindText, Scale: []string{"corporate", "shared", "byod", "contractor"}},
	{Name: "patch_level", Kind: KindText},
	{Name: "platform", Kind: KindText, Scale: []string{
		"macos", "windows", "linux", "ios", "ipados", "android", "chromeos",
	}},
	{Name: "screen_lock", Kind: KindBool, Healthy: true},
	{Name: "secure_boot", Kind: KindBool, Healthy: true},
	{Name: "supervised", Kind: KindBool, Healthy: true},
	{Name: "threat_level", Kind: KindText, Scale: []string{"none", "low", "medium", "high"}},
}

// Attributes returns the vocabulary, sorted by name.
func Attributes() []Attribute { return slices.Clone(attributes) }

// LookupAttribute finds an attribute by its exact name.
func LookupAttribute(name string) (Attribute, bool) {
	for _, a := range attributes {
		if a.Name == name {
			return a, true
		}
	}
	return Attribute{}, false
}

// MaxTextBytes is the longest text that a fact may have. What a policy's expression may cost is reckoned with it.
const MaxTextBytes = 200

// Accepts reports whether v is something this attribute can be: of its kind, for an enumeration on its scale, and no longer
// than MaxTextBytes. Unknown is always accepted: every attribute is tri-state.
func (a Attribute) Accepts(v Value) bool {
	switch {
	case !v.Known():
		return true
	case v.kind != a.Kind:
		return false
	case len(a.Scale) > 0:
		return slices.Contains(a.Scale, v.text)
	}
	return len(v.text) <= MaxTextBytes
}

// worse returns the less healthy of two known values of this attribute; where "less healthy" has no meaning (two
// different OS versions reported for one instant) nothing is known, which no demand takes for good.
//
// It is commutative, associative and idempotent, and unknown absorbs: facts may arrive in any order.
func (a Attribute) worse(x, y Value) Value {
	switch {
	case x == y:
		return x
	case !x.Known() || !y.Known() || x.kind != a.Kind || y.kind != a.Kind:
		return Unknown
	case a.Kind == KindBool:
		return Bool(!a.Healthy)
	case a.Kind == KindNumber:
		if (x.number > y.number) == a.HigherIsWorse {
			return x
		}
		return y
	case a.Name != "platform" && len(a.Scale) > 0:
		if slices.Index(a.Scale, x.text) > slices.Index(a.Scale, y.text) {
			return x
		}
		return y
	}
	return Unknown
}
