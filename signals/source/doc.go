// Package source is the frame in which every source of facts stands: what a delivery is, what an adapter must answer,
// how a refusal is told to the sender, and the one reader of JSON bodies that they share.
//
// Vendors that sign nothing show who they are by an Auth (Basic, Header, URLSecret). One that can be asked is an Inventory
// on a Client, which keeps to the vendor's rate and Retry-After, renews tokens, and sends credentials to no other host; the
// receiver asks it for the devices that deliveries point at, and lists all of them now and then.
//
// A source is one directory beside this file, named for its vendor. It imports nothing of ours but signals and this
// package.
package source
