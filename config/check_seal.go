package config

import (
	"fmt"
	"slices"
	"time"
)

// SealKeys is how the two files of a receiver's key are made.
const SealKeys = "openssl genpkey -algorithm ed25519 -out seal.key && openssl pkey -in seal.key -pubout -out seal.pub"

// The bounds of Seal.CheckpointMaxAge: below the least a receiver that restarts is late each time.
const (
	minCheckpointMaxAge = 2 * time.Minute
	maxCheckpointMaxAge = 24 * time.Hour
)

// seal wants to know whose word on a device counts. There is no default: unsigned, it would be that of whoever can write to
// the server, and nobody would have said so.
func (c *check) seal(r *RedisStore) {
	const at = "store.redis."
	switch {
	case r.Seal == nil && !r.Unsealed && !c.document.Has(at+"seal") && !c.document.Has(at+"unsealed"):
		c.fault("store.redis", "it is not said whose word on a device counts: unsigned, whoever can write to this server could "+
			"make any device healthy",
			"write seal: {keyFile: seal.key, trustFiles: [seal.pub]}, for serve without keyFile, after: "+SealKeys+
				"; or, knowing that, unsealed: true")
	case r.Seal == nil && !r.Unsealed && c.document.Has(at+"unsealed"):
		c.fault(at+"unsealed", "unsealed is false and there is no seal", "write seal, or unsealed: true")
	case r.Seal != nil && r.Unsealed:
		c.fault(at+"unsealed", "unsealed beside seal", "remove one: what is signed must not count unsigned too")
	}
	if r.Seal == nil {
		return
	}
	if r.Seal.KeyFile != "" {
		c.absolute(&r.Seal.KeyFile) // a sidecar's host need not have it: whoever signs looks
	}
	c.list(at+"seal.trustFiles", r.Seal.TrustFiles)
	for i := range r.Seal.TrustFiles {
		c.file(fmt.Sprintf(at+"seal.trustFiles[%d]", i), &r.Seal.TrustFiles[i])
	}
	if age := r.Seal.CheckpointMaxAge; age < minCheckpointMaxAge || age > maxCheckpointMaxAge {
		c.fault(at+"seal.checkpointMaxAge", fmt.Sprintf("checkpointMaxAge is %s", age), "write a duration from 2m to 24h; receivers "+
			"write the checkpoint every 30s")
	}
	if slices.Contains(r.Seal.TrustFiles, r.Seal.KeyFile) {
		c.fault(at+"seal.keyFile", "the private key is also named as a public one",
			"name in trustFiles what `openssl pkey -in KEY -pubout` tells of it")
	}
}
