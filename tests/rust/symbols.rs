//! What the shared library shows to the dynamic linker.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn library() -> PathBuf {
    // Building the tests puts it beside them.
    std::env::current_exe().unwrap().with_file_name("libacervo.so")
}

fn output(program: &str, arguments: &[&str]) -> String {
    let ran = Command::new(program).args(arguments).arg(library()).output().unwrap();
    assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn names(flags: &[&str]) -> BTreeSet<String> {
    let listed = output("nm", flags);
    listed.lines().filter_map(|line| line.split_whitespace().next_back()).map(Into::into).collect()
}

/// Beside the C ABI: what copies of the library know each other by.
const PRIVATE: [&str; 1] = ["acervo_private_table"];

#[test]
fn nothing_is_exported_but_what_is_ours() {
    for name in names(&["-D", "--defined-only"]) {
        assert!(name.starts_with("acervo_") || name.starts_with("luaopen_acervo"), "{name}");
    }
}

#[test]
fn no_symbol_of_lua_or_of_another_sqlite_is_asked_for() {
    for name in names(&["-D", "--undefined-only"]) {
        assert!(!name.starts_with("lua") && !name.starts_with("sqlite3"), "{name}");
    }
}

#[test]
fn the_header_declares_exactly_what_is_exported() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/acervo.h");
    let header = std::fs::read_to_string(path).unwrap();
    let code = header.lines().filter(|line| !line.trim_start().starts_with("//"));
    let declared: BTreeSet<String> = code
        .filter(|line| !line.starts_with("typedef") && !line.starts_with('#'))
        .filter_map(|line| line.split_once('('))
        .filter_map(|(before, _)| before.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("acervo_") && !name.ends_with("_fn"))
        .map(Into::into)
        .collect();
    let exported: BTreeSet<String> = names(&["-D", "--defined-only"])
        .into_iter()
        .filter(|name| name.starts_with("acervo_") && !PRIVATE.contains(&name.as_str()))
        .collect();
    assert_eq!(declared, exported);
}

#[test]
fn every_lua_module_has_its_entry() {
    let exported = names(&["-D", "--defined-only"]);
    for module in ["", "_registry", "_store", "_errors", "_agent", "_entries"] {
        let name = format!("luaopen_acervo{module}");
        assert!(exported.contains(&name), "{name}");
    }
}

#[test]
fn the_library_has_its_soname_and_stays_loaded() {
    let dynamic = output("readelf", &["-d"]);
    assert!(dynamic.contains("Library soname: [libacervo.so.0]"), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
}
