"""What happened at every step, where a training's folder is on the disk of its worker, and where it is not."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from ded_ray.files.folders import dataset, is_local, make
from ded_ray.train.history import STEPS_SCHEMA, History

STEP = SimpleNamespace(
    loss=0.5, norm=1.0, weighted_tokens=7.0, effective_size=1.5, num_tokens=7, padding=0.0, losses=[0.4, 0.6]
)
TOKENS = SimpleNamespace(name=str, weights=np.array([1.0, 0.5]), num_trained=np.array([3, 4]))


def test_all_is_in_the_folder_and_nothing_stays_beside_it(run_folder, tmp_path):
    folder = make(run_folder)
    here = folder if is_local(folder) else tmp_path / "here"
    history = History(folder, [], here=here)
    history.add(0, STEP, rate=0.1, indices=[0, 1], tokens=TOKENS, seconds=1.0, mfu=None)
    history.write_steps()
    assert here.exists()
    history.finish()
    assert here.exists() == is_local(folder)
    steps: pa.Table = dataset(folder / "steps.parquet", STEPS_SCHEMA).to_table()
    assert steps["rollout"].to_pylist() == ["0", "1"]
    assert len(list((folder / "tensorboard").iterdir())) == 1
