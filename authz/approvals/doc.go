// Package approvals is what people grant while tiergate runs: exceptions beside those of the policy directory, renewals of
// a silent device's grace, and clearances of alarms. Each is asked for by one person and, but for grace, approved by
// another whom the owner of the tier names; each has a start and an end. The records are written by the receiver that knew
// who approved, and signed by it where the store is shared, so that whoever can write to the store cannot approve.
//
// The package is pure: no clock, no chance, no I/O but through the signals.Records and signals.Postures that a Desk is given.
package approvals
