// Package ingest is the receiver: it takes deliveries of sources, makes them durable, and applies them to the postures
// of devices.
//
// A delivery is answered 202 only after it lies in the inbox; what the inbox holds is applied at least once, and
// applying it again changes nothing. Each step leaves the store in a state from which any receiver can go on: the
// claims of a device's names come before its posture, the posture before the note that the delivery is done, the note
// before the inbox entry goes. What cannot be applied becomes a dead letter with its reason. Only what the store
// refuses to take stays in the inbox, and is tried again.
//
// Sources take turns, and each has bounds of its own, beyond which it is answered 429 (room.go, remembered.go). Within a
// source its devices take turns, and what one device sends is applied in the order in which it came (lines.go). Several
// receivers on one store share the work by leases (share.go). A dead letter can be retried (deadletters.go).
package ingest
