#!/usr/bin/env python3
"""Holds deploy/ to the binary and to itself; ends with the line `N passed, M failed`.

    tests/deploy/check_deploy.py PILLION

There is no cluster and no image builder here: what can be known without them is checked.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "deploy" / "kubernetes" / "pillion-sidecar.yaml"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
INSTALL = ROOT / "deploy" / "install-dependencies.sh"


def seconds(text):
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text).groups()
    return int(number) * units[unit]


def port(address):
    return int(address.rsplit(":", 1)[1])


class Manifest:
    def __init__(self):
        self.by_kind = {part["kind"]: part for part in yaml.safe_load_all(MANIFEST.read_text())}
        self.text = self.by_kind["ConfigMap"]["data"]["proxy.yaml"]
        self.config = yaml.safe_load(self.text)
        self.pod = self.by_kind["Deployment"]["spec"]["template"]["spec"]
        self.sidecar = self.pod["initContainers"][0]
        self.app = self.pod["containers"][0]
        self.ports = {entry["name"]: entry["containerPort"] for entry in self.sidecar["ports"]}


def the_embedded_configuration_passes_check(pillion, manifest):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "proxy.yaml"
        file.write_text(manifest.text)
        done = subprocess.run([pillion, "check", "--config", str(file)], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr


def pillion_is_a_sidecar_that_starts_before_the_application(pillion, manifest):
    assert manifest.sidecar["restartPolicy"] == "Always"
    assert "startupProbe" in manifest.sidecar


def the_service_leads_to_the_listener(pillion, manifest):
    target = manifest.by_kind["Service"]["spec"]["ports"][0]["targetPort"]
    assert manifest.ports[target] == port(manifest.config["listeners"][0]["address"])
    assert manifest.config["listeners"][0]["address"].startswith("0.0.0.0:")


def the_upstream_is_the_application_container(pillion, manifest):
    url = manifest.config["upstreams"]["app"]
    assert port(url) == manifest.app["ports"][0]["containerPort"]


def probes_and_prometheus_ask_the_metrics_port(pillion, manifest):
    metrics = port(manifest.config["metrics"]["address"])
    assert manifest.config["metrics"]["address"].startswith("0.0.0.0:")
    for probe, path in (("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
        get = manifest.sidecar[probe]["httpGet"]
        assert (manifest.ports[get["port"]], get["path"]) == (metrics, path), probe
    annotations = manifest.by_kind["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(metrics)


def the_pod_waits_for_the_drain(pillion, manifest):
    drain = manifest.config["drain"]
    before = manifest.app["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = before + seconds(drain["delay"]) + seconds(drain["timeout"])
    assert manifest.pod["terminationGracePeriodSeconds"] > needed


def the_sidecar_may_do_nothing_but_its_work(pillion, manifest):
    context = manifest.sidecar["securityContext"]
    assert context["runAsNonRoot"] and context["runAsUser"] != 0
    assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
    assert context["capabilities"]["drop"] == ["ALL"]


def the_configuration_is_mounted_as_a_folder_where_it_is_looked_for(pillion, manifest):
    mount = manifest.sidecar["volumeMounts"][0]
    assert "subPath" not in mount
    assert manifest.sidecar["args"][-1] == mount["mountPath"] + "/proxy.yaml"
    volume = manifest.pod["volumes"][0]
    assert volume["name"] == mount["name"]
    assert volume["configMap"]["name"] == manifest.by_kind["ConfigMap"]["metadata"]["name"]


def the_pods_selector_and_the_services_match_the_pods_labels(pillion, manifest):
    deployment = manifest.by_kind["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"].items()
    assert deployment["selector"]["matchLabels"].items() <= labels
    assert manifest.by_kind["Service"]["spec"]["selector"].items() <= labels


def memory_limits_leave_room_for_the_store(pillion, manifest):
    store = int(re.fullmatch(r"(\d+)MiB", manifest.config["store"]["memory"]["size"]).group(1))
    for bound in ("requests", "limits"):
        memory = int(re.fullmatch(r"(\d+)Mi", manifest.sidecar["resources"][bound]["memory"]).group(1))
        assert memory >= store + 64, bound


def the_image_runs_as_the_user_of_the_manifest(pillion, manifest):
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE.read_text(), re.M)
    context = manifest.sidecar["securityContext"]
    assert (int(user.group(1)), int(user.group(2))) == (context["runAsUser"], context["runAsGroup"])


def the_images_runtime_packages_hold_every_library_of_the_binary(pillion, manifest):
    listed = subprocess.run([INSTALL, "--list", "runtime"], capture_output=True, text=True, check=True).stdout.split()
    given = set(listed) | {"libc6", "libgcc-s1", "libstdc++6"}
    dynamic = subprocess.run(["readelf", "-d", pillion], capture_output=True, text=True, check=True).stdout
    used = set()
    for library in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic):
        owner = subprocess.run(["dpkg", "-S", f"*/{library}"], capture_output=True, text=True, check=True).stdout
        packages = {line.split(":")[0] for line in owner.splitlines()}
        assert packages & given, f"{library} is in {sorted(packages)}"
        used |= packages & given
    unused = set(listed) - used - {"ca-certificates"}
    assert not unused, f"no longer needed: {sorted(unused)}"


def the_image_is_given_every_file_that_its_recipe_copies(pillion, manifest):
    ignored = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().split()
    needed = ["CMakeLists.txt", "CMakePresets.json", "config", "proxy", "tests", "deploy/build.sh",
              "deploy/install-dependencies.sh"]
    for path in needed:
        assert "!" + path in ignored, path
        assert (ROOT / path).exists(), path


CHECKS = [value for name, value in list(globals().items())
          if callable(value) and getattr(value, "__module__", "") == __name__
          and name not in ("seconds", "port", "Manifest")]


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    manifest = Manifest()
    failed = 0
    for check in CHECKS:
        try:
            check(sys.argv[1], manifest)
        except Exception as error:  # whatever goes wrong is a failed check, and the others still run
            failed += 1
            print(f"FAILED: {check.__name__.replace('_', ' ')}: {type(error).__name__}: {error}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
