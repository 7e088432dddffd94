"""Lists the types of other crates in the public API. Run by scripts/test.

It reads rustdoc's JSON, and compares each foreign path with the globs of
`package.metadata.cargo_check_external_types.allowed_external_types` in Cargo.toml.
"""

import json
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

OWN = {"std", "core", "alloc"}


def paths(node):
    """The ids of the types and traits in this part of an item."""
    if isinstance(node, list):
        for child in node:
            yield from paths(child)
    elif isinstance(node, dict):
        # A type or a trait looks like `{"path": "Uri", "id": 3, "args": ...}`. A re-export has `source` instead.
        if isinstance(node.get("id"), int) and ("path" in node or "source" in node):
            yield node["id"]
        for child in node.values():
            yield from paths(child)


def shown(item):
    """The signature of an item, if it has one."""
    (kind, inner), = item["inner"].items()
    if kind == "impl":
        # Skip the impls that the compiler derives by itself, and `impl<T> Trait for T` of other crates.
        if inner["is_synthetic"] or inner["blanket_impl"]:
            return None
        return [inner["trait"], inner["for"], inner["generics"]]
    return None if kind == "module" else inner


def main(rustdoc, manifest):
    crate = json.loads(Path(rustdoc).read_text())
    metadata = tomllib.loads(Path(manifest).read_text())["package"]["metadata"]
    allowed = metadata["cargo_check_external_types"]["allowed_external_types"]
    skipped = {
        member
        for item in crate["index"].values()
        if "impl" in item["inner"] and shown(item) is None
        for member in item["inner"]["impl"]["items"]
    }
    used, refused = set(), {}
    for item in crate["index"].values():
        if item["crate_id"] != 0 or item["id"] in skipped:
            continue
        for target in paths(shown(item)):
            summary = crate["paths"].get(str(target))
            if summary is None or summary["crate_id"] == 0 or summary["path"][0] in OWN:
                continue
            path = "::".join(summary["path"])
            # Only macros of the other crate use this path.
            if "__private" in summary["path"]:
                continue
            globs = [glob for glob in allowed if fnmatchcase(path, glob)]
            used.update(globs)
            if not globs:
                span = item.get("span") or {"filename": "?", "begin": [0]}
                refused.setdefault(path, set()).add(f"{span['filename']}:{span['begin'][0]}")
    for path, places in sorted(refused.items()):
        print(f"not in the list of Cargo.toml: {path}, in {', '.join(sorted(places))}")
    for glob in sorted(set(allowed) - used):
        print(f"in the list of Cargo.toml, but not used: {glob}")
    if not refused and used == set(allowed):
        print(f"types of other crates in public: {', '.join(sorted(used))}")
    return bool(refused) or used != set(allowed)


sys.exit(main(*sys.argv[1:]))
