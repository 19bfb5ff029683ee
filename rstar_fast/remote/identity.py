"""What a server says of itself."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Dialect = Literal["vllm", "sglang", "llama.cpp", "openai"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server says of itself.

    Attributes:
        dialect: Kind of its protocol.
        model: Name that it has for the model.
        version: Version of the software. "" where it does not say.
        source: Folder, file or hub name that the model was loaded from. "" where it does not say.
        context_tokens: Length of the longest text that the model takes. None where it does not say.
    """

    dialect: Dialect
    model: str
    version: str = ""
    source: str = ""
    context_tokens: int | None = None

    def record(self) -> dict[str, Any]:
        """Return it for the record of a session."""
        return {"engine": "server", **asdict(self)}
