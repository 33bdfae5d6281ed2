package key

import (
	"trent/internal/api"
	"trent/internal/fault"
)

// EncryptionAlgorithms are those that a key of this record can be used with, as
// DescribeKey lists them.
func (r *Record) EncryptionAlgorithms() []api.EncryptionAlgorithm {
	if r.Usage == api.KeyUsageEncryptDecrypt && r.Spec == api.KeySpecSymmetricDefault {
		return []api.EncryptionAlgorithm{api.EncryptionAlgorithmSymmetricDefault}
	}
	return nil
}

// CheckUsage refuses an action that is not for keys of this usage.
func CheckUsage(r *Record, want api.KeyUsage, action string) error {
	if want == "" || r.Usage == want {
		return nil
	}
	return fault.Newf(api.InvalidKeyUsageException, "%s key usage is %s which is not valid for %s.", r.ARN, r.Usage, action)
}

// CheckAlgorithm refuses an algorithm that does not go with the key's spec. No
// algorithm sent means SYMMETRIC_DEFAULT.
func CheckAlgorithm(r *Record, alg api.EncryptionAlgorithm) error {
	if alg == "" {
		alg = api.EncryptionAlgorithmSymmetricDefault
	}
	for _, a := range r.EncryptionAlgorithms() {
		if a == alg {
			return nil
		}
	}
	return fault.Newf(api.InvalidKeyUsageException, "Algorithm %s is incompatible with key spec %s.", alg, r.Spec)
}
