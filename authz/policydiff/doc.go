// Package policydiff tells two policies apart: in the words of the policy language, what was added, removed and changed and
// whether that lets more through (Compare); and, from recorded decisions, who would be answered otherwise (Blast). It does
// no I/O and reads no clock.
//
// # Directions
//
// A change loosens if some request may come to a better answer because of it (outcomes are ordered deny, step-up, allow),
// tightens if none may and some may come to a worse one, and is neither if it moves no answer. Where that cannot be told
// from the documents it says so, and why: what an expression means is not compared, and in a tier with grace or last-known a
// demand more moves the clock of a device that fell silent. The promise is one-sided: while no change loosens and none
// cannot be told, no answer is better under the new policy than under the old one. It is about requests as the two
// directories judge them. Of exceptions that were granted at run time it says nothing: those are bounded by the policy at
// each decision, so one that the old policy barred may count under the new one. Recorded decisions carry theirs.
//
// # Recorded decisions
//
// The input of each recorded decision is judged under both policies, at its own instant and with the facts as they were.
// What Envoy said of its own choice of route (policy.Request.Chosen) belongs to the route table that it held then; under
// either policy it would have held that policy's. So it is taken away, and both judge as if Envoy had agreed with them.
package policydiff
