package action

import (
	"trent/internal/api"
	"trent/internal/fault"
)

// chinaPartition is where AWS KMS has SM2.
const chinaPartition = "aws-cn"

// checkSM2 refuses SM2, which a member of the request names, outside of the China Regions.
func (c *Call) checkSM2(member, spec string) error {
	if spec == string(api.KeySpecSM2) && c.Lists.Partition() != chinaPartition {
		return errSM2(member)
	}
	return nil
}

func errSM2(member string) error {
	return fault.New(api.UnsupportedOperationException, member+" SM2 is not supported in this Region")
}
