package conformance

import (
	"fmt"
	"strings"

	"trent/internal/api"
)

// shape is one request of an action on a key of some kind, with what it answers for each state of
// the key, in the order of States: E it succeeds, D DisabledException, I KMSInvalidStateException,
// U UnsupportedOperationException, - no key of that kind can be in that state.
type shape struct {
	action   string
	kind     string
	outcomes string
	body     string
	prepare  []preparation // while the key is enabled
}

type preparation struct {
	action, body string
	save         []string
}

// kinds are the kinds of keys that shapes are of: what CreateKey is asked for, and material of
// that kind, if it can be imported.
var kinds = map[string]struct{ create, material string }{
	"symmetric": {`"KeySpec":"SYMMETRIC_DEFAULT"`, strings.Repeat("5a", 32)},
	"mac":       {`"KeySpec":"HMAC_256","KeyUsage":"GENERATE_VERIFY_MAC"`, strings.Repeat("c3", 32)},
	"signing":   {`"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY"`, pkcs8P256},
	"agreement": {`"KeySpec":"ECC_NIST_P256","KeyUsage":"KEY_AGREEMENT"`, pkcs8P256},
	"kem":       {`"KeySpec":"ML_KEM_768","KeyUsage":"ENCAPSULATE_DECAPSULATE"`, ""},
}

// pkcs8P256 is the private key of RFC 6979, A.2.5, as PKCS #8.
const pkcs8P256 = "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420" +
	"c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"

// Bodies that several actions share.
const (
	onlyKey  = `{"KeyId":"$key"}`
	hello    = "aGVsbG8=" // "hello"
	digest32 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
)

var (
	encrypted = []preparation{{"Encrypt", `{"KeyId":"$key","Plaintext":"` + hello + `"}`, []string{"blob=CiphertextBlob"}}}
	granted   = []preparation{{"CreateGrant", `{"KeyId":"$key","GranteePrincipal":"arn:aws:iam::$account:root","Operations":["Encrypt"]}`, []string{"grant=GrantId"}}}
	aliased   = []preparation{{"CreateAlias", `{"AliasName":"alias/$fresh","TargetKeyId":"$key"}`, nil}}
)

func shapes() []shape {
	return []shape{
		{"CancelKeyDeletion", "symmetric", "IIEIIE", onlyKey, nil},
		{"CreateAlias", "symmetric", "EEIEEI", `{"AliasName":"alias/$fresh","TargetKeyId":"$key"}`, nil},
		{"CreateGrant", "symmetric", "EDIIEI", granted[0].body, nil},
		{"Decapsulate", "kem", "EDI--I", `{"KeyId":"$key","EncapsulationAlgorithm":"ML_KEM","SharedSecretCiphertextBlob":"$blob"}`,
			[]preparation{{"Encapsulate", `{"KeyId":"$key","EncapsulationAlgorithm":"ML_KEM"}`, []string{"blob=SharedSecretCiphertextBlob"}}}},
		{"Decrypt", "symmetric", "EDIIII", `{"KeyId":"$key","CiphertextBlob":"$blob"}`, encrypted},
		{"DeleteAlias", "symmetric", "EEEEEE", `{"AliasName":"alias/$fresh"}`, aliased},
		{"DeleteImportedKeyMaterial", "imported", "EEEE--", onlyKey, nil},
		{"DeriveSharedSecret", "agreement", "EDII-I", `{"KeyId":"$key","KeyAgreementAlgorithm":"ECDH","PublicKey":"$peer"}`, nil},
		{"DescribeKey", "symmetric", "EEEEEE", onlyKey, nil},
		{"DisableKey", "symmetric", "EEIIEI", onlyKey, nil},
		{"DisableKeyRotation", "symmetric", "EDIUUI", onlyKey, nil},
		{"EnableKey", "symmetric", "EEIIEI", onlyKey, nil},
		{"EnableKeyRotation", "symmetric", "EDIUUI", onlyKey, nil},
		{"Encapsulate", "kem", "EDI--I", `{"KeyId":"$key","EncapsulationAlgorithm":"ML_KEM"}`, nil},
		{"Encrypt", "symmetric", "EDIIII", encrypted[0].body, nil},
		{"GenerateDataKey", "symmetric", "EDIIII", `{"KeyId":"$key","KeySpec":"AES_256"}`, nil},
		{"GenerateDataKeyPair", "symmetric", "EDIIII", `{"KeyId":"$key","KeyPairSpec":"ECC_NIST_P256"}`, nil},
		{"GenerateDataKeyPairWithoutPlaintext", "symmetric", "EDIIII", `{"KeyId":"$key","KeyPairSpec":"ECC_NIST_P256"}`, nil},
		{"GenerateDataKeyWithoutPlaintext", "symmetric", "EDIIII", `{"KeyId":"$key","NumberOfBytes":64}`, nil},
		{"GenerateMac", "mac", "EDII-I", macBody, nil},
		{"GetKeyLastUsage", "symmetric", "EEEEEE", onlyKey, nil},
		{"GetKeyPolicy", "symmetric", "EEEEEE", onlyKey, nil},
		{"GetKeyRotationStatus", "symmetric", "EEEUUE", onlyKey, nil},
		{"GetParametersForImport", "imported", "EEIE--", importParameters, nil},
		{"GetPublicKey", "signing", "EEII-I", onlyKey, nil},
		{"ImportKeyMaterial", "imported", "EEIE--", importMaterial("symmetric"), []preparation{{"GetParametersForImport", importParameters, importSaves}}},
		{"ListAliases", "symmetric", "EEEEEE", onlyKey, nil},
		{"ListGrants", "symmetric", "EEEEEE", onlyKey, nil},
		{"ListKeyPolicies", "symmetric", "EEEEEE", onlyKey, nil},
		{"ListKeyRotations", "symmetric", "EEEEEE", onlyKey, nil},
		{"ListResourceTags", "symmetric", "EEEEEE", onlyKey, nil},
		{"PutKeyPolicy", "symmetric", "EEEEEE", `{"KeyId":"$key","Policy":"$policy"}`, []preparation{{"GetKeyPolicy", onlyKey, []string{"policy=Policy"}}}},
		{"ReEncrypt", "symmetric", "EDIIII", `{"CiphertextBlob":"$blob","SourceKeyId":"$key","DestinationKeyId":"$key"}`, encrypted},
		{"ReplicateKey", "multi", "EDII-I", `{"KeyId":"$key","ReplicaRegion":"$other_region"}`, nil},
		{"RetireGrant", "symmetric", "EEEEEE", `{"KeyId":"arn:aws:kms:$region:$account:key/$key","GrantId":"$grant"}`, granted},
		{"RevokeGrant", "symmetric", "EEEEEE", `{"KeyId":"$key","GrantId":"$grant"}`, granted},
		{"RotateKeyOnDemand", "symmetric", "EDIIUI", onlyKey, nil},
		{"ScheduleKeyDeletion", "symmetric", "EEIEEI", `{"KeyId":"$key","PendingWindowInDays":7}`, nil},
		{"Sign", "signing", "EDII-I", signBody, nil},
		{"TagResource", "symmetric", "EEIEEI", `{"KeyId":"$key","Tags":[{"TagKey":"team","TagValue":"blue"}]}`, nil},
		{"UntagResource", "symmetric", "EEIEEI", `{"KeyId":"$key","TagKeys":["team"]}`, nil},
		{"UpdateAlias", "symmetric", "EEIEEI", `{"AliasName":"alias/shapes","TargetKeyId":"$key"}`, nil},
		{"UpdateKeyDescription", "symmetric", "EEIEEI", `{"KeyId":"$key","Description":"another"}`, nil},
		{"UpdatePrimaryRegion", "replicated", "ED-I-I", `{"KeyId":"$key","PrimaryRegion":"$other_region"}`, nil},
		{"Verify", "signing", "EDII-I", `{"KeyId":"$key","Message":"` + hello + `","SigningAlgorithm":"ECDSA_SHA_256","Signature":"$signature"}`,
			[]preparation{{"Sign", signBody, []string{"signature=Signature"}}}},
		{"VerifyMac", "mac", "EDII-I", `{"KeyId":"$key","Message":"` + hello + `","MacAlgorithm":"HMAC_SHA_256","Mac":"$mac"}`,
			[]preparation{{"GenerateMac", macBody, []string{"mac=Mac"}}}},
	}
}

const (
	signBody = `{"KeyId":"$key","Message":"` + hello + `","SigningAlgorithm":"ECDSA_SHA_256"}`
	macBody  = `{"KeyId":"$key","Message":"` + hello + `","MacAlgorithm":"HMAC_SHA_256"}`

	importParameters = `{"KeyId":"$key","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_3072"}`
)

var importSaves = []string{"token=ImportToken", "wrapping=PublicKey"}

// importMaterial is the request that imports the material of a kind, for parameters that were saved.
func importMaterial(kind string) string {
	return `{"KeyId":"$key","ImportToken":"$token","EncryptedKeyMaterial":"${wrap RSAES_OAEP_SHA_256 $wrapping ` + kinds[kind].material + `}",` +
		`"ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"}`
}

// states performs each shape on a new key in each state.
func (b *book) states() {
	b.do("CreateKey", `{"KeySpec":"ECC_NIST_P256","KeyUsage":"KEY_AGREEMENT"}`, "key=KeyMetadata.KeyId")
	b.do("GetPublicKey", onlyKey, "peer=PublicKey")
	b.do("CreateAlias", `{"AliasName":"alias/shapes","TargetKeyId":"$any"}`)
	for _, s := range shapes() {
		for i, state := range States() {
			if s.outcomes[i] != '-' {
				b.shapeIn(s, state, outcome(s.outcomes[i]))
			}
		}
	}
}

func outcome(letter byte) string {
	return map[byte]string{'E': "ok", 'D': "Disabled", 'I': "KMSInvalidState", 'U': "UnsupportedOperation"}[letter]
}

// shapeIn performs a shape on a new key that has been brought into a state.
func (b *book) shapeIn(s shape, state, outcome string) {
	if state == string(api.KeyStateUnavailable) {
		defer func() { b.needs = "" }()
		b.needs = Proxy
	}
	b.fresh++
	b.made(s.kind, state)
	for _, p := range s.prepare {
		b.do(p.action, b.named(p.body), p.save...)
	}
	b.brought(state)
	b.state(s.action, state, outcome, b.named(s.body))
}

// named gives a body a name that no other has.
func (b *book) named(body string) string {
	return strings.ReplaceAll(body, "$fresh", fmt.Sprintf("shape-%d", b.fresh))
}

// made makes a key of a kind that can come into a state.
func (b *book) made(kind, state string) {
	replicas := kind == "replicated" || state == string(api.KeyStatePendingReplicaDeletion)
	imported := kind == "imported" || state == string(api.KeyStatePendingImport)
	base, extra := kind, ""
	switch kind {
	case "imported", "multi", "replicated":
		base = "symmetric"
	}
	if replicas || kind == "multi" {
		extra += `,"MultiRegion":true`
	}
	if imported {
		extra += `,"Origin":"EXTERNAL"`
	}
	if state == string(api.KeyStateUnavailable) {
		name := b.named("$fresh")
		b.outer(name)
		b.do("ConnectCustomKeyStore", `{"CustomKeyStoreId":"$store"}`)
		b.do("CreateKey", externalKey(name), "key=KeyMetadata.KeyId")
		return
	}
	b.do("CreateKey", `{`+kinds[base].create+extra+`}`, "key=KeyMetadata.KeyId")
	if imported {
		b.do("GetParametersForImport", importParameters, importSaves...)
		b.do("ImportKeyMaterial", importMaterial(base))
	}
	if replicas {
		b.do("ReplicateKey", `{"KeyId":"$key","ReplicaRegion":"$other_region"}`)
	}
}

// brought brings the key into the state.
func (b *book) brought(state string) {
	switch api.KeyState(state) {
	case api.KeyStateDisabled:
		b.do("DisableKey", onlyKey)
	case api.KeyStatePendingDeletion, api.KeyStatePendingReplicaDeletion:
		b.do("ScheduleKeyDeletion", `{"KeyId":"$key","PendingWindowInDays":7}`)
	case api.KeyStatePendingImport:
		b.do("DeleteImportedKeyMaterial", onlyKey)
	case api.KeyStateUnavailable:
		b.do("DisconnectCustomKeyStore", `{"CustomKeyStoreId":"$store"}`)
	}
}
