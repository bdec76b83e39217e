// Package findings is what has gone wrong since: drift, conflicts, contested devices, exceptions and grace that do not end,
// and non-human identities that nobody looks after. Find is pure: from a View of the world at an instant to what is wrong
// in it now; Follow turns what is wrong now, and what was before, into cases with an owner and a deadline that the
// facts alone close.
package findings
