// Package policy is the heart of tiergate: a compiled policy and its evaluation. New judges what was written and compiles
// it; Evaluate turns one Input into one Verdict.
//
// Both are pure. Evaluate takes the instant instead of asking a clock, has no context and returns no error: whatever is
// missing or doubtful becomes a refusal with its reason. The zero Outcome is Deny.
package policy
