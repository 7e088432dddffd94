//! The order of the modules in `lib.rs` is the architecture: a module uses only those above it.

use std::{fs, path::Path};

/// Source of a module, without comments, and without its tests: they may look anywhere.
fn source(module: &str) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![src.join(format!("{module}.rs"))];
    let mut folders = vec![src.join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.ends_with("tests") {
                continue;
            }
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.retain(|file| file.exists() && file.file_stem().unwrap() != "tests");
    files.iter().map(|file| without_tests(&fs::read_to_string(file).unwrap())).collect()
}

/// Test modules stand last in their file.
fn without_tests(text: &str) -> String {
    let lines: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let tests = lines.windows(2).position(|pair| {
        pair[0] == "#[cfg(test)]" && pair[1].contains("mod ") && pair[1].ends_with('{')
    });
    lines[..tests.unwrap_or(lines.len())].join("\n") + "\n"
}

#[test]
fn modules_use_only_those_above_them() {
    let lib = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).unwrap();
    let declared = lib.lines().filter_map(|line| line.strip_suffix(';'));
    let modules: Vec<_> = declared
        .filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")))
        .collect();
    assert!(modules.len() > 10, "{modules:?}");
    for (place, module) in modules.iter().enumerate() {
        let source = source(module);
        assert!(!source.is_empty(), "{module} has a source");
        for below in &modules[place + 1..] {
            // `use crate::{` has its modules on its own line, or one a line.
            let found = source.lines().find(|line| {
                line.contains(&format!("crate::{below}"))
                    || line.starts_with(&format!("    {below}::"))
                    || (line.contains("crate::{") && line.contains(&format!("{below}::")))
            });
            assert_eq!(found, None, "`{module}` uses `{below}`, which stands below it");
        }
    }
}

#[test]
fn each_foreign_crate_has_one_door() {
    for (foreign, doors) in [
        ("axum_core::", vec!["extract"]),
        ("axum::", vec!["ws"]),
        ("hyper::", vec!["ws"]),
        ("hyper_util::", vec!["ws"]),
        ("jsonwebtoken::", vec!["auth"]),
        ("tokio_tungstenite::", vec!["ws"]),
        ("tonic::", vec!["grpc"]),
        ("tower_service::", vec!["middleware"]),
        ("tower_layer::", vec!["middleware"]),
        ("tokio::time", vec!["clock", "testing"]),
        ("tokio::spawn", vec!["testing", "ws"]),
        ("humantime::", vec!["clock"]),
    ] {
        let lib = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).unwrap();
        for line in lib.lines().filter_map(|line| line.strip_suffix(';')) {
            let name = line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod "));
            let Some(module) = name.filter(|module| !doors.contains(module)) else { continue };
            let source = source(module);
            let found = source.lines().find(|line| line.contains(foreign));
            assert_eq!(found, None, "`{module}` names {foreign}, whose doors are {doors:?}");
        }
    }
}
