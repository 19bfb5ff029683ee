"""A PPM behind HTTP: a one-label head that vLLM or SGLang serves."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from rstar_fast.checks import check_choice
from rstar_fast.errors import ScoreError
from rstar_fast.models.loading import load_config, load_tokenizer
from rstar_fast.ppm.base import ScoreRequest, Scores
from rstar_fast.ppm.reading import ServedPPM, scores_of_paths
from rstar_fast.ppm.routes import Ask, Route, routes_of
from rstar_fast.ppm.spec import OWN
from rstar_fast.ppm.texts import Texts
from rstar_fast.remote.find_identity import FindIdentity
from rstar_fast.remote.http import MalformedError, RefusedError
from rstar_fast.remote.identity import Identity
from rstar_fast.remote.retries import PASSING
from rstar_fast.remote.servers import Connection, Servers

if TYPE_CHECKING:
    pass


class ServerScorer:
    """An `AsyncScorer` over a PPM of a server. See docs/engines.md.

    The server gives the value of the head, and the scores are those of `PackedScorer`: the same
    tokens are read, and the constants of the PPM's config.json make a score of a value.

    The children of a node go in one request. Each is a text of its own for the server, which may
    have their common prefix in its cache.

    Args:
        address: Address of the server, or addresses of several with the same model.
        model: Name that the server has for the model. None for its only one.
        folder: Folder or hub name of the PPM, for its tokenizer and its constants. Its weights are
            not read.
        route: Route that is asked: "pooling" for the values of all tokens, "classify" for that of
            the last one, or "auto" for the one that the server has.
        concurrency: Largest number of requests that each server gets at once, >= 1.
        limit_s: Seconds that a request may take, > 0.
        outage_s: Seconds without an answer after which the server counts as broken.

    Attributes:
        name: Name of the model.
        identity: What the server says of itself.

    Raises:
        ConfigError: An option is wrong, or an address holds a password.
        ScoreError: The server does not have the model, or does not score, or the folder is not that
            of a PPM with one label.
        TransientError: No server answers.
    """

    def __init__(
        self,
        address: str | Sequence[str],
        model: str | None,
        folder: str | Path,
        route: Route | Literal["auto"] = "auto",
        concurrency: int = 64,
        limit_s: float = 600.0,
        outage_s: float = 1800.0,
    ) -> None:
        check_choice("route", route, ("auto", "pooling", "classify"))
        folder = str(folder)
        config = load_config(folder, ScoreError)
        if config.num_labels != 1:
            raise ScoreError(f"{folder}: config.json: expected one label, got {config.num_labels}")
        self._ppm = ServedPPM.of(folder, config, load_tokenizer(folder, ScoreError), OWN)
        self._route = route
        self._find = FindIdentity(model, "auto", ScoreError)
        # Any text will do to find out which route there is.
        self._probe = self._ppm.tokenizer("1").input_ids or [0]
        self._servers = Servers(address, concurrency, limit_s, outage_s)
        try:
            self.identity, self._ask = self._servers.look(self._look)
        except BaseException:
            self._servers.close()
            raise
        self.name = self.identity.model
        longest = getattr(config.get_text_config(), "max_position_embeddings", 0)
        limits = (self.identity.context_tokens, longest)
        self._texts = Texts(self._ppm, min(filter(None, limits), default=None))

    def submit(self, request: ScoreRequest) -> "Future[Scores]":
        """Begin one request. Cancelling the future breaks its connection.

        A request gets an error where `PackedScorer` gives one, and where the server refuses it.
        """
        return self._servers.run(self._score(request))

    def close(self) -> None:
        """Cancel all requests and close the connections."""
        self._servers.close()

    async def _score(self, request: ScoreRequest) -> Scores:
        tokens = self._texts.of(request)
        if isinstance(tokens, str):
            return _failed(request, tokens)
        if not request.children:
            return Scores(request.id, np.array([], np.float64))
        path, children = tokens
        before = [token for piece in path for token in piece]
        session = hashlib.blake2b(
            request.problem_id.encode("utf-8", "surrogatepass"), digest_size=16
        ).hexdigest()
        texts = [[*before, *child] for child in children]
        try:
            values = await self._servers.call(session, partial(self._ask, texts=texts))
        except RefusedError as error:
            if error.says_nothing_of_others:
                return _failed(request, str(error))
            raise ScoreError(str(error)) from error
        except MalformedError as error:
            raise ScoreError(f"{self.name} at {self._servers.name}: {error}") from error
        except PASSING as error:
            # It was asked often enough.
            return _failed(request, str(error))
        constants = self._ppm.constants
        paths = [[constants.score(value)] for value in values]
        return scores_of_paths(request.id, OWN, constants, paths, request.logprobs)

    async def _look(self, server: Connection) -> tuple[Identity, Ask]:
        """Return who a server is, and the function that asks it for values."""
        identity = await self._find(server)
        reasons = []
        for route, ask in routes_of(identity).items():
            if self._route not in ("auto", route):
                continue
            try:
                await ask(server, [self._probe])
            except (RefusedError, MalformedError) as error:
                reasons.append(str(error))
            else:
                return identity, ask
        said = "; ".join(reasons) or f"the owner of its model is none of both: {identity.dialect}"
        raise ScoreError(
            f"{server.root}: expected vLLM with /classify or /pooling, or SGLang with /classify; "
            f"{said}"
        )


def _failed(request: ScoreRequest, reason: str) -> Scores:
    return Scores(request.id, np.array([], np.float64), reason)
