package grant

import "trent/internal/api"

// Fitting is the set of operations that a key of this usage and spec can be
// granted for (AWS KMS Developer Guide, "Grant operations").
func Fitting(usage api.KeyUsage, spec api.KeySpec) Operations {
	var own []api.GrantOperation
	switch usage {
	case api.KeyUsageEncryptDecrypt:
		own = []api.GrantOperation{
			api.GrantOperationEncrypt, api.GrantOperationDecrypt, api.GrantOperationReEncryptFrom, api.GrantOperationReEncryptTo,
			api.GrantOperationGetPublicKey,
		}
		if spec == api.KeySpecSymmetricDefault {
			own = append(own[:4],
				api.GrantOperationGenerateDataKey, api.GrantOperationGenerateDataKeyWithoutPlaintext,
				api.GrantOperationGenerateDataKeyPair, api.GrantOperationGenerateDataKeyPairWithoutPlaintext)
		}
	case api.KeyUsageSignVerify:
		own = []api.GrantOperation{api.GrantOperationSign, api.GrantOperationVerify, api.GrantOperationGetPublicKey}
	case api.KeyUsageGenerateVerifyMac:
		own = []api.GrantOperation{api.GrantOperationGenerateMac, api.GrantOperationVerifyMac}
	case api.KeyUsageKeyAgreement:
		own = []api.GrantOperation{api.GrantOperationDeriveSharedSecret, api.GrantOperationGetPublicKey}
	case api.KeyUsageEncapsulateDecapsulate:
		own = []api.GrantOperation{api.GrantOperationEncapsulate, api.GrantOperationDecapsulate, api.GrantOperationGetPublicKey}
	default:
		return 0
	}
	own = append(own, api.GrantOperationCreateGrant, api.GrantOperationRetireGrant, api.GrantOperationDescribeKey)
	set, _ := OperationsOf(own...) // all of them are known
	return set
}
