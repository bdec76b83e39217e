// Package signals holds what is known of devices: facts, the posture they add up to, how facts of several sources
// merge, and the two narrow interfaces behind which state lives.
//
// Everything here is a value or a pure function of values. Nothing reads a clock, a file or a socket, because a
// decision must replay: given the same posture and the same instant, the answer is the same years later.
package signals
