package authz

// varies names the headers by which refusals differ (RFC 9110, section 12.5.5): those by which their form is chosen, and
// Origin, for which Envoy says whose pages may read them. Envoy drops what the route itself says of Vary where a refusal has a
// Vary of its own, whatever its append_action (ext_authz of Envoy 1.40). It is the same on every route, so that it does not
// tell which have cors.
const varies = "accept, accept-language, origin, sec-fetch-dest, sec-fetch-mode, x-requested-with"
