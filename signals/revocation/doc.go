// Package revocation holds what has ended of somebody's logins: the records that a receiver of Shared Signals writes and
// every sidecar reads.
//
// A revocation voids the tokens and logins of a user, a session or a device up to an instant, and is kept for as long as
// such a token can live. Of one subject the newest instant wins, so records may be merged in any order and any number of
// times. Nothing un-revokes: a later login is newer than the instant, and that is all it takes.
//
// Records are signed with the receiver's seal where the store is sealed, so a sidecar can neither write nor move one. Who
// holds the store's password can still delete one or put an older version back; Book therefore forgets nothing that it has
// seen before its time.
//
// A sidecar learns of a revocation by the store's change stream, in milliseconds. When its connection ends or falls silent it
// notices within a second and reads everything again, at most 2 s apart; a change that no notice told is found within 72 s,
// by reading everything every minute or so. While the store is out of reach nobody can tell it: logins that it knew of as
// good are admitted for identity.revocationsStale (default 1h), then every user is answered 503, /readyz says so, and
// tiergate_revocations_stale is 1, until all was read again. A sidecar that has never read them believes no login.
package revocation
