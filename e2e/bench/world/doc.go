// Package world lays out the company that the bench asks about: certificates and a token that are really signed, a
// policy of any number of routes, a store file with any number of devices, and the one CheckRequest for all servers.
package world
