// Package assertion signs who calls, for upstreams: one JWT for each caller, device, tier, route and upstream, in the
// format of package verify. It is signed once and sent with every request until half of its life is over, so that a
// decision costs no signature; the id of the decision has a header of its own.
//
// The keys are ES256 (RFC 7518, section 3.4), made at start and replaced on a schedule, or of files that several sidecars
// share. A key stands in the published set (RFC 7517) well before it signs, and stays there until nothing that it signed
// counts any more.
package assertion
