# ruff: noqa: INP001
"""NannyML's synthetic car loans as two streams: twenty days of 5,000 predictions each, whose labels come a week later.

`python docs/examples/car_loan.py FOLDER` writes FOLDER/predictions.jsonl and FOLDER/labels.jsonl. The loans are those of the
tests (`tests/data/reference/README.md` names source and licence); their times are made up.
"""

from json import dumps
from pathlib import Path
from sys import argv

import numpy as np

START_MS, DAY_MS, A_DAY = 1_767_225_600_000, 86_400_000, 5_000  # 2026-01-01T00:00Z
CATEGORIES = ("salary_range", "size_of_downpayment", "repaid_loan_on_prev_car")

folder = Path(argv[1])
folder.mkdir(parents=True, exist_ok=True)
with np.load(Path(__file__).parents[2] / "tests" / "data" / "reference" / "car_loan.npz") as archive:
    loans = {name: archive[name].tolist() for name in archive.files}
with (folder / "predictions.jsonl").open("w") as predictions, (folder / "labels.jsonl").open("w") as labels:
    for i, (hundredths, answer, repaid) in enumerate(
        zip(loans["hundredths"], loans["predicted"], loans["repaid"], strict=True)
    ):
        at = START_MS + i * DAY_MS // A_DAY
        features = {name: str(loans[name][i]) for name in CATEGORIES}
        loan = {"id": f"loan-{i}", "at": at, "score": hundredths / 100, "prediction": answer, "features": features}
        predictions.write(dumps(loan) + "\n")
        labels.write(dumps({"id": f"loan-{i}", "at": at + 7 * DAY_MS, "repaid": repaid}) + "\n")
