"""Where things are, all derived from the root of the checkout. Importing this creates nothing."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
RAW_DATA = DATA / "raw"
SHARED_DATA = ROOT.parent / "shared" / "data"
SAMPLE_CORPUS = DATA / "sample.csv"
SAVED_MODELS = ROOT / "saved_models"
CHECKPOINTS = SAVED_MODELS / ".checkpoints"
RESEARCH = ROOT / "research"
