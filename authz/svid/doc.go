// Package svid holds what a SPIFFE Workload API (SPIFFE_Workload_API.md) gives this process: its own X.509-SVID, and
// the X.509 and JWT bundles of its trust domain and of those that are federated with it.
//
// A Source follows the API's streams in the background and only there. Whoever needs a certificate, a bundle or a key
// looks at what came last and never waits. When the agent is out of reach, what came last stays in force:
// certificates run out by themselves, and JWT keys, which say no end of their own, count for MaxStale. Whose bundles
// count at all is the caller's business: a Source hands out whatever domain it is asked for, and tells nobody what to
// trust.
package svid
