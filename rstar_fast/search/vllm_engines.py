"""Policies and PPMs that vLLM runs, made from the names of models."""

from typing import TYPE_CHECKING, Any

from rstar_fast.errors import ConfigError
from rstar_fast.prompts import PromptStyle
from rstar_fast.search.naming import ModelName

if TYPE_CHECKING:
    from rstar_fast.policy import VLLMPolicy
    from rstar_fast.ppm import VLLMScorer


def vllm_policy(name: ModelName, prompt: PromptStyle, options: dict[str, Any]) -> "VLLMPolicy":
    """Return a policy.

    Args:
        name: Name of its model.
        prompt: Way to put a question to it.
        options: Further options of `VLLMPolicy`.
    """
    from rstar_fast.policy import VLLMPolicy

    return VLLMPolicy(name.folder("policy"), prompt=prompt, **options)


def vllm_scorer(name: ModelName, options: dict[str, Any]) -> "VLLMScorer":
    """Return a PPM.

    Args:
        name: Name of its model.
        options: Options of the policy. How many candidates are written at once says nothing of how
            many are scored, and is left out.
    """
    from rstar_fast.ppm import VLLMScorer

    return VLLMScorer(name.folder("ppm"), **(options | {"max_rows": None}))


def memory_shares(
    policy: ModelName, ppm: ModelName | None, policy_share: float | None, ppm_share: float | None
) -> tuple[float | None, float | None]:
    """Return which share of a GPU's memory vLLM may take for the policy, and for the PPM.

    Each engine takes its share when it is loaded. None stands for vLLM's default, and for an engine
    that is not vLLM.

    Args:
        policy: Policy.
        ppm: PPM, or None.
        policy_share: Share that was asked for the policy. None for a good one.
        ppm_share: The same for the PPM.

    Raises:
        ConfigError: A share is asked for an engine that is not vLLM.
    """
    for role, name, share in (("policy", policy, policy_share), ("ppm", ppm, ppm_share)):
        if share is not None and (name is None or name.engine != "vllm"):
            raise ConfigError(f"{role}_memory: only vLLM takes a share, as in {role} vllm:DIR")
    local = {name.engine for name in (policy, ppm) if name is not None and name.engine != "server"}
    if ppm is None or "server" in (policy.engine, ppm.engine) or "vllm" not in local:
        return policy_share, ppm_share
    # The policy has many texts under way, the PPM only their ends.
    if local == {"vllm"}:
        return policy_share or 0.55, ppm_share or 0.3
    if policy.engine == "vllm":
        return policy_share or 0.6, None
    return None, ppm_share or 0.4
