"""Makes the calls of IAM that the resources of Terraform's AWS provider make, in
their order: create, read, update, import, read until nothing differs, delete. What
the provider compares with its plan is compared here.
Run by scripts/with-trent."""

import json
import unittest

import boto3
from botocore.exceptions import ClientError

ACCOUNT = "111122223333"
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": "*"}]})
OTHER = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["kms:Encrypt"], "Resource": "*"}]})
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}]})


def tags(**kw):
    return [{"Key": k, "Value": v} for k, v in kw.items()]


class Terraform(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # A session of its own for each client, and no retries: the first answer counts.
        cls.iam = boto3.client("iam")
        cls.sts = boto3.client("sts")

    def gone(self, call, **kw):
        """What the provider takes for: it is not there any more."""
        with self.assertRaises(self.iam.exceptions.NoSuchEntityException) as e:
            call(**kw)
        self.assertEqual(e.exception.response["ResponseMetadata"]["HTTPStatusCode"], 404)

    def test_provider_configuration(self):
        """Credentials are validated, and the account's id is asked for."""
        self.assertEqual(self.sts.get_caller_identity()["Account"], ACCOUNT)

    # aws_iam_user, aws_iam_access_key, aws_iam_user_policy, aws_iam_user_policy_attachment

    def read_user(self, name, **want):
        user = self.iam.get_user(UserName=name)["User"]
        self.assertEqual({k: user.get(k) for k in want}, want)
        return user

    def test_user(self):
        iam = self.iam
        boundary = iam.create_policy(PolicyName="tf-boundary", Path="/", PolicyDocument=POLICY, Description="")["Policy"]["Arn"]
        user = iam.create_user(UserName="tf-user", Path="/system/", PermissionsBoundary=boundary, Tags=tags(a="b"))["User"]
        self.assertTrue(user["CreateDate"])
        self.read_user("tf-user", Arn=f"arn:aws:iam::{ACCOUNT}:user/system/tf-user", Path="/system/", UserId=user["UserId"], Tags=tags(a="b"),
                       PermissionsBoundary={"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": boundary})

        key = iam.create_access_key(UserName="tf-user")["AccessKey"]
        self.assertEqual(len(key["SecretAccessKey"]), 40)
        keys = iam.list_access_keys(UserName="tf-user")["AccessKeyMetadata"]
        self.assertEqual([(k["AccessKeyId"], k["Status"]) for k in keys], [(key["AccessKeyId"], "Active")])
        iam.update_access_key(UserName="tf-user", AccessKeyId=key["AccessKeyId"], Status="Inactive")
        self.assertEqual(iam.list_access_keys(UserName="tf-user")["AccessKeyMetadata"][0]["Status"], "Inactive")

        iam.put_user_policy(UserName="tf-user", PolicyName="tf-inline", PolicyDocument=POLICY)
        self.assertEqual(iam.get_user_policy(UserName="tf-user", PolicyName="tf-inline")["PolicyDocument"], json.loads(POLICY))
        iam.put_user_policy(UserName="tf-user", PolicyName="tf-inline", PolicyDocument=OTHER)
        self.assertEqual(iam.get_user_policy(UserName="tf-user", PolicyName="tf-inline")["PolicyDocument"], json.loads(OTHER))
        iam.attach_user_policy(UserName="tf-user", PolicyArn=boundary)
        self.assertEqual(iam.list_attached_user_policies(UserName="tf-user")["AttachedPolicies"], [{"PolicyName": "tf-boundary", "PolicyArn": boundary}])

        # Update: name and path at once, tags by difference, no boundary.
        iam.update_user(UserName="tf-user", NewUserName="tf-renamed", NewPath="/")
        iam.untag_user(UserName="tf-renamed", TagKeys=["a"])
        iam.tag_user(UserName="tf-renamed", Tags=tags(c="d"))
        iam.delete_user_permissions_boundary(UserName="tf-renamed")
        renamed = self.read_user("tf-renamed", Arn=f"arn:aws:iam::{ACCOUNT}:user/tf-renamed", Path="/", UserId=user["UserId"], Tags=tags(c="d"))
        self.assertNotIn("PermissionsBoundary", renamed)
        self.gone(iam.get_user, UserName="tf-user")

        # Delete, by force: everything that a user may have is asked for.
        iam.detach_user_policy(UserName="tf-renamed", PolicyArn=boundary)
        self.gone(iam.detach_user_policy, UserName="tf-renamed", PolicyArn=boundary)
        iam.delete_user_policy(UserName="tf-renamed", PolicyName="tf-inline")
        self.gone(iam.get_user_policy, UserName="tf-renamed", PolicyName="tf-inline")
        self.assertEqual(iam.list_groups_for_user(UserName="tf-renamed")["Groups"], [])
        for k in iam.list_access_keys(UserName="tf-renamed")["AccessKeyMetadata"]:
            iam.delete_access_key(UserName="tf-renamed", AccessKeyId=k["AccessKeyId"])
        self.assertEqual(iam.list_ssh_public_keys(UserName="tf-renamed")["SSHPublicKeys"], [])
        self.assertEqual(iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"], [])
        self.assertEqual(iam.list_mfa_devices(UserName="tf-renamed")["MFADevices"], [])
        self.gone(iam.delete_login_profile, UserName="tf-renamed")
        self.assertEqual(iam.list_signing_certificates(UserName="tf-renamed")["Certificates"], [])
        self.assertEqual(iam.list_service_specific_credentials(UserName="tf-renamed")["ServiceSpecificCredentials"], [])
        iam.delete_user(UserName="tf-renamed")
        self.gone(iam.delete_user, UserName="tf-renamed")
        iam.delete_policy(PolicyArn=boundary)

    # aws_iam_group, aws_iam_group_membership, aws_iam_user_group_membership, aws_iam_group_policy

    def test_group(self):
        iam = self.iam
        group = iam.create_group(GroupName="tf-group", Path="/")["Group"]
        self.assertEqual(iam.get_group(GroupName="tf-group")["Group"], group)
        iam.create_user(UserName="tf-member", Path="/")
        iam.add_user_to_group(GroupName="tf-group", UserName="tf-member")
        iam.add_user_to_group(GroupName="tf-group", UserName="tf-member")
        pages = iam.get_paginator("get_group").paginate(GroupName="tf-group")
        self.assertEqual([u["UserName"] for p in pages for u in p["Users"]], ["tf-member"])
        iam.put_group_policy(GroupName="tf-group", PolicyName="tf-inline", PolicyDocument=POLICY)
        self.assertEqual(iam.get_group_policy(GroupName="tf-group", PolicyName="tf-inline")["PolicyDocument"], json.loads(POLICY))
        iam.update_group(GroupName="tf-group", NewGroupName="tf-group-2", NewPath="/x/")
        moved = iam.get_group(GroupName="tf-group-2")["Group"]
        self.assertEqual((moved["GroupId"], moved["Arn"]), (group["GroupId"], f"arn:aws:iam::{ACCOUNT}:group/x/tf-group-2"))
        self.assertEqual([g["GroupName"] for g in iam.list_groups_for_user(UserName="tf-member")["Groups"]], ["tf-group-2"])
        iam.remove_user_from_group(GroupName="tf-group-2", UserName="tf-member")
        iam.delete_group_policy(GroupName="tf-group-2", PolicyName="tf-inline")
        iam.delete_group(GroupName="tf-group-2")
        self.gone(iam.get_group, GroupName="tf-group-2")
        iam.delete_user(UserName="tf-member")

    # aws_iam_role, aws_iam_role_policy, aws_iam_role_policy_attachment

    def read_role(self, name, **want):
        role = self.iam.get_role(RoleName=name)["Role"]
        self.assertEqual({k: role.get(k) for k in want}, want)
        # The provider reads these with every role.
        inline = [n for p in self.iam.get_paginator("list_role_policies").paginate(RoleName=name) for n in p["PolicyNames"]]
        attached = [a["PolicyArn"] for p in self.iam.get_paginator("list_attached_role_policies").paginate(RoleName=name) for a in p["AttachedPolicies"]]
        return role, inline, attached

    def test_role(self):
        iam = self.iam
        created = iam.create_role(RoleName="tf-role", Path="/", AssumeRolePolicyDocument=TRUST, MaxSessionDuration=3600, Tags=tags(a="b"))["Role"]
        self.assertEqual(self.read_role("tf-role", Arn=f"arn:aws:iam::{ACCOUNT}:role/tf-role", RoleId=created["RoleId"], MaxSessionDuration=3600,
                                        AssumeRolePolicyDocument=json.loads(TRUST), Tags=tags(a="b"))[1:], ([], []))
        iam.put_role_policy(RoleName="tf-role", PolicyName="tf-inline", PolicyDocument=POLICY)
        administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
        iam.attach_role_policy(RoleName="tf-role", PolicyArn=administrator)
        self.assertEqual(iam.get_role_policy(RoleName="tf-role", PolicyName="tf-inline")["PolicyDocument"], json.loads(POLICY))

        iam.update_assume_role_policy(RoleName="tf-role", PolicyDocument=TRUST.replace(":root", ":user/admin"))
        iam.update_role_description(RoleName="tf-role", Description="later")
        iam.update_role(RoleName="tf-role", MaxSessionDuration=7200)
        iam.put_role_permissions_boundary(RoleName="tf-role", PermissionsBoundary=administrator)
        iam.untag_role(RoleName="tf-role", TagKeys=["a"])
        iam.tag_role(RoleName="tf-role", Tags=tags(c="d"))
        role, inline, attached = self.read_role("tf-role", Description="later", MaxSessionDuration=7200, Tags=tags(c="d"), RoleId=created["RoleId"],
                                                AssumeRolePolicyDocument=json.loads(TRUST.replace(":root", ":user/admin")))
        self.assertEqual((inline, attached, role["PermissionsBoundary"]["PermissionsBoundaryArn"]), (["tf-inline"], [administrator], administrator))
        iam.delete_role_permissions_boundary(RoleName="tf-role")

        # Delete, with force_detach_policies.
        with self.assertRaises(iam.exceptions.DeleteConflictException):
            iam.delete_role(RoleName="tf-role")
        pages = iam.get_paginator("list_instance_profiles_for_role").paginate(RoleName="tf-role")
        self.assertEqual([x for p in pages for x in p["InstanceProfiles"]], [])
        for arn in attached:
            iam.detach_role_policy(RoleName="tf-role", PolicyArn=arn)
        for name in inline:
            iam.delete_role_policy(RoleName="tf-role", PolicyName=name)
        iam.delete_role(RoleName="tf-role")
        self.gone(iam.get_role, RoleName="tf-role")
        self.gone(iam.list_role_policies, RoleName="tf-role")

    # aws_iam_policy

    def read_policy(self, arn):
        policy = self.iam.get_policy(PolicyArn=arn)["Policy"]
        return policy, self.iam.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])["PolicyVersion"]

    def test_policy(self):
        iam = self.iam
        arn = iam.create_policy(PolicyName="tf-policy", Path="/x/", Description="d", PolicyDocument=POLICY, Tags=tags(a="b"))["Policy"]["Arn"]
        policy, version = self.read_policy(arn)
        self.assertEqual((policy["PolicyName"], policy["Path"], policy["Description"], policy["AttachmentCount"], policy["Tags"], version["Document"]),
                         ("tf-policy", "/x/", "d", 0, tags(a="b"), json.loads(POLICY)))
        # Six updates: before each, the oldest version but the default one makes room.
        for i in range(6):
            versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
            if len(versions) == 5:
                oldest = min((v for v in versions if not v["IsDefaultVersion"]), key=lambda v: int(v["VersionId"][1:]))
                iam.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])
            document = [OTHER, POLICY][i % 2]
            made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)["PolicyVersion"]
            policy, version = self.read_policy(arn)
            self.assertEqual((policy["DefaultVersionId"], version["Document"]), (made["VersionId"], json.loads(document)))
        iam.untag_policy(PolicyArn=arn, TagKeys=["a"])
        iam.tag_policy(PolicyArn=arn, Tags=tags(c="d"))
        self.assertEqual(iam.list_policy_tags(PolicyArn=arn)["Tags"], tags(c="d"))
        # The data source looks for it by name.
        found = [p["Arn"] for page in iam.get_paginator("list_policies").paginate(PathPrefix="/x/") for p in page["Policies"]]
        self.assertEqual(found, [arn])
        for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
            if not v["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=arn, VersionId=v["VersionId"])
        iam.delete_policy(PolicyArn=arn)
        self.gone(iam.get_policy, PolicyArn=arn)
        self.gone(iam.list_policy_versions, PolicyArn=arn)

    # aws_iam_policy_attachment

    def test_exclusive_attachment(self):
        iam = self.iam
        arn = iam.create_policy(PolicyName="tf-shared", PolicyDocument=POLICY)["Policy"]["Arn"]
        iam.create_user(UserName="tf-a")
        iam.create_group(GroupName="tf-b")
        iam.create_role(RoleName="tf-c", AssumeRolePolicyDocument=TRUST)
        iam.attach_user_policy(UserName="tf-a", PolicyArn=arn)
        iam.attach_group_policy(GroupName="tf-b", PolicyArn=arn)
        iam.attach_role_policy(RoleName="tf-c", PolicyArn=arn)
        seen = {"PolicyUsers": [], "PolicyGroups": [], "PolicyRoles": []}
        for page in iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=arn, PaginationConfig={"PageSize": 1}):
            for kind, found in seen.items():
                found += [x[kind[6:-1] + "Name"] for x in page[kind]]
        self.assertEqual(seen, {"PolicyUsers": ["tf-a"], "PolicyGroups": ["tf-b"], "PolicyRoles": ["tf-c"]})
        self.assertEqual(iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"], 3)
        iam.detach_user_policy(UserName="tf-a", PolicyArn=arn)
        iam.detach_group_policy(GroupName="tf-b", PolicyArn=arn)
        iam.detach_role_policy(RoleName="tf-c", PolicyArn=arn)
        iam.delete_user(UserName="tf-a")
        iam.delete_group(GroupName="tf-b")
        iam.delete_role(RoleName="tf-c")
        iam.delete_policy(PolicyArn=arn)

    # aws_iam_openid_connect_provider

    def test_provider(self):
        iam = self.iam
        arn = iam.create_open_id_connect_provider(Url="https://oidc.example/id/1", ClientIDList=["sts.amazonaws.com"], Tags=tags(a="b"))["OpenIDConnectProviderArn"]
        p = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
        self.assertEqual((p["Url"], p["ClientIDList"], p["ThumbprintList"], p["Tags"]), ("oidc.example/id/1", ["sts.amazonaws.com"], [], tags(a="b")))
        with self.assertRaises(iam.exceptions.EntityAlreadyExistsException):
            iam.create_open_id_connect_provider(Url="https://oidc.example/id/1")
        iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=["c" * 40])
        iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="trent")
        iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="sts.amazonaws.com")
        iam.untag_open_id_connect_provider(OpenIDConnectProviderArn=arn, TagKeys=["a"])
        p = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
        self.assertEqual((p["ClientIDList"], p["ThumbprintList"], p.get("Tags", [])), (["trent"], ["c" * 40], []))
        self.assertEqual(iam.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=arn)["Tags"], [])
        iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
        self.gone(iam.get_open_id_connect_provider, OpenIDConnectProviderArn=arn)
        self.gone(iam.delete_open_id_connect_provider, OpenIDConnectProviderArn=arn)

    # aws_iam_account_alias

    def test_account_alias(self):
        self.iam.create_account_alias(AccountAlias="tf-alias")
        self.assertEqual(self.iam.list_account_aliases()["AccountAliases"], ["tf-alias"])
        self.iam.delete_account_alias(AccountAlias="tf-alias")
        self.gone(self.iam.delete_account_alias, AccountAlias="tf-alias")

    def test_plan_is_empty_after_apply(self):
        """The same answers, however often it is asked: the provider waits for that."""
        self.iam.create_role(RoleName="tf-still", AssumeRolePolicyDocument=TRUST, Tags=tags(b="1", a="2"))
        first, *rest = [{k: v for k, v in self.iam.get_role(RoleName="tf-still").items() if k != "ResponseMetadata"} for _ in range(15)]
        self.assertTrue(all(r == first for r in rest))
        with self.assertRaises(ClientError) as e:
            self.iam.create_role(RoleName="TF-STILL", AssumeRolePolicyDocument=TRUST)
        self.assertEqual(e.exception.response["Error"]["Code"], "EntityAlreadyExists")
        self.iam.delete_role(RoleName="tf-still")


if __name__ == "__main__":
    unittest.main(verbosity=2)
