// Plays an enclave written in JavaScript: asks with the AWS SDK for what only it may
// read, under documents of a development root, and opens the answers with PKI.js. Run by
// scripts/with-trent.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import * as sdk from "@aws-sdk/client-kms";
import * as asn1js from "asn1js";
import * as pkijs from "pkijs";

const IMAGE = "a1".repeat(48);
const KeyEncryptionAlgorithm = "RSAES_OAEP_SHA_256";
// Where padding, pieces of 1,000 bytes and lengths of lengths change.
const LENGTHS = [1, 15, 16, 17, 31, 32, 112, 127, 128, 239, 240, 255, 256, 991, 992, 1000, 1001, 1008, 1024];
const LONGER = [1104, 1231, 1232, 1984, 2000, 2001, 2016, 2375, 3000, 3008, 3968, 4000, 4095, 4096];

const kms = new sdk.KMSClient({ endpoint: process.env.AWS_ENDPOINT_URL, maxAttempts: 1 });
const call = async (operation, input) => {
  const { $metadata, ...answer } = await kms.send(new sdk[`${operation}Command`](input));
  return answer;
};

let dir;
let KeyId;

before(async () => {
  dir = mkdtempSync(join(tmpdir(), "trent-enclave-"));
  ({ KeyId } = (await call("CreateKey", {})).KeyMetadata);
});

after(() => {
  kms.destroy();
  rmSync(dir, { recursive: true });
});

// An enclave has a key pair of its own, and a document that says what runs there.
function enclave(modulusLength) {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength });
  const [spki, out] = [join(dir, "spki.pem"), join(dir, "document")];
  writeFileSync(spki, publicKey.export({ type: "spki", format: "pem" }));
  execFileSync(process.env.TRENT_BINARY, ["attest", "document", "--dev-root", process.env.TRENT_ATTESTATION_DEV_ROOT, "--public-key", spki, "--pcr", `0=${IMAGE}`, "--out", out]);
  const pkcs8 = privateKey.export({ type: "pkcs8", format: "der" });
  const recipientPrivateKey = pkcs8.buffer.slice(pkcs8.byteOffset, pkcs8.byteOffset + pkcs8.byteLength);
  return {
    Recipient: { AttestationDocument: readFileSync(out), KeyEncryptionAlgorithm },
    async open(blob) {
      const { offset, result } = asn1js.fromBER(blob.slice().buffer);
      assert.equal(offset, blob.length, "bytes are left over");
      const content = new pkijs.ContentInfo({ schema: result });
      assert.equal(content.contentType, pkijs.ContentInfo.ENVELOPED_DATA);
      const data = new pkijs.EnvelopedData({ schema: content.content });
      assert.equal(data.recipientInfos.length, 1);
      return Buffer.from(await data.decrypt(0, { recipientPrivateKey }));
    },
  };
}

for (const bits of [2048, 3072, 4096]) {
  test(`answers to RSA ${bits}`, async () => {
    const { Recipient, open } = enclave(bits);
    for (const NumberOfBytes of LENGTHS) {
      const k = await call("GenerateDataKey", { KeyId, NumberOfBytes, Recipient });
      assert.equal(k.Plaintext, undefined);
      assert.equal(k.KeyMaterialId, undefined);
      const { Plaintext } = await call("Decrypt", { CiphertextBlob: k.CiphertextBlob });
      assert.deepEqual(await open(k.CiphertextForRecipient), Buffer.from(Plaintext));

      const r = await call("GenerateRandom", { NumberOfBytes, Recipient });
      assert.equal(r.Plaintext, undefined);
      assert.equal((await open(r.CiphertextForRecipient)).length, NumberOfBytes);
    }
    for (const length of [...LENGTHS, ...LONGER]) {
      const Plaintext = randomBytes(length);
      const { CiphertextBlob } = await call("Encrypt", { KeyId, Plaintext });
      const d = await call("Decrypt", { CiphertextBlob, Recipient });
      assert.equal(d.Plaintext, undefined);
      assert.equal(d.KeyMaterialId, undefined);
      assert.equal(d.EncryptionAlgorithm, "SYMMETRIC_DEFAULT");
      assert.deepEqual(await open(d.CiphertextForRecipient), Plaintext);
    }
  });
}

test("the answer is to one enclave", async () => {
  const [one, other] = [enclave(2048), enclave(2048)];
  const { CiphertextForRecipient } = await call("GenerateRandom", { NumberOfBytes: 32, Recipient: one.Recipient });
  await assert.rejects(other.open(CiphertextForRecipient));
  assert.equal((await one.open(CiphertextForRecipient)).length, 32);
});

test("a document that is none", async () => {
  await assert.rejects(call("GenerateRandom", { NumberOfBytes: 32, Recipient: { AttestationDocument: randomBytes(64), KeyEncryptionAlgorithm } }), { name: "ValidationException" });
});
