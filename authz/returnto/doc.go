// Package returnto is what tiergate and a login application say to each other through a browser. tiergate sends a browser
// whose login does not do to the route's login.url with these query parameters:
//
//	acr_values     the acr that would do, separated by blanks (RFC 9470, section 3); absent: any
//	max_age        how old the login may be, in seconds (RFC 9470, section 3); absent: any age
//	return_to      the path and query that were asked for: 1 to 2048 bytes of printable ASCII, beginning with one slash
//	return_host    the host that they were asked of, lower case and without port
//	return_route   the name of the route in the policy
//	return_ticket  the word of tiergate on all of these, until when it counts
//
// The application verifies the ticket (Verify) before it does anything, has its provider log the user in as acr_values and
// max_age say, and sends the browser to https://return_host + return_to with the ticket as one more query parameter of that
// URL, tiergate_stepup (Return.URL). A login that comes back with that mark and still does not do gets a page and is not
// sent on again, so that nothing goes round in circles.
//
// A ticket is v1.EXPIRES.KIND.MAC. EXPIRES are seconds since 1970 in decimal digits. KIND is asked where acr_values or max_age
// is there, else any. MAC is, in base64url without padding, the
// HMAC-SHA256 (RFC 2104) by the shared key of these lines, each with a newline after it:
//
//	tiergate-return-v1
//	EXPIRES
//	return_host
//	return_route
//	return_to
//	acr_values
//	max_age
//
// each parameter as it is once it is decoded, and an absent one as an empty line. No value has a newline or any other
// control byte, so that no two sets of values have the same lines. testdata/vectors.json has examples.
//
// The key is shared: whoever has it can send browsers to any path of any host that the application then believes in. It
// opens nothing at tiergate, which judges whoever returns as it judges anybody.
package returnto
