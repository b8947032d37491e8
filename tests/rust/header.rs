//! include/acervo.h is what the sources give.

use std::path::Path;

fn generate() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let mut sources: Vec<_> = std::fs::read_dir(root.join("src/ffi"))
        .expect("src/ffi")
        .map(|entry| entry.expect("an entry").path())
        // It names the others, and they would be read twice.
        .filter(|path| !path.ends_with("mod.rs"))
        .collect();
    // The order a reader meets them in.
    let order = [
        "version",
        "error",
        "value",
        "convert",
        "database",
        "log",
        "kv",
        "kv_many",
        "batch",
        "entry",
        "snapshot",
        "changes",
        "history",
        "dependencies",
        "op",
        "handlers",
        "feed",
        "policy",
        "lua",
    ];
    let place = |path: &Path| {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        order.iter().position(|known| *known == name).unwrap_or(order.len())
    };
    sources.sort_by_key(|path| (place(path), path.clone()));
    let builder = cbindgen::Builder::new().with_config(config);
    let bindings = sources.iter().fold(builder, |builder, path| builder.with_src(path)).generate();
    let mut header = Vec::new();
    bindings.expect("bindings").write(&mut header);
    let header = String::from_utf8(header).expect("UTF-8");
    header.lines().map(parenthesised).collect()
}

/// A negative constant in parentheses, so that it stays one operand.
fn parenthesised(line: &str) -> String {
    match line.split_once(" -") {
        Some((define, number)) if define.starts_with("#define ") => {
            format!("{define} (-{number})\n")
        }
        _ => format!("{line}\n"),
    }
}

#[test]
fn the_committed_header_is_what_the_sources_give() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/acervo.h");
    let header = generate();
    if std::env::var_os("ACERVO_WRITE_HEADER").is_some() {
        std::fs::write(&path, &header).expect("include/acervo.h");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == header,
        "include/acervo.h is not what src/ffi gives: run ACERVO_WRITE_HEADER=1 cargo test \
         --release --test header"
    );
}

#[test]
fn the_headers_version_is_the_packages() {
    let header = generate();
    let version = env!("CARGO_PKG_VERSION");
    let mut parts = version.split('.');
    for name in ["MAJOR", "MINOR", "PATCH"] {
        let part = parts.next().expect("three parts");
        assert!(header.contains(&format!("#define ACERVO_VERSION_{name} {part}\n")), "{name}");
    }
    assert!(header.contains(&format!("#define ACERVO_VERSION_STRING \"{version}\"\n")));
}

#[test]
fn every_function_says_from_which_threads_it_may_be_called() {
    let header = generate();
    let mut comment = String::new();
    let mut functions = 0;
    for line in header.lines() {
        if let Some(text) = line.strip_prefix("//") {
            comment.push_str(text);
            comment.push('\n');
            continue;
        }
        let is_function =
            line.contains("acervo_") && line.contains('(') && !line.contains("typedef");
        if is_function && !line.starts_with([' ', '#', '/']) {
            functions += 1;
            assert!(
                comment.contains("Threads: any.") || comment.contains("Threads: one at a time."),
                "no line about threads above: {line}"
            );
        }
        if !line.trim().is_empty() {
            comment.clear();
        }
    }
    assert!(functions > 50, "only {functions} functions found");
}
