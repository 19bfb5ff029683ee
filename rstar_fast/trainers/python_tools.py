"""The sandbox as a tool of `verifiers`."""

from typing import Any

import httpx
import verifiers.v1 as vf


class PythonToolsConfig(vf.ToolsetConfig):
    """Options of the tool.

    Attributes:
        sandbox: Address of a running `rstar-fast sandbox`.
        timeout_s: Seconds that a call may take, > 0.
    """

    sandbox: str = "http://127.0.0.1:8080"
    timeout_s: float = 10.0


class PythonTools(vf.Toolset[PythonToolsConfig, vf.State]):
    """A Python program that grows call by call, one for each rollout.

    It runs in a session of `rstar-fast sandbox`, so that a call may go on from any earlier state.
    """

    TOOL_PREFIX = None
    _session: str | None = None

    @vf.tool
    async def run_python(self, code: str, state: str = "") -> str:
        """Run Python code. Names of earlier calls that succeeded are still there.

        Args:
            code: The code. Print what you want to see.
            state: State to go on from, as an earlier call told it. Empty for the newest.
        """
        body: dict[str, Any] = {"code": f"{code}\n", "timeout": self.config.timeout_s}
        if state:
            body["from"] = state
        async with httpx.AsyncClient(base_url=self.config.sandbox, timeout=None) as client:
            if self._session is None:
                self._session = (await _posted(client, "/sessions", {}))["session"]
            found = await _posted(client, f"/sessions/{self._session}/run", body)
        return f"{found['text']}\n[state {found['state']}]"


async def _posted(client: httpx.AsyncClient, route: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request. A refusal is an error for the model to read."""
    response = await client.post(route, json=body)
    if response.is_error:
        raise RuntimeError(f"the sandbox refused: {response.status_code} {response.text[:200]}")
    answer: dict[str, Any] = response.json()
    return answer


if __name__ == "__main__":
    PythonTools.run()
