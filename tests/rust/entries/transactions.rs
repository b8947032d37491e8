//! The course of a transaction: who is asked what, in which order, and what is
//! left when somebody refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use crate::common::handlers::{
    ALL, Facts, OPS, Stage, Way, apply, direct, entry, facts, failure, line_of_op, refusal, state,
    submit,
};
use crate::common::{options, text};
use acervo::database::Options;
use acervo::entries::{Circumstances, EntryError, Plain, Responder, Response, Wants};
use acervo::error::Code;
use acervo::value::Value;

fn flag(value: bool) -> Value {
    Value::from_json(if value { b"true" } else { b"false" }).unwrap()
}

#[test]
fn begin_the_operations_in_order_and_commit_are_asked_then_it_counts() {
    Stage::each(&Options::default(), |stage| {
        stage.apply("create k a:old 1; create k a:up 1").unwrap();
        stage.accept("h", "**", ALL);
        assert_eq!(stage.apply("update k a:up 2; create k a:new 3; delete a:old").unwrap(), 2);
        assert_eq!(
            stage.log.take(),
            [
                "h: begin",
                "h: delete a:old=1",
                "h: create a:new=3",
                "h: update a:up=1>2",
                "h: commit"
            ]
        );
        assert_eq!(state(&stage.registry), "a:new=3 a:up=2");
        assert_eq!(stage.registry.current_version().unwrap(), 2);
    });
}

#[test]
fn several_handlers_are_asked_in_the_order_of_their_registration() {
    Stage::each(&Options::default(), |stage| {
        for name in ["c", "a", "b"] {
            stage.accept(name, "**", ALL);
        }
        stage.apply("create k a:x 1; create k a:y 2").unwrap();
        let steps = ["begin", "create a:x=1", "create a:y=2", "commit"];
        let expected = steps.map(|step| ["c", "a", "b"].map(|name| format!("{name}: {step}")));
        assert_eq!(stage.log.take(), expected.concat());
    });
}

#[test]
fn a_handler_is_asked_about_its_kinds_and_only_about_what_it_wants() {
    Stage::each(&Options::default(), |stage| {
        stage.accept("ops", "http.*", OPS);
        stage.accept("begin", "none", Wants { begin: true, ..OPS });
        stage.accept("commit", "(http|ws).**", Wants { commit: true, ..OPS });
        stage.accept("discard", "ws.**", Wants { discard: true, ..OPS });
        stage.apply("create http.router a:1 1; create http.a.b a:2 2; create ws a:3 3").unwrap();
        assert_eq!(
            stage.log.take(),
            [
                // Whatever the transaction touches.
                "begin: begin",
                "ops: create a:1=1",
                "commit: create a:1=1",
                "commit: create a:2=2",
                "commit: create a:3=3",
                "discard: create a:3=3",
                "commit: commit",
            ]
        );
    });
}

#[test]
fn what_is_no_pattern_of_kinds_is_invalid_and_named() {
    let stage = Stage::direct();
    let error = failure(stage.on("h", "a*", OPS, |_| Ok(())));
    assert_eq!(error.code, Code::Invalid);
    assert!(error.message.contains("\"a*\""), "{error}");
}

/// The inverse of a line.
fn inverse(line: &str) -> String {
    let (name, rest) = line.split_once(' ').unwrap();
    match name {
        "create" => format!("undo delete {rest}"),
        "delete" => format!("undo create {rest}"),
        _ => {
            let (id, numbers) = rest.split_once('=').unwrap();
            let (from, to) = numbers.split_once('>').unwrap();
            format!("undo update {id}={to}>{from}")
        }
    }
}

/// What handlers see if the transaction whose course is `asked` ends behind the
/// first of these that were accepted.
fn undone(asked: &[String], accepted: usize) -> Vec<String> {
    let parts = |line: &String| {
        let (name, line) = line.split_once(": ").unwrap();
        (name.to_owned(), line.to_owned())
    };
    let (mut inverses, mut discards) = (Vec::new(), Vec::new());
    for (name, line) in asked[..accepted].iter().map(parts) {
        match &*line {
            "begin" => discards.push(format!("{name}: discard")),
            "commit" => {}
            line => inverses.push(format!("{name}: {}", inverse(line))),
        }
    }
    inverses.reverse();
    [inverses, discards].concat()
}

const BEFORE: &str = "create k.a a:1 1; create k.b a:2 2; create k.a a:3 3";
const CHANGES: &str = "update k.a a:1 10; delete a:2; create k.b a:4 4; update k.a a:3 30";

#[test]
fn whoever_refuses_at_whichever_step_everything_is_undone_newest_first() {
    Stage::each(&Options::default(), |stage| {
        apply(&stage.registry, BEFORE).unwrap();
        let left = Arc::new(AtomicI64::new(i64::MAX));
        for (name, pattern) in [("all", "**"), ("a", "k.a"), ("more", "k.*")] {
            let left = Arc::clone(&left);
            let answer = move |line: &str| {
                if line.starts_with("undo") || line == "discard" {
                    return Ok(());
                }
                match left.fetch_sub(1, Ordering::Relaxed) {
                    1 => refusal(Code::Conflict, &format!("not {line}")),
                    _ => Ok(()),
                }
            };
            stage.on(name, pattern, ALL, answer).unwrap();
        }
        // The whole course, seen on another branch.
        assert_eq!(stage.apply(CHANGES).unwrap(), 2);
        let asked = stage.log.take();
        assert_eq!(asked.len(), 3 + (2 + 2 + 3 + 3) + 3);
        stage.registry.apply_version(1).unwrap();
        stage.log.take();
        let before = stage.facts();

        for refused in 0..asked.len() {
            left.store(refused as i64 + 1, Ordering::Relaxed);
            let error = stage.apply(CHANGES).unwrap_err();
            let (_, line) = asked[refused].split_once(": ").unwrap();
            assert_eq!((error.code, error.retryable), (Code::Conflict, true));
            assert!(error.message.ends_with(&format!(": not {line}")), "{error}");
            assert_eq!(error.details, None);
            let expected = [asked[..=refused].to_vec(), undone(&asked, refused)].concat();
            assert_eq!(stage.log.take(), expected);
            assert_eq!(stage.facts(), before);
        }
        left.store(i64::MAX, Ordering::Relaxed);
        // No version number was used up.
        assert_eq!(stage.apply(CHANGES).unwrap(), 3);
        assert_eq!(stage.log.take(), asked);
        let versions = vec![(0, None), (1, Some(0)), (2, Some(1)), (3, Some(1))];
        let state = "a:1=10 a:3=30 a:4=4".to_owned();
        assert_eq!(stage.facts(), Facts { state, head: 3, versions });
    });
}

#[test]
fn a_move_to_a_version_is_asked_and_undone_as_an_apply_is() {
    Stage::each(&Options::default(), |stage| {
        stage.apply(BEFORE).unwrap();
        stage.apply(CHANGES).unwrap();
        let refuses = Arc::new(AtomicBool::new(true));
        let asks = Arc::clone(&refuses);
        stage.accept("first", "**", ALL);
        let answer = move |line: &str| match line {
            "commit" if asks.load(Ordering::Relaxed) => refusal(Code::Unavailable, "not now"),
            _ => Ok(()),
        };
        stage.on("second", "k.a", ALL, answer).unwrap();
        let before = stage.facts();
        let error = failure(stage.registry.apply_version(1));
        assert_eq!((error.code, error.retryable), (Code::Unavailable, true));
        let both = |line: &str| vec![format!("first: {line}"), format!("second: {line}")];
        let first = |line: &str| vec![format!("first: {line}")];
        let course = [
            both("begin"),
            first("delete a:4=4"),
            both("update a:1=10>1"),
            first("create a:2=2"),
            both("update a:3=30>3"),
            both("commit"),
        ]
        .concat();
        let expected = [course.clone(), undone(&course, course.len() - 1)].concat();
        assert_eq!(stage.log.take(), expected);
        assert_eq!(stage.facts(), before);

        refuses.store(false, Ordering::Relaxed);
        stage.registry.apply_version(1).unwrap();
        assert_eq!(stage.log.take(), course);
        assert_eq!(stage.registry.current_version().unwrap(), 1);
        // To where it is already nobody is asked.
        stage.registry.apply_version(1).unwrap();
        assert_eq!(stage.log.take(), [""; 0]);
    });
}

#[test]
fn a_refusal_keeps_its_kind_and_its_reason() {
    for code in Code::ALL {
        for reason in ["because", ""] {
            Stage::each(&Options::default(), |stage| {
                stage.on("h", "k", ALL, move |_| refusal(code, reason)).unwrap();
                let error = stage.apply("create k a:x 1").unwrap_err();
                assert_eq!((error.code, error.retryable), (code, code.retryable()));
                let colon = if reason.is_empty() { "" } else { ": " };
                let expected = format!("a handler refused the transaction{colon}{reason}");
                assert_eq!(error.message, expected);
            });
        }
    }
}

#[test]
fn a_handler_that_panics_refuses_with_internal_and_the_registry_works_on() {
    let stage = Stage::direct();
    stage.accept("before", "**", ALL);
    let handler = stage.on("h", "k", OPS, |_| panic!("on purpose")).unwrap();
    let error = stage.apply("create k a:x 1").unwrap_err();
    assert_eq!(error.code, Code::Internal);
    assert!(error.message.contains("refused entry a:x: the handler panicked"), "{error}");
    assert_eq!(
        stage.log.take(),
        [
            "before: begin",
            "before: create a:x=1",
            "h: create a:x=1",
            "before: undo delete a:x=1",
            "before: discard"
        ]
    );
    handler.cancel();
    assert_eq!(stage.apply("create k a:x 1").unwrap(), 1);
}

#[test]
fn a_kind_without_a_handler_is_accepted_unless_one_is_required() {
    Stage::each(&Options::default(), |stage| {
        stage.accept("h", "other", ALL);
        assert_eq!(stage.apply("create k a:x 1").unwrap(), 1);
        assert_eq!(stage.log.take(), ["h: begin", "h: commit"]);
    });
    let required = options(&[("require_handler", flag(true))]);
    Stage::each(&required, |stage| {
        let error = stage.apply("create k a:x 1").unwrap_err();
        assert_eq!((error.code, error.retryable), (Code::NotFound, false));
        assert!(error.message.contains("a:x") && error.message.contains("kind k"), "{error}");
        stage.accept("h", "other", ALL);
        assert_eq!(
            stage.apply("create other a:o 1; create k a:x 1").unwrap_err().code,
            Code::NotFound
        );
        // At once: nothing was asked that would have to be undone.
        assert_eq!(stage.log.take(), ["h: begin", "h: discard"]);
        stage.accept("k", "k", OPS);
        assert_eq!(stage.apply("create other a:o 1; create k a:x 1").unwrap(), 1);
        // Kinds that nobody is asked about need no handler.
        assert_eq!(stage.apply("create ns.definition a:d 1").unwrap(), 2);
    });
}

#[test]
fn internal_kinds_are_not_dispatched_but_begin_and_commit_are() {
    let kinds = ["registry.entry", "ns.requirement", "ns.dependency", "ns.definition"];
    Stage::each(&Options::default(), |stage| {
        stage.accept("h", "**", ALL);
        for (kind, version) in kinds.iter().zip(1..) {
            assert_eq!(stage.apply(&format!("create {kind} a:{version} 1")).unwrap(), version);
            assert_eq!(stage.log.take(), ["h: begin", "h: commit"]);
        }
        stage.apply("create ns.other a:x 1").unwrap();
        assert_eq!(stage.log.take(), ["h: begin", "h: create a:x=1", "h: commit"]);
    });
    let list = Value::from_json(br#"["k"]"#).unwrap();
    Stage::each(&options(&[("internal_kinds", list)]), |stage| {
        stage.accept("h", "**", OPS);
        stage.apply("create k a:x 1; create ns.definition a:y 2").unwrap();
        assert_eq!(stage.log.take(), ["h: create a:y=2"]);
    });
}

#[test]
fn a_dry_run_asks_all_but_commit_and_takes_everything_back() {
    Stage::each(&Options::default(), |stage| {
        stage.apply("create k a:1 1").unwrap();
        stage.accept("h", "k", ALL);
        let feed = stage.registry.events(100).unwrap();
        let before = stage.facts();
        let applied = submit(&stage.registry, "create k a:2 2; update k a:1 3", true).unwrap();
        assert_eq!(applied.version, 1);
        let ops: Vec<String> = applied.ops.iter().map(line_of_op).collect();
        assert_eq!(ops, ["update a:1=1>3", "create a:2=2"]);
        assert_eq!(
            stage.log.take(),
            [
                "h: dry begin",
                "h: dry update a:1=1>3",
                "h: dry create a:2=2",
                "h: dry undo delete a:2=2",
                "h: dry undo update a:1=3>1",
                "h: dry discard"
            ]
        );
        assert_eq!(stage.facts(), before);
        let told = feed.next(&Plain::default(), Some(std::time::Instant::now()));
        assert!(matches!(told, Err(EntryError::NoEvent)));
        // It fails as the apply would.
        let answer = |line: &str| match line {
            "dry create a:2=2" => refusal(Code::Conflict, "no"),
            _ => Ok(()),
        };
        let second = stage.on("second", "k", OPS, answer).unwrap();
        let failed = submit(&stage.registry, "create k a:2 2", true).unwrap_err();
        assert_eq!(failed.code, Code::Conflict);
        second.cancel();
        assert_eq!(stage.apply("create k a:2 2").unwrap(), 2);
    });
}

#[test]
fn changes_stay_as_they_were_when_a_handler_refuses_them() {
    let stage = Stage::direct();
    let refuses = Arc::new(AtomicBool::new(true));
    let asks = Arc::clone(&refuses);
    let answer = move |_: &str| match asks.load(Ordering::Relaxed) {
        true => refusal(Code::Invalid, ""),
        false => Ok(()),
    };
    stage.on("h", "k", OPS, answer).unwrap();
    let mut changes = stage.registry.snapshot().unwrap().changes();
    changes.create(entry("k", "a:x", 1)).unwrap();
    assert_eq!(failure(changes.apply()).code, Code::Invalid);
    assert_eq!(changes.queued().len(), 1);
    refuses.store(false, Ordering::Relaxed);
    assert_eq!(changes.apply().unwrap().version, 1);
    assert!(matches!(changes.apply(), Err(EntryError::Spent)));
}

#[test]
fn what_cannot_be_applied_is_said_before_anybody_is_asked() {
    let stage = Stage::direct();
    stage.accept("h", "**", ALL);
    assert_eq!(stage.apply("delete a:x").unwrap_err().code, Code::NotFound);
    assert_eq!(failure(stage.registry.apply_version(7)).code, Code::NotFound);
    assert_eq!(stage.log.take(), [""; 0]);
}

#[test]
fn of_a_direct_handler_the_answer_counts_that_it_gives_at_the_end() {
    let stage = Stage::direct();
    let late = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&late);
    let responder = Responder::Direct(Box::new(move |question| {
        assert_eq!(question.circumstances(), Circumstances::default());
        question.answer(refusal(Code::Internal, "changed my mind")).unwrap();
        // One answer is enough.
        if question.answer(Ok(())).is_err() {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Response::Pending
    }));
    stage.registry.on(b"k", OPS, responder, &Plain::default()).unwrap();
    let error = stage.apply("create k a:x 1").unwrap_err();
    assert!(error.message.ends_with("changed my mind"), "{error}");
    assert_eq!(late.load(Ordering::Relaxed), 1);
}

#[test]
fn an_entry_that_goes_and_comes_as_another_kind_concerns_the_handlers_of_both() {
    Stage::each(&Options::default(), |stage| {
        stage.apply("create old a:x 1").unwrap();
        stage.accept("old", "old", OPS);
        stage.accept("new", "new", OPS);
        stage.apply("delete a:x; create new a:x 2").unwrap();
        assert_eq!(stage.log.take(), ["old: delete a:x=1", "new: create a:x=2"]);
        stage.registry.apply_version(1).unwrap();
        assert_eq!(stage.log.take(), ["new: delete a:x=2", "old: create a:x=1"]);
    });
}

#[test]
fn without_a_history_transactions_are_asked_and_undone_alike() {
    let none = options(&[("history", text("none"))]);
    let stage = Stage::new(Way::Direct, &none);
    stage
        .on("h", "k", ALL, |line| match line {
            "create a:2=2" => refusal(Code::Invalid, ""),
            _ => Ok(()),
        })
        .unwrap();
    assert_eq!(stage.apply("create k a:1 1").unwrap(), 1);
    assert!(stage.apply("create k a:2 2").is_err());
    assert_eq!(state(&stage.registry), "a:1=1");
    assert_eq!(stage.apply("create k a:3 3").unwrap(), 2);
}

#[test]
fn handlers_of_one_handle_are_asked_about_changes_through_another() {
    let scratch = crate::common::Scratch::new();
    let stage = Stage::on_database(scratch.open(), Way::Direct);
    stage.accept("h", "k", OPS);
    let other = scratch.open();
    apply(&other.entries().unwrap(), "create k a:x 1").unwrap();
    assert_eq!(stage.log.take(), ["h: create a:x=1"]);
    assert_eq!(facts(&other.entries().unwrap()), stage.facts());
    // Also a direct responder made by hand.
    let responder = direct(Box::new(|_| refusal(Code::Invalid, "")));
    let refusing = other.entries().unwrap().on(b"k", OPS, responder, &Plain::default()).unwrap();
    assert!(stage.apply("create k a:y 1").is_err());
    refusing.cancel();
    assert!(stage.apply("create k a:y 1").is_ok());
}
