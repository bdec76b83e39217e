// Command bench measures what a decision costs, side by side with what an ext_authz server costs that decides nothing:
// `make bench` prints one table, `make bench-gate` is the short form that the continuous integration runs.
//
// Every server is a process of its own on one core, the driver (package load) has another, all are asked with the same
// kind of CheckRequest and every answer is checked. Rounds are interleaved: a machine that is slow for a while is slow
// for all. Only ratios within one round are to be compared with other machines' ratios.
package main
