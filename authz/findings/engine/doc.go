// Package engine keeps the cases of findings up to date in the process of a receiver: it looks at everything that the store
// holds, finds what is wrong, follows each case in a record, and hands over what is to be told.
//
// One process of several looks at a time, the holder of a lease in the store; the others stand by. Two that look at once for
// a moment do no harm: a case is written by compare-and-set, with what is to be told of it in the same record, and that is
// taken out once somebody has taken it over. So a crash in between tells twice, and never nothing.
package engine
