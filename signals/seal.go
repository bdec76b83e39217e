package signals

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"time"
)

// Seal is the signature of the receiver that wrote a posture (Ed25519, RFC 8032). Whoever can write to the store but has no
// key of a receiver cannot make a device healthy, nor clear an alarm.
type Seal struct {
	Key       string `json:"key"` // which key, see Sealer.Key
	Signature []byte `json:"signature"`
}

// What a signature is of. A seal of one sort of thing is none of another.
const (
	sealedPosture = "tiergate posture 1"
	sealedMarked  = "tiergate posture 1, checkpointed"
	// Those of postures with clearances, which a tiergate that knows none does not take for whole.
	sealedCleared       = "tiergate posture 2"
	sealedMarkedCleared = "tiergate posture 2, checkpointed"

	sealedRecord = "tiergate record 1"
)

// Sealer signs what a receiver writes. It is immutable.
type Sealer struct {
	key  ed25519.PrivateKey
	name string
}

// NewSealer reads an Ed25519 private key: PEM of PKCS #8 (RFC 8410), as `openssl genpkey -algorithm ed25519` writes it.
func NewSealer(pemKey []byte) (*Sealer, error) {
	block, err := onePEM(pemKey, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block)
	if err != nil {
		return nil, errors.New("the private key cannot be read")
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("the private key is not Ed25519; make one with: openssl genpkey -algorithm ed25519")
	}
	public, _ := key.Public().(ed25519.PublicKey)
	return &Sealer{key: key, name: keyName(public)}, nil
}

// Key names the key: the first 16 hex digits of the SHA-256 of the public key's 32 bytes.
func (s *Sealer) Key() string { return s.name }

// Checker returns a Checker that believes this Sealer alone.
func (s *Sealer) Checker() *Checker {
	public, _ := s.key.Public().(ed25519.PublicKey)
	return &Checker{keys: map[string]ed25519.PublicKey{s.name: public}}
}

func (s *Sealer) sign(content []byte) Seal {
	return Seal{Key: s.name, Signature: ed25519.Sign(s.key, content)}
}

// Checker believes what a receiver of a known key has signed. It is immutable.
type Checker struct{ keys map[string]ed25519.PublicKey }

// NewChecker reads the public keys that count, several while they are rotated: each PEM of a SubjectPublicKeyInfo
// (RFC 8410), as `openssl pkey -pubout` writes it.
func NewChecker(pemKeys ...[]byte) (*Checker, error) {
	c := &Checker{keys: map[string]ed25519.PublicKey{}}
	for i, text := range pemKeys {
		block, err := onePEM(text, "PUBLIC KEY")
		if err != nil {
			return nil, fmt.Errorf("key %d of %d: %w", i+1, len(pemKeys), err)
		}
		parsed, err := x509.ParsePKIXPublicKey(block)
		key, ok := parsed.(ed25519.PublicKey)
		if err != nil || !ok {
			return nil, fmt.Errorf("key %d of %d: it is no Ed25519 public key; make it with: openssl pkey -pubout -in KEY", i+1,
				len(pemKeys))
		}
		c.keys[keyName(key)] = key
	}
	if len(c.keys) == 0 {
		return nil, errors.New("there is no key, so nothing could be believed")
	}
	return c, nil
}

// Knows tells whether a key counts; the name is that of Sealer.Key.
func (c *Checker) Knows(key string) bool {
	_, known := c.keys[key]
	return known
}

func (c *Checker) check(seal *Seal, content []byte) error {
	if seal == nil {
		return errors.New("nobody has signed it")
	}
	key, known := c.keys[seal.Key]
	switch {
	case !known:
		return fmt.Errorf("it is signed with key %.32q, which is not trusted here", seal.Key)
	case !ed25519.Verify(key, content, seal.Signature):
		return fmt.Errorf("its signature with key %s does not verify: somebody else has written it, or a part of it", seal.Key)
	}
	return nil
}

func onePEM(text []byte, kind string) ([]byte, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil || block.Type != kind:
		return nil, fmt.Errorf("there is no PEM block of type %s", kind)
	case len(rest) > 0:
		if another, _ := pem.Decode(rest); another != nil {
			return nil, errors.New("there is more than one key; give each a file of its own")
		}
	}
	return block.Bytes, nil
}

const nameBytes = 8 // of the SHA-256, in a key's name

func keyName(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:nameBytes])
}

// content is what is signed of a posture: every part of it in an encoding of its own, so that the signature does not depend
// on how a store spells it.
func (p *Posture) content() []byte {
	b := make([]byte, 0, 256+64*len(p.Facts))
	b = appendText(b, p.sealLabel())
	b = appendText(b, string(p.Device))
	b = binary.AppendVarint(b, int64(p.Revision))
	b = binary.AppendUvarint(b, uint64(len(p.Aliases)))
	for _, alias := range p.Aliases {
		b = appendText(appendText(b, string(alias.Kind)), alias.Value)
	}
	b = binary.AppendUvarint(b, uint64(len(p.Facts)))
	for i := range p.Facts {
		f := &p.Facts[i]
		b = appendText(appendText(appendText(b, f.Attribute), f.Source), f.Path)
		b = append(b, byte(f.Value.kind))
		b = appendText(b, f.Value.text)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f.Value.number))
		if f.Value.truth {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
		b = appendInstant(appendInstant(b, f.Observed), f.Received)
	}
	if len(p.Clearances) == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(p.Clearances)))
	for _, c := range p.Clearances {
		b = appendText(appendText(appendText(b, c.Attribute), c.Source), c.Name)
		b = appendInstant(b, c.Until)
	}
	return b
}

// sealLabel says which encoding follows. That of postures without clearances is the one of before there were any, so that
// their seals still verify.
func (p *Posture) sealLabel() string {
	switch {
	case len(p.Clearances) == 0 && p.Checkpointed:
		return sealedMarked
	case len(p.Clearances) == 0:
		return sealedPosture
	case p.Checkpointed:
		return sealedMarkedCleared
	}
	return sealedCleared
}

// content is what is signed of a record besides its seal.
func (r *Record) content(value []byte) []byte {
	b := make([]byte, 0, 128+len(value))
	b = appendText(appendText(appendText(b, sealedRecord), r.Kind), r.Key)
	b = binary.AppendVarint(b, int64(r.Revision))
	b = appendInstant(b, r.Expires)
	return append(b, value...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendInstant(b []byte, at time.Time) []byte {
	return binary.AppendVarint(binary.AppendVarint(b, at.Unix()), int64(at.Nanosecond()))
}
