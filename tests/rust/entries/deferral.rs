//! Operations that wait for others, and what cannot be undone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::handlers::{ALL, OPS, Stage, detail, refusal, state};
use acervo::database::Options;
use acervo::error::Code;

/// Has `stage` a handler that does not know an entry before another is there:
/// `a:1` needs `a:2` and that `a:3`, against the order of the ids.
fn chain(stage: &Stage, name: &str, pattern: &str) {
    let there = Arc::new(Mutex::new(Vec::<char>::new()));
    let answer = move |line: &str| {
        let Some((_, rest)) = line.split_once("create a:") else { return Ok(()) };
        let mut there = there.lock().unwrap();
        let id = rest.chars().next().unwrap();
        let needs = char::from(id as u8 + 1);
        if id < '3' && !there.contains(&needs) {
            return refusal(Code::NotFound, "not there yet");
        }
        there.push(id);
        Ok(())
    };
    stage.on(name, pattern, ALL, answer).unwrap();
}

const THREE: &str = "create k a:1 1; create k a:2 2; create k a:3 3";

#[test]
fn a_rejection_of_kind_not_found_defers_the_operation_while_others_go_on() {
    Stage::each(&Options::default(), |stage| {
        stage.accept("before", "**", OPS);
        chain(stage, "chain", "**");
        stage.accept("behind", "**", OPS);
        assert_eq!(stage.apply(THREE).unwrap(), 1);
        assert_eq!(
            stage.log.take(),
            [
                "chain: begin",
                "before: create a:1=1",
                "chain: create a:1=1",
                "before: create a:2=2",
                "chain: create a:2=2",
                "before: create a:3=3",
                "chain: create a:3=3",
                "behind: create a:3=3",
                // Only those that have not accepted are asked again.
                "chain: create a:1=1",
                "chain: create a:2=2",
                "behind: create a:2=2",
                "chain: create a:1=1",
                "behind: create a:1=1",
                "chain: commit",
            ]
        );
    });
}

#[test]
fn what_is_never_found_is_not_found_and_named_and_the_rest_is_undone() {
    Stage::each(&Options::default(), |stage| {
        let before = stage.facts();
        stage.accept("first", "**", ALL);
        let answer = |line: &str| match line {
            "create a:1=1" | "create a:3=3" => refusal(Code::NotFound, "what?"),
            _ => Ok(()),
        };
        stage.on("second", "k", OPS, answer).unwrap();
        let error = stage.apply(THREE).unwrap_err();
        assert_eq!((error.code, error.retryable), (Code::NotFound, false));
        assert_eq!(error.message, "unresolved dependencies after retry: a:1, a:3");
        assert_eq!(detail(&error, "ids").as_deref(), Some(r#"["a:1","a:3"]"#));
        assert_eq!(
            stage.log.take(),
            [
                "first: begin",
                "first: create a:1=1",
                "second: create a:1=1",
                "first: create a:2=2",
                "second: create a:2=2",
                "first: create a:3=3",
                "second: create a:3=3",
                "second: create a:1=1",
                "second: create a:3=3",
                "first: undo delete a:3=3",
                "second: undo delete a:2=2",
                "first: undo delete a:2=2",
                "first: undo delete a:1=1",
                "first: discard",
            ]
        );
        assert_eq!(stage.facts(), before);
    });
}

#[test]
fn any_acceptance_is_progress_also_of_an_operation_that_another_handler_defers() {
    Stage::each(&Options::default(), |stage| {
        // Neither operation is done in the first pass, but `one` has come
        // further with a:2, which is what it needs for a:1, and `two` for a:2.
        let needs = |first: &'static str, second: &'static str| {
            let has = AtomicBool::new(false);
            move |line: &str| {
                if line == second {
                    has.store(true, Ordering::Relaxed);
                }
                match line == first && !has.load(Ordering::Relaxed) {
                    true => refusal(Code::NotFound, "not yet"),
                    false => Ok(()),
                }
            }
        };
        stage.on("one", "k", OPS, needs("create a:1=1", "create a:2=2")).unwrap();
        stage.on("two", "k", OPS, needs("create a:2=2", "create a:1=1")).unwrap();
        assert_eq!(stage.apply("create k a:1 1; create k a:2 2").unwrap(), 1);
        assert_eq!(
            stage.log.take(),
            [
                "one: create a:1=1",
                "one: create a:2=2",
                "two: create a:2=2",
                "one: create a:1=1",
                "two: create a:1=1",
                "two: create a:2=2",
            ]
        );
    });
}

#[test]
fn a_refusal_behind_deferred_operations_ends_it() {
    Stage::each(&Options::default(), |stage| {
        let answer = |line: &str| match line {
            "create a:1=1" => refusal(Code::NotFound, ""),
            "create a:3=3" => refusal(Code::Invalid, "never"),
            _ => Ok(()),
        };
        stage.on("h", "k", ALL, answer).unwrap();
        let error = stage.apply(THREE).unwrap_err();
        assert_eq!(error.code, Code::Invalid);
        assert_eq!(error.message, "a handler refused entry a:3: never");
        assert_eq!(
            stage.log.take(),
            [
                "h: begin",
                "h: create a:1=1",
                "h: create a:2=2",
                "h: create a:3=3",
                "h: undo delete a:2=2",
                "h: discard"
            ]
        );
    });
}

#[test]
fn a_begin_or_a_commit_is_not_deferred() {
    for step in ["begin", "commit"] {
        Stage::each(&Options::default(), |stage| {
            let answer = move |line: &str| match line == step {
                true => refusal(Code::NotFound, "no"),
                false => Ok(()),
            };
            stage.on("h", "k", ALL, answer).unwrap();
            assert_eq!(stage.apply("create k a:x 1").unwrap_err().code, Code::NotFound);
            let asked = stage.log.take();
            assert_eq!(asked.iter().filter(|line| line.ends_with(step)).count(), 1);
        });
    }
}

#[test]
fn a_refused_undo_is_recorded_and_does_not_stop_the_rest() {
    Stage::each(&Options::default(), |stage| {
        let answer = |line: &str| match line {
            "undo delete a:2=2" => refusal(Code::Internal, "stuck"),
            "undo delete a:1=1" => refusal(Code::NotFound, "gone"),
            "discard" => refusal(Code::Internal, "nobody asks"),
            _ => Ok(()),
        };
        stage.on("first", "k", ALL, answer).unwrap();
        stage.accept("second", "k", ALL);
        let last = |line: &str| match line {
            "create a:3=3" => refusal(Code::Timeout, "full"),
            _ => Ok(()),
        };
        stage.on("third", "k", OPS, last).unwrap();
        let error = stage.apply(THREE).unwrap_err();
        // Why it failed is told as ever.
        assert_eq!((error.code, error.retryable), (Code::Timeout, true));
        assert!(error.message.starts_with("a handler refused entry a:3: full"), "{error}");
        let expected = r#"[{"id":"a:2","message":"stuck"},{"id":"a:1","message":"gone"}]"#;
        assert_eq!(detail(&error, "undo").as_deref(), Some(expected));
        let asked = stage.log.take();
        let undos = asked.iter().skip_while(|line| !line.contains("undo"));
        assert_eq!(
            undos.collect::<Vec<_>>(),
            [
                "second: undo delete a:3=3",
                "first: undo delete a:3=3",
                "third: undo delete a:2=2",
                "second: undo delete a:2=2",
                "first: undo delete a:2=2",
                "third: undo delete a:1=1",
                "second: undo delete a:1=1",
                "first: undo delete a:1=1",
                "first: discard",
                "second: discard",
            ]
        );
        assert_eq!(state(&stage.registry), "");
    });
}

#[test]
fn details_tell_what_was_not_resolved_beside_what_was_not_undone() {
    let stage = Stage::direct();
    let answer = |line: &str| match line {
        "create a:2=2" => refusal(Code::NotFound, ""),
        line if line.starts_with("undo") => refusal(Code::Invalid, "no"),
        _ => Ok(()),
    };
    stage.on("h", "k", OPS, answer).unwrap();
    let error = stage.apply("create k a:1 1; create k a:2 2").unwrap_err();
    assert_eq!(error.code, Code::NotFound);
    assert_eq!(detail(&error, "ids").as_deref(), Some(r#"["a:2"]"#));
    assert_eq!(detail(&error, "undo").as_deref(), Some(r#"[{"id":"a:1","message":"no"}]"#));
}
