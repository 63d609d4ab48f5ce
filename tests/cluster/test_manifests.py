"""What `cluster/kuberay` holds is what `ded-ray manifests` prints, fits KubeRay and Kubernetes, and takes its overlays."""

import functools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonpatch
import jsonschema
import kubernetes_validate
import pytest
import yaml
from conftest import PROJECT, run_cli

from ded_ray.errors import BadInput
from ded_ray.recipe.load import load_recipe
from ded_ray.runtime.manifests import KINDS, manifest
from ded_ray.runtime.pools import run_pools, serving_pools

KUBERAY = PROJECT / "cluster" / "kuberay"
SCHEMAS = PROJECT.parent / "shared" / "kuberay"
SHIPPED = PROJECT / "jobs" / "recipes" / "ded_math_8gpu.yaml"
OVERLAYS = sorted(path.parent.name for path in KUBERAY.glob("overlays/*/kustomization.yaml"))
RUN = "s3://my-bucket/runs/mine"
IMAGE = "ded-ray:0.1.0-gpu"


def documents(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


def shipped(kind: str) -> list[dict[str, Any]]:
    return documents((KUBERAY / kind.lower() / f"{kind.lower()}.yaml").read_text())


def cluster_of(resource: dict[str, Any]) -> dict[str, Any]:
    spec = resource["spec"]
    cluster: dict[str, Any] = spec.get("rayClusterSpec") or spec.get("rayClusterConfig") or spec
    return cluster


@functools.cache
def kuberays_schema(kind: str) -> jsonschema.Draft202012Validator:
    """With no field but those that it names: the operator would drop others without a word."""
    path = SCHEMAS / f"{kind.lower()}.v1.schema.json"
    if not path.exists():
        pytest.skip("needs KubeRay's schemas, which lie beside the project on its developers' machines")
    schema = json.loads(path.read_text())
    pending: list[Any] = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if isinstance(node.get("properties"), dict) and "x-kubernetes-preserve-unknown-fields" not in node:
                node.setdefault("additionalProperties", False)
            node = list(node.values())
        if isinstance(node, list):
            pending += node
    return jsonschema.Draft202012Validator(schema)


def check_custom_resource(resource: dict[str, Any]) -> None:
    kuberays_schema(resource["kind"]).validate(resource)


def check_built_in(resource: dict[str, Any]) -> None:
    kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_shipped_is_what_the_command_prints(kind: str) -> None:
    printed = run_cli("manifests", SHIPPED, "--kind", kind).stdout
    assert printed == (KUBERAY / kind.lower() / f"{kind.lower()}.yaml").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_custom_resources_fit_kuberays_schemas(kind: str) -> None:
    check_custom_resource(shipped(kind)[-1])


def test_a_misspelt_field_does_not_fit() -> None:
    cluster = shipped("RayCluster")[0]
    cluster["spec"]["workerGroupSpecs"][0]["maxReplica"] = 3
    schema = kuberays_schema("RayCluster")
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        schema.validate(cluster)


def test_built_in_kinds_fit_kubernetes() -> None:
    check_built_in(shipped("RayJob")[0])
    for path in sorted(KUBERAY.glob("base/*.yaml")) + sorted(KUBERAY.glob("overlays/pvc/persistent*.yaml")):
        for resource in documents(path.read_text()):
            if resource["kind"] != "Kustomization":
                check_built_in(resource)


@pytest.mark.parametrize("kind", KINDS)
def test_pods_fit_kubernetes_and_are_locked(kind: str) -> None:
    resource = shipped(kind)[-1]
    cluster = cluster_of(resource)
    templates = [cluster["headGroupSpec"]["template"], *(group["template"] for group in cluster["workerGroupSpecs"])]
    if kind == "RayJob":
        templates.append(resource["spec"]["submitterPodTemplate"])
    for template in templates:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "pod", **template["metadata"]},
            "spec": template["spec"],
        }
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }
            assert container["resources"]["requests"] == container["resources"]["limits"]
        check_built_in(pod)


def test_ray_is_the_one_that_is_pinned() -> None:
    pins = (PROJECT / "pyproject.toml").read_text()
    for kind in KINDS:
        assert f"ray[data,train,serve,default]=={cluster_of(shipped(kind)[-1])['rayVersion']}" in pins


def test_pools_are_what_the_recipe_needs() -> None:
    groups = cluster_of(shipped("RayJob")[-1])["workerGroupSpecs"]
    asked = [(pool.name, pool.least, pool.most, pool.cpus, pool.gpus) for pool in run_pools(load_recipe(SHIPPED))]
    limits = [group["template"]["spec"]["containers"][0]["resources"]["limits"] for group in groups]
    assert asked == [
        (g["groupName"], g["minReplicas"], g["maxReplicas"], int(has["cpu"]), int(has.get("nvidia.com/gpu", 0)))
        for g, has in zip(groups, limits, strict=True)
    ]
    assert asked == [("cpu", 0, 2, 8, 0), ("rollouts", 0, 4, 16, 2), ("training", 0, 1, 64, 8)]


@pytest.mark.parametrize(
    ("override", "pool", "pods", "gpus"),
    [
        ("train.workers=12", "training", 2, 8),
        ("train.workers=2", "training", 1, 2),
        ("student.engine.workers=7", "rollouts", 7, 2),
        ("student.engine.tensor_parallel=4", "rollouts", 4, 4),
        ("student.engine.pipeline_parallel=8", "rollouts", 8, 8),  # sixteen GPUs: two machines per engine
        ("verify.workers=40", "cpu", 4, 0),
    ],
)
def test_other_needs_make_another_manifest(override: str, pool: str, pods: int, gpus: int) -> None:
    text = manifest(SHIPPED, "RayJob", out=RUN, image=IMAGE, overrides=[override])
    job = documents(text)[-1]
    assert f"--set {override}" in job["spec"]["entrypoint"]
    (group,) = [group for group in cluster_of(job)["workerGroupSpecs"] if group["groupName"] == pool]
    has = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert (group["maxReplicas"], int(has.get("nvidia.com/gpu", 0))) == (pods, gpus)


def test_a_recipe_without_gpus_has_one_pool() -> None:
    quickstart = load_recipe(PROJECT / "ded_ray" / "tiny" / "quickstart.yaml")
    assert [pool.name for pool in run_pools(quickstart)] == ["cpu"]
    (pool,) = serving_pools(quickstart)
    assert (pool.least, pool.gpus) == (1, 0)


def test_an_unknown_kind_is_one_line() -> None:
    with pytest.raises(BadInput, match="--kind Deployment: there are RayJob"):
        manifest(SHIPPED, "Deployment", out=RUN, image=IMAGE)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_apply_and_the_result_fits(overlay: str) -> None:
    component = yaml.safe_load((KUBERAY / "overlays" / overlay / "kustomization.yaml").read_text())
    for patch in component.get("patches", []):
        resource = jsonpatch.apply_patch(shipped(patch["target"]["kind"])[-1], yaml.safe_load(patch["patch"]))
        check_custom_resource(resource)


def test_an_overlay_for_a_pool_that_is_not_there_is_refused() -> None:
    patch = yaml.safe_load((KUBERAY / "overlays" / "spot" / "kustomization.yaml").read_text())["patches"][0]
    job = shipped("RayJob")[-1]
    cluster_of(job)["workerGroupSpecs"].pop(1)
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        jsonpatch.apply_patch(job, yaml.safe_load(patch["patch"]))


def kustomize(folder: Path) -> subprocess.CompletedProcess[str]:
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            return subprocess.run([*command, folder], capture_output=True, text=True)
    pytest.skip("needs kustomize, or kubectl, which has it")


@pytest.mark.parametrize("kind", KINDS)
def test_kustomize_builds_every_kind_with_every_overlay(kind: str, tmp_path: Path) -> None:
    copied = shutil.copytree(KUBERAY, tmp_path / "kuberay")
    site = copied / "mine" / "kustomization.yaml"
    # The stages that stand apart replace each other's entrypoint: one of them is enough.
    components = [f"../overlays/{name}" for name in OVERLAYS if name != "teachers"]
    site.write_text(
        yaml.safe_dump({**yaml.safe_load(site.read_text()), "resources": [f"../{kind.lower()}"], "components": components})
    )
    built = kustomize(copied / "mine")
    assert built.returncode == 0, built.stderr
    for resource in documents(built.stdout):
        assert resource["metadata"]["namespace"] == "ded-ray"
        if resource["kind"] in KINDS:
            check_custom_resource(resource)
            assert "runs" in str(cluster_of(resource)["workerGroupSpecs"][0]["template"]["spec"]["volumes"])
        elif resource["kind"] != "PodMonitor":
            check_built_in(resource)


def test_what_is_yours_builds_as_it_is_shipped() -> None:
    built = kustomize(KUBERAY / "mine")
    assert built.returncode == 0, built.stderr
    assert {r["kind"] for r in documents(built.stdout)} == {"ConfigMap", "NetworkPolicy", "RayJob", "ServiceAccount"}
