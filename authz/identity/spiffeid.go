package identity

// SPIFFEID is a valid SPIFFE ID, byte for byte as the certificate or token had it.
type SPIFFEID string
