"""Devices and number types by name: found, or refused with one line that says what to do."""

import pytest
import torch

from rstar_fast.errors import ConfigError
from rstar_fast.models.devices import find_device, find_dtype


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Make torch say that it is a CUDA build on a machine with two GPUs."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    return monkeypatch


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make torch say that it has no CUDA and no other accelerator."""
    monkeypatch.setattr(torch, "__version__", "2.13.0+cpu")
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, "cuda"), ("cpu", "cpu"), ("cuda", "cuda"), ("cuda:1", "cuda:1")],
)
def test_devices_of_a_machine_with_gpus(given: str | None, expected: str) -> None:
    assert find_device(given) == torch.device(expected)


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("given", [None, "cpu", "cpu:0", torch.device("cpu")])
def test_devices_of_a_machine_without_gpus(given: str | torch.device | None) -> None:
    assert find_device(given).type == "cpu"


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            "cuda",
            "device cuda: this torch has no CUDA (2.13.0+cpu); "
            "leave device out or install a CUDA build",
        ),
        ("gpu", "device gpu: expected cpu, cuda, cuda:N or another device that torch knows"),
        ("cuda:x", "device cuda:x: expected cpu, cuda, cuda:N or another device that torch knows"),
        ("cpu:3", "device cpu:3: expected cpu, cuda, cuda:N or another device that torch knows"),
        ("", "device : expected cpu, cuda, cuda:N or another device that torch knows"),
        ("mps", "device mps: torch finds no such device on this machine"),
        ("meta", "device meta: torch finds no such device on this machine"),
    ],
)
def test_devices_that_are_not_there(given: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_device(given)
    assert str(caught.value) == says


def test_gpus_are_counted(gpus: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="device cuda:7: this machine has 2 GPUs"):
        find_device("cuda:7")
    gpus.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="device cuda: torch finds no GPU on this machine"):
        find_device("cuda")


def test_other_accelerators(no_cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    xpu = torch.device("xpu")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: xpu)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    assert find_device("xpu:0") == torch.device("xpu", 0)
    with pytest.raises(ConfigError, match="device xpu:1: this machine has 1 device"):
        find_device("xpu:1")


def test_number_types() -> None:
    assert find_dtype(None) is None
    assert find_dtype("float16") is find_dtype(torch.float16) is torch.float16
    with pytest.raises(ConfigError, match=r"^dtype int8: expected float32, bfloat16 or float16$"):
        find_dtype("int8")
