//! What must not compile, and whether the compiler's words help.

/// Compares rustc's messages, which differ from release to release: run with the toolchain that
/// wrote them. `TRYBUILD=overwrite` writes them anew.
#[test]
#[ignore = "compares the messages of one rustc release; `scripts/test` runs it"]
fn forgotten_checks_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
