"""The project's paths, all derived from the root of the checkout. Importing this module creates nothing."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
RAW_DATA = DATA / "raw"
SHARED_DATA = ROOT.parent / "shared" / "data"
SAMPLE_CORPUS = DATA / "sample.csv"
PRODUCTS = DATA / "products.csv"
OPINIONS = DATA / "opinions.csv"
SAVED_MODELS = ROOT / "saved_models"
CHECKPOINTS = SAVED_MODELS / ".checkpoints"
MONITOR_LOG = SAVED_MODELS / ".monitor" / "predictions.sqlite"
RESEARCH = ROOT / "research"


def shown(path: Path) -> str:
    """``path`` for display: relative if it is in the working directory or beside it, else absolute."""
    path = Path(path).absolute()
    return os.path.relpath(path) if path.is_relative_to(Path.cwd().parent) else str(path)
