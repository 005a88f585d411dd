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


def check_address(url: str, key: str = "base_url", port: int = 8000, path: str = "/v1") -> None:
    """Refuse an address that texts and a key must not be sent to.

    Args:
        url: the address.
        key: of the recipe, for the message.
        port: such an endpoint's, for what to write instead.
        path: likewise.

    Raises:
        ValueError: no address, a password in it, or http to another machine, with what to write instead.
    """
    here = f"http://localhost:{port}{path}"
    try:
        parts = urlsplit(url)
        host, readable = parts.hostname or "", parts.port != 0
    except ValueError:
        host, readable = "", False
    if not host or not readable or parts.scheme not in ("http", "https"):
        raise ValueError(f"{key} must look like https://host{path} or {here}")
    if parts.username or parts.password:
        raise ValueError(f"{key} must hold no user name and no password; a key comes from an environment variable")
    if parts.scheme != "https" and not is_loopback(url):
        raise ValueError(
            f"{key}: {host} is another machine, and http would send the key and the texts in the open. "
            f"Use https, or a tunnel: ssh -L {port}:localhost:{port} HOST, then {here}"
        )
