#!/usr/bin/env python3
"""Verifies the test vectors of docs/protocol.md from the document's text alone, with nothing of Throughline's own code.

Python's standard library has no Ed25519; signatures are verified if the package `cryptography` is there, else skipped.
"""

import base64
import hashlib
import hmac
import ipaddress
import json
import re
import sys
from pathlib import Path
from urllib.parse import quote, unquote

NOW = 1790000000
DAY = 86400
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"

try:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
except ImportError:
    Ed25519PrivateKey = Ed25519PublicKey = None

passed = 0


def expect(what, found, wanted):
    """One check."""
    global passed
    if found != wanted:
        sys.exit(f"check.py: {what}\n  found  {found}\n  wanted {wanted}")
    passed += 1


def b64(octets):
    """base64url without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64(text):
    """Octets from the one canonical spelling."""
    octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    expect(f"the spelling of {text[:20]}...", b64(octets), text)
    return octets


def hkdf(secret, label):
    """HKDF-SHA256, RFC 5869, for 32 octets: one block of the expansion."""
    extracted = hmac.new(b"throughline/v1", secret, hashlib.sha256).digest()
    return hmac.new(extracted, label.encode() + b"\x01", hashlib.sha256).digest()


def mac(key, message):
    """A MAC as it travels."""
    return b64(hmac.new(key, message, hashlib.sha256).digest())


def section():
    """The lines between the markers."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return text.split("<!-- vectors: begin -->")[1].split("<!-- vectors: end -->")[0]


def keys(vectors, secret):
    """Derived keys and signing keys."""
    for label in ("hop-request", "local-cookie", "master-cookie"):
        expect(f"the key {label}", mac(hkdf(secret, label), b"throughline"), vectors[f"mac.{label}"])
    expect("the API key", b64(hkdf(secret, "api")), vectors["api-key"])
    for name in ("broker", "shop"):
        x = vectors[f"{name}.x"]
        expect(f"the length of {name}.x", len(unb64(x)), 32)
        thumbprint = hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()
        expect(f"{name}.kid", b64(thumbprint)[:16], vectors[f"{name}.kid"])
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": vectors[f"{name}.kid"], "use": "sig", "alg": "EdDSA"}
        expect(f"{name}.jwks", json.loads(vectors[f"{name}.jwks"]), {"keys": [jwk]})
        if Ed25519PrivateKey:
            public = Ed25519PrivateKey.from_private_bytes(unb64(vectors[f"{name}.seed"])).public_key()
            expect(f"{name}.x of its seed", b64(public.public_bytes_raw()), x)


def requests(vectors, secret):
    """The flow, and the signed queries."""
    cookie = vectors["hop-cookie"]
    expect("the length of the hop cookie", len(unb64(cookie)), 16)
    expect("the flow", b64(hashlib.sha256(cookie.encode()).digest()), vectors["flow"])
    key = hkdf(secret, "hop-request")
    site, page, referrer = (quote(vectors[name], safe="-._~") for name in ("site", "page", "referrer"))
    for name, endpoint, basis, tail in (
        ("hop-query", "hop", "granted", f"&return={page}"),
        ("hop-query-by-script", "hop", "granted", f"&return={page}&referrer={referrer}"),
        ("whoami-query", "whoami", "implied", ""),
    ):
        signed = f"v=1&site={site}&flow={vectors['flow']}&iat={NOW}&consent={basis}{tail}"
        message = f"throughline/v1/{endpoint}\n{vectors['broker']}\n{signed}"
        expect(f"the {name}", f"{signed}&sig={mac(key, message.encode())}", vectors[name])
        expect("one '&sig='", vectors[name].count("&sig="), 1)
    expect("the page comes back", unquote(page), vectors["page"])


def net(jti, client):
    """The first 24 bits of SHA-256(jti || the client's IPv4 /24 or IPv6 /48), as base64url."""
    address = ipaddress.ip_address(client)
    network = address.packed[:3] if address.version == 4 else address.packed[:6]
    return b64(hashlib.sha256(jti + network).digest()[:3])


def token(vectors, name, signer, typ, claims, client=None):
    """A token's header, claims and signature. A link token names the network of `client`."""
    text = vectors[name]
    header, payload, signature = text.split(".")
    expect(f"{name}: its length", len(text) <= 2048, True)
    expect(f"{name}: header", json.loads(unb64(header)), {"typ": typ, "alg": "EdDSA", "kid": vectors[f"{signer}.kid"]})
    found = json.loads(unb64(payload))
    jti = unb64(found.pop("jti"))
    expect(f"{name}: the length of jti", len(jti), 16)
    if client:
        expect(f"{name}: net", found.pop("net"), net(jti, client))
    expect(f"{name}: claims", found, {"sub": vectors["visitor"], "iat": NOW, "exp": NOW + 60, **claims})
    expect(f"{name}: the length of the signature", len(unb64(signature)), 64)
    if Ed25519PublicKey:
        Ed25519PublicKey.from_public_bytes(unb64(vectors[f"{signer}.x"])).verify(unb64(signature), f"{header}.{payload}".encode())
        expect(f"{name}: signature", True, True)


def tokens(vectors):
    """Both kinds of token, and the URL that carries one."""
    broker, site = vectors["broker"], vectors["site"]
    expect("the visitor ID", bool(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", vectors["visitor"])), True)
    token(vectors, "bounce-token", "broker", "throughline-bounce+jwt", {"iss": broker, "aud": site, "flow": vectors["flow"]})
    for suffix in ("", "-ipv6"):
        parties = {"iss": site, "aud": "https://learn.example"}
        token(vectors, f"link-token{suffix}", "shop", "throughline-link+jwt", parties, vectors[f"link-client{suffix}"])
    expect("where the bounce token goes", inserted(vectors["page"], vectors["bounce-token"]), vectors["bounce-location"])


def cookies(vectors, secret):
    """The ID cookie's forms and lives."""
    key = hkdf(secret, "local-cookie")
    visitor, life = vectors["visitor"], 395 * DAY
    forms = {
        "broker": (f"b.{visitor}.{NOW}.u.0", life),
        "broker-granted": (f"b.{visitor}.{NOW}.g.0", life),
        "link": (f"l.{visitor}.{NOW}.u.0", life),
        "provisional": (f"p.{visitor}.{NOW}.u.0", life),
        "provisional-hop-begun": (f"p.{visitor}.{NOW}.u.{NOW}", life),
        "hop-begun": (f"n..0.u.{NOW}", DAY),
        "granted": ("n..0.g.0", life),
        "granted-hop-begun": (f"n..0.g.{NOW}", life),
    }
    for name, (fields, lives) in forms.items():
        value = f"1.{fields}"
        expect(f"the cookie {name}", f"{value}.{mac(key, value.encode())}", vectors[f"cookie.{name}"])
        expect(f"the life of {name}", str(lives), vectors[f"life.{name}"])
    for name, lives in (("denied", 400 * DAY), ("probe", DAY)):
        expect(f"the cookie {name}", name, vectors[f"cookie.{name}"])
        expect(f"the life of {name}", str(lives), vectors[f"life.{name}"])


def removed(url):
    """Takes the parameter out (R2)."""
    path, mark, query = url.partition("?")
    parts = query.split("&") if mark else []
    others = [part for part in parts if part != "_tl" and not part.startswith("_tl=")]
    if others == parts:
        return url
    return path + ("?" + "&".join(others) if others else "")


def inserted(url, value):
    """Puts the parameter in."""
    url = removed(url)
    return f"{url}{'&' if '?' in url else '?'}_tl={value}"


def pages(rows):
    """Both tables of URLs."""
    for before, after in rows:
        if removed(before) == before:
            expect(f"{before} with the parameter", inserted(before, ""), after)
        expect(f"{after} without it", removed(after), before if removed(before) == before else after)
        expect(f"{before} without it", removed(before), after if removed(before) != before else before)


def main():
    """All of it."""
    text = section()
    vectors = dict(re.findall(r"^([\w.-]+) = (.*)$", text, re.MULTILINE))
    rows = re.findall(r"^(/\S*)  ->  (/\S*)$", text, re.MULTILINE)
    expect("there are vectors and URLs", len(vectors) > 30 and len(rows) > 15, True)
    secret = unb64(vectors["secret"])
    expect("the secret", secret, bytes(range(32)))
    keys(vectors, secret)
    requests(vectors, secret)
    tokens(vectors)
    cookies(vectors, secret)
    pages(rows)
    skipped = "" if Ed25519PublicKey else "; signatures skipped: no package `cryptography`"
    print(f"check.py: {passed} checks passed{skipped}")


if __name__ == "__main__":
    main()
