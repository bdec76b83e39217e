// Package prove shows what the members of isolated audiences can reach, and that it is no more than was meant.
//
// The claim: nobody who is in an isolated audience, or may be for all that is known, is let onto a route that does not list
// it, whatever their device reports, whenever they ask and however fresh their login. And, where a configuration of Envoy is
// given: no way through it leads them to an endpoint that none of their routes names. What breaks the claim is a
// Counterexample: one request of one asker, with the case (see package policytest) that shows what the policy says to it.
//
// Audiences are named by data, so askers fall into finitely many classes: all that a policy can tell of them are issuer, user
// and groups, the SPIFFE ID, whether a device is bound and who owns it. A leak needs one entry by which the asker belongs
// to the isolated audience and one by which a route takes them in, and every further attribute only adds memberships, so
// that the smallest asker of each pair of entries stands for all. These are enumerated, not drawn, and judged twice: by a
// model of the rules that is written here, and by Policy.Evaluate. Where the two differ nothing is proved.
package prove
