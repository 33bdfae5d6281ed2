// Plays the story of ../README.md with the AWS SDK for JavaScript, against the
// server that the environment names. Run by scripts/with-trent.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import * as sdk from "@aws-sdk/client-kms";

const ACCOUNT = "111122223333";
const load = (name) => JSON.parse(readFileSync(new URL(`../${name}`, import.meta.url)));
const members = load("members.json");
const seen = new Set();
const bytes = (text) => new TextEncoder().encode(text);

// A client that calls operations by name and holds answers against members.json.
function connect(region = "us-east-1") {
  const kms = new sdk.KMSClient({ region, endpoint: process.env.AWS_ENDPOINT_URL, maxAttempts: 1 });
  kms.middlewareStack.add(
    (next, context) => async (args) => {
      const result = await next(args);
      const name = context.commandName.replace(/Command$/, "");
      if (result.response.statusCode === 200) seen.add(name);
      return result;
    },
    { step: "deserialize", name: "seen" },
  );
  const call = async (operation, input = {}) => {
    const { $metadata, ...answer } = await kms.send(new sdk[`${operation}Command`](input));
    assert.equal($metadata.httpStatusCode, 200);
    assert.match($metadata.requestId, /^[0-9a-f-]{36}$/);
    const { NextMarker, ...rest } = answer;
    assert.deepEqual(Object.keys(rest).sort(), members[operation], operation);
    return answer;
  };
  return { kms, call };
}

const { kms, call } = connect();
let key;

before(async () => {
  key = (await call("CreateKey", { Description: "the story's" })).KeyMetadata;
  await call("CreateAlias", { AliasName: "alias/story", TargetKeyId: key.KeyId });
});

after(() => kms.destroy());

const createKey = async (input) => (await call("CreateKey", input)).KeyMetadata.KeyId;

test("a data key by every name", async () => {
  const names = [key.KeyId, key.Arn, "alias/story", `arn:aws:kms:us-east-1:${ACCOUNT}:alias/story`];
  const EncryptionContext = { tenant: "blue", purpose: "story" };
  for (const KeyId of names) {
    const k = await call("GenerateDataKey", { KeyId, KeySpec: "AES_256", EncryptionContext });
    assert.equal(k.Plaintext.length, 32);
    for (const used of [...names, undefined]) {
      const d = await call("Decrypt", { CiphertextBlob: k.CiphertextBlob, KeyId: used, EncryptionContext });
      assert.deepEqual(d.Plaintext, k.Plaintext);
      assert.equal(d.KeyId, key.Arn);
      assert.equal(d.EncryptionAlgorithm, "SYMMETRIC_DEFAULT");
    }
  }
  const long = await call("GenerateDataKeyWithoutPlaintext", { KeyId: key.KeyId, NumberOfBytes: 1024 });
  assert.equal((await call("Decrypt", { CiphertextBlob: long.CiphertextBlob })).Plaintext.length, 1024);
  assert.equal((await call("GenerateRandom", { NumberOfBytes: 7 })).Plaintext.length, 7);
});

test("a context that differs", async () => {
  const { CiphertextBlob } = await call("Encrypt", { KeyId: "alias/story", Plaintext: bytes("secret"), EncryptionContext: { a: "bc" } });
  for (const EncryptionContext of [undefined, { a: "bd" }, { ab: "c" }, { A: "bc" }, { a: "bc", d: "e" }, { a: "" }]) {
    await assert.rejects(call("Decrypt", { CiphertextBlob, EncryptionContext }), sdk.InvalidCiphertextException);
  }
});

test("encryption anew under another key and context", async () => {
  const other = await createKey();
  const one = { stage: "one", ü: "漢" };
  const two = { stage: "two" };
  const { CiphertextBlob } = await call("Encrypt", { KeyId: key.KeyId, Plaintext: bytes("moved"), EncryptionContext: one });
  const moved = await call("ReEncrypt", { CiphertextBlob, SourceEncryptionContext: one, DestinationKeyId: other, DestinationEncryptionContext: two });
  assert.equal(moved.SourceKeyId, key.Arn);
  assert.ok(moved.KeyId.endsWith(other));
  const d = await call("Decrypt", { CiphertextBlob: moved.CiphertextBlob, EncryptionContext: two });
  assert.equal(new TextDecoder().decode(d.Plaintext), "moved");
  await assert.rejects(call("Decrypt", { CiphertextBlob: moved.CiphertextBlob, EncryptionContext: one }), sdk.InvalidCiphertextException);
  await assert.rejects(call("ReEncrypt", { CiphertextBlob, SourceEncryptionContext: two, DestinationKeyId: other }), sdk.InvalidCiphertextException);
  await assert.rejects(call("ReEncrypt", { CiphertextBlob, SourceEncryptionContext: one, SourceKeyId: other, DestinationKeyId: other }), sdk.IncorrectKeyException);
});

test("the life of a key", async () => {
  const KeyId = await createKey({ Description: "to be altered" });
  const state = async () => (await call("DescribeKey", { KeyId })).KeyMetadata.KeyState;
  await call("UpdateKeyDescription", { KeyId, Description: "altered" });
  const { KeyMetadata } = await call("DescribeKey", { KeyId });
  assert.deepEqual(Object.keys(KeyMetadata).sort(), members.KeyMetadata);
  assert.equal(KeyMetadata.Description, "altered");
  assert.ok(KeyMetadata.CreationDate instanceof Date && Math.abs(KeyMetadata.CreationDate - Date.now()) < 60_000);
  await call("DisableKey", { KeyId });
  assert.equal(await state(), "Disabled");
  await assert.rejects(call("Encrypt", { KeyId, Plaintext: bytes("a") }), sdk.DisabledException);
  await call("EnableKey", { KeyId });
  assert.equal(await state(), "Enabled");
  const s = await call("ScheduleKeyDeletion", { KeyId, PendingWindowInDays: 7 });
  assert.ok(Math.abs(s.DeletionDate - Date.now() - 7 * 86_400_000) < 60_000);
  await assert.rejects(call("EnableKey", { KeyId }), sdk.KMSInvalidStateException);
  await call("CancelKeyDeletion", { KeyId });
  assert.equal(await state(), "Disabled");
});

test("the life of an alias", async () => {
  const [one, two, AliasName] = [await createKey(), await createKey(), "alias/life"];
  await call("CreateAlias", { AliasName, TargetKeyId: one });
  const { CiphertextBlob } = await call("Encrypt", { KeyId: AliasName, Plaintext: bytes("first") });
  await call("UpdateAlias", { AliasName, TargetKeyId: two });
  assert.equal((await call("DescribeKey", { KeyId: AliasName })).KeyMetadata.KeyId, two);
  await call("Decrypt", { CiphertextBlob });
  await assert.rejects(call("Decrypt", { CiphertextBlob, KeyId: AliasName }), sdk.IncorrectKeyException);
  await call("DeleteAlias", { AliasName });
  await assert.rejects(call("DeleteAlias", { AliasName }), sdk.NotFoundException);
});

test("tags", async () => {
  const KeyId = await createKey({ Tags: [{ TagKey: "a", TagValue: "1" }, { TagKey: "b", TagValue: "" }] });
  await call("TagResource", { KeyId, Tags: [{ TagKey: "a", TagValue: "2" }, { TagKey: "ü 漢", TagValue: "3" }] });
  await call("UntagResource", { KeyId, TagKeys: ["b", "absent"] });
  const { Tags } = await call("ListResourceTags", { KeyId });
  assert.deepEqual(Object.fromEntries(Tags.map((t) => [t.TagKey, t.TagValue])), { a: "2", "ü 漢": "3" });
});

test("policies", async () => {
  const KeyId = await createKey();
  assert.deepEqual((await call("ListKeyPolicies", { KeyId })).PolicyNames, ["default"]);
  const Policy = JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      { Effect: "Allow", Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` }, Action: "kms:*", Resource: "*" },
      { Effect: "Deny", Principal: "*", Action: "kms:GenerateDataKey", Resource: "*" },
    ],
  });
  await call("PutKeyPolicy", { KeyId, Policy });
  assert.equal((await call("GetKeyPolicy", { KeyId })).Policy, Policy);
  await call("Encrypt", { KeyId, Plaintext: bytes("a") });
  await assert.rejects(call("GenerateDataKey", { KeyId, KeySpec: "AES_256" }), { name: "AccessDeniedException", message: / with an explicit deny in a resource-based policy$/ });
});

test("pages", async () => {
  const KeyId = await createKey();
  for (let i = 0; i < 7; i++) await call("CreateAlias", { AliasName: `alias/pages/${i}`, TargetKeyId: KeyId });
  const names = [];
  let pages = 0;
  for await (const page of sdk.paginateListAliases({ client: kms, pageSize: 2 }, { KeyId })) {
    names.push(...page.Aliases.map((a) => a.AliasName));
    assert.equal(page.Truncated, page.NextMarker !== undefined);
    pages++;
  }
  assert.ok(pages > 2);
  assert.deepEqual(names.sort(), [0, 1, 2, 3, 4, 5, 6].map((i) => `alias/pages/${i}`));
  const ids = [];
  for await (const page of sdk.paginateListKeys({ client: kms, pageSize: 1 }, {})) ids.push(...page.Keys.map((k) => k.KeyId));
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(ids.length > 2 && ids.includes(KeyId));
});

test("the same call, made at once", async () => {
  const keys = new Set();
  for (let i = 0; i < 5; i++) keys.add(await createKey());
  assert.equal(keys.size, 5);
  const KeyId = [...keys][0];
  for (let i = 0; i < 3; i++) {
    await call("DisableKey", { KeyId });
    await call("EnableKey", { KeyId });
    await call("DisableKey", { KeyId });
    assert.equal((await call("DescribeKey", { KeyId })).KeyMetadata.Enabled, false);
  }
});

test("another Region", async () => {
  const abroad = connect("eu-west-1");
  await assert.rejects(abroad.call("DescribeKey", { KeyId: key.Arn }), (e) => e instanceof sdk.NotFoundException && e.message === "Invalid arn us-east-1");
  abroad.kms.destroy();
});

test("refusals", async (t) => {
  const places = { account: ACCOUNT, id: key.KeyId, arn: key.Arn };
  for (const [state, change] of [["disabled", "DisableKey"], ["deleting", "ScheduleKeyDeletion"]]) {
    const made = (await call("CreateKey")).KeyMetadata;
    await call(change, { KeyId: made.KeyId });
    Object.assign(places, { [state]: made.KeyId, [`${state}Arn`]: made.Arn });
  }
  const fill = (text) => text.replace(/\{(\w+)\}/g, (all, name) => places[name] ?? all);
  for (const c of load("refusals.json")) {
    const input = JSON.parse(fill(JSON.stringify(c.input)));
    for (const blob of ["Plaintext", "CiphertextBlob"]) {
      if (blob in input) input[blob] = Buffer.from(input[blob], "base64");
    }
    await t.test(`${c.operation} ${JSON.stringify(c.input)}`, async () => {
      const e = await call(c.operation, input).then(() => assert.fail("it was done"), (e) => e);
      assert.equal(e.name, c.code);
      assert.equal(e.$metadata?.httpStatusCode, 400);
      if (sdk[c.code]) assert.ok(e instanceof sdk[c.code], "of another class");
      const text = fill(c.text ?? "");
      if (text.endsWith("…")) assert.ok(e.message.startsWith(text.slice(0, -1)), e.message);
      // Where there is no text, the SDK puts a word of its own.
      else if (text) assert.equal(e.message, text);
      else assert.ok(["", "UnknownError", c.code].includes(e.message), e.message);
    });
  }
});

after(() => {
  const missing = Object.keys(members).filter((name) => name !== "KeyMetadata" && !seen.has(name));
  assert.deepEqual(missing, [], "operations that were not called");
});
