package recipient

import (
	"encoding/hex"
	"strings"
	"time"

	"trent/internal/api/jsonout"
)

// AppendRecord appends a JSON object of what an audit record says of the evidence. Members
// that begin with attestationDocument are those of CloudTrail, with digests in base64 as
// it has them; measurements has the same and all others, in hexadecimal. A measurement of
// nothing but zeros is only among the former. docs/spec/audit-record.md has the list.
func (a *Attested) AppendRecord(dst []byte) []byte {
	dst = append(dst, `{"kind":`...)
	dst = jsonout.String(dst, a.Kind)
	dst = append(dst, `,"root":`...)
	dst = jsonout.String(dst, a.Root)
	if a.Development {
		dst = append(dst, `,"development":true`...)
	}
	dst = append(dst, `,"made":"`...)
	dst = a.Made.UTC().AppendFormat(dst, time.RFC3339)
	dst = append(dst, `","attestationDocumentModuleId":`...)
	dst = jsonout.String(dst, a.Module[:min(len(a.Module), maxModule)])
	for _, m := range a.Measurements {
		if name, ok := inCloudTrail(m.Name); ok {
			dst = append(append(append(dst, `,"attestationDocument`...), name...), `":`...)
			dst = jsonout.Blob(dst, m.Value)
		}
	}
	dst = append(dst, `,"measurements":{`...)
	first := true
	for _, m := range a.Measurements {
		if m.Name == imageDigest || isZero(m.Value) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(append(dst, '"'), m.Name...), `":"`...)
		dst = append(hex.AppendEncode(dst, m.Value), '"')
	}
	return append(dst, '}', '}')
}

// maxModule is how much is kept of the id of a module, in bytes. AWS's have some forty;
// an operator's own root may vouch for anything.
const maxModule = 256

// imageDigest is another name of an enclave's PCR0.
const imageDigest = "ImageSha384"

// inCloudTrail is how CloudTrail calls a measurement in additionalEventData.recipient, if
// it has it.
func inCloudTrail(name string) (string, bool) {
	switch name {
	case imageDigest:
		return "EnclaveImageDigest", true
	case "PCR1", "PCR2", "PCR3", "PCR4", "PCR8":
		return "Enclave" + name, true
	}
	return name, strings.HasPrefix(name, "NitroTPM")
}

func isZero(digest []byte) bool {
	for _, b := range digest {
		if b != 0 {
			return false
		}
	}
	return true
}
