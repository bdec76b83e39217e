package config

// SourceIntune is the type of a tenant of Microsoft Intune.
const SourceIntune = "intune"

// Intune are the settings of a tenant of Microsoft Intune; the README beside its source explains them.
type Intune struct {
	Tenant     string `yaml:"tenant"`               // the tenant's GUID or domain
	APIVersion string `yaml:"apiVersion,omitempty"` // v1.0 (the default) or beta
	// ClientStateFiles each hold the clientState of a subscription to Microsoft Graph; any of them counts. Without them no
	// notification of Graph is taken. Webhook is for whoever passes on rows of an Event Hub; its urlSecretFiles are for
	// both.
	ClientStateFiles []string            `yaml:"clientStateFiles,omitempty"`
	Policies         map[string][]string `yaml:"policies,omitempty"`   // attribute: ids of compliance policies
	SecureBoot       *IntuneSecureBoot   `yaml:"secureBoot,omitempty"` // default: secure_boot is not said
	User             string              `yaml:"user,omitempty"`       // userPrincipalName (the default) or emailAddress
	// Validation says whose validation tokens notifications of Graph may have. Without it one that has any does not count.
	Validation *IntuneValidation `yaml:"validation,omitempty"`
}

// IntuneValidation are the settings of the tokens that Graph sends beside notifications with resource data
// (learn.microsoft.com/graph/change-notifications-with-resource-data). Tenant must be a GUID: it stands in their issuer.
type IntuneValidation struct {
	AppIDs []string `yaml:"appIDs"` // the application ids whose subscriptions they may be for (aud), GUIDs
	// Authority is the host of Microsoft's login, default https://login.microsoftonline.com; a national cloud has another.
	Authority string `yaml:"authority,omitempty"`
	CAFile    string `yaml:"caFile,omitempty"` // who signs its certificate; default: whom the system trusts
}

// DefaultAuthority is Microsoft's login of the public cloud.
const DefaultAuthority = "https://login.microsoftonline.com"

// IntuneSecureBoot are the words of deviceHealthAttestationState.secureBoot, in any case.
type IntuneSecureBoot struct {
	On  []string `yaml:"on"`
	Off []string `yaml:"off,omitempty"`
}

// The versions of Graph's API, and what can be a user there.
const (
	IntuneV1    = "v1.0"
	IntuneBeta  = "beta"
	IntuneUPN   = "userPrincipalName"
	IntuneEmail = "emailAddress"
)
