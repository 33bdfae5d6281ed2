package nitro_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/recipient/nitro"
)

// rawSPKI encodes a SubjectPublicKeyInfo by hand, so that it can be of any key.
func rawSPKI(modulus string, e int) []byte {
	n, ok := new(big.Int).SetString(modulus, 16)
	if !ok {
		panic(modulus)
	}
	key, err := asn1.Marshal(struct {
		N *big.Int
		E int
	}{n, e})
	if err != nil {
		panic(err)
	}
	return wrapSPKI(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.NullRawValue, key)
}

func wrapSPKI(oid asn1.ObjectIdentifier, parameters asn1.RawValue, key []byte) []byte {
	der, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: parameters}, asn1.BitString{Bytes: key, BitLength: 8 * len(key)}})
	if err != nil {
		panic(err)
	}
	return der
}

func pkixOf(key any) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return der
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func pkcs1() []byte {
	key, err := x509.ParsePKIXPublicKey(newKey())
	if err != nil {
		panic(err)
	}
	return x509.MarshalPKCS1PublicKey(key.(*rsa.PublicKey))
}

// Short ways to say how a document is bent.

func with(name string, value any) bend {
	return bend{members: func(f *forgery) { f.set(name, enc(value)) }}
}

func withRaw(name string, value ...byte) bend {
	return bend{members: func(f *forgery) { f.set(name, value) }}
}

func without(name string) bend { return bend{members: func(f *forgery) { f.set(name, nil) }} }

// and adds a member, also one that is there already.
func and(name any, value ...byte) bend {
	return bend{members: func(f *forgery) { f.members = append(f.members, member{name, value}) }}
}

func ranks(do func(r []*rank)) bend { return bend{ranks: func(f *forgery) { do(f.ranks) }} }

func envelope(do func(f *forgery)) bend { return bend{envelope: do} }

// bundled changes the order of the certificates.
func bundled(do func(b [][]byte) [][]byte) bend {
	return bend{members: func(f *forgery) { f.set("cabundle", enc(do(f.bundle()))) }}
}

func pcrs(set map[any]any) bend { return with("pcrs", set) }

// tpm makes a document of a NitroTPM.
func tpm(set map[int][]byte) bend {
	return bend{members: func(f *forgery) { f.set("pcrs", nil); f.set("nitrotpm_pcrs", enc(set)) }}
}

func tpmRegisters() map[int][]byte {
	out := registers()
	for i := range 24 {
		out[i] = bytes.Repeat([]byte{byte(i + 1)}, 48)
	}
	return out
}

func critical(id ...int) pkix.Extension {
	return pkix.Extension{Id: id, Critical: true, Value: []byte{5, 0}}
}

// basicConstraints by hand: ca and the length of the path, encoded.
func basicConstraints(critical bool, value ...byte) pkix.Extension {
	return pkix.Extension{Id: []int{2, 5, 29, 19}, Critical: critical, Value: value}
}

const (
	root     = 0
	regional = 1
	zonal    = 2
	instance = 3
	leaf     = 4
)

// Every hole that verifiers were found to have, or could have, one at a time. The text is of
// the refusal; the part of it before the colon names the check.
func TestSEC_C04_EveryHoleIsClosed(t *testing.T) {
	zeros := make([]byte, 48)
	long := make([]byte, 1025)
	other := newForgery()
	other.issue()
	for name, c := range map[string]struct {
		bend bend
		want string
	}{
		// The envelope.
		"empty":                    {bend{raw: func([]byte) []byte { return nil }}, "decode check: it is not one COSE_Sign1"},
		"too long":                 {bend{raw: func([]byte) []byte { return make([]byte, nitro.MaxDocument+1) }}, "decode check: it is 20481 bytes long, and at most 20480"},
		"cut":                      {bend{raw: func(d []byte) []byte { return d[:len(d)-1] }}, "decode check: it is not one COSE_Sign1"},
		"trailing byte":            {envelope(func(f *forgery) { f.after = []byte{0} }), "decode check: it is not one COSE_Sign1"},
		"two documents":            {bend{raw: func(d []byte) []byte { return slices.Concat(d, d) }}, "decode check: it is not one COSE_Sign1"},
		"tagged twice":             {envelope(func(f *forgery) { f.before = []byte{0xd2, 0xd2} }), "decode check"},
		"another tag":              {envelope(func(f *forgery) { f.before = []byte{0xd1} }), "decode check"},
		"tag of two bytes":         {envelope(func(f *forgery) { f.before = []byte{0xd8, 0x12} }), "decode check"},
		"three parts":              {envelope(func(f *forgery) { f.array, f.signature = 0x83, nil }), "decode check"},
		"five parts":               {envelope(func(f *forgery) { f.array, f.after = 0x85, []byte{0xf6} }), "decode check"},
		"indefinite array":         {envelope(func(f *forgery) { f.array, f.after = 0x9f, []byte{0xff} }), "decode check"},
		"a claimed length":         {bend{raw: func([]byte) []byte { return []byte{0x9b, 0xff, 0, 0, 0, 0, 0, 0, 0} }}, "decode check"},
		"nested deep":              {bend{raw: func([]byte) []byte { return bytes.Repeat([]byte{0x81}, nitro.MaxDocument) }}, "decode check"},
		"ES256":                    {header(0xa1, 0x01, 0x26), "decode check: its headers"},
		"ES512":                    {header(0xa1, 0x01, 0x38, 0x23), "decode check: its headers"},
		"no algorithm":             {header(0xa0), "decode check: its headers"},
		"empty header":             {header(), "decode check: its headers"},
		"algorithm twice":          {header(0xa2, 0x01, 0x38, 0x22, 0x01, 0x38, 0x22), "decode check: its headers"},
		"critical header":          {header(0xa2, 0x01, 0x38, 0x22, 0x02, 0x81, 0x18, 0x63), "decode check: its headers"},
		"header that is a map":     {envelope(func(f *forgery) { f.protected = []byte{0xa1, 0x01, 0x38, 0x22}; f.resign() }), "decode check: its headers"},
		"unprotected header":       {envelope(func(f *forgery) { f.unprotected = []byte{0xa1, 0x04, 0x41, 0x31} }), "decode check: its headers"},
		"unprotected null":         {envelope(func(f *forgery) { f.unprotected = []byte{0xf6} }), "decode check: its headers"},
		"detached payload":         {envelope(func(f *forgery) { f.payload = []byte{0xf6} }), "decode check: its payload"},
		"payload in text":          {envelope(func(f *forgery) { f.payload = enc("payload") }), "decode check: its payload"},
		"empty payload":            {envelope(func(f *forgery) { f.payload = []byte{0x40}; f.resign() }), "decode check: its payload"},
		"payload in pieces":        {envelope(func(f *forgery) { f.payload = slices.Concat([]byte{0x5f}, f.payload, []byte{0xff}) }), "decode check"},
		"signature of 95 bytes":    {envelope(func(f *forgery) { f.signature = enc(make([]byte, 95)) }), "decode check: its signature"},
		"signature of 97 bytes":    {envelope(func(f *forgery) { f.signature = enc(make([]byte, 97)) }), "decode check: its signature"},
		"no signature":             {envelope(func(f *forgery) { f.signature = []byte{0xf6} }), "decode check: its signature"},
		"signature of integers":    {envelope(func(f *forgery) { f.signature = append([]byte{0x98, 96}, make([]byte, 96)...) }), "decode check"},
		"payload with a tail":      {envelope(func(f *forgery) { f.wrap(func(p []byte) []byte { return append(p, 0xf6) }) }), "decode check: its payload is not one CBOR map"},
		"payload that is an array": {envelope(func(f *forgery) { f.wrap(func([]byte) []byte { return []byte{0x80} }) }), "decode check"},
		"payload that is tagged":   {envelope(func(f *forgery) { f.wrap(func(p []byte) []byte { return append([]byte{0xd8, 0x18}, p...) }) }), "decode check: its payload is not one CBOR map"},
		"payload over 16 KiB":      {with("unknown", make([]byte, 16<<10)), "decode check: its payload has a wrong form"},

		// The payload as a whole.
		"member twice":            {and("digest", enc("SHA384")...), "decode check: its payload is not one CBOR map"},
		"unknown member twice":    {bend{members: func(f *forgery) { f.members = append(f.members, member{"x", enc(1)}, member{"x", enc(2)}) }}, "decode check: its payload is not one CBOR map"},
		"twice, not of one form":  {bend{members: func(f *forgery) { f.open = true; f.members = append(f.members, member{"nonce", enc([]byte{1})}) }}, "decode check"},
		"members in another case": {bend{members: func(f *forgery) { f.members[0].name = "Module_ID" }}, "decode check: its member module_id"},
		"deep member":             {and("x", bytes.Repeat([]byte{0x81}, 100)...), "decode check: its payload is not one CBOR map"},
		"tagged member":           {and("x", 0xc0, 0x60), "decode check: its payload is not one CBOR map"},
		"member that ends early":  {and("x", 0x5b, 0, 0, 0, 1, 0, 0, 0, 0), "decode check: its payload is not one CBOR map"},
		"100 members": {bend{members: func(f *forgery) {
			for i := range 100 {
				f.members = append(f.members, member{i, []byte{0}})
			}
		}}, "decode check: its payload is not one CBOR map"},
		"map without its end": {envelope(func(f *forgery) { f.wrap(func(p []byte) []byte { p[0] = 0xbf; return p }) }), "decode check: its payload is not one CBOR map"},

		// Its members.
		"no module":               {without("module_id"), "decode check: its member module_id"},
		"empty module":            {with("module_id", ""), "decode check: its member module_id"},
		"module in bytes":         {with("module_id", []byte("i-1")), "decode check: its member module_id"},
		"module null":             {withRaw("module_id", 0xf6), "decode check: its member module_id"},
		"module not in UTF-8":     {withRaw("module_id", 0x62, 0xff, 0xfe), "decode check: its member module_id"},
		"module in pieces":        {withRaw("module_id", 0x7f, 0x61, 'i', 0xff), "decode check: its member module_id"},
		"no digest":               {without("digest"), "decode check: its member digest"},
		"SHA-256":                 {with("digest", "SHA256"), "decode check: its member digest"},
		"digest in another case":  {with("digest", "sha384"), "decode check: its member digest"},
		"no time":                 {without("timestamp"), "decode check: its member timestamp"},
		"time zero":               {with("timestamp", 0), "decode check: its member timestamp"},
		"time negative":           {with("timestamp", -at.UnixMilli()), "decode check: its member timestamp"},
		"time in text":            {with("timestamp", "2026"), "decode check: its member timestamp"},
		"time in floating point":  {with("timestamp", float64(at.UnixMilli())), "decode check: its member timestamp"},
		"time beyond all":         {with("timestamp", uint64(1<<64-1)), "decode check: its member timestamp"},
		"time that overflows":     {with("timestamp", uint64(1<<63-1)), "decode check: its member timestamp"},
		"no registers":            {without("pcrs"), "decode check: its member pcrs"},
		"registers null":          {withRaw("pcrs", 0xf6), "decode check: its member pcrs"},
		"registers empty":         {pcrs(map[any]any{}), "decode check: its member pcrs"},
		"register 32":             {pcrs(map[any]any{0: make([]byte, 48), 32: make([]byte, 48)}), "decode check: its member pcrs"},
		"register -1":             {pcrs(map[any]any{-1: make([]byte, 48)}), "decode check: its member pcrs"},
		"register in text":        {pcrs(map[any]any{"0": make([]byte, 48)}), "decode check: its member pcrs"},
		"register of 47 bytes":    {pcrs(map[any]any{0: make([]byte, 47)}), "decode check: its member pcrs"},
		"register of 0 bytes":     {pcrs(map[any]any{0: []byte{}}), "decode check: its member pcrs"},
		"register null":           {pcrs(map[any]any{0: nil}), "decode check: its member pcrs"},
		"register of text":        {pcrs(map[any]any{0: strings.Repeat("x", 48)}), "decode check: its member pcrs"},
		"register of integers":    {pcrs(map[any]any{0: make([]int, 48)}), "decode check: its member pcrs"},
		"register twice":          {withRaw("pcrs", slices.Concat([]byte{0xa2, 0x00}, enc(registers()[0]), []byte{0x00}, enc(registers()[1]))...), "decode check: its member pcrs"},
		"register twice, longer":  {withRaw("pcrs", slices.Concat([]byte{0xa2, 0x00}, enc(registers()[0]), []byte{0x18, 0x00}, enc(registers()[1]))...), "decode check: its member pcrs"},
		"registers indefinite":    {withRaw("pcrs", slices.Concat([]byte{0xbf, 0x00}, enc(registers()[0]), []byte{0xff})...), "decode check: its member pcrs"},
		"register in pieces":      {withRaw("pcrs", slices.Concat([]byte{0xa1, 0x00, 0x5f}, enc(registers()[0]), []byte{0xff})...), "decode check: its member pcrs"},
		"of an enclave and a TPM": {with("nitrotpm_pcrs", registers()), "decode check: its member pcrs"},
		"both, one of them null":  {withRaw("nitrotpm_pcrs", 0xf6), "decode check: its member pcrs"},
		"TPM register 24":         {tpm(map[int][]byte{4: registers()[4], 24: registers()[4]}), "decode check: its member pcrs"},
		"no certificate":          {without("certificate"), "decode check: its member certificate"},
		"certificate null":        {withRaw("certificate", 0xf6), "decode check: its member certificate"},
		"certificate empty":       {with("certificate", []byte{}), "decode check: its member certificate"},
		"certificate too long":    {with("certificate", long), "decode check: its member certificate"},
		"certificate of integers": {with("certificate", []int{48, 130}), "decode check: its member certificate"},
		"certificate in pieces": {bend{members: func(f *forgery) {
			f.set("certificate", slices.Concat([]byte{0x5f}, enc(f.ranks[leaf].der), []byte{0xff}))
		}}, "decode check: its member certificate"},
		"no bundle":                {without("cabundle"), "decode check: its member cabundle"},
		"bundle null":              {withRaw("cabundle", 0xf6), "decode check: its member cabundle"},
		"bundle empty":             {with("cabundle", []any{}), "decode check: its member cabundle"},
		"bundle of nine":           {bundled(func(b [][]byte) [][]byte { return slices.Concat(b, b, b[:1]) }), "decode check: its member cabundle"},
		"bundle of 2^32":           {withRaw("cabundle", 0x9a, 0xff, 0xff, 0xff, 0xff), "decode check"},
		"bundle with an empty one": {bundled(func(b [][]byte) [][]byte { return append(b, []byte{}) }), "decode check: its member cabundle"},
		"bundle with a long one":   {bundled(func(b [][]byte) [][]byte { return append(b, long) }), "decode check: its member cabundle"},
		"bundle with text":         {with("cabundle", []string{"certificate"}), "decode check: its member cabundle"},
		"bundle indefinite":        {bend{members: func(f *forgery) { f.set("cabundle", slices.Concat([]byte{0x9f}, enc(f.bundle())[1:], []byte{0xff})) }}, "decode check: its member cabundle"},
		"public key in text":       {with("public_key", "key"), "decode check: its member public_key"},
		"public key empty":         {with("public_key", []byte{}), "decode check: its member public_key"},
		"public key too long":      {with("public_key", long), "decode check: its member public_key"},
		"public key undefined":     {withRaw("public_key", 0xf7), "decode check: its member public_key"},
		"user data too long":       {with("user_data", long), "decode check: its member user_data"},
		"user data in text":        {with("user_data", "text"), "decode check: its member user_data"},
		"nonce too long":           {with("nonce", long), "decode check: its member nonce"},
		"nonce undefined":          {withRaw("nonce", 0xf7), "decode check: its member nonce"},

		// The chain: whom it comes from and in which order.
		"another root": {bend{members: func(f *forgery) {
			f.set("cabundle", enc(other.bundle()))
			f.set("certificate", enc(other.ranks[leaf].der))
		}}, "chain check: its root is none of those"},
		"another root of the name": {bend{settings: func(s *nitro.Settings, _ *forgery) { s.Roots = s.Roots[:1] }}, "chain check: its root is none of those"},
		"no root":                  {bundled(func(b [][]byte) [][]byte { return b[1:] }), "chain check: its root is none of those"},
		"reversed":                 {bundled(func(b [][]byte) [][]byte { slices.Reverse(b); return b }), "chain check: its root is none of those"},
		"root not first":           {bundled(func(b [][]byte) [][]byte { b[0], b[1] = b[1], b[0]; return b }), "chain check: its root is none of those"},
		"two changed places":       {bundled(func(b [][]byte) [][]byte { b[1], b[2] = b[2], b[1]; return b }), "chain check: "},
		"one left out":             {bundled(func(b [][]byte) [][]byte { return slices.Delete(b, zonal, zonal+1) }), "chain check: intermediate 2 is not issued by intermediate 1"},
		"one twice":                {bundled(func(b [][]byte) [][]byte { return slices.Insert(b, zonal, b[zonal]) }), "chain check: "},
		"root twice":               {bundled(func(b [][]byte) [][]byte { return slices.Insert(b, 1, b[0]) }), "chain check: intermediate 1 is issued by itself"},
		"leaf in the bundle":       {bend{members: func(f *forgery) { f.set("cabundle", enc(append(f.bundle(), f.ranks[leaf].der))) }}, "chain check: intermediate 1 allows a path of 2 below it, and there are 3"},
		"one too many":             {bundled(func(b [][]byte) [][]byte { return append(b, other.ranks[instance].der) }), "chain check: "},
		"leaf of another chain":    {bend{members: func(f *forgery) { f.set("certificate", enc(other.ranks[leaf].der)) }}, "chain check: the signature of the leaf is not that of intermediate 3"},
		"root alone": {bend{members: func(f *forgery) {
			f.set("cabundle", enc([][]byte{f.ranks[root].der}))
			f.set("certificate", enc(f.ranks[root].der))
		}}, "chain check: the leaf is a certificate authority"},
		"root as a leaf":         {bend{members: func(f *forgery) { f.set("certificate", enc(f.ranks[root].der)) }}, "chain check: the leaf is a certificate authority"},
		"no DER":                 {bundled(func(b [][]byte) [][]byte { b[2] = []byte("certificate"); return b }), "chain check: intermediate 2 is no certificate"},
		"DER with a tail":        {bundled(func(b [][]byte) [][]byte { b[2] = append(b[2], 0); return b }), "chain check: intermediate 2 is no certificate"},
		"altered":                {ranks(func(r []*rank) { r[zonal].bend = flip }), "chain check: the signature of intermediate 2 is not that of intermediate 1"},
		"altered leaf":           {ranks(func(r []*rank) { r[leaf].bend = flip }), "chain check: the signature of the leaf"},
		"signed by another":      {ranks(func(r []*rank) { r[instance].signer = newECKey(elliptic.P384()) }), "chain check: the signature of intermediate 3"},
		"leaf signed by itself":  {ranks(func(r []*rank) { r[leaf].signer = r[leaf].key }), "chain check: the signature of the leaf"},
		"leaf signed from above": {ranks(func(r []*rank) { r[leaf].signer = r[root].key }), "chain check: the signature of the leaf"},
		"names that do not meet": {ranks(func(r []*rank) { r[leaf].issuer = &pkix.Name{CommonName: "another"} }), "chain check: the leaf is not issued by intermediate 3"},
		"issued by itself":       {ranks(func(r []*rank) { r[zonal].Subject = r[regional].Subject }), "chain check: intermediate 2 is issued by itself"},
		"chain and signature":    {bend{ranks: func(f *forgery) { f.ranks[leaf].bend = flip }, envelope: func(f *forgery) { f.signature = enc(make([]byte, 96)) }}, "chain check: the signature of the leaf"},
		"development root":       {ranks(func(r []*rank) { r[root].Subject.CommonName = nitro.DevelopmentName }), "chain check: its root is a development root"},

		// What certificates may be used for.
		"root that is no CA":         {ranks(func(r []*rank) { r[root].IsCA = false }), "chain check: the root is no certificate authority"},
		"intermediate that is no CA": {ranks(func(r []*rank) { r[zonal].IsCA, r[zonal].MaxPathLen = false, -1 }), "chain check: intermediate 2 is no certificate authority"},
		"without constraints":        {ranks(func(r []*rank) { r[zonal].BasicConstraintsValid = false }), "chain check: intermediate 2 is no certificate authority"},
		"constraints not critical": {ranks(func(r []*rank) {
			r[zonal].ExtraExtensions = []pkix.Extension{basicConstraints(false, 0x30, 3, 1, 1, 0xff)}
		}), "chain check: intermediate 2 is no certificate authority"},
		"root may not sign":          {ranks(func(r []*rank) { r[root].KeyUsage = x509.KeyUsageDigitalSignature }), "chain check: the root may not sign certificates"},
		"intermediate may not sign":  {ranks(func(r []*rank) { r[instance].KeyUsage = x509.KeyUsageCRLSign }), "chain check: intermediate 3 may not sign certificates"},
		"no key usage":               {ranks(func(r []*rank) { r[instance].KeyUsage = 0 }), "chain check: intermediate 3 may not sign certificates"},
		"path too long for root":     {ranks(func(r []*rank) { r[root].MaxPathLen = 2 }), "chain check: the root allows a path of 2 below it, and there are 3"},
		"path too long for regional": {ranks(func(r []*rank) { r[regional].MaxPathLen = 1 }), "chain check: intermediate 1 allows a path of 1 below it, and there are 2"},
		"path too long for zonal":    {ranks(func(r []*rank) { r[zonal].MaxPathLen, r[zonal].MaxPathLenZero = 0, true }), "chain check: intermediate 2 allows a path of 0 below it, and there are 1"},
		"leaf that is a CA":          {ranks(func(r []*rank) { r[leaf].IsCA = true }), "chain check: the leaf is a certificate authority"},
		"leaf with a path":           {ranks(func(r []*rank) { r[leaf].ExtraExtensions = []pkix.Extension{basicConstraints(true, 0x30, 3, 2, 1, 1)} }), "chain check: the leaf "},
		"leaf may not sign":          {ranks(func(r []*rank) { r[leaf].KeyUsage = x509.KeyUsageContentCommitment }), "chain check: the leaf may not sign documents"},
		"leaf without key usage":     {ranks(func(r []*rank) { r[leaf].KeyUsage = 0 }), "chain check: the leaf may not sign documents"},
		"leaf may sign certificates": {ranks(func(r []*rank) { r[leaf].KeyUsage |= x509.KeyUsageCertSign }), "chain check: the leaf may sign certificates"},
		"critical extension":         {ranks(func(r []*rank) { r[zonal].ExtraExtensions = []pkix.Extension{critical(1, 2, 3)} }), "chain check: intermediate 2 has a critical extension that is not known, 1.2.3"},
		"critical on the leaf":       {ranks(func(r []*rank) { r[leaf].ExtraExtensions = []pkix.Extension{critical(1, 2, 3)} }), "chain check: the leaf has a critical extension"},
		"critical name constraints": {ranks(func(r []*rank) {
			r[zonal].PermittedDNSDomains, r[zonal].PermittedDNSDomainsCritical = []string{"example.org"}, true
		}), "chain check: intermediate 2 has a critical extension"},

		// Keys and algorithms. The leaf on P-521 once made another verifier panic.
		"leaf on P-521":         {ranks(func(r []*rank) { r[leaf].key = newECKey(elliptic.P521()) }), "chain check: the leaf has a key that is not of P-384"},
		"leaf on P-256":         {ranks(func(r []*rank) { r[leaf].key = newECKey(elliptic.P256()) }), "chain check: the leaf has a key that is not of P-384"},
		"leaf of Ed25519":       {ranks(func(r []*rank) { r[leaf].key = newEdKey() }), "chain check: the leaf has a key that is not of P-384"},
		"leaf of RSA":           {ranks(func(r []*rank) { r[leaf].key = newRSAKey() }), "chain check: the leaf has a key that is not of P-384"},
		"intermediate on P-256": {ranks(func(r []*rank) { r[zonal].key = newECKey(elliptic.P256()) }), "chain check: intermediate 2 has a key that is not of P-384"},
		"intermediate of RSA":   {ranks(func(r []*rank) { r[instance].key, r[leaf].SignatureAlgorithm = newRSAKey(), x509.SHA384WithRSA }), "chain check: intermediate 3 has a key that is not of P-384"},
		"root on P-521":         {ranks(func(r []*rank) { r[root].key = newECKey(elliptic.P521()) }), "chain check: the root has a key that is not of P-384"},
		"SHA-256 in the chain":  {ranks(func(r []*rank) { r[zonal].SignatureAlgorithm = x509.ECDSAWithSHA256 }), "chain check: intermediate 2 is not signed by ECDSA with SHA-384"},
		"SHA-512 on the leaf":   {ranks(func(r []*rank) { r[leaf].SignatureAlgorithm = x509.ECDSAWithSHA512 }), "chain check: the leaf is not signed by ECDSA with SHA-384"},

		// Time.
		"root expired":           {ranks(func(r []*rank) { r[root].NotAfter = at.Add(-time.Second) }), "validity check: its certificates have not been valid since 2026-11-24T11:59:59Z"},
		"root not yet valid":     {ranks(func(r []*rank) { r[root].NotBefore = at.Add(time.Second) }), "validity check: its certificates are not valid before 2026-11-24T12:00:01Z"},
		"regional expired":       {ranks(func(r []*rank) { r[regional].NotAfter = at.Add(-time.Second) }), "validity check"},
		"zonal not yet valid":    {ranks(func(r []*rank) { r[zonal].NotBefore = at.Add(time.Second) }), "validity check"},
		"instance expired":       {ranks(func(r []*rank) { r[instance].NotAfter = at.Add(-time.Second) }), "validity check"},
		"leaf expired":           {ranks(func(r []*rank) { r[leaf].NotAfter = at.Add(-time.Second) }), "validity check"},
		"leaf not yet valid":     {ranks(func(r []*rank) { r[leaf].NotBefore = at.Add(time.Second) }), "validity check"},
		"stale":                  {with("timestamp", at.Add(-5*time.Minute-time.Millisecond).UnixMilli()), "freshness check: it was made 5m0s ago"},
		"a year old":             {with("timestamp", at.AddDate(-1, 0, 0).UnixMilli()), "freshness check: it was made 8760h0m0s ago"},
		"from the future":        {with("timestamp", at.Add(time.Minute+time.Millisecond).UnixMilli()), "freshness check: it was made 1m0s in the future"},
		"from the far future":    {with("timestamp", at.AddDate(100, 0, 0).UnixMilli()), "freshness check"},
		"timestamp in seconds":   {with("timestamp", at.Unix()), "freshness check"},
		"timestamp in microsecs": {with("timestamp", at.UnixMicro()), "decode check: its member timestamp"},

		// The signature.
		"signed by the instance": {envelope(func(f *forgery) { f.ranks[leaf].key = f.ranks[instance].key; f.resign() }), "signature check: it is not that of the certificate"},
		"zero signature":         {envelope(func(f *forgery) { f.signature = enc(make([]byte, 96)) }), "signature check"},
		"signature of ones":      {envelope(func(f *forgery) { f.signature = enc(bytes.Repeat([]byte{0xff}, 96)) }), "signature check"},
		"signature turned round": {envelope(func(f *forgery) { s := f.signature[2:]; f.signature = enc(slices.Concat(s[48:], s[:48])) }), "signature check"},
		"signature altered":      {envelope(func(f *forgery) { f.signature[len(f.signature)-1] ^= 1 }), "signature check"},
		"payload altered":        {envelope(func(f *forgery) { i := bytes.Index(f.payload, []byte("i-1234")); f.payload[i+2]++ }), "signature check"},
		"member put in": {envelope(func(f *forgery) {
			s := f.signature
			f.wrap(func(p []byte) []byte { p[0]++; return append(p, 0x61, 'x', 0x00) })
			f.signature = s
		}), "signature check"},
		"another context": {envelope(func(f *forgery) { f.context = "Signature"; f.resign() }), "signature check"},
		"external data":   {envelope(func(f *forgery) { f.external = []byte("data"); f.resign() }), "signature check"},

		// Debug mode.
		"debug":                {pcrs(map[any]any{0: zeros, 1: zeros, 2: zeros, 3: registers()[3]}), "debug check: PCR0 is zero"},
		"no PCR0":              {pcrs(map[any]any{1: registers()[1]}), "debug check: PCR0 is zero or missing"},
		"debug, 64 bytes":      {pcrs(map[any]any{0: make([]byte, 64)}), "debug check"},
		"TPM without boot":     {tpm(map[int][]byte{0: registers()[0], 4: zeros}), "debug check: NitroTPMPCR4 is zero"},
		"TPM without register": {tpm(map[int][]byte{0: registers()[0]}), "debug check: NitroTPMPCR4 is zero or missing"},

		// The public key.
		"no public key":       {without("public_key"), "public key check: it has none"},
		"public key null":     {withRaw("public_key", 0xf6), "public key check: it has none"},
		"public key EC":       {with("public_key", pkixOf(newECKey(elliptic.P256()).Public())), "public key check: public_key must be"},
		"public key Ed25519":  {with("public_key", pkixOf(newEdKey().Public())), "public key check: public_key must be"},
		"public key PKCS#1":   {with("public_key", pkcs1()), "public key check: public_key must be"},
		"public key PSS":      {with("public_key", pss()), "public key check: public_key must be"},
		"public key in PEM":   {with("public_key", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: newKey()})), "public key check: public_key must be"},
		"no parameters":       {with("public_key", wrapSPKI(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.RawValue{}, pkcs1())), "public key check: public_key must be"},
		"key with a tail":     {with("public_key", append(slices.Clone(newKey()), 0)), "public key check: public_key must be"},
		"key with a long len": {with("public_key", longLength(newKey())), "public key check: public_key must be"},
		"key of 1024 bits":    {with("public_key", spki(1024, 65537)), "public key check: public_key must be"},
		"key of 2047 bits":    {with("public_key", spki(2047, 65537)), "public key check: public_key must be"},
		"key of 4097 bits":    {with("public_key", spki(4097, 65537)), "public key check: public_key must be"},
		"even modulus":        {with("public_key", rawSPKI("8"+strings.Repeat("0", 511), 65537)), "public key check: public_key must be"},
		"negative modulus":    {with("public_key", rawSPKI("-8"+strings.Repeat("0", 510)+"1", 65537)), "public key check: public_key must be"},
		"exponent 1":          {with("public_key", spki(2048, 1)), "public key check: the exponent"},
		"exponent 3":          {with("public_key", spki(2048, 3)), "public key check: the exponent"},
		"even exponent":       {with("public_key", spki(2048, 65538)), "public key check: the exponent"},
		"exponent of 32 bits": {with("public_key", spki(2048, 1<<31+1)), "public key check: "},
		"negative exponent":   {with("public_key", spki(2048, -65537)), "public key check: "},
	} {
		t.Run(name, func(t *testing.T) {
			doc, v, _ := forge(t, c.bend)
			for range 2 { // a refusal leaves nothing behind
				_, err := v.Verify(doc, at, atOnce)
				f := fault.From(err)
				if f.Code != api.ValidationException || !strings.HasPrefix(f.Message, "The attestation document failed its "+c.want) {
					t.Fatalf("%v, want %s", err, c.want)
				}
				agree(t, v, doc, at, err)
			}
		})
	}
}

// agree checks that an explanation says the same as the verifier.
func agree(t *testing.T, v *nitro.Verifier, doc []byte, now time.Time, err error) {
	t.Helper()
	e := v.Explain(doc, now)
	if e.Accepted != (err == nil) {
		t.Fatalf("explained as %+v, verified as %v", e, err)
	}
	for _, verdict := range e.Checks {
		if verdict.Result == nitro.Passed {
			continue
		}
		if m := fault.From(err).Message; !strings.HasSuffix(m, " check: "+verdict.Reason+".") {
			t.Fatalf("explained as %+v, verified as %s", verdict, m)
		}
		return
	}
}

func header(protected ...byte) bend {
	return envelope(func(f *forgery) { f.protected = enc(append([]byte{}, protected...)); f.resign() })
}

// wrap changes the payload inside its byte string, and signs it anew.
func (f *forgery) wrap(change func(p []byte) []byte) {
	const head = 3 // of a byte string of 256 to 65535 bytes
	f.payload = enc(append([]byte{}, change(slices.Clone(f.payload[head:]))...))
	f.resign()
}

func flip(der []byte) []byte {
	der = slices.Clone(der)
	der[len(der)-1] ^= 1
	return der
}

func newEdKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func newRSAKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// pss is a key that is for RSASSA-PSS alone.
func pss() []byte {
	return wrapSPKI(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}, asn1.RawValue{}, pkcs1())
}

// longLength encodes the outer length in a byte more than it needs.
func longLength(der []byte) []byte {
	return slices.Concat([]byte{der[0], 0x83, 0}, der[2:])
}
