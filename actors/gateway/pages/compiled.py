"""Templates that this process has compiled, for each gateway that it makes.

A gateway that is made again would compile all of its pages anew, some 10 ms for each template.
"""

from types import CodeType

import jinja2
from jinja2.bccache import Bucket


class CompiledTemplates(jinja2.BytecodeCache):
    """Keeps code by a template's name and text. Who shares it has the same options."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give the bucket its code, if it was compiled before."""
        bucket.code = self._kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the bucket's code."""
        assert bucket.code is not None
        self._kept[bucket.key, bucket.checksum] = bucket.code
