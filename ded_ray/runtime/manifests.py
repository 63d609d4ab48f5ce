"""KubeRay manifests sized for a recipe: its pools come from `pools.py`, the rest is the same for every recipe.

    print(manifest("mine.yaml", "RayJob", out="s3://my-bucket/runs/mine", image="ded-ray:0.1.0-gpu"))

What stands in `cluster/kuberay/` was printed here. No pod is root, may become it, or writes anywhere but into its own /tmp
and home. Secrets are named, never held: `ded-ray-token` has Ray's, `ded-ray-env` the keys of buckets, hubs and endpoints.
"""

import re
import shlex
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from ded_ray.errors import BadInput
from ded_ray.recipe.load import load_recipe
from ded_ray.runtime.pools import GIB_PER_CPU, GIB_PER_GPU, Pool, run_pools, serving_pools

KINDS = ("RayJob", "RayCluster", "RayService")
APP = {"app.kubernetes.io/name": "ded-ray"}
"""The label that network policies know our pods by."""
RECIPE_FOLDER = "/recipe"
SEEN_BY_RAY = {"path": "/api/healthz", "port": 52365}
"""Every node's own: the raylet's health, and on the head that of the whole cluster. It asks for no token."""
SEEN_BY_SERVE = {"path": "/-/healthz", "port": 8000}
"""Of a node that answers requests."""
LOCKED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def manifest(path: str | Path, kind: str, *, out: str, image: str, overrides: list[str] | None = None) -> str:
    """YAML of one RayJob (with its recipe), RayCluster or RayService. `out` is the run's folder or URL. Raises BadInput."""
    if kind not in KINDS:
        raise BadInput(f"--kind {kind}: there are {', '.join(KINDS)}")
    recipe = load_recipe(path, overrides)
    name = re.sub(r"[^a-z0-9]+", "-", recipe.name.lower()).strip("-")[:40] or "run"
    pools = serving_pools(recipe) if kind == "RayService" else run_pools(recipe)
    cluster = _cluster(pools, image, serves=kind == "RayService")
    documents: list[dict[str, Any]] = []
    if kind == "RayJob":
        documents.append(_object("v1", "ConfigMap", name, data={"recipe.yaml": Path(path).read_text()}))
        documents.append(_object("ray.io/v1", kind, name, spec=_job(name, cluster, image, _command(out, overrides))))
    elif kind == "RayCluster":
        documents.append(_object("ray.io/v1", kind, name, spec=cluster))
    else:
        documents.append(_object("ray.io/v1", kind, name, spec=_service(cluster, out)))
    return _head(path, kind, pools) + "---\n".join(_yaml(document) for document in documents)


def _head(path: str | Path, kind: str, pools: list[Pool]) -> str:
    lines = [
        f"Printed by `ded-ray manifests {Path(path).name} --kind {kind}`. Its pools hold what the steps hold at once:",
        *(f"  {pool}" for pool in pools),
        f"Memory is a guess: {GIB_PER_CPU} GiB per CPU, {GIB_PER_GPU} GiB per GPU. See cluster/README.md.",
    ]
    return "".join(f"# {line}\n" for line in lines)


def _command(out: str, overrides: list[str] | None) -> str:
    sets = [part for override in overrides or [] for part in ("--set", override)]
    return shlex.join(["ded-ray", "run", f"{RECIPE_FOLDER}/recipe.yaml", "--out", out, *sets])


def _object(api: str, kind: str, name: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": APP}, **content}


def _job(name: str, cluster: dict[str, Any], image: str, command: str) -> dict[str, Any]:
    """A cluster that is there for the run and gone after it. A job that is tried again goes on where the last one was."""
    head = cluster["headGroupSpec"]["template"]["spec"]
    head["volumes"].append({"name": "recipe", "configMap": {"name": name}})
    head["containers"][0]["volumeMounts"].append({"name": "recipe", "mountPath": RECIPE_FOLDER, "readOnly": True})
    submitter = _template("ray-job-submitter", image, {"cpu": "1", "memory": "2Gi"})
    submitter["spec"]["restartPolicy"] = "Never"
    return {
        "entrypoint": command,
        "backoffLimit": 2,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": 600,
        "submitterPodTemplate": submitter,
        "rayClusterSpec": cluster,
    }


def _service(cluster: dict[str, Any], out: str) -> dict[str, Any]:
    """The run's student. Its cluster is replaced by a new one only when that one answers."""
    application = {
        "name": "ded-ray",
        "import_path": "ded_ray.stages.serve:app",
        "route_prefix": "/",
        "args": {"run": out, "models": "student"},
    }
    return {
        "excludeHeadPodFromServeSvc": True,
        "upgradeStrategy": {"type": "NewCluster"},
        "serveConfigV2": _yaml({"applications": [application]}),
        "rayClusterConfig": cluster,
    }


def _cluster(pools: list[Pool], image: str, *, serves: bool) -> dict[str, Any]:
    return {
        "rayVersion": version("ray"),
        "authOptions": {"mode": "token", "secretName": "ded-ray-token"},
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {
            "version": "v2",
            "idleTimeoutSeconds": 120,
            "resources": _resources({"cpu": "500m", "memory": "1Gi"}),
            "securityContext": LOCKED,
        },
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0"},  # the head runs the command and Ray's own services, and no work
            "template": _node("ray-head", image, {"cpu": "4", "memory": "16Gi"}, serves=serves),
        },
        "workerGroupSpecs": [_group(pool, image, serves=serves) for pool in pools],
    }


def _group(pool: Pool, image: str, *, serves: bool) -> dict[str, Any]:
    has = {"cpu": str(pool.cpus), "memory": f"{pool.memory_gib}Gi"} | (
        {"nvidia.com/gpu": str(pool.gpus)} if pool.gpus else {}
    )
    template = _node("ray-worker", image, has, serves=serves)
    if serves:
        template["spec"]["containers"][0]["readinessProbe"]["httpGet"] = SEEN_BY_SERVE
    if pool.gpus:
        template["spec"]["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    template["spec"]["automountServiceAccountToken"] = False  # only the head's autoscaler speaks with Kubernetes
    return {
        "groupName": pool.name,
        "replicas": pool.least,
        "minReplicas": pool.least,
        "maxReplicas": pool.most,
        "labels": {"ray.io/market-type": "on-demand"},
        "rayStartParams": {},
        "template": template,
    }


def _node(container: str, image: str, has: dict[str, str], *, serves: bool) -> dict[str, Any]:
    template = _template(container, image, has)
    node = template["spec"]["containers"][0]
    node["envFrom"] = [{"secretRef": {"name": "ded-ray-env", "optional": True}}]
    if serves:  # an endpoint without a token is open to all who reach it, so that no pod starts without one
        secret = {"name": "ded-ray-env", "key": "DED_RAY_API_KEY"}
        node["env"].append({"name": "DED_RAY_API_KEY", "valueFrom": {"secretKeyRef": secret}})
    probe = {"httpGet": SEEN_BY_RAY, "timeoutSeconds": 5, "periodSeconds": 10}
    node["readinessProbe"] = {**probe, "failureThreshold": 10}
    node["livenessProbe"] = {**probe, "initialDelaySeconds": 30, "failureThreshold": 60}
    return template


def _template(container: str, image: str, has: dict[str, str]) -> dict[str, Any]:
    """A pod that is no root and may not become it, and that writes into /tmp and its home only."""
    return {
        "metadata": {"labels": APP},
        "spec": {
            "serviceAccountName": "ded-ray",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "fsGroup": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": container,
                    "image": image,
                    "env": [{"name": "HOME", "value": "/home/ray"}],
                    "resources": _resources(has),
                    "securityContext": {**LOCKED, "readOnlyRootFilesystem": True},
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "home", "mountPath": "/home/ray"}],
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "home", "emptyDir": {}}],
        },
    }


def _resources(has: dict[str, str]) -> dict[str, Any]:
    """What is asked for is what there is: a pod that may take more is the first one to be killed."""
    return {"requests": has, "limits": has}


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Plain.add_representer(str, _text)


def _yaml(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, default_flow_style=None, width=120)
