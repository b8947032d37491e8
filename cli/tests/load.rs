//! `acervo load`: entries from files into a database.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;

use acervo::database::{Database, Options};

/// A directory with a database and files beside it.
struct Scratch {
    directory: tempfile::TempDir,
}

struct Output {
    is_success: bool,
    out: String,
    err: String,
}

impl Scratch {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Runs the program in the directory, on the database `a.db`.
    fn load(&self, arguments: &str) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_acervo"))
            .args(["load", "--db", "a.db"])
            .args(arguments.split_whitespace())
            .current_dir(self.directory.path())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        Output { is_success: output.status.success(), out, err }
    }

    fn loads(&self, arguments: &str) -> String {
        let output = self.load(arguments);
        assert!(output.is_success, "{}", output.err);
        assert_eq!(output.err, "");
        output.out
    }

    fn fails(&self, arguments: &str) -> String {
        let output = self.load(arguments);
        assert!(!output.is_success, "{}", output.out);
        assert_eq!(output.out, "");
        output.err
    }

    /// Version, author and entries of the database.
    fn state(&self) -> (u64, Option<String>, Vec<String>) {
        let path = self.path("a.db");
        let database = Database::open(path.as_os_str().as_bytes(), &Options::default()).unwrap();
        let registry = database.entries().unwrap();
        let snapshot = registry.snapshot().unwrap();
        let version = registry.version(snapshot.version()).unwrap();
        let author = version.author.map(|author| String::from_utf8(author.into()).unwrap());
        let found = snapshot.entries();
        let entries = found.iter().map(|entry| {
            let data = entry.data().map_or_else(String::new, |data| data.to_json().unwrap());
            let kind = String::from_utf8_lossy(entry.kind());
            format!("{} {kind} {} {data}", entry.id(), entry.meta().to_json().unwrap())
        });
        (version.id, author, entries.collect())
    }
}

const YAML: &str = "\
entries:
  - id: app:server
    kind: http.server
    meta:
      depends_on: [app:config]
      shared: &shared {team: web}
    data: {port: 8080, tls: false, rate: 0.5, note: null}
  # An id may be two parts.
  - id: {ns: app, name: config}
    kind: config
    meta: *shared
    data: [\"8080\", 0x10, -3]
";

#[test]
fn a_yaml_file_becomes_one_version_by_the_program() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", YAML);
    assert_eq!(scratch.loads("a.yaml"), "v1: 2 created, 0 updated, 0 deleted\n");
    let entries = vec![
        r#"app:config config {"team":"web"} ["8080",16,-3]"#.to_owned(),
        concat!(
            r#"app:server http.server {"depends_on":["app:config"],"shared":{"team":"web"}} "#,
            r#"{"note":null,"port":8080,"rate":0.5,"tls":false}"#
        )
        .to_owned(),
    ];
    assert_eq!(scratch.state(), (1, Some("acervo load".to_owned()), entries.clone()));
    // The same again is no version.
    assert_eq!(scratch.loads("a.yaml"), "v1: nothing to do\n");
    assert_eq!(scratch.state().0, 1);
    // JSON says the same.
    scratch.write(
        "a.json",
        r#"[
            {"id": "app:config", "kind": "config", "meta": {"team": "web"},
             "data": ["8080", 16, -3]},
            {"id": "app:server", "kind": "http.server", "data":
                {"port": 8080, "tls": false, "rate": 0.5, "note": null},
             "meta": {"depends_on": ["app:config"], "shared": {"team": "web"}}}
        ]"#,
    );
    assert_eq!(scratch.loads("a.json"), "v1: nothing to do\n");
    assert_eq!(scratch.state().2, entries);
}

#[test]
fn several_files_are_one_state_and_the_difference_one_changeset() {
    let scratch = Scratch::new();
    scratch.write("a.yml", "- {id: 'a:1', kind: k, data: 1}\n- {id: 'a:2', kind: k, data: 2}\n");
    scratch.write("b.json", r#"{"entries": [{"id": "b:1", "kind": "k"}]}"#);
    assert_eq!(scratch.loads("a.yml b.json"), "v1: 3 created, 0 updated, 0 deleted\n");
    scratch.write("a.yml", "- {id: 'a:1', kind: k, data: 10}\n- {id: 'a:3', kind: j}\n");
    // What no file holds is deleted.
    assert_eq!(scratch.loads("a.yml b.json"), "v2: 1 created, 1 updated, 1 deleted\n");
    assert_eq!(scratch.state().2, ["a:1 k {} 10", "a:3 j {} ", "b:1 k {} "]);
    // Another kind is another entry.
    scratch.write("a.yml", "[{id: 'a:1', kind: new, data: 10}]");
    assert_eq!(scratch.loads("a.yml b.json"), "v3: 1 created, 0 updated, 2 deleted\n");
    // A list of none is a state too.
    scratch.write("none.json", "[]");
    assert_eq!(scratch.loads("none.json"), "v4: 0 created, 0 updated, 2 deleted\n");
    assert_eq!(scratch.state().2, [""; 0]);
}

#[test]
fn a_dry_run_shows_the_operations_in_their_order_and_changes_nothing() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", YAML);
    // Dependencies first, whatever the order in the file.
    let expected = "entry.create app:config (config)\nentry.create app:server (http.server)\n";
    assert_eq!(scratch.loads("--dry-run a.yaml"), expected);
    assert!(!scratch.path("a.db").exists());
    scratch.loads("a.yaml");
    scratch.write("b.yaml", "- {id: app:server, kind: http.server}\n- {id: 'b:b', kind: k}\n");
    assert_eq!(
        scratch.loads("b.yaml --dry-run"),
        "entry.update app:server (http.server)\nentry.delete app:config (config)\nentry.create b:b (k)\n"
    );
    let (version, _, entries) = scratch.state();
    assert_eq!((version, entries.len()), (1, 2));
    assert_eq!(scratch.loads("--dry-run a.yaml"), "v1: nothing to do\n");
}

#[test]
fn what_is_wrong_is_told_with_file_and_place_and_nothing_is_changed() {
    let scratch = Scratch::new();
    scratch.write("good.yaml", "[{id: 'a:1', kind: k}]");
    scratch.loads("good.yaml");
    for (name, text, expected) in [
        ("x.yaml", "- id: a:1\n  kind: k\n- id: a:2\n", "x.yaml:3: entries[2]: it has no kind"),
        ("x.yaml", "- kind: k\n", "x.yaml:1: entries[1]: it has no id"),
        (
            "x.yaml",
            "- {id: 'a:1', kind: k}\n- 7\n",
            "x.yaml:2: entries[2]: an entry is a map, got int",
        ),
        ("x.yaml", "- {id: 'a:1', kind: k, knid: 1}\n", "entries[1]: unknown field \"knid\""),
        ("x.yaml", "- id: 7\n  kind: k\n", "entries[1]: id: a string or a map"),
        ("x.yaml", "- id: {ns: a}\n  kind: k\n", "entries[1]: id: a string or a map"),
        (
            "x.yaml",
            "- {id: 'a:', kind: k}\n",
            "x.yaml:1: entries[1]: entry id \"a:\": its name is empty",
        ),
        ("x.yaml", "- {id: 'a:1', kind: 3}\n", "entries[1]: kind: a string is needed, got int"),
        ("x.yaml", "- {id: 'a:1', kind: k, meta: 1}\n", "entries[1]: meta of entry a:1"),
        ("x.yaml", "a: 1\n", "x.yaml:1: a list of entries"),
        ("x.yaml", "entries: []\nmore: 1\n", "x.yaml:1: a list of entries"),
        ("x.yaml", "", "x.yaml: one document is needed, it has 0"),
        ("x.yaml", "[]\n---\n[]\n", "x.yaml: one document is needed, it has 2"),
        ("x.yaml", "- id: a\n  kind: [k\n", "x.yaml:"),
        ("x.yaml", "- {id: 'a:1', id: 'a:2', kind: k}\n", "x.yaml:1"),
        (
            "x.yaml",
            "- id: 'a:1'\n  kind: k\n  data:\n    - 1\n    - !own x\n",
            "x.yaml:5: entries[1]: the tag !own",
        ),
        ("x.yaml", "- {id: 'a:1', kind: k, data: {[1]: 2}}\n", "x.yaml:1: entries[1]: "),
        ("x.yaml", "- {id: 'a:1', kind: k, data: *none}\n", "x.yaml:1"),
        ("x.json", "[{\"id\": \"a:1\",\n \"kind\": }]", "line 2 column"),
        ("x.json", "{\"entries\": 1}", "x.json: a list of entries"),
        (
            "x.json",
            "[{\"id\": \"a:1\", \"kind\": \"k\"}, {\"id\": \"a:2\"}]",
            "x.json: entries[2]: it has no kind",
        ),
        ("x.txt", "[]", "x.txt: the name of a file with entries ends in"),
    ] {
        scratch.write(name, text);
        let error = scratch.fails(name);
        assert!(error.starts_with("acervo: ") && error.contains(expected), "{text}\n{error}");
        assert!(error.contains(name), "{error}");
    }
    scratch.write("x.yaml", b"- id: a:1\n  kind: \xff\n");
    assert!(scratch.fails("x.yaml").contains("x.yaml:2: it is not UTF-8"));
    assert!(scratch.fails("good.yaml none.yaml").contains("none.yaml: "));
    // Of one id there is one entry, in all files.
    scratch.write(
        "x.json",
        "[{\"id\": \"b:1\", \"kind\": \"k\"}, {\"id\": \"a:1\", \"kind\": \"k\"}]",
    );
    let error = scratch.fails("good.yaml x.json");
    assert!(
        error.contains("x.json: entries[2]: entry a:1 stands already in good.yaml:1: entries[1]"),
        "{error}"
    );
    let (version, _, entries) = scratch.state();
    assert_eq!((version, &entries[..]), (1, &["a:1 k {} ".to_owned()][..]));
}

#[test]
fn a_file_is_needed_and_the_database_is_chosen_as_run_chooses_it() {
    let scratch = Scratch::new();
    assert!(scratch.fails("").contains("<FILE>"));
    scratch.write("a.json", "[{\"id\": \"a:1\", \"kind\": \"k\"}]");
    let run = |from_environment: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_acervo"));
        command.args(["load", "a.json"]).current_dir(scratch.directory.path());
        match from_environment {
            Some(path) => command.env("ACERVO_PATH", path),
            None => command.env_remove("ACERVO_PATH"),
        };
        assert!(command.output().unwrap().status.success());
    };
    run(None);
    assert!(scratch.path("acervo.db").exists());
    run(Some("other.db"));
    assert!(scratch.path("other.db").exists());
}
