"""What argospool seals with GCM opens elsewhere, and what others seal is opened and recognised.

Usage: gcm.py PATH-TO-ARGOSPOOL [SEED]. Every order of the parts, length of the nonce and encoding goes both
ways through Python's `cryptography`; the list of countries is held against `pycountry`. Nothing
listens and nothing is called.
"""

import base64
import hashlib
import itertools
import json
import os
import pathlib
import random
import string
import subprocess
import sys
import tempfile
import time
import urllib.parse

import pycountry
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

BINARY = sys.argv[1]
API_KEY, SECRET_KEY, PREVIOUS_KEY = "test-api-key-0001", "Schlüssel 열쇠 🔑", "a key of before"
TAG = 16
LAYOUTS = ("nonce_ciphertext_tag", "nonce_tag_ciphertext", "ciphertext_tag_nonce")
SHAPES = list(itertools.product(LAYOUTS, (12, 16), ("base64", "hex")))
SETS = 50


def settings(shape):
    """What the configuration must say."""
    layout, nonce_bytes, encoding = shape
    said = {"cipher": "gcm", "gcm_layout": layout, "gcm_nonce": str(nonce_bytes), "gcm_encoding": encoding}
    return {f"projects.default.liveform.{key}": value for key, value in said.items()}


def seal(shape, key_text, text):
    layout, nonce_bytes, encoding = shape
    nonce = os.urandom(nonce_bytes)
    sealed = AESGCM(hashlib.sha256(key_text.encode()).digest()).encrypt(nonce, text.encode(), None)
    parts = {"nonce": nonce, "ciphertext": sealed[:-TAG], "tag": sealed[-TAG:]}
    written = b"".join(parts[name] for name in layout.split("_"))
    return base64.b64encode(written).decode() if encoding == "base64" else written.hex()


def unseal(shape, key_text, sealed):
    layout, nonce_bytes, encoding = shape
    written = base64.b64decode(sealed, validate=True) if encoding == "base64" else bytes.fromhex(sealed)
    lengths = {"nonce": nonce_bytes, "tag": TAG, "ciphertext": len(written) - nonce_bytes - TAG}
    parts = {}
    for name in layout.split("_"):
        parts[name], written = written[: lengths[name]], written[lengths[name] :]
    key = AESGCM(hashlib.sha256(key_text.encode()).digest())
    return key.decrypt(parts["nonce"], parts["ciphertext"] + parts["tag"], None).decode(), parts["nonce"]


class Project:
    """A configuration with three keys, of which the secret one is in use, and how it seals."""

    def __init__(self, home):
        self.home = home
        for name, text in (("api", API_KEY), ("secret", SECRET_KEY), ("previous", PREVIOUS_KEY)):
            (home / name).touch(mode=0o600)
            (home / name).write_text(text)
        (home / "argospool.toml").write_text(f"""
            [projects.default]
            pid = "pid_demo"
            api_key_file = "{home}/api"
            [projects.default.liveform]
            secret_key_file = "{home}/secret"
            previous_key_files = ["{home}/previous"]
        """)

    def run(self, *arguments, shape=None, lines=None):
        for key, value in settings(shape).items() if shape else ():
            arguments += ("--set", f"{key}={value}")
        command = [BINARY, "url", "--config", str(self.home / "argospool.toml"), *arguments, "--output", "json"]
        text = None if lines is None else "".join(f"{line}\n" for line in lines)
        ran = subprocess.run(command, input=text, capture_output=True, text=True, env={}, timeout=60)
        for key in (API_KEY, SECRET_KEY, PREVIOUS_KEY):
            assert key not in ran.stdout + ran.stderr, "a key is printed"
        return ran

    def answers(self, *arguments, shape, lines):
        ran = self.run(*arguments, shape=shape, lines=lines)
        answers = [json.loads(line) for line in ran.stdout.splitlines()]
        assert len(answers) == len(lines), ran.stderr
        return answers


def text(chance):
    pieces = list(" \"#%&'+,/:;<=>?\\") + ["a", "é", "김", "🙂", "&token=", "%2B"]
    return "".join(chance.choice(pieces) for _ in range(chance.randint(1, 40)))


def both_ways(project, shape, chance):
    """What one side seals, the other one opens."""
    wishes = [{"cf1": text(chance), "allowed_countries": ["KOR"], "unchecked": {"x": text(chance)}} for _ in range(SETS)]
    links = project.answers("--params", "-", shape=shape, lines=[json.dumps(wish) for wish in wishes])
    nonces = set()
    for wish, link in zip(wishes, links):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(link["url"]).query, strict_parsing=True))
        assert query["cf1"] == wish["cf1"]
        inside, nonce = unseal(shape, SECRET_KEY, query["encrypted"])
        expected = {"allowedCountries": "KOR", "x": wish["unchecked"]["x"]}
        assert inside == json.dumps(expected, ensure_ascii=False, separators=(",", ":")), inside
        nonces.add(nonce)
    assert len(nonces) == SETS, "a nonce was used twice"

    texts = [json.dumps({"cf1": text(chance), "n": number}) for number in range(SETS)]
    keys = [SECRET_KEY if number % 2 else PREVIOUS_KEY for number in range(SETS)]
    sealed = [seal(shape, key, inside) for key, inside in zip(keys, texts)]
    for key, inside, opened in zip(keys, texts, project.answers("--open", "-", shape=shape, lines=sealed)):
        assert opened["content"] == inside
        assert opened["key"]["place"] == ("secret_key" if key == SECRET_KEY else "previous_key")
    # A changed letter opens nothing.
    broken = [("1" if line[0] == "0" else "0") + line[1:] for line in sealed]
    refused = project.answers("--open", "-", shape=shape, lines=broken)
    assert all("error" in answer for answer in refused), (shape, refused)
    return 3 * SETS


def recognised(project, shape):
    """A sample tells its shape and its key, and passes once the configuration says so."""
    plain = '{ "allowedCountries": "USA,KOR" }'
    expected = settings(shape)
    for key, place in ((API_KEY, "api_key"), (SECRET_KEY, "secret_key"), (PREVIOUS_KEY, "previous_key")):
        sample = seal(shape, key, plain)
        ran = project.run("--self-test", sample)
        found = json.loads(ran.stdout)
        assert ran.returncode == 1 and not found["agrees"], found
        assert (found["cipher"], found["key"]["place"], found["content"]) == (expected, place, plain), found
        assert expected.items() <= found["to_write"].items(), found
    same = '{"allowedCountries":"USA,KOR"}'
    ran = project.run("--self-test", seal(shape, SECRET_KEY, plain), "--plaintext", same, shape=shape)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    ran = project.run("--self-test", seal(shape, SECRET_KEY, plain), "--plaintext", "{}", shape=shape)
    assert ran.returncode == 1, "another plaintext passes"
    return 5


def countries(project):
    """Of all words of three letters those are accepted that ISO 3166-1 assigns, and no other."""
    words = ["".join(letters) for letters in itertools.product(string.ascii_uppercase, repeat=3)]
    lines = [json.dumps({"selected_issuing_country": word}) for word in words]
    accepted = {word for word, answer in zip(words, project.answers("--params", "-", shape=None, lines=lines)) if "url" in answer}
    assigned = {country.alpha_3 for country in pycountry.countries}
    assert accepted == assigned, f"only here {accepted - assigned}, only there {assigned - accepted}"
    return len(assigned), len(words)


def main():
    began, seed = time.monotonic(), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        project = Project(pathlib.Path(directory))
        envelopes = sum(both_ways(project, shape, chance) for shape in SHAPES)
        samples = sum(recognised(project, shape) for shape in SHAPES)
        known, tried = countries(project)
    print(
        f"{len(SHAPES)} shapes, {envelopes} envelopes, {samples} samples, "
        f"{known} countries of {tried} words, {time.monotonic() - began:.1f} s"
    )


main()
