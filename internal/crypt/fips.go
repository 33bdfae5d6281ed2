package crypt

import (
	"crypto/fips140"

	"trent/internal/api"
	"trent/internal/fault"
)

// FIPS reports whether this process keeps to the FIPS 140-3 module of Go: what the module does
// not have is refused then, and not done by other code.
func FIPS() bool { return fips140.Enabled() }

// outside are the kinds of keys that this Go's module does not have. ML-DSA is in that of
// Go 1.27.
var outside = map[api.KeySpec]bool{
	api.KeySpecECCSECGP256K1: true,
	api.KeySpecMLDSA44:       true, api.KeySpecMLDSA65: true, api.KeySpecMLDSA87: true,
	api.KeySpecMLKEM512: true, api.KeySpecSM2: true,
}

// CheckSpec refuses keys of a spec that the module does not have, in a process that keeps to it.
func CheckSpec(spec api.KeySpec) error {
	if FIPS() && outside[spec] {
		return errOutside("KeySpec " + string(spec))
	}
	return nil
}

// CheckEncryption is CheckSpec for an algorithm: SHA-1 is outside.
func CheckEncryption(alg api.EncryptionAlgorithm) error {
	if FIPS() && alg == api.EncryptionAlgorithmRSAESOAEPSHA1 {
		return errOutside("EncryptionAlgorithm " + string(alg))
	}
	return nil
}

func errOutside(what string) error {
	return fault.New(api.UnsupportedOperationException, what+" is outside of the FIPS 140-3 module, to which this server keeps.")
}
