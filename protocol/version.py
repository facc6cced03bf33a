"""The version of the wire and of the product; nothing else."""

from typing import Final

PROTOCOL_VERSION: Final = 2
SUPPORTED_VERSIONS: Final = frozenset({2})
SUBPROTOCOL: Final = "myrvm.v2"
PRODUCT_VERSION: Final = "0.2.0"
