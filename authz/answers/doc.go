// Package answers has what refusals say to people: a sentence for each reason in every language that there is, the page
// that shows it, and the choice between them by what a client says that it can read.
package answers
