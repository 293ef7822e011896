"""What the tests of the pages share."""

from app_stub import models, offered, own_model, sample, stub, targets

__all__ = ["models", "offered", "own_model", "sample", "stub", "targets"]
