//! Random values, taken through C and through each Lua and back.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use acervo::value::{Token, Value, View, equal};
use common::Scratch;
use common::tree::{Tree, tree, value_of};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

const VALUES: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where this test's own build put the shared library.
fn library_directory() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // In target/PROFILE/deps, where building the tests puts it; target/PROFILE
    // may still have an older one.
    test.parent().expect("a directory").to_owned()
}

fn random_values(keep: impl Fn(&Tree) -> bool) -> Vec<Value> {
    let mut runner = TestRunner::deterministic();
    let strategy = tree(false).prop_filter("this language cannot tell it", move |tree| keep(tree));
    (0..VALUES).map(|_| value_of(&strategy.new_tree(&mut runner).unwrap().current())).collect()
}

fn write_frames(path: &Path, values: &[Value]) {
    let mut bytes = Vec::new();
    for value in values {
        bytes.extend_from_slice(&(value.as_bytes().len() as u32).to_be_bytes());
        bytes.extend_from_slice(value.as_bytes());
    }
    fs::write(path, bytes).unwrap();
}

fn read_frames(path: &Path) -> Vec<Value> {
    let bytes = fs::read(path).unwrap();
    let mut rest = &bytes[..];
    let mut values = Vec::new();
    while let Some((len, behind)) = rest.split_first_chunk::<4>() {
        let (value, behind) = behind.split_at(u32::from_be_bytes(*len) as usize);
        values.push(Value::from_msgpack(value).unwrap());
        rest = behind;
    }
    values
}

/// Runs `command INPUT OUTPUT` on `values` and gives what came out.
fn pass(mut command: Command, scratch: &Scratch, values: &[Value]) -> Vec<Value> {
    let (input, output) = (scratch.directory().join("in"), scratch.directory().join("out"));
    write_frames(&input, values);
    let ran = command.arg(&input).arg(&output).output().unwrap();
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
    let back = read_frames(&output);
    assert_eq!(back.len(), values.len());
    back
}

/// Equal, and of the same type everywhere: `1` is not `1.0` here.
fn same(a: &Value, b: &Value) -> bool {
    match (a.view().token(), b.view().token()) {
        (Token::Array(left), Token::Array(right)) => {
            left == right
                && (0..left as usize)
                    .all(|place| same(&part(a.element(place)), &part(b.element(place))))
        }
        (Token::Map(left), Token::Map(right)) => {
            left == right
                && (0..left as usize).all(|place| {
                    let (key, value) = a.pair(place).unwrap();
                    b.lookup(key).is_some_and(|other| {
                        same(&Value::from_canonical(value), &Value::from_canonical(other))
                    })
                })
        }
        (Token::Float(left), Token::Float(right)) => {
            left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
        }
        _ => a.as_bytes() == b.as_bytes(),
    }
}

fn part(bytes: Option<&[u8]>) -> Value {
    Value::from_canonical(bytes.expect("an element"))
}

fn tokens(value: &Value) -> Vec<Token<'_>> {
    let mut view: View<'_> = value.view();
    let mut tokens = Vec::new();
    while !view.rest().is_empty() {
        tokens.push(view.token());
    }
    tokens
}

/// Whether a Lua table can be told from another: a map whose keys are 1 to n
/// is an array there, and a float key that equals an int is that int.
fn has_a_table_of_its_own(tree: &Tree) -> bool {
    match tree {
        Tree::Array(items) => items.iter().all(has_a_table_of_its_own),
        Tree::Map(pairs) => {
            let is_int = |key: &Tree, wanted: i64| matches!(key, Tree::Int(int) if *int == wanted);
            let n = pairs.len() as i64;
            let is_list =
                n > 0 && (1..=n).all(|place| pairs.iter().any(|(key, _)| is_int(key, place)));
            let keys_are_kept = pairs.iter().all(|(key, _)| match key {
                Tree::Float(value) => value.fract() != 0.0 || value.is_infinite(),
                _ => true,
            });
            !is_list
                && keys_are_kept
                && pairs.iter().all(|(_, value)| has_a_table_of_its_own(value))
        }
        _ => true,
    }
}

/// Whether every number fits a Lua that has doubles only.
fn fits_doubles(tree: &Tree) -> bool {
    match tree {
        Tree::Int(value) => value.unsigned_abs() <= 1 << 53,
        Tree::Array(items) => items.iter().all(fits_doubles),
        Tree::Map(pairs) => {
            pairs.iter().all(|(key, value)| fits_doubles(key) && fits_doubles(value))
        }
        _ => true,
    }
}

fn lua(name: &str, scratch: &Scratch) -> Command {
    let modules = scratch.directory().join("lua");
    fs::create_dir_all(&modules).unwrap();
    let library = library_directory().join("libacervo.so");
    std::os::unix::fs::symlink(library, modules.join("acervo.so")).unwrap();
    let mut command = Command::new(name);
    command.arg(root().join("tests/lua/roundtrip.lua"));
    command.env("LUA_CPATH", modules.join("?.so"));
    command
}

#[test]
fn c_gives_every_value_back_byte_by_byte() {
    let scratch = Scratch::new();
    let (program, library) = (scratch.directory().join("roundtrip"), library_directory());
    // Programs ask for the library by its soname.
    let soname = scratch.directory().join("libacervo.so.0");
    std::os::unix::fs::symlink(library.join("libacervo.so"), &soname).unwrap();
    let compiled = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(root().join("include"))
        .arg(root().join("tests/c/roundtrip.c"))
        .arg(&soname)
        .arg("-o")
        .arg(&program)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let values = random_values(|_| true);
    let mut command = Command::new(&program);
    command.env("LD_LIBRARY_PATH", scratch.directory());
    for (sent, back) in values.iter().zip(pass(command, &scratch, &values)) {
        assert_eq!(sent.as_bytes(), back.as_bytes(), "{sent:?}");
    }
}

#[test]
fn luas_with_integers_give_every_value_back_with_its_types() {
    for name in ["lua5.3", "lua5.4"] {
        let scratch = Scratch::new();
        let values = random_values(has_a_table_of_its_own);
        for (sent, back) in values.iter().zip(pass(lua(name, &scratch), &scratch, &values)) {
            assert!(same(sent, &back), "{name}: {:?} became {:?}", tokens(sent), tokens(&back));
        }
    }
}

#[test]
fn luas_with_doubles_give_every_value_back_by_its_numbers() {
    for name in ["lua5.1", "lua5.2", "luajit"] {
        let scratch = Scratch::new();
        // LuaJIT keeps large integers as int64_t; the others would refuse them.
        let is_luajit = name == "luajit";
        let values =
            random_values(|tree| has_a_table_of_its_own(tree) && (is_luajit || fits_doubles(tree)));
        for (sent, back) in values.iter().zip(pass(lua(name, &scratch), &scratch, &values)) {
            let kept = equal(sent.as_bytes(), back.as_bytes());
            assert!(kept, "{name}: {:?} became {:?}", tokens(sent), tokens(&back));
        }
    }
}
