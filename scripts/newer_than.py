"""Reads `cargo metadata`, and lists the packages that need a newer Rust than the given version.

Run by scripts/test. It skips packages that only tests and benches need.
"""

import json
import sys

ROOT = "tower-tenancy"


def version(text):
    return tuple(map(int, (text.split("-")[0] + ".0.0").split(".")[:3]))


metadata = json.load(sys.stdin)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
todo = [id for id in metadata["workspace_members"] if packages[id]["name"] == ROOT]
seen = set()
while todo:
    node = todo.pop()
    if node not in seen:
        seen.add(node)
        kinds = lambda dep: {kind["kind"] for kind in dep["dep_kinds"]}
        todo += [dep["pkg"] for dep in nodes[node]["deps"] if kinds(dep) != {"dev"}]
newer = [
    package
    for package in map(packages.get, seen)
    if package["rust_version"] and version(package["rust_version"]) > version(sys.argv[1])
]
for package in newer:
    print(f"{package['name']} {package['version']} needs Rust {package['rust_version']}")
sys.exit(bool(newer))
