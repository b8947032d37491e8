//! Handlers that go away in the middle: cancelled, their queue closed, or the
//! database.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;

use crate::common::handlers::{ALL, OPS, Stage, Way, apply, line_of, refusal, state, wait_until};
use crate::common::{Scratch, options};
use acervo::database::{Database, Options};
use acervo::entries::{
    EntryError, Handler, Plain, Question, Queue, Registry, Responder, Response, Wants,
};
use acervo::error::{Code, Error};

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
fn what_a_cancelled_handler_has_not_answered_counts_as_accepted() {
    let stage = Stage::direct();
    let (kept, responder) = keeping();
    let silent = on(&stage.registry, ALL, responder);
    stage.accept("h", "k", OPS);
    thread::scope(|scope| {
        let applying = scope.spawn(|| stage.apply("create k a:x 1"));
        wait_until(|| !kept.lock().unwrap().is_empty());
        silent.cancel();
        assert_eq!(applying.join().unwrap().unwrap(), 1);
    });
    // Only the begin was asked; the other is asked all the same.
    assert_eq!(kept.lock().unwrap().len(), 1);
    assert_eq!(stage.log.take(), ["h: create a:x=1"]);
    assert!(matches!(kept.lock().unwrap()[0].answer(Ok(())), Err(EntryError::TooLate)));
    assert_eq!(stage.apply("create k a:y 1").unwrap(), 2);
    assert_eq!(kept.lock().unwrap().len(), 1);
}

#[test]
fn a_handler_cancelled_in_the_queue_or_by_its_closing_refuses_nothing_and_is_not_run() {
    for closes in [false, true] {
        let stage = Stage::direct();
        let queue = Arc::<Queue>::default();
        let handler = on(&stage.registry, ALL, Responder::Queued(Arc::clone(&queue), 7));
        thread::scope(|scope| {
            let applying = scope.spawn(|| stage.apply("create k a:x 1"));
            let item = loop {
                queue.wait(None);
                if let Some(item) = queue.pop() {
                    break item;
                }
            };
            assert_eq!(item.key(), 7);
            if closes {
                queue.close();
            } else {
                handler.cancel();
            }
            item.run(|question| panic!("{} is run", line_of(question)));
            assert_eq!(applying.join().unwrap().unwrap(), 1);
        });
        assert!(queue.pop().is_none());
    }
}

#[test]
fn what_is_still_in_a_queue_that_is_closed_refuses_nothing() {
    let stage = Stage::direct();
    let queue = Arc::<Queue>::default();
    on(&stage.registry, ALL, Responder::Queued(Arc::clone(&queue), 0));
    thread::scope(|scope| {
        let applying = scope.spawn(|| stage.apply("create k a:x 1"));
        queue.wait(None);
        queue.close();
        assert_eq!(applying.join().unwrap().unwrap(), 1);
    });
}

#[test]
fn a_handler_whose_queue_is_closed_counts_for_nothing() {
    let required = acervo::value::Value::from_json(b"true").unwrap();
    let stage = Stage::new(Way::Direct, &options(&[("require_handler", required)]));
    let queue = Arc::<Queue>::default();
    queue.close();
    on(&stage.registry, OPS, Responder::Queued(Arc::clone(&queue), 0));
    // Nobody is there to be asked, as if it had never been registered.
    assert_eq!(stage.apply("create k a:x 1").unwrap_err().code, Code::NotFound);
}

#[test]
fn a_handler_may_cancel_itself_and_others_while_it_runs() {
    Stage::each(&Options::default(), |stage| {
        let own = Arc::<OnceLock<Arc<Handler>>>::default();
        let next = Arc::<OnceLock<Arc<Handler>>>::default();
        let (first, second) = (Arc::clone(&own), Arc::clone(&next));
        let answer = move |line: &str| {
            if line == "create a:1=1" {
                second.get().unwrap().cancel();
                first.get().unwrap().cancel();
            }
            Ok(())
        };
        let handler = stage.on("h", "k", ALL, answer).unwrap();
        own.set(handler).unwrap_or_else(|_| panic!());
        let handler = stage.accept("next", "k", ALL);
        next.set(handler).unwrap_or_else(|_| panic!());
        stage
            .on("last", "k", OPS, |line| match line {
                "create a:2=2" => refusal(Code::Invalid, ""),
                _ => Ok(()),
            })
            .unwrap();
        // Neither is asked, nor has to undo anything, any more.
        assert!(stage.apply("create k a:1 1; create k a:2 2").is_err());
        assert_eq!(
            stage.log.take(),
            [
                "h: begin",
                "next: begin",
                "h: create a:1=1",
                "last: create a:1=1",
                "last: create a:2=2",
                "last: undo delete a:1=1"
            ]
        );
    });
}

#[test]
fn cancel_waits_until_the_handler_has_returned_and_lets_go_what_it_holds() {
    let stage = Stage::direct();
    let (running, go_on) = (mpsc::channel(), mpsc::channel::<()>());
    let receiver = Mutex::new(go_on.1);
    let held = Arc::new(());
    let (holds, has_returned) = (Arc::clone(&held), Arc::new(AtomicBool::new(false)));
    let returns = Arc::clone(&has_returned);
    let handler = stage
        .on("h", "k", OPS, move |_| {
            let _holds = &holds;
            running.0.send(()).unwrap();
            receiver.lock().unwrap().recv().unwrap();
            returns.store(true, Ordering::SeqCst);
            Ok(())
        })
        .unwrap();
    thread::scope(|scope| {
        let applying = scope.spawn(|| stage.apply("create k a:x 1").unwrap());
        running.1.recv().unwrap();
        let cancelling = scope.spawn(|| {
            handler.cancel();
            assert!(has_returned.load(Ordering::SeqCst));
        });
        // Not proof that it waits, but it fails if it mostly does not.
        thread::sleep(std::time::Duration::from_millis(20));
        go_on.0.send(()).unwrap();
        cancelling.join().unwrap();
        applying.join().unwrap();
    });
    wait_until(|| Arc::strong_count(&held) == 1);
}

/// A registry in a file, and what opens it again.
fn in_file(way: Way) -> (Scratch, Stage) {
    let scratch = Scratch::new();
    let stage = Stage::on_database(scratch.open(), way);
    stage.apply("create k a:x 1").unwrap();
    (scratch, stage)
}

fn reopened(scratch: &Scratch) -> String {
    let database: Database = scratch.open();
    let registry = database.entries().unwrap();
    format!("v{} {}", registry.current_version().unwrap(), state(&registry))
}

#[test]
fn a_transaction_under_way_is_given_up_when_the_database_is_closed() {
    let (scratch, stage) = in_file(Way::Direct);
    stage.accept("before", "k", ALL);
    let (kept, responder) = keeping();
    on(&stage.registry, OPS, responder);
    thread::scope(|scope| {
        let applying = scope.spawn(|| stage.apply("create k a:y 2").unwrap_err());
        wait_until(|| !kept.lock().unwrap().is_empty());
        stage.database.close().unwrap();
        // Closed means that it has ended.
        assert_eq!(
            stage.log.take(),
            [
                "before: begin",
                "before: create a:y=2",
                "before: undo delete a:y=2",
                "before: discard"
            ]
        );
        let error = applying.join().unwrap();
        assert_eq!(error.code, Code::Internal);
        assert!(error.message.contains("closed"), "{error}");
    });
    assert_eq!(stage.apply("create k a:z 1").unwrap_err().code, Code::Internal);
    assert_eq!(reopened(&scratch), "v1 a:x=1");
}

#[test]
fn a_handler_may_close_the_database_which_ends_the_transaction() {
    for step in ["begin", "create a:y=2", "commit"] {
        for way in [Way::Direct, Way::Late, Way::Queued] {
            let (scratch, stage) = in_file(way);
            let feed = stage.registry.events(100).unwrap();
            stage.accept("before", "k", ALL);
            let database = Mutex::new(Some(scratch.open()));
            stage.database.close().unwrap();
            let registry = database.lock().unwrap().as_ref().unwrap().entries().unwrap();
            let answer = move |line: &str| {
                if line == step
                    && let Some(database) = database.lock().unwrap().take()
                {
                    database.close().unwrap();
                }
                Ok(())
            };
            let log = stage.log.clone();
            let closing = stage.responder(Box::new(move |question| {
                let line = line_of(question);
                log.add(format!("closing: {line}"));
                answer(&line)
            }));
            registry.on(b"k", ALL, closing, &Plain::default()).unwrap();
            let error = apply(&registry, "create k a:y 2").unwrap_err();
            assert_eq!(error.code, Code::Internal, "{way:?} {step} {error}");
            assert!(error.message.contains("closed"), "{error}");
            let seen = stage.log.take();
            // A queue may be its owner's who closes: it is not waited for then.
            if way == Way::Direct {
                let has = |line: &str| seen.iter().any(|it| it == line);
                assert!(has("before: create a:y=2"), "{seen:?}");
                assert!(has("before: undo delete a:y=2") && has("before: discard"), "{seen:?}");
            }
            let mut told = Vec::new();
            let end = loop {
                match feed.next(&Plain::default(), None) {
                    Ok(event) => told.push(event.kind),
                    Err(end) => break Error::from(end),
                }
            };
            assert_eq!(end.code, Code::Internal);
            assert_eq!(told.last(), Some(&"registry.discard"));
            assert_eq!(apply(&registry, "create k a:z 1").unwrap_err().code, Code::Internal);
            assert_eq!(reopened(&scratch), "v1 a:x=1");
        }
    }
}
