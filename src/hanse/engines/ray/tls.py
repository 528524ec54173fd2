"""What a machine's Ray shows to the others, and knows them by: Ray's own TLS.

Every process of Ray is client and server at once: each shows the machine's certificate, and speaks
to nobody whose certificate is of another authority.
"""

from __future__ import annotations

from pathlib import Path

import msgspec


class Tls(msgspec.Struct, frozen=True):
    """Files, PEM: the machine's certificate and its key, and the certificate of the authority."""

    certificate: Path
    key: Path
    authority: Path

    def environment(self) -> dict[str, str]:
        return {
            "RAY_USE_TLS": "1",
            "RAY_TLS_SERVER_CERT": str(self.certificate),
            "RAY_TLS_SERVER_KEY": str(self.key),
            "RAY_TLS_CA_CERT": str(self.authority),
        }
