//! Wrong code does not compile, and the compiler's message helps.

use serde_json::Value;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use ui_test::{
    Config, custom_flags::edition::Edition, custom_flags::rustfix::RustfixMode,
    default_file_filter, default_per_file_config, run_tests_generic, spanned::Spanned,
    status_emitter::Text,
};

/// The libraries of this binary, by the names that code uses. These tests build nothing again.
fn built_libraries() -> HashMap<String, PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = ["test", "--no-run", "--all-features", "--test", "it", "--message-format", "json"];
    let output = Command::new(cargo).args(build).stderr(Stdio::null()).output().unwrap();
    let mut found: HashMap<String, (Vec<u64>, PathBuf)> = HashMap::new();
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let message: Value = serde_json::from_slice(line).unwrap();
        let files = message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let Some(rlib) = files.into_iter().find(|file| file.ends_with(".rlib")) else { continue };
        // Of two versions, the tests use the newer one: dependencies of dependencies may be older.
        let id = message["package_id"].as_str().unwrap();
        let version = id.rsplit(['#', '@']).next().unwrap().split(['.', '-', '+']);
        let version: Vec<u64> = version.map_while(|part| part.parse().ok()).collect();
        let name = message["target"]["name"].as_str().unwrap().replace('-', "_");
        let known = found.entry(name).or_default();
        if version >= known.0 {
            *known = (version, rlib.into());
        }
    }
    found.into_iter().map(|(name, (_, path))| (name, path)).collect()
}

/// Compares rustc's messages. They differ between releases: use the toolchain that wrote them. `BLESS=1`
/// writes them again.
#[test]
#[ignore = "compares the messages of one rustc release; `scripts/test` runs it"]
fn forgotten_checks_do_not_compile() {
    let libraries = built_libraries();
    let ours = &libraries["tower_tenancy"];
    let mut config = Config::rustc("tests/ui");
    config.out_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui");
    let args = &mut config.program.args;
    args.extend(["--emit=metadata", "--diagnostic-width=140", "-L"].map(Into::into));
    let deps = ours.with_file_name("deps");
    let deps = if deps.exists() { deps } else { ours.with_file_name("") };
    args.push(format!("dependency={}", deps.display()).into());
    for name in ["tower_tenancy", "axum", "futures_util", "http", "tower"] {
        args.push("--extern".into());
        args.push(format!("{name}={}", libraries[name].display()).into());
    }
    let defaults = config.comment_defaults.base();
    defaults.require_annotations = Spanned::dummy(false).into();
    defaults.set_custom("edition", Edition("2024".into()));
    defaults.set_custom("rustfix", RustfixMode::Disabled);
    // The comparison ignores line numbers in the sources of this crate and of the compiler.
    config.path_stderr_filter(Path::new(env!("CARGO_MANIFEST_DIR")), b"$DIR");
    config.stderr_filter(r"(-->|:::) (?:\$DIR/)?(src/[^:]+):\d+:\d+", b"$1 $2");
    config.stderr_filter(r"--> \S+/registry/src/[^/]+/([^:]+):\d+:\d+", b"--> $$CARGO/$1");
    config.stderr_filter(r"--> \S+/library/([^:]+):\d+:\d+", b"--> $$RUST/$1");
    config.stderr_filter(r"(?m)^ *\d+ ", b"LL ");
    config.stderr_filter(r"(?m)^ +(\||=|\.\.\.)", b"   $1");
    config.stderr_filter(r"(?m)^ +-->", b"  -->");
    config.stderr_filter(r"(?m)^ *= note: the full name for the type has been written .*\n", b"");
    config.stderr_filter(r"(?m)^ *= note: consider using `--verbose` .*\n", b"");
    if std::env::var_os("BLESS").is_some() {
        config.output_conflict_handling = ui_test::bless_output_files;
    }
    let passed = run_tests_generic(
        vec![config],
        default_file_filter,
        default_per_file_config,
        Text::verbose(),
    );
    passed.expect("`BLESS=1` writes the messages anew");
}
