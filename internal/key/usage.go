package key

import (
	"slices"

	"trent/internal/api"
	"trent/internal/fault"
)

// CheckUsage reports a key that is of the wrong kind for an action.
func CheckUsage(r *Record, want api.KeyUsage, action string) error {
	if want == "" || r.Usage == want {
		return nil
	}
	return fault.Newf(api.InvalidKeyUsageException, "%s key usage is %s which is not valid for %s.", r.ARN, r.Usage, action)
}

// CheckAsymmetric reports a key that has no public half.
func CheckAsymmetric(r *Record) error {
	if !r.IsAsymmetric() {
		return fault.New(api.UnsupportedOperationException, "")
	}
	return nil
}

// CheckOrigin reports a key whose material comes from elsewhere than an action can take.
func CheckOrigin(r *Record, want api.Origin) error {
	if r.Origin == want {
		return nil
	}
	return fault.Newf(api.UnsupportedOperationException, "%s origin is %s which is not valid for this operation.", r.ARN, r.Origin)
}

// CheckEncryption reports an algorithm that the key does not encrypt with; none is
// SYMMETRIC_DEFAULT.
func CheckEncryption(r *Record, alg api.EncryptionAlgorithm) error {
	if alg == "" {
		alg = api.EncryptionAlgorithmSymmetricDefault
	}
	return check(r, alg, r.Encryption)
}

// CheckSigning reports an algorithm that the key does not sign with.
func CheckSigning(r *Record, alg api.SigningAlgorithm) error { return check(r, alg, r.Signing) }

// CheckMac reports an algorithm that the key does not authenticate with.
func CheckMac(r *Record, alg api.MacAlgorithm) error { return check(r, alg, r.Mac) }

// CheckAgreement reports an algorithm that the key does not agree by.
func CheckAgreement(r *Record, alg api.KeyAgreementAlgorithm) error {
	return check(r, alg, r.Agreement)
}

// CheckEncapsulation reports an algorithm that the key does not encapsulate with.
func CheckEncapsulation(r *Record, alg api.EncapsulationAlgorithm) error {
	return check(r, alg, r.Encapsulation)
}

func check[A ~string](r *Record, alg A, can []A) error {
	if slices.Contains(can, alg) {
		return nil
	}
	return fault.Newf(api.InvalidKeyUsageException, "Algorithm %s is incompatible with key spec %s.", alg, r.Spec)
}

// muSize is the size of the message representative of ML-DSA, in bytes (FIPS 204).
const muSize = 64

// CheckMessage reports a message that does not have the form which its type says, or
// which the algorithm cannot sign. The algorithm is one of the key's.
func CheckMessage(r *Record, alg api.SigningAlgorithm, form api.MessageType, size int) error {
	switch alg {
	case api.SigningAlgorithmMLDSASHAKE256:
		switch {
		case form == api.MessageTypeDigest:
			return incompatible(form, "key spec "+string(r.Spec))
		case form == api.MessageTypeExternalMU && size != muSize:
			return errDigest(alg)
		}
		return nil
	case api.SigningAlgorithmED25519SHA512:
		if form == api.MessageTypeDigest || form == api.MessageTypeExternalMU {
			return incompatible(form, "algorithm "+string(alg))
		}
		return nil
	case api.SigningAlgorithmED25519PHSHA512:
		if form != api.MessageTypeDigest {
			return incompatible(form, "algorithm "+string(alg))
		}
	}
	switch {
	case form == api.MessageTypeExternalMU:
		return incompatible(form, "key spec "+string(r.Spec))
	case form == api.MessageTypeDigest && size != digestSizes[alg]:
		return errDigest(alg)
	}
	return nil
}

func incompatible(form api.MessageType, with string) error {
	if form == "" {
		form = api.MessageTypeRaw
	}
	return fault.Newf(api.ValidationException, "Message type %s is incompatible with %s.", form, with)
}

func errDigest(alg api.SigningAlgorithm) error {
	return fault.Newf(api.ValidationException, "Digest is invalid length for algorithm %s.", alg)
}

// Sizes of digests in bytes (FIPS 180-4).
const (
	sha1Size   = 20
	sha256Size = 32
	sha384Size = 48
	sha512Size = 64
	sm3Size    = 32
)

// digestSizes are those of what is signed, in bytes.
var digestSizes = map[api.SigningAlgorithm]int{
	api.SigningAlgorithmRSASSAPKCS1V15SHA256: sha256Size, api.SigningAlgorithmRSASSAPSSSHA256: sha256Size, api.SigningAlgorithmECDSASHA256: sha256Size,
	api.SigningAlgorithmRSASSAPKCS1V15SHA384: sha384Size, api.SigningAlgorithmRSASSAPSSSHA384: sha384Size, api.SigningAlgorithmECDSASHA384: sha384Size,
	api.SigningAlgorithmRSASSAPKCS1V15SHA512: sha512Size, api.SigningAlgorithmRSASSAPSSSHA512: sha512Size, api.SigningAlgorithmECDSASHA512: sha512Size,
	api.SigningAlgorithmED25519PHSHA512: sha512Size,
	api.SigningAlgorithmSM2DSA:          sm3Size,
}

// CheckPlaintext reports a plaintext that is longer than one encryption takes: of OAEP the
// modulus less two hashes and two bytes (RFC 8017, section 7.1.1).
func CheckPlaintext(r *Record, alg api.EncryptionAlgorithm, size int) error {
	most := maxPlaintext
	switch alg {
	case api.EncryptionAlgorithmRSAESOAEPSHA1:
		most = modulusSizes[r.Spec] - 2*sha1Size - 2
	case api.EncryptionAlgorithmRSAESOAEPSHA256:
		most = modulusSizes[r.Spec] - 2*sha256Size - 2
	case api.EncryptionAlgorithmSM2PKE:
		most = maxSM2Plaintext
	}
	if size > most {
		return fault.Newf(api.ValidationException, "Algorithm %s and key spec %s cannot encrypt data larger than %d bytes.", alg, r.Spec, most)
	}
	return nil
}

const (
	maxPlaintext    = 4096
	maxSM2Plaintext = 1024
)

var modulusSizes = map[api.KeySpec]int{api.KeySpecRSA2048: 256, api.KeySpecRSA3072: 384, api.KeySpecRSA4096: 512}
