package iam

import (
	"strconv"
	"strings"
)

// A KeyType is what a condition key holds.
type KeyType uint8

// The types of condition keys.
const (
	StringKey KeyType = iota + 1
	ARNKey
	BoolKey
	NumericKey
	DateKey
	IPKey
)

// KeyInfo is what is published about a condition key.
type KeyInfo struct {
	Type KeyType
	Many bool // multivalued: needs ForAllValues or ForAnyValue
	Sub  bool // has a part of the request in its name
}

// KnownKey says what is known of a key of the aws: and kms: spaces. A key that
// is not known is absent from every request.
func KnownKey(k Key) (KeyInfo, bool) {
	info, ok := knownKeys[k.Name]
	if k.Name == recipientAttestation {
		ok = measured(k.Sub)
	}
	return info, ok && info.Sub == (k.Sub != "")
}

// recipientAttestation is the key of what an attestation document proves.
const recipientAttestation = "kms:recipientattestation"

// measured takes ImageSha384, PCR0 to PCR31 and NitroTPMPCR0 to NitroTPMPCR23, folded.
func measured(sub string) bool {
	if sub == "imagesha384" {
		return true
	}
	digits, tpm := strings.CutPrefix(sub, "nitrotpmpcr")
	digits, pcr := strings.CutPrefix(digits, "pcr")
	n, err := strconv.Atoi(digits)
	return tpm != pcr && err == nil && digits == strconv.Itoa(n) && n >= 0 && (n <= 23 || pcr && n <= 31)
}

// knownKeys is the table of the Service Authorization Reference for AWS KMS
// and of "AWS global condition context keys" in the IAM User Guide, as far as
// they concern a key management service. It is only read.
var knownKeys = map[string]KeyInfo{
	"aws:calledvia":              {Type: StringKey, Many: true},
	"aws:currenttime":            {Type: DateKey},
	"aws:epochtime":              {Type: DateKey},
	"aws:federatedprovider":      {Type: StringKey},
	"aws:multifactorauthage":     {Type: NumericKey},
	"aws:multifactorauthpresent": {Type: BoolKey},
	"aws:principalaccount":       {Type: StringKey},
	"aws:principalarn":           {Type: ARNKey},
	"aws:principalisawsservice":  {Type: BoolKey},
	"aws:principalorgid":         {Type: StringKey},
	"aws:principalorgpaths":      {Type: StringKey, Many: true},
	"aws:principalservicename":   {Type: StringKey},
	"aws:principaltag":           {Type: StringKey, Sub: true},
	"aws:principaltype":          {Type: StringKey},
	"aws:referer":                {Type: StringKey},
	"aws:requestedregion":        {Type: StringKey},
	"aws:requesttag":             {Type: StringKey, Sub: true},
	"aws:resourceaccount":        {Type: StringKey},
	"aws:resourceorgid":          {Type: StringKey},
	"aws:resourcetag":            {Type: StringKey, Sub: true},
	"aws:securetransport":        {Type: BoolKey},
	"aws:sourceaccount":          {Type: StringKey},
	"aws:sourcearn":              {Type: ARNKey},
	"aws:sourceidentity":         {Type: StringKey},
	"aws:sourceip":               {Type: IPKey},
	"aws:sourceorgid":            {Type: StringKey},
	"aws:sourcevpc":              {Type: StringKey},
	"aws:sourcevpce":             {Type: StringKey},
	"aws:tagkeys":                {Type: StringKey, Many: true},
	"aws:tokenissuetime":         {Type: DateKey},
	"aws:useragent":              {Type: StringKey},
	"aws:userid":                 {Type: StringKey},
	"aws:username":               {Type: StringKey},
	"aws:viaawsservice":          {Type: BoolKey},
	"aws:vpcsourceip":            {Type: IPKey},

	"iam:resourcetag":       {Type: StringKey, Sub: true},
	"sts:externalid":        {Type: StringKey},
	"sts:rolesessionname":   {Type: StringKey},
	"sts:sourceidentity":    {Type: StringKey},
	"sts:transitivetagkeys": {Type: StringKey, Many: true},

	"kms:bypasspolicylockoutsafetycheck":         {Type: BoolKey},
	"kms:calleraccount":                          {Type: StringKey},
	"kms:customermasterkeyspec":                  {Type: StringKey},
	"kms:customermasterkeyusage":                 {Type: StringKey},
	"kms:datakeypairspec":                        {Type: StringKey},
	"kms:encryptionalgorithm":                    {Type: StringKey},
	"kms:encryptioncontext":                      {Type: StringKey, Sub: true},
	"kms:encryptioncontextkeys":                  {Type: StringKey, Many: true},
	"kms:expirationmodel":                        {Type: StringKey},
	"kms:grantconstraintsourcearn":               {Type: ARNKey},
	"kms:grantconstrainttype":                    {Type: StringKey},
	"kms:granteeprincipal":                       {Type: StringKey},
	"kms:granteeserviceprincipal":                {Type: StringKey},
	"kms:grantisforawsresource":                  {Type: BoolKey},
	"kms:grantoperations":                        {Type: StringKey, Many: true},
	"kms:keyagreementalgorithm":                  {Type: StringKey},
	"kms:keyorigin":                              {Type: StringKey},
	"kms:keyspec":                                {Type: StringKey},
	"kms:keyusage":                               {Type: StringKey},
	"kms:macalgorithm":                           {Type: StringKey},
	"kms:messagetype":                            {Type: StringKey},
	"kms:multiregion":                            {Type: BoolKey},
	"kms:multiregionkeytype":                     {Type: StringKey},
	"kms:primaryregion":                          {Type: StringKey},
	recipientAttestation:                         {Type: StringKey, Sub: true},
	"kms:reencryptonsamekey":                     {Type: BoolKey},
	"kms:replicaregion":                          {Type: StringKey},
	"kms:requestalias":                           {Type: StringKey},
	"kms:resourcealiases":                        {Type: StringKey, Many: true},
	"kms:retiringprincipal":                      {Type: StringKey},
	"kms:retiringserviceprincipal":               {Type: StringKey},
	"kms:rotationperiodindays":                   {Type: NumericKey},
	"kms:schedulekeydeletionpendingwindowindays": {Type: NumericKey},
	"kms:signingalgorithm":                       {Type: StringKey},
	"kms:trailingdayswithoutkeyusage":            {Type: NumericKey},
	"kms:validto":                                {Type: DateKey},
	"kms:viaservice":                             {Type: StringKey},
	"kms:wrappingalgorithm":                      {Type: StringKey},
	"kms:wrappingkeyspec":                        {Type: StringKey},
}

// readable reports whether an operator can read values of the type at all.
func (t KeyType) readable(f family) bool {
	switch f {
	case stringFamily, nullFamily:
		return true
	case arnFamily:
		return t == ARNKey || t == StringKey
	case boolFamily:
		return t == BoolKey || t == StringKey
	case binaryFamily:
		return t == StringKey || t == ARNKey
	case ipFamily:
		return t == IPKey || t == StringKey
	}
	return t == NumericKey || t == DateKey || t == StringKey
}
