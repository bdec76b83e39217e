// Package reach says what can be reached through an Envoy: listener, filter chain, host, path and method, cluster, endpoint.
//
// It reads a dump.Config, so a snapshot of ours, a bootstrap of anybody and a running Envoy's config_dump are judged alike.
// It lists more than there is, never less. A route that an earlier one always catches is listed all the same, as is every
// filter chain, whatever connections it matches. What is not understood, or cannot be known from the configuration, is a
// Path that is Open: whoever proves that something is out of reach must find no Open path to it.
package reach
