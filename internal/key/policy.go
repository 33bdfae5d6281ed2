package key

import "trent/internal/arn"

// DefaultPolicy is the key policy of a key that was made without one: it leaves
// everything to the account (AWS KMS Developer Guide, "Default key policy").
func DefaultPolicy(partition, account string) string {
	return `{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "` + arn.AccountRoot(partition, account) + `"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`
}

// PolicyName is the one name that a key policy can have.
const PolicyName = "default"
