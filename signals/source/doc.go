// Package source is the frame in which every source of facts stands: what a delivery is, what an adapter must answer,
// how a refusal is told to the sender, and the one reader of JSON bodies that they share.
//
// A source is one directory beside this file, named for its vendor. It imports nothing of ours but signals and this
// package.
package source
