package findings

// Taxonomy is what a kind of finding is called elsewhere, so that findings of several tools can be put together.
//
//   - NHI: OWASP Non-Human Identities Top 10, 2025 (owasp.org/www-project-non-human-identities-top-10/2025/top-10-2025).
//   - CSF: subcategories of the NIST Cybersecurity Framework 2.0, whose outcome fails while the trouble stands, or by which it is
//     found (NIST CSWP 29, February 2024, Appendix A).
//   - MAESTRO: layers of the Cloud Security Alliance's Agentic AI Threat Modeling Framework: MAESTRO (6 February 2025), where
//     the trouble lies if who calls is an AI agent.
//
// An empty list: the framework has no word for it.
type Taxonomy struct {
	NHI     []string `json:"nhi,omitempty"`
	CSF     []string `json:"csf,omitempty"`
	MAESTRO []string `json:"maestro,omitempty"`
}

// Layers of MAESTRO, as they are named there.
const (
	layerDeployment    = "L4 Deployment and Infrastructure"
	layerObservability = "L5 Evaluation and Observability"
	layerSecurity      = "L6 Security and Compliance"
	layerEcosystem     = "L7 Agent Ecosystem"
)

var taxonomies = map[Kind]Taxonomy{
	Drift:                 {CSF: []string{"DE.CM-09", "ID.AM-08", "PR.PS-01"}, MAESTRO: []string{layerDeployment}},
	Conflict:              {CSF: []string{"DE.AE-03"}, MAESTRO: []string{layerObservability}},
	ContestedDevice:       {CSF: []string{"ID.AM-01", "PR.AA-02"}, MAESTRO: []string{layerSecurity}},
	ExceptionAbuse:        {CSF: []string{"ID.RA-07", "PR.AA-05"}, MAESTRO: []string{layerSecurity}},
	GraceOverrun:          {CSF: []string{"DE.CM-09", "ID.RA-07"}, MAESTRO: []string{layerSecurity}},
	StaleDevice:           {CSF: []string{"ID.AM-01", "ID.AM-08"}, MAESTRO: []string{layerDeployment}},
	AlarmUncleared:        {CSF: []string{"DE.CM-09", "RS.MA-02"}, MAESTRO: []string{layerDeployment}},
	CredentialAge:         {NHI: []string{"NHI7:2025"}, CSF: []string{"PR.AA-01"}, MAESTRO: []string{layerSecurity}},
	IdentityExcessive:     {NHI: []string{"NHI5:2025"}, CSF: []string{"PR.AA-05"}, MAESTRO: []string{layerSecurity, layerEcosystem}},
	IdentityMisconfigured: {NHI: []string{"NHI9:2025"}, CSF: []string{"PR.AA-01", "PR.PS-01"}, MAESTRO: []string{layerDeployment}},
	IdentityStale:         {NHI: []string{"NHI1:2025"}, CSF: []string{"ID.AM-08", "PR.AA-01"}, MAESTRO: []string{layerEcosystem}},
	IdentityUnowned:       {NHI: []string{"NHI1:2025"}, CSF: []string{"GV.RR-02", "ID.AM-02", "PR.AA-01"}, MAESTRO: []string{layerEcosystem}},
	IdentityUnreviewed:    {CSF: []string{"PR.AA-01", "PR.AA-05"}, MAESTRO: []string{layerSecurity}},
}

// Taxonomy is what the kind is called elsewhere.
func (k Kind) Taxonomy() Taxonomy { return taxonomies[k] }
