// Package inventory is who and what the non-human callers are: the Identity documents of the policy and what was imported
// from other systems, joined with what decisions really saw (Join), and what of their rights nobody uses (Prune). It is pure:
// sidecars write Sightings and Use, receivers write Entries, and whoever judges them reads them; README.md has the formats.
package inventory
