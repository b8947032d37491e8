//! What handlers may do, and what becomes of those that do not answer, go
//! away, or are shut down.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use crate::common::handlers::{
    ALL, OPS, REPLAY, Stage, Way, Worker, apply, detail, direct, entry, entry_with, failure,
    line_of, refusal, state, state_of, submit, wait_until,
};
use crate::common::{Scratch, int, options};
use acervo::database::Options;
use acervo::entries::{
    Handler, IdRef, Plain, Question, Queue, Registry, Responder, Response, Wants,
};
use acervo::error::{Code, Error};

/// Answers within this, or not.
fn short() -> Options {
    options(&[("handler_timeout_ms", int(40))])
}

/// A responder that keeps the questions for later.
fn keeping() -> (Arc<Mutex<Vec<Arc<Question>>>>, Responder) {
    let kept = Arc::<Mutex<Vec<Arc<Question>>>>::default();
    let questions = Arc::clone(&kept);
    let responder = Responder::Direct(Box::new(move |question| {
        questions.lock().unwrap().push(Arc::clone(question));
        Response::Pending
    }));
    (kept, responder)
}

fn on(registry: &Registry, wants: Wants, responder: Responder) -> Arc<Handler> {
    registry.on(b"k", wants, responder, &Plain::default()).unwrap()
}

#[test]
fn silence_is_a_timeout_and_an_answer_after_it_is_too_late() {
    let stage = Stage::new(Way::Direct, &short());
    stage.accept("before", "k", ALL);
    let (kept, responder) = keeping();
    let silent = on(&stage.registry, OPS, responder);
    let before = stage.facts();
    let error = stage.apply("create k a:x 1").unwrap_err();
    assert_eq!((error.code, error.retryable), (Code::Timeout, true));
    assert!(error.message.contains("handler_timeout_ms"), "{error}");
    assert_eq!(
        stage.log.take(),
        ["before: begin", "before: create a:x=1", "before: undo delete a:x=1", "before: discard"]
    );
    assert_eq!(stage.facts(), before);
    for answer in [Ok(()), refusal(Code::Invalid, "")] {
        let late = failure(kept.lock().unwrap()[0].answer(answer));
        assert_eq!(late.code, Code::Invalid);
        assert!(late.message.starts_with("too late"), "{late}");
    }
    // What it did not accept it is not to undo.
    assert_eq!(kept.lock().unwrap().len(), 1);
    silent.cancel();
    assert_eq!(stage.apply("create k a:x 1").unwrap(), 1);
}

#[test]
fn a_queue_that_nobody_serves_is_a_timeout_too_and_is_not_run_later() {
    let stage = Stage::new(Way::Direct, &short());
    let queue = Arc::<Queue>::default();
    on(&stage.registry, ALL, Responder::Queued(Arc::clone(&queue), 0));
    assert_eq!(stage.apply("create k a:x 1").unwrap_err().code, Code::Timeout);
    while let Some(item) = queue.pop() {
        item.run(|question| panic!("{} is run", line_of(question)));
    }
    assert_eq!(state(&stage.registry), "");
}

#[test]
fn silence_at_an_undo_is_recorded_as_not_undone() {
    let stage = Stage::new(Way::Direct, &short());
    let responder = Responder::Direct(Box::new(|question| match question.circumstances().undo {
        true => Response::Pending,
        false => Response::Accept,
    }));
    on(&stage.registry, OPS, responder);
    stage
        .on("h", "k", OPS, |line| match line {
            "create a:2=2" => refusal(Code::Conflict, ""),
            _ => Ok(()),
        })
        .unwrap();
    let error = stage.apply("create k a:1 1; create k a:2 2").unwrap_err();
    assert_eq!(error.code, Code::Conflict);
    let undo = detail(&error, "undo").unwrap();
    assert!(undo.contains(r#""id":"a:2""#) && undo.contains(r#""id":"a:1""#), "{undo}");
    assert!(undo.contains("no answer within 40 ms"), "{undo}");
}

#[test]
fn an_answer_may_come_from_any_thread_and_also_before_the_handler_has_returned() {
    let stage = Stage::direct();
    let (sender, receiver) = mpsc::channel::<Arc<Question>>();
    on(
        &stage.registry,
        ALL,
        Responder::Direct(Box::new(move |question| {
            let shared = Arc::clone(question);
            if question.step().op().is_some() {
                thread::spawn(move || shared.answer(Ok(())).unwrap()).join().unwrap();
            } else {
                sender.send(shared).unwrap();
            }
            Response::Pending
        })),
    );
    let answering = thread::spawn(move || {
        for question in receiver {
            question.answer(Ok(())).unwrap();
        }
    });
    assert_eq!(stage.apply("create k a:x 1").unwrap(), 1);
    drop(stage);
    answering.join().unwrap();
}

#[test]
fn a_handler_reads_the_state_before_the_transaction_by_every_way_of_reading() {
    Stage::each(&Options::default(), |stage| {
        stage.apply("create k a:x 1").unwrap();
        let registry = stage.registry.clone();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let answer = move |_: &str| {
            count.fetch_add(1, Ordering::Relaxed);
            let snapshot = registry.snapshot().unwrap();
            assert_eq!(state_of(snapshot.entries().iter()), "a:x=1");
            assert_eq!((snapshot.version(), registry.current_version().unwrap()), (1, 1));
            assert!(snapshot.get(IdRef::parse(b"a:y")).is_none());
            let filter = acervo::value::Value::from_json(br#"{"kind": "k"}"#).unwrap();
            assert_eq!(snapshot.find(filter.as_bytes(), None).unwrap().len(), 1);
            assert_eq!(state_of(registry.snapshot_at(1).unwrap().entries().iter()), "a:x=1");
            assert_eq!(registry.versions().unwrap().len(), 2);
            assert!(registry.dependents(IdRef::parse(b"a:x"), true).unwrap().is_empty());
            assert_eq!(registry.figures().unwrap().entries, 1);
            Ok(())
        };
        stage.on("h", "k", ALL, answer).unwrap();
        stage.apply("update k a:x 2; create k a:y 3").unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 4);
        assert_eq!(state(&stage.registry), "a:x=2 a:y=3");
    });
}

#[test]
fn a_write_of_entries_from_inside_is_refused_and_registry_and_store_are_free() {
    Stage::each(&Options::default(), |stage| {
        stage.apply("create k a:x 1").unwrap();
        let (registry, log) = (stage.registry.clone(), stage.log.clone());
        let keys = (stage.database.registry(), stage.database.global());
        let answer = move |_: &str| {
            let note = |error: Error| {
                assert_eq!(error.code, Code::Invalid);
                assert!(error.message.contains("apply inside a handler"), "{error}");
                log.add("refused");
            };
            note(apply(&registry, "create k a:z 1").unwrap_err());
            note(submit(&registry, "create k a:z 1", true).unwrap_err());
            note(failure(registry.apply_version(0)));
            note(failure(registry.prune(1)));
            note(failure(registry.load_state(&[], None, &Plain::default())));
            let accept = || direct(Box::new(|_| Ok(())));
            note(failure(registry.on(b"k", REPLAY, accept(), &Plain::default())));
            keys.0.put(b"r", int(1).as_bytes(), None).unwrap();
            keys.1.put(b"s", int(2).as_bytes(), None).unwrap();
            Ok(())
        };
        let handler = stage.on("h", "k", OPS, answer).unwrap();
        assert_eq!(stage.apply("create k a:y 2").unwrap(), 2);
        assert_eq!(
            stage.log.take(),
            ["h: create a:y=2"].into_iter().chain(["refused"; 6]).collect::<Vec<_>>()
        );
        assert_eq!(stage.database.registry().get(b"r").unwrap(), Some(int(1)));
        assert_eq!(stage.database.global().get(b"s").unwrap(), Some(int(2)));
        handler.cancel();
        // Outside it is allowed again, on the threads that ran it too.
        assert_eq!(stage.apply("create k a:z 3").unwrap(), 3);
    });
}

#[test]
fn a_handler_may_change_the_entries_of_another_database() {
    Stage::each(&Options::default(), |stage| {
        let other = Scratch::memory();
        let registry = other.entries().unwrap();
        let inner = registry.clone();
        let answer = move |_: &str| {
            apply(&inner, "create k b:x 1").unwrap();
            Ok(())
        };
        stage.on("h", "k", OPS, answer).unwrap();
        stage.apply("create k a:x 1").unwrap();
        assert_eq!((state(&stage.registry), state(&registry)), ("a:x=1".into(), "b:x=1".into()));
    });
}

#[test]
fn readers_do_not_wait_while_a_handler_runs() {
    let stage = Stage::direct();
    stage.apply("create k a:x 1").unwrap();
    let (running, go_on) = (mpsc::channel(), mpsc::channel::<()>());
    let receiver = Mutex::new(go_on.1);
    stage
        .on("h", "k", OPS, move |_| {
            running.0.send(()).unwrap();
            receiver.lock().unwrap().recv().unwrap();
            Ok(())
        })
        .unwrap();
    thread::scope(|scope| {
        let applying = scope.spawn(|| stage.apply("update k a:x 2").unwrap());
        running.1.recv().unwrap();
        // The transaction waits for this thread, which reads.
        assert_eq!(state(&stage.registry), "a:x=1");
        assert_eq!(stage.facts().versions.len(), 2);
        go_on.0.send(()).unwrap();
        assert_eq!(applying.join().unwrap(), 2);
    });
    assert_eq!(state(&stage.registry), "a:x=2");
}

#[test]
fn a_replay_is_a_create_for_each_matching_entry_dependencies_first() {
    Stage::each(&Options::default(), |stage| {
        let mut changes = stage.registry.snapshot().unwrap().changes();
        changes.create(entry_with("k", "a:1", 1, r#"{"depends_on": ["a:2"]}"#)).unwrap();
        changes.create(entry_with("k", "a:2", 2, r#"{"depends_on": ["a:3"]}"#)).unwrap();
        changes.create(entry("k", "a:3", 3)).unwrap();
        changes.create(entry("other", "a:4", 4)).unwrap();
        changes.create(entry("ns.definition", "a:5", 5)).unwrap();
        changes.apply().unwrap();
        let expected = ["h: create a:3=3", "h: create a:2=2", "h: create a:1=1"];
        let pattern = "(k|ns).**";
        stage.accept("h", pattern, Wants { replay: true, ..ALL });
        assert_eq!(stage.log.take(), expected);
        assert_eq!(stage.facts().head, 1);
        // Without asking for it there is none.
        stage.accept("quiet", pattern, ALL);
        assert_eq!(stage.log.take(), [""; 0]);
        // From now on both are asked alike.
        stage.apply("delete a:1").unwrap();
        let both = |line: &str| ["h", "quiet"].map(|name| format!("{name}: {line}"));
        assert_eq!(stage.log.take(), ["begin", "delete a:1=1", "commit"].map(both).concat());
    });
}

#[test]
fn a_replay_that_is_refused_is_undone_and_on_fails() {
    Stage::each(&Options::default(), |stage| {
        stage.apply("create k a:1 1; create k a:2 2; create k a:3 3").unwrap();
        let feed = stage.registry.events(100).unwrap();
        let answer = |line: &str| match line {
            "create a:3=3" => refusal(Code::RateLimited, "enough"),
            _ => Ok(()),
        };
        let error = failure(stage.on("h", "k", REPLAY, answer));
        assert_eq!((error.code, error.retryable), (Code::RateLimited, true));
        assert!(error.message.contains("a:3: enough"), "{error}");
        assert_eq!(
            stage.log.take(),
            [
                "h: create a:1=1",
                "h: create a:2=2",
                "h: create a:3=3",
                "h: undo delete a:2=2",
                "h: undo delete a:1=1"
            ]
        );
        // It is not registered.
        stage.apply("update k a:3 4").unwrap();
        assert_eq!(stage.log.take(), [""; 0]);
        // Nobody else was told of the replay.
        let first = feed.next(&Plain::default(), None).unwrap();
        assert_eq!((first.kind, first.version), ("registry.begin", 2));
    });
}

#[test]
fn a_replay_waits_for_what_defers_as_a_transaction_does() {
    Stage::each(&Options::default(), |stage| {
        stage.apply("create k a:1 1; create k a:2 2").unwrap();
        let is_there = AtomicBool::new(false);
        let answer = move |line: &str| match line {
            "create a:1=1" if !is_there.load(Ordering::Relaxed) => refusal(Code::NotFound, ""),
            _ => {
                is_there.store(true, Ordering::Relaxed);
                Ok(())
            }
        };
        stage.on("h", "k", REPLAY, answer).unwrap();
        assert_eq!(stage.log.take(), ["h: create a:1=1", "h: create a:2=2", "h: create a:1=1"]);
    });
}

#[test]
fn a_caller_that_waits_for_its_turn_or_an_answer_serves_its_own_queue() {
    /// Its handler runs on the thread that applies, wherever that waits.
    struct Serving(Arc<Queue>, crate::common::handlers::Log);
    impl acervo::entries::Caller for Serving {
        fn attention(&self) -> &acervo::entries::Attention {
            self.0.attention()
        }
        fn serve(&self) {
            while let Some(item) = self.0.pop() {
                item.run(|question| {
                    self.1.add(line_of(question));
                    Ok(())
                });
            }
        }
    }
    let stage = Stage::direct();
    let serving = Serving(Arc::default(), stage.log.clone());
    on(&stage.registry, OPS, Responder::Queued(Arc::clone(&serving.0), 0));
    let create = |id: &str| {
        let mut changes = stage.registry.snapshot().unwrap().changes();
        changes.create(entry("k", id, 1)).unwrap();
        changes
    };
    // Waiting for the answer.
    create("a:1").apply_with(&Default::default(), &serving).unwrap();
    assert_eq!(stage.log.take(), ["create a:1=1"]);
    // Waiting for the turn of another, who waits for its answer.
    thread::scope(|scope| {
        let other = scope.spawn(|| stage.apply("create k a:2 2").unwrap());
        wait_until(|| {
            serving.0.wait(None);
            true
        });
        create("a:3").apply_with(&Default::default(), &serving).unwrap();
        assert_eq!(other.join().unwrap(), 2);
    });
    assert_eq!(stage.log.take(), ["create a:2=2", "create a:3=1"]);
}

#[test]
fn a_handler_registered_or_cancelled_meanwhile_does_not_change_who_is_asked_now() {
    Stage::each(&Options::default(), |stage| {
        let (registry, log) = (stage.registry.clone(), stage.log.clone());
        let is_first = AtomicBool::new(true);
        let answer = move |_: &str| {
            if is_first.swap(false, Ordering::Relaxed) {
                let log = log.clone();
                let responder = direct(Box::new(move |question| {
                    log.add(format!("new: {}", line_of(question)));
                    Ok(())
                }));
                registry.on(b"k", ALL, responder, &Plain::default()).unwrap();
            }
            Ok(())
        };
        stage.on("h", "k", OPS, answer).unwrap();
        stage.apply("create k a:1 1; create k a:2 2").unwrap();
        assert_eq!(stage.log.take(), ["h: create a:1=1", "h: create a:2=2"]);
        stage.apply("create k a:3 3").unwrap();
        assert_eq!(
            stage.log.take(),
            ["new: begin", "h: create a:3=3", "new: create a:3=3", "new: commit"]
        );
    });
}

#[test]
fn a_queue_keeps_several_handlers_of_one_owner_apart() {
    let stage = Stage::direct();
    let worker = Worker::start();
    for name in ["one", "two"] {
        let log = stage.log.clone();
        let answer = move |question: &Question| {
            log.add(format!("{name}: {}", line_of(question)));
            Ok(())
        };
        on(&stage.registry, OPS, worker.responder(Box::new(answer)));
    }
    stage.apply("create k a:x 1").unwrap();
    assert_eq!(stage.log.take(), ["one: create a:x=1", "two: create a:x=1"]);
}
