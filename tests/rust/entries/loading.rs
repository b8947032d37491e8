//! Loading a state: a baseline, and the history on top of it.

use crate::common::handlers::{
    ALL, OPS, REPLAY, Stage, Way, apply, entry, entry_with, facts, failure, refusal, state,
    state_of,
};
use crate::common::{Scratch, options, text};
use acervo::database::{Database, Options};
use acervo::entries::{Entry, EntryError, Plain, Registry, Wants};
use acervo::error::{Code, Error};

fn load(registry: &Registry, baseline: &[Entry], version: Option<u64>) -> Result<u64, EntryError> {
    registry.load_state(baseline, version, &Plain::default())
}

fn baseline() -> Vec<Entry> {
    vec![entry("k", "b:1", 10), entry("k", "b:2", 20)]
}

/// A file with v1: a:x, v2: a:x, a:y, v3: a:x changed.
fn three() -> Scratch {
    let scratch = Scratch::new();
    let database = scratch.open();
    let registry = database.entries().unwrap();
    apply(&registry, "create k a:x 1").unwrap();
    apply(&registry, "create k a:y 2").unwrap();
    apply(&registry, "update k a:x 3").unwrap();
    database.close().unwrap();
    scratch
}

fn staged(scratch: &Scratch) -> Stage {
    Stage::on_database(scratch.open(), Way::Direct)
}

fn at(registry: &Registry, version: u64) -> String {
    state_of(registry.snapshot_at(version).unwrap().entries().iter())
}

/// As a process sees it that opens the file next.
fn stored(scratch: &Scratch) -> (u64, usize) {
    let database = scratch.open();
    let registry = database.entries().unwrap();
    (registry.current_version().unwrap(), registry.versions().unwrap().len())
}

#[test]
fn the_history_is_replayed_on_a_baseline_up_to_the_stored_head_without_a_version() {
    let scratch = three();
    let stage = staged(&scratch);
    assert_eq!(load(&stage.registry, &baseline(), None).unwrap(), 3);
    assert_eq!(state(&stage.registry), "a:x=3 a:y=2 b:1=10 b:2=20");
    assert_eq!((stage.facts().head, stage.facts().versions.len()), (3, 4));
    // Every version has it.
    assert_eq!(at(&stage.registry, 1), "a:x=1 b:1=10 b:2=20");
    assert_eq!(at(&stage.registry, 2), "a:x=1 a:y=2 b:1=10 b:2=20");
    assert_eq!(at(&stage.registry, 0), "b:1=10 b:2=20");
    drop(stage);
    assert_eq!(stored(&scratch), (3, 4));
}

#[test]
fn another_version_can_be_loaded_and_the_stored_head_stays() {
    let scratch = three();
    for (version, expected) in [(0, "b:1=10 b:2=20"), (1, "a:x=1 b:1=10 b:2=20")] {
        let stage = staged(&scratch);
        assert_eq!(load(&stage.registry, &baseline(), Some(version)).unwrap(), version);
        assert_eq!(stage.registry.current_version().unwrap(), version);
        assert_eq!(state(&stage.registry), expected);
        assert_eq!(at(&stage.registry, 3), "a:x=3 a:y=2 b:1=10 b:2=20");
        stage.database.close().unwrap();
        assert_eq!(stored(&scratch), (3, 4));
    }
}

#[test]
fn an_apply_on_a_loaded_version_makes_a_branch_of_it() {
    let scratch = three();
    let stage = staged(&scratch);
    load(&stage.registry, &baseline(), Some(1)).unwrap();
    assert_eq!(stage.apply("update k b:1 11; create k a:z 9").unwrap(), 4);
    assert_eq!(state(&stage.registry), "a:x=1 a:z=9 b:1=11 b:2=20");
    assert_eq!(stage.registry.previous(4).unwrap(), Some(1));
    stage.registry.apply_version(3).unwrap();
    assert_eq!(state(&stage.registry), "a:x=3 a:y=2 b:1=10 b:2=20");
    // At an entry of the baseline, too, an update is reversed to its original.
    stage.registry.apply_version(4).unwrap();
    stage.registry.apply_version(0).unwrap();
    assert_eq!(state(&stage.registry), "b:1=10 b:2=20");
    assert_eq!(at(&stage.registry, 4), "a:x=1 a:z=9 b:1=11 b:2=20");
}

#[test]
fn going_back_to_the_root_keeps_the_baseline() {
    for kind in ["sqlite", "memory"] {
        let options = options(&[("history", text(kind))]);
        let database = Database::open(b":memory:", &options).unwrap();
        let registry = database.entries().unwrap();
        assert_eq!(load(&registry, &baseline(), None).unwrap(), 0);
        apply(&registry, "delete b:1; create k a:x 1").unwrap();
        apply(&registry, "update k b:2 21").unwrap();
        assert_eq!(state(&registry), "a:x=1 b:2=21");
        registry.apply_version(0).unwrap();
        assert_eq!(state(&registry), "b:1=10 b:2=20");
        assert_eq!(at(&registry, 1), "a:x=1 b:2=20");
        registry.apply_version(2).unwrap();
        assert_eq!(state(&registry), "a:x=1 b:2=21");
    }
}

#[test]
fn without_a_history_there_is_a_baseline_too() {
    let options = options(&[("history", text("none"))]);
    let database = Database::open(b":memory:", &options).unwrap();
    let registry = database.entries().unwrap();
    assert_eq!(failure(load(&registry, &baseline(), Some(1))).code, Code::Unavailable);
    assert_eq!(load(&registry, &baseline(), None).unwrap(), 0);
    apply(&registry, "delete b:1").unwrap();
    assert_eq!(state(&registry), "b:2=20");
}

#[test]
fn it_is_a_transaction_of_one_create_per_entry_dependencies_first() {
    let scratch = Scratch::new();
    let database = scratch.open();
    let registry = database.entries().unwrap();
    apply(&registry, "create k c:3 3").unwrap();
    apply(&registry, "create ns.definition c:4 4").unwrap();
    database.close().unwrap();
    let stage = staged(&scratch);
    stage.accept("h", "**", ALL);
    let feed = stage.registry.events(100).unwrap();
    let baseline =
        [entry_with("k", "b:1", 1, r#"{"depends_on": ["b:2", "c:3"]}"#), entry("k", "b:2", 2)];
    assert_eq!(load(&stage.registry, &baseline, None).unwrap(), 2);
    assert_eq!(
        stage.log.take(),
        ["h: begin", "h: create b:2=2", "h: create c:3=3", "h: create b:1=1", "h: commit"]
    );
    let mut told = Vec::new();
    while told.last() != Some(&"registry.commit") {
        let event = feed.next(&Plain::default(), None).unwrap();
        assert_eq!(event.version, 2);
        told.push(event.kind);
    }
    // Those of internal kinds are told too.
    assert_eq!(told.iter().filter(|kind| **kind == "entry.create").count(), 4);
    assert_eq!(told.len(), 6);
}

#[test]
fn what_is_loaded_is_replayed_to_a_handler_that_comes_later() {
    let stage = staged(&three());
    load(&stage.registry, &baseline(), Some(1)).unwrap();
    stage.accept("h", "k", REPLAY);
    assert_eq!(stage.log.take(), ["h: create a:x=1", "h: create b:1=10", "h: create b:2=20"]);
}

fn is_too_late(registry: &Registry) -> bool {
    let error = failure(load(registry, &[], None));
    assert_eq!((error.code, error.retryable), (Code::Invalid, false));
    error.message.contains("before the first apply")
}

#[test]
fn it_is_done_once_and_before_the_first_apply_or_move() {
    let scratch = three();
    let stage = staged(&scratch);
    load(&stage.registry, &[], None).unwrap();
    assert!(is_too_late(&stage.registry));
    stage.database.close().unwrap();
    // Once per instance: a new one can be loaded again.
    let stage = staged(&scratch);
    stage.apply("create k a:z 1").unwrap();
    assert!(is_too_late(&stage.registry));
    // Another handle is the same instance.
    let other = scratch.open();
    assert!(is_too_late(&other.entries().unwrap()));
    drop((stage, other));
    let stage = staged(&scratch);
    stage.registry.apply_version(1).unwrap();
    assert!(is_too_late(&stage.registry));
}

#[test]
fn what_fails_does_not_count_as_the_first_apply() {
    let stage = staged(&three());
    let handler = stage.on("h", "k", OPS, |_| refusal(Code::Invalid, "")).unwrap();
    assert!(stage.apply("delete a:x").is_err());
    assert!(stage.registry.apply_version(1).is_err());
    assert!(crate::common::handlers::submit(&stage.registry, "delete a:x", true).is_err());
    handler.cancel();
    crate::common::handlers::submit(&stage.registry, "delete a:x", true).unwrap();
    assert_eq!(load(&stage.registry, &baseline(), None).unwrap(), 3);
}

#[test]
fn one_that_is_refused_changes_nothing_undoes_what_was_accepted_and_does_not_count() {
    Stage::each(&Options::default(), |stage| {
        for step in ["begin", "create b:1=10", "create b:2=20", "commit"] {
            let database = Database::open(b":memory:", &Options::default()).unwrap();
            let inner = Stage::on_database(database, Way::Direct);
            // A stage of its own for every step, with handlers of this kind.
            let log = stage.log.clone();
            let refuses = stage.responder(Box::new(move |question| {
                let line = crate::common::handlers::line_of(question);
                log.add(line.clone());
                if line == step { refusal(Code::Conflict, "no") } else { Ok(()) }
            }));
            let handler = inner.registry.on(b"k", ALL, refuses, &Plain::default()).unwrap();
            let before = facts(&inner.registry);
            let error = Error::from(load(&inner.registry, &baseline(), None).unwrap_err());
            assert_eq!(error.code, Code::Conflict);
            assert_eq!(facts(&inner.registry), before);
            let seen = stage.log.take();
            let end = seen.iter().position(|line| line == step).unwrap() + 1;
            let expected: &[&str] = match step {
                "begin" => &[],
                "create b:1=10" => &["discard"],
                "create b:2=20" => &["undo delete b:1=10", "discard"],
                _ => &["undo delete b:2=20", "undo delete b:1=10", "discard"],
            };
            assert_eq!(&seen[end..], expected);
            handler.cancel();
            assert_eq!(load(&inner.registry, &baseline(), None).unwrap(), 0);
            assert_eq!(state(&inner.registry), "b:1=10 b:2=20");
        }
    });
}

#[test]
fn a_baseline_with_an_id_twice_is_refused_at_its_place() {
    let stage = staged(&three());
    let twice = [entry("k", "b:1", 1), entry("k", "b:2", 2), entry("j", "b:1", 3)];
    let error = failure(load(&stage.registry, &twice, None));
    assert_eq!(error.code, Code::Invalid);
    assert!(error.message.contains("baseline[3]") && error.message.contains("b:1"), "{error}");
    let error = failure(load(&stage.registry, &[], Some(9)));
    assert_eq!(error.code, Code::NotFound);
    // Neither counts.
    assert_eq!(load(&stage.registry, &baseline(), Some(3)).unwrap(), 3);
}

#[test]
fn the_history_wins_over_the_baseline_and_reverses_to_what_it_has_saved() {
    let scratch = three();
    let stage = staged(&scratch);
    // Other than it was when v1 created it, v3 changed it.
    let baseline = [entry("k", "a:x", 100), entry("k", "b:1", 10)];
    load(&stage.registry, &baseline, None).unwrap();
    assert_eq!(state(&stage.registry), "a:x=3 a:y=2 b:1=10");
    assert_eq!(at(&stage.registry, 0), "a:x=100 b:1=10");
    assert_eq!(at(&stage.registry, 2), "a:x=1 a:y=2 b:1=10");
    stage.registry.apply_version(2).unwrap();
    assert_eq!(state(&stage.registry), "a:x=1 a:y=2 b:1=10");
}

#[test]
fn a_baseline_may_bring_what_the_history_only_changes() {
    let scratch = Scratch::new();
    let stage = staged(&scratch);
    load(&stage.registry, &baseline(), None).unwrap();
    stage.apply("update k b:1 11").unwrap();
    stage.apply("delete b:2").unwrap();
    stage.database.close().unwrap();
    let stage = staged(&scratch);
    // With a baseline that has changed since.
    load(&stage.registry, &[entry("k", "b:1", 77), entry("k", "b:2", 78)], None).unwrap();
    assert_eq!(state(&stage.registry), "b:1=11");
    assert_eq!(at(&stage.registry, 0), "b:1=77 b:2=78");
    assert_eq!(at(&stage.registry, 1), "b:1=11 b:2=78");
    // Reversing restores the original that was saved.
    stage.registry.apply_version(1).unwrap();
    assert_eq!(state(&stage.registry), "b:1=11 b:2=20");
}

#[test]
fn opening_alone_dispatches_nothing_and_has_an_empty_baseline() {
    let stage = staged(&three());
    stage.accept("h", "**", Wants { replay: false, ..ALL });
    assert_eq!(state(&stage.registry), "a:x=3 a:y=2");
    assert_eq!(at(&stage.registry, 0), "");
    assert_eq!(stage.log.take(), [""; 0]);
}

#[test]
fn what_is_searched_for_is_found_in_the_loaded_state() {
    let stage = staged(&three());
    load(&stage.registry, &baseline(), None).unwrap();
    let filter = acervo::value::Value::from_json(br#"{"ns": "b"}"#).unwrap();
    let snapshot = stage.registry.snapshot().unwrap();
    assert_eq!(snapshot.find(filter.as_bytes(), None).unwrap().len(), 2);
    assert_eq!(stage.registry.figures().unwrap().entries, 4);
}
