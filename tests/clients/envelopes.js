// What argospool seals is what ARGOS's guide seals, held against crypto-js and against Node's own crypto
// over many random sets of parameters, and the other way round.
//
// Usage: envelopes.js PATH-TO-ARGOSPOOL [SETS] [SEED]; crypto-js is found by NODE_PATH. Every set goes
// through two projects: one with the mode mixed, sealed with its secret key, and one with the mode
// sealed, sealed with its API key. Nothing listens and nothing is called.

"use strict";

const assert = require("node:assert/strict");
const { spawnSync } = require("node:child_process");
const crypto = require("node:crypto");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const CryptoJS = require("crypto-js");

const [, , BINARY, SETS = "10000", SEED = String(crypto.randomInt(2 ** 32))] = process.argv;

const API_KEY = "test-api-key-0001";
const SECRET_KEY = "Ein Schlüssel, nicht aus ASCII: 열쇠 🔑";
const TOKEN = "ap-preview-00000000000000";
const MARK = "mark-preview-00000000000000";
const BASE = "https://form.example.com";

// Names and their order in a link. A set says each of them with its own chance; what is said together
// obeys the rules of ARGOS.
const EITHER = ["email", "userid", "cf1", "cf2", "cf3"];
const SWITCHES = ["blacklistCountries", "approvePeriod", "rejectPeriod", "ageLimit", "rejectDuplicateUser"];
const ORDER = [
  ...EITHER, "lang", ...SWITCHES, "action", "sid", "allowedCountries", "allowedIdTypes", "selectedIssuingCountry",
  "selectedIdType", "auxidField", "projectionId", "projectionName", "knowledgeField", "knowledgePrefill",
  "allowedDocumentFields", "mainColor", "innerColor", "startValidUntil",
];
const KNOWLEDGE_ONLY = ["knowledgeField", "knowledgePrefill"];
const COUNTRIES = ["KOR", "USA", "JPN", "DEU", "GBR", "VNM", "ABW", "ZWE", "UKR"];
const ID_TYPES = ["passport", "drivers_license", "government_id", "residence_permit", "visa"];
const LANGUAGES = ["ko", "en", "pt-BR", "zh_Hant"];
const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
// What is hard on the way: JSON, URLs, base64 and UTF-8 of every length, joined and astral letters.
const PIECES = [
  ..." !\"#$%&'()*+,-./0:;<=>?@[\\]^_`{|}~aZ", "%20", "+", "&token=", "\\u0041", "\\\"", "</script>", "null", "é", "ß",
  "e\u0301", "김", "漢", "ا", "\u2028", "\u2029", "\ufeff", "\u200d", "🙂", "👩‍👩‍👧", "🇰🇷", "\u{10ffff}", "\ud7ff", "\ue000",
];

// Random numbers that follow from the seed: a counter under SHA-256.
class Chance {
  constructor(seed) {
    this.seed = seed;
    this.block = 0;
    this.bytes = Buffer.alloc(0);
  }

  below(bound) {
    if (this.bytes.length < 4) {
      this.bytes = crypto.createHash("sha256").update(`${this.seed}/${this.block++}`).digest();
    }
    const number = this.bytes.readUInt32LE(0);
    this.bytes = this.bytes.subarray(4);
    return number % bound;
  }

  of(list) {
    return list[this.below(list.length)];
  }

  once(in_) {
    return this.below(in_) === 0;
  }

  some(list) {
    const chosen = list.filter(() => this.once(2));
    return chosen.length ? chosen : [this.of(list)];
  }

  shuffled(list) {
    const keyed = list.map((item) => [this.below(2 ** 32), item]);
    return keyed.sort(([a], [b]) => a - b).map(([, item]) => item);
  }

  word() {
    return LETTERS[this.below(52)] + Array.from({ length: this.below(12) }, () => this.of(LETTERS)).join("");
  }

  // Text of 1 to `most` bytes; now and then exactly so many.
  text(most) {
    const wanted = this.once(50) ? most : 1 + this.below(Math.min(most, this.once(8) ? most : 24));
    let text = "";
    for (;;) {
      const piece = this.of(PIECES);
      const left = wanted - Buffer.byteLength(text);
      if (left === 0) return text;
      if (Buffer.byteLength(piece) <= left) text += piece;
      else if (left < 4) text += "x".repeat(left);
    }
  }
}

// A set of parameters by ARGOS's names, with the values that ARGOS must read.
function generated(chance, mixed) {
  const said = {};
  for (const name of EITHER.slice(1)) {
    if (chance.once(3)) said[name] = chance.text(256);
  }
  if (chance.once(3)) said.email = `${chance.of(["kim", "김", "o'neil+tag", "a&b=c", "\"q\""])}@example.com`;
  if (chance.once(4)) said.lang = chance.of(LANGUAGES);
  for (const name of SWITCHES) {
    if (chance.once(5)) said[name] = name === "rejectDuplicateUser" ? chance.once(2) : false;
  }
  if (chance.once(8)) Object.assign(said, { action: "addveri", sid: `sub-${chance.word()}` });
  if (chance.once(3)) said.allowedCountries = chance.some(COUNTRIES).join(",");
  if (chance.once(3)) said.allowedIdTypes = chance.some(ID_TYPES).join(",");
  if (chance.once(6)) said.auxidField = "phoneNumber";
  else if (chance.once(4)) {
    said.selectedIssuingCountry = chance.of(said.allowedCountries?.split(",") ?? COUNTRIES);
    if (chance.once(2)) said.selectedIdType = chance.of(said.allowedIdTypes?.split(",") ?? ID_TYPES);
  }
  for (const name of ["projectionId", "projectionName", "mainColor", "innerColor"]) {
    if (chance.once(8)) said[name] = chance.text(64);
  }
  if (chance.once(8)) said.allowedDocumentFields = [...new Set([chance.word(), chance.word()])].join(",");
  if (chance.once(6)) said.startValidUntil = new Date(Date.UTC(2100 + chance.below(800), 0, 1, 0, 0, chance.below(1e6)))
    .toISOString().replace(".000Z", "Z");
  if (!mixed) {
    // The second project is knowledge-based, so that its own parameters come up as well.
    for (const name of ["approvePeriod", "rejectPeriod", "auxidField"]) delete said[name];
    if (chance.once(4)) said.knowledgeField = chance.of(["skip", chance.text(32)]);
    if (chance.once(4)) {
      const names = [...new Set(Array.from({ length: 1 + chance.below(4) }, () => chance.word()))].sort();
      said.knowledgePrefill = Object.fromEntries(names.map((name) => [name, chance.text(48)]));
    }
  }
  const unchecked = {};
  if (chance.once(5)) {
    for (let left = 1 + chance.below(3); left > 0; left--) {
      unchecked[`x${chance.word()}`] = chance.once(3) ? chance.once(2) : chance.text(48);
    }
  }
  return { said, unchecked: Object.fromEntries(Object.entries(unchecked).sort(([a], [b]) => (a < b ? -1 : 1))) };
}

// The same as a person may write it: in either spelling, with lists as lists or with commas, in any order.
function written(chance, { said, unchecked }) {
  const wish = {};
  for (const name of chance.shuffled(Object.keys(said))) {
    const value = said[name];
    const isList = ["allowedCountries", "allowedIdTypes", "allowedDocumentFields"].includes(name);
    const spelled = chance.once(2) ? name : name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    wish[spelled] = isList && chance.once(2) ? value.split(",") : value;
  }
  if (Object.keys(unchecked).length) wish.unchecked = unchecked;
  return JSON.stringify(wish);
}

// What must stand in the open and what in the envelope, each in its order.
function placed({ said, unchecked }, mixed) {
  const [open, sealed] = [{}, {}];
  (mixed ? open : sealed).token = TOKEN;
  const mustBeSealed = (name) => ORDER.indexOf(name) > ORDER.indexOf("sid");
  const enveloped = !mixed || Object.keys(unchecked).length > 0 || Object.keys(said).some(mustBeSealed);
  for (const name of ORDER.filter((name) => name in said)) {
    const follows = enveloped && (name === "action" || name === "sid");
    const inside = name !== "lang" && (!mixed || follows || mustBeSealed(name));
    (inside ? sealed : open)[name] = said[name];
  }
  Object.assign(sealed, unchecked);
  if (!("userid" in said)) (mixed ? open : sealed).userid = MARK;
  return { open, sealed: Object.keys(sealed).length ? sealed : undefined };
}

// The key of ARGOS's guide: the first eight words of a SHA-256, which are all of it.
function guideKey(keyText) {
  return CryptoJS.lib.WordArray.create(CryptoJS.SHA256(keyText).words.slice(0, 8), 32);
}

// As ARGOS's guide seals.
function sealedByGuide(key, object) {
  const sealed = CryptoJS.AES.encrypt(JSON.stringify(object), key, { mode: CryptoJS.mode.ECB });
  return sealed.ciphertext.toString(CryptoJS.enc.Base64);
}

function nodeKey(keyText) {
  return crypto.createHash("sha256").update(keyText, "utf8").digest();
}

function sealedByNode(key, text) {
  const cipher = crypto.createCipheriv("aes-256-ecb", key, null);
  return Buffer.concat([cipher.update(text, "utf8"), cipher.final()]).toString("base64");
}

function openedByNode(key, sealed) {
  const decipher = crypto.createDecipheriv("aes-256-ecb", key, null);
  return Buffer.concat([decipher.update(sealed, "base64"), decipher.final()]).toString("utf8");
}

// Runs `argospool url` over lines of stdin; every line in must give one line out.
function argospool(project, lines, ...more) {
  const ran = spawnSync(BINARY, ["url", "--config", path.join(project.home, "argospool.toml"), ...more], {
    input: lines.map((line) => `${line}\n`).join(""),
    encoding: "utf8",
    env: {},
    maxBuffer: 1 << 30,
  });
  assert.equal(ran.status, 0, `argospool url: ${ran.error ?? ran.stderr}`);
  const answers = ran.stdout.split("\n");
  assert.equal(answers.pop(), "");
  assert.equal(answers.length, lines.length);
  return answers;
}

function configured(home, mixed) {
  fs.mkdirSync(home);
  const secret = (name, text) => fs.writeFileSync(path.join(home, name), text, { mode: 0o600 });
  secret("api-key", API_KEY);
  secret("secret-key", SECRET_KEY);
  fs.writeFileSync(path.join(home, "argospool.toml"), `
[projects.default]
pid = "pid demo/1"
api_key_file = "${home}/api-key"
[projects.default.liveform]
base_url = "${BASE}"
mode = "${mixed ? "mixed" : "sealed"}"
pipeline = "${mixed ? "id_document" : "knowledge"}"
url_max_bytes = 2953
${mixed ? `secret_key_file = "${home}/secret-key"` : ""}
`);
  const key = mixed ? SECRET_KEY : API_KEY;
  return { home, guideKey: guideKey(key), nodeKey: nodeKey(key) };
}

// A link says these parameters, and ARGOS's own steps give its envelope.
function checkLink(link, { open, sealed }, project) {
  const [head, query] = link.url.split("?");
  assert.equal(head, BASE);
  const pairs = [...new URLSearchParams(query)];
  const byHand = query.split("&").map((pair) => pair.split("=").map(decodeURIComponent));
  assert.deepEqual(pairs, byHand, "both ways to read a query agree");
  const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  const expected = [["pid", "pid demo/1"], ...Object.entries(open).map(([name, value]) => [name, text(value)])];
  if (sealed !== undefined) {
    const guide = sealedByGuide(project.guideKey, sealed);
    assert.equal(sealedByNode(project.nodeKey, JSON.stringify(sealed)), guide);
    assert.equal(openedByNode(project.nodeKey, guide), JSON.stringify(sealed));
    expected.push(["encrypted", guide]);
  }
  assert.deepEqual(pairs, expected);
  const encoded = expected.map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  assert.equal(link.url, `${BASE}?${encoded.join("&")}`, "encoded as encodeURIComponent does");
  assert.deepEqual([...link.sealed_parameters].sort(), Object.keys(sealed ?? {}).sort());
}

// What crypto-js seals is opened, to the byte, as a text and in a URL.
function checkOpening(chance, project, objects) {
  const sealed = objects.map((object) => sealedByGuide(project.guideKey, object));
  const given = sealed.map((text) => (chance.once(2) ? text : `${BASE}/?pid=p&encrypted=${encodeURIComponent(text)}`));
  const opened = argospool(project, given, "--open", "-");
  opened.forEach((text, at) => assert.equal(text, JSON.stringify(objects[at])));
  return opened.length;
}

function main() {
  const began = process.hrtime.bigint();
  console.log(`seed ${SEED}`);
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "argospool-envelopes-"));
  const count = { sets: 0, envelopes: 0, opened: 0, longest: 0 };
  try {
    for (const mixed of [true, false]) {
      const project = configured(path.join(scratch, mixed ? "mixed" : "sealed"), mixed);
      const chance = new Chance(`${SEED}/${mixed}`);
      const sets = [];
      // A set whose URL nobody could scan is refused by the daemon, so none is asked for.
      while (sets.length < Number(SETS)) {
        const set = generated(chance, mixed);
        const { open, sealed } = placed(set, mixed);
        const escaped = encodeURIComponent(Object.values(open).join("")).length;
        if (escaped + Buffer.byteLength(JSON.stringify(sealed ?? "")) * 1.6 < 2400) sets.push(set);
      }
      const links = argospool(project, sets.map((set) => written(chance, set)), "--params", "-", "--output", "json");
      const objects = [];
      links.forEach((line, at) => {
        const link = JSON.parse(line);
        const place = placed(sets[at], mixed);
        try {
          checkLink(link, place, project);
        } catch (error) {
          console.error(`set ${at}, mode ${mixed ? "mixed" : "sealed"}: ${JSON.stringify(sets[at])}\n${line}`);
          throw error;
        }
        count.sets += 1;
        count.longest = Math.max(count.longest, link.url.length);
        if (place.sealed) objects.push(place.sealed);
      });
      count.envelopes += objects.length;
      count.opened += checkOpening(chance, project, objects);
    }
  } finally {
    fs.rmSync(scratch, { recursive: true });
  }
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  console.log(
    `${count.sets} sets of parameters, ${count.envelopes} envelopes equal to those of crypto-js and Node, ` +
      `${count.opened} of crypto-js opened, longest URL ${count.longest} bytes, ${seconds.toFixed(1)} s`,
  );
}

main();
