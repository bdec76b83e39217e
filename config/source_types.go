package config

// need says whether a block of a source's settings stands.
type need int

const (
	never need = iota // the type has no use for it
	optional
	needed
)

// sourceType is what a type of source has. A new one is a line in sourceTypes, its constant beside its settings in
// source_TYPE.go, and its check in check_TYPE.go.
type sourceType struct {
	webhook     need         // how the sender of deliveries shows who it is
	api         need         // where the vendor is asked; sync goes with it
	secretFiles bool         // the sender signs with whsec_ secrets
	parts       bool         // webhook.hmac may stand: the signature is made of parts that the settings name
	events      bool         // cloudEvents may stand
	credentials []credential // of api: what the type can ask with
	rate        int          // requests per second where api.rate does not stand; 0: DefaultRate
	block       string       // the name of the type's own settings in a Source; empty: it has none
	check       func(c *check, at string, s *Source)
}

// sourceTypes are all types. Each has its adapter in cmd/tiergate.
var sourceTypes = map[string]sourceType{
	SourceStandard: {secretFiles: true, events: true, check: (*check).standard},
	SourceMapping: {webhook: optional, api: optional, parts: true, events: true, block: "mapping", check: (*check).mapping,
		credentials: []credential{clientSecret, clientKey, serviceAccount, password, handToken}},
	SourceSentinelOne: {webhook: optional, api: needed, parts: true, block: "sentinelone", check: (*check).sentinelOne,
		credentials: []credential{handToken}},
	SourceJamfProtect:    {webhook: needed, parts: true},
	SourceVerifiedAccess: {webhook: needed, parts: true},
	SourceJamf: {webhook: needed, api: needed, block: "jamf", check: (*check).jamf,
		credentials: []credential{clientSecret, password, handToken}},
	SourceFleet: {webhook: needed, api: needed, block: "fleet", check: (*check).fleet,
		credentials: []credential{clientSecret, password, handToken}},
	SourceKolide: {secretFiles: true, api: needed, block: "kolide", check: (*check).kolide,
		credentials: []credential{handToken}},
	SourceIntune: {webhook: optional, api: needed, block: "intune", check: (*check).intune,
		credentials: []credential{clientSecret, handToken}},
	SourceDefender: {api: needed, block: "defender", check: (*check).defender,
		credentials: []credential{clientSecret, handToken}},
	SourceCrowdStrike: {secretFiles: true, api: needed, block: "crowdstrike", check: (*check).crowdStrike,
		credentials: []credential{clientSecret}},
	// Kandji allows 10,000 requests an hour for all that ask it.
	SourceKandji: {api: needed, block: "kandji", check: (*check).kandji, rate: 2,
		credentials: []credential{handToken}},
	SourceWorkspaceOne: {webhook: needed, api: needed, block: "workspaceOne", check: (*check).workspaceOne,
		credentials: []credential{clientSecret, password}},
	SourceOkta: {webhook: optional, api: needed, block: "okta", check: (*check).okta,
		credentials: []credential{clientKey, handToken}},
	SourceOsquery: {block: "osquery", check: (*check).osquery},
	SourceGoogle: {api: needed, block: "google", check: (*check).google,
		credentials: []credential{serviceAccount, handToken}},
}

// credential is a kind of credentials: the fields that belong together.
type credential []string

// The kinds of credentials.
var (
	clientSecret   = credential{"clientID", "clientSecretFile"}
	clientKey      = credential{"clientID", "keyFile"}
	serviceAccount = credential{"serviceAccountFile"}
	password       = credential{"username", "passwordFile"}
	handToken      = credential{"tokenFile"}
)

// credentialFields are all fields of them.
var credentialFields = []string{"clientID", "clientSecretFile", "keyFile", "serviceAccountFile", "username", "passwordFile",
	"tokenFile"}
