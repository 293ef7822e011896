"""What the tests of the pages share."""

from app_stub import models, own_model, sample, stub, targets

__all__ = ["models", "own_model", "sample", "stub", "targets"]
