//! Checks that the generated code next to `tenancy.v1.proto` is up to date.

use std::{fs, path::Path};

#[test]
fn the_generated_code_matches_the_proto_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/grpc_chat");
    let proto = folder.join("tenancy.v1.proto");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("codegen");
    fs::create_dir_all(&out).unwrap();
    let described = protox::compile([&proto], [&folder]).unwrap();
    tonic_prost_build::configure()
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .out_dir(&out)
        .compile_fds(described)
        .unwrap();
    let fresh = fs::read_to_string(out.join("tenancy.v1.rs")).unwrap();
    let kept = folder.join("tenancy.v1.rs");
    if std::env::var_os("WRITE_GENERATED_CODE").is_some() {
        fs::write(&kept, &fresh).unwrap();
    }
    assert!(
        fs::read_to_string(kept).unwrap() == fresh,
        "run this test once with WRITE_GENERATED_CODE=1, and commit what it writes"
    );
}
