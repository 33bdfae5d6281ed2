package identity

import (
	"strings"
	"time"
)

// Administrator is the text of the managed policy AdministratorAccess.
const Administrator = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// keyPowerUser is the text of AWSKeyManagementServicePowerUser: who makes keys and
// looks at them, and neither uses nor destroys them by it.
const keyPowerUser = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` +
	`"kms:CreateAlias","kms:CreateKey","kms:DeleteAlias","kms:Describe*","kms:GenerateRandom","kms:Get*","kms:List*",` +
	`"kms:TagResource","kms:UntagResource","iam:ListGroups","iam:ListRoles","iam:ListUsers"],"Resource":"*"}]}`

// BuiltInAccount stands in the place of the account in the ARNs of managed
// policies that every account has.
const BuiltInAccount = "aws"

// BuiltIn lists the managed policies that every account has, under the names that
// they have in AWS.
func BuiltIn() []*ManagedPolicy { return builtIns[:] }

var builtIns = [...]*ManagedPolicy{
	managed("AdministratorAccess", "ANPAIWMBCKSKIEE64ZLYK", "Provides full access to all actions on all resources.", Administrator),
	managed("AWSKeyManagementServicePowerUser", "ANPAJNPP7PPPPMJRV2SA4", "Makes keys and aliases and looks at them.", keyPowerUser),
}

func managed(name, id, description, text string) *ManagedPolicy {
	made := time.Date(2015, 2, 6, 18, 39, 46, 0, time.UTC)
	return &ManagedPolicy{
		Account: BuiltInAccount, ID: id, Name: name, Path: "/", Description: description, Created: made, Updated: made,
		Versions: []PolicyVersion{{1, made, compiled(text)}}, Default: 1, Newest: 1,
	}
}

// AdministratorARN is the ARN of AdministratorAccess.
func AdministratorARN(partition string) string {
	return "arn:" + partition + ":iam::" + BuiltInAccount + ":policy/AdministratorAccess"
}

func builtIn(partition, arn string) *ManagedPolicy {
	name, ok := strings.CutPrefix(arn, "arn:"+partition+":iam::"+BuiltInAccount+":policy/")
	if !ok {
		return nil
	}
	for _, p := range builtIns {
		if p.Name == name {
			return p
		}
	}
	return nil
}
