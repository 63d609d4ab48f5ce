"""The same as `ded-ray run`, as the entry point of a submitted job:

ray job submit --working-dir . -- python jobs/pipeline.py jobs/recipes/RECIPE.yaml --out /shared/runs/NAME
"""

import sys

from ded_ray.cli import app

if __name__ == "__main__":
    app(["run", *sys.argv[1:]])
