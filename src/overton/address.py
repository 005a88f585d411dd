"""Addresses of endpoints: which are on this machine, and which may be sent something."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(url: str, key: str = "base_url") -> None:
    """Refuse an address that texts and a key must not be sent to.

    Args:
        url: the address.
        key: of the recipe, for the message.

    Raises:
        ValueError: no address, a password in it, or http to another machine, with what to write instead.
    """
    try:
        parts = urlsplit(url)
        host, readable = parts.hostname or "", parts.port != 0
    except ValueError:
        host, readable = "", False
    if not host or not readable or parts.scheme not in ("http", "https"):
        raise ValueError(f"{key} must look like https://host/v1 or http://localhost:8000/v1")
    if parts.username or parts.password:
        raise ValueError(f"{key} must hold no user name and no password; a key comes from an environment variable")
    if parts.scheme != "https" and not is_loopback(url):
        raise ValueError(
            f"{key}: {host} is another machine, and http would send the key and the texts in the open. "
            "Use https, or a tunnel: ssh -L 8000:localhost:8000 HOST, then http://localhost:8000/v1"
        )
