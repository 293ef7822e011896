"""What the tests of the pages share."""

from app_stub import models, stub

__all__ = ["models", "stub"]
