package key

import (
	"slices"

	"trent/internal/api"
)

// Kind is what a key is for. It never changes, and there is one value of each kind, so that
// pointers can be compared.
type Kind struct {
	Spec   api.KeySpec
	Usage  api.KeyUsage
	Origin api.Origin

	*capability // of Spec and Usage
}

// A capability is what keys of a spec can do under a usage, in the order in which AWS KMS
// lists it.
type capability struct {
	Encryption    []api.EncryptionAlgorithm
	Signing       []api.SigningAlgorithm
	Mac           []api.MacAlgorithm
	Agreement     []api.KeyAgreementAlgorithm
	Encapsulation []api.EncapsulationAlgorithm
}

// KindOf gives the one Kind of these three, or nil where there is none.
func KindOf(spec api.KeySpec, usage api.KeyUsage, origin api.Origin) *Kind {
	return kinds[kindName{spec, usage, origin}]
}

// Fits reports whether keys of a spec may have a usage.
func Fits(spec api.KeySpec, usage api.KeyUsage) bool { return capabilities[spec][usage] != nil }

// IsSymmetric reports whether the key has a single half that encrypts.
func (k *Kind) IsSymmetric() bool { return k.Spec == api.KeySpecSymmetricDefault }

// IsAsymmetric reports whether the key has a public half.
func (k *Kind) IsAsymmetric() bool {
	return !k.IsSymmetric() && k.Usage != api.KeyUsageGenerateVerifyMac
}

type kindName struct {
	spec   api.KeySpec
	usage  api.KeyUsage
	origin api.Origin
}

var kinds = func() map[kindName]*Kind {
	all := make(map[kindName]*Kind)
	for spec, usages := range capabilities {
		origins := []api.Origin{api.OriginAWSKMS, api.OriginExternal}
		if spec == api.KeySpecSymmetricDefault {
			origins = append(origins, api.OriginAWSCloudHSM, api.OriginExternalKeyStore)
		}
		for usage, c := range usages {
			for _, origin := range origins {
				all[kindName{spec, usage, origin}] = &Kind{spec, usage, origin, c}
			}
		}
	}
	return all
}()

// capabilities are the specs with their usages (CreateKey, KeySpec and KeyUsage).
var capabilities = map[api.KeySpec]map[api.KeyUsage]*capability{
	api.KeySpecSymmetricDefault: {api.KeyUsageEncryptDecrypt: {Encryption: []api.EncryptionAlgorithm{api.EncryptionAlgorithmSymmetricDefault}}},

	api.KeySpecRSA2048: rsa, api.KeySpecRSA3072: rsa, api.KeySpecRSA4096: rsa,

	api.KeySpecECCNISTP256: nist(api.SigningAlgorithmECDSASHA256),
	api.KeySpecECCNISTP384: nist(api.SigningAlgorithmECDSASHA384),
	api.KeySpecECCNISTP521: nist(api.SigningAlgorithmECDSASHA512),

	api.KeySpecECCSECGP256K1:       signs(api.SigningAlgorithmECDSASHA256),
	api.KeySpecECCNISTEdwards25519: signs(api.SigningAlgorithmED25519SHA512, api.SigningAlgorithmED25519PHSHA512),

	api.KeySpecMLDSA44: signs(api.SigningAlgorithmMLDSASHAKE256),
	api.KeySpecMLDSA65: signs(api.SigningAlgorithmMLDSASHAKE256),
	api.KeySpecMLDSA87: signs(api.SigningAlgorithmMLDSASHAKE256),

	api.KeySpecMLKEM512: encapsulates, api.KeySpecMLKEM768: encapsulates, api.KeySpecMLKEM1024: encapsulates,

	api.KeySpecSM2: {
		api.KeyUsageEncryptDecrypt: {Encryption: []api.EncryptionAlgorithm{api.EncryptionAlgorithmSM2PKE}},
		api.KeyUsageSignVerify:     {Signing: []api.SigningAlgorithm{api.SigningAlgorithmSM2DSA}},
		api.KeyUsageKeyAgreement:   {Agreement: []api.KeyAgreementAlgorithm{api.KeyAgreementAlgorithmECDH}},
	},

	api.KeySpecHMAC224: macs(api.MacAlgorithmHMACSHA224),
	api.KeySpecHMAC256: macs(api.MacAlgorithmHMACSHA256),
	api.KeySpecHMAC384: macs(api.MacAlgorithmHMACSHA384),
	api.KeySpecHMAC512: macs(api.MacAlgorithmHMACSHA512),
}

var rsa = map[api.KeyUsage]*capability{
	api.KeyUsageEncryptDecrypt: {Encryption: []api.EncryptionAlgorithm{api.EncryptionAlgorithmRSAESOAEPSHA1, api.EncryptionAlgorithmRSAESOAEPSHA256}},
	api.KeyUsageSignVerify: {Signing: []api.SigningAlgorithm{
		api.SigningAlgorithmRSASSAPKCS1V15SHA256, api.SigningAlgorithmRSASSAPKCS1V15SHA384, api.SigningAlgorithmRSASSAPKCS1V15SHA512,
		api.SigningAlgorithmRSASSAPSSSHA256, api.SigningAlgorithmRSASSAPSSSHA384, api.SigningAlgorithmRSASSAPSSSHA512,
	}},
}

var encapsulates = map[api.KeyUsage]*capability{
	api.KeyUsageEncapsulateDecapsulate: {Encapsulation: []api.EncapsulationAlgorithm{api.EncapsulationAlgorithmMLKEM}},
}

func signs(algorithms ...api.SigningAlgorithm) map[api.KeyUsage]*capability {
	return map[api.KeyUsage]*capability{api.KeyUsageSignVerify: {Signing: algorithms}}
}

func nist(algorithm api.SigningAlgorithm) map[api.KeyUsage]*capability {
	c := signs(algorithm)
	c[api.KeyUsageKeyAgreement] = &capability{Agreement: []api.KeyAgreementAlgorithm{api.KeyAgreementAlgorithmECDH}}
	return c
}

func macs(algorithm api.MacAlgorithm) map[api.KeyUsage]*capability {
	return map[api.KeyUsage]*capability{api.KeyUsageGenerateVerifyMac: {Mac: []api.MacAlgorithm{algorithm}}}
}

// Specs lists all specs of keys that can be made here.
func Specs() []api.KeySpec {
	var all []api.KeySpec
	for spec := range capabilities {
		all = append(all, spec)
	}
	slices.Sort(all)
	return all
}
