"""The executor as a tool of `verl`, in the process of the agent loops."""

import asyncio
from functools import cache
from typing import Any

from verl.tools.base_tool import BaseTool
from verl.tools.schemas import OpenAIFunctionToolSchema, ToolResponse

from rstar_fast.verify import Executor, Limits

SCHEMA = {
    "type": "function",
    "function": {
        "name": "run_python",
        "description": "Run Python code. Names of earlier calls that succeeded are still there.",
        "parameters": {
            "type": "object",
            "properties": {
                "code": {"type": "string", "description": "Code that prints what it shows."}
            },
            "required": ["code"],
        },
    },
}


class PythonTool(BaseTool):
    """A Python program that grows call by call, one for each rollout, in confined processes.

    Its configuration has `wall_s`, the seconds that all calls of a rollout may take together, 30 if
    left out.
    """

    def __init__(
        self, config: dict[str, Any], tool_schema: OpenAIFunctionToolSchema | None = None
    ) -> None:
        schema = tool_schema or OpenAIFunctionToolSchema.model_validate(SCHEMA)
        super().__init__(config, schema)
        self._sessions: dict[str, Any] = {}

    async def create(
        self, instance_id: str | None = None, **options: Any
    ) -> tuple[str, ToolResponse]:
        """Begin an empty program."""
        instance_id, response = await super().create(instance_id)
        self._sessions[instance_id] = _executor(float(self.config.get("wall_s", 30))).session()
        return instance_id, response

    async def execute(
        self, instance_id: str, parameters: dict[str, Any], **options: Any
    ) -> tuple[ToolResponse, float, dict[str, Any]]:
        """Run code behind that of earlier calls, and return what it showed.

        What a model has written as parameters may be anything.
        """
        code = parameters.get("code") if isinstance(parameters, dict) else None
        if not isinstance(code, str):
            return ToolResponse(text="expected a text as code"), 0.0, {"status": "error"}
        session = self._sessions[instance_id]
        found = await asyncio.to_thread(session.run, f"{code}\n")
        return ToolResponse(text=found.text), 0.0, {"status": str(found.status)}

    async def release(self, instance_id: str, **options: Any) -> None:
        """End the program."""
        self._sessions.pop(instance_id, None)


@cache
def _executor(wall_s: float) -> Executor:
    """The executor of all tools of this process."""
    return Executor(limits=Limits(wall_s=wall_s), style="step")
