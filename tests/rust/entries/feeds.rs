//! Feeds: what happens, as a stream.

use std::thread;
use std::time::{Duration, Instant};

use crate::common::Scratch;
use crate::common::handlers::{
    ALL, LONG, OPS, Stage, Way, apply, failure, line_of_op, refusal, state, submit,
};
use acervo::database::Options;
use acervo::entries::{Event, Feed, Plain, Registry};
use acervo::error::{Code, Error};
use acervo::value::Value;

fn next(feed: &Feed) -> Result<Event, Error> {
    feed.next(&Plain::default(), Some(Instant::now() + LONG)).map_err(Error::from)
}

/// `v1 begin`, `v1 create a:x=1`; with `foreign` in front where it is.
fn line(event: &Event) -> String {
    let what = match &event.op {
        Some(op) => {
            assert_eq!(event.kind, op.kind.name());
            line_of_op(op)
        }
        None => event.kind.trim_start_matches("registry.").to_owned(),
    };
    format!("{}v{} {what}", if event.foreign { "foreign " } else { "" }, event.version)
}

/// What there is now.
fn read(feed: &Feed) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        match feed.next(&Plain::default(), Some(Instant::now())) {
            Ok(event) => lines.push(line(&event)),
            Err(error) => {
                assert_eq!(Error::from(error).code, Code::Timeout);
                return lines;
            }
        }
    }
}

#[test]
fn it_gives_what_happened_in_order_with_the_version_that_is_made_or_moved_to() {
    Stage::each(&Options::default(), |stage| {
        stage.apply("create k a:1 1").unwrap();
        let feed = stage.registry.events(1000).unwrap();
        stage.accept("h", "k", ALL);
        stage.apply("create k a:2 2; update k a:1 3").unwrap();
        stage.apply("delete a:1").unwrap();
        stage.registry.apply_version(1).unwrap();
        assert_eq!(
            read(&feed),
            [
                "v2 begin",
                "v2 update a:1=1>3",
                "v2 create a:2=2",
                "v2 commit",
                "v3 begin",
                "v3 delete a:1=3",
                "v3 commit",
                "v1 begin",
                "v1 delete a:2=2",
                "v1 create a:1=1",
                "v1 commit"
            ]
        );
    });
}

#[test]
fn internal_kinds_are_told_too() {
    let stage = Stage::direct();
    let feed = stage.registry.events(10).unwrap();
    stage.apply("create ns.definition a:1 1").unwrap();
    assert_eq!(read(&feed), ["v1 begin", "v1 create a:1=1", "v1 commit"]);
}

#[test]
fn what_is_given_up_ends_with_a_discard() {
    Stage::each(&Options::default(), |stage| {
        let feed = stage.registry.events(100).unwrap();
        let refuses = |step: &'static str| {
            let answer = move |line: &str| match line == step {
                true => refusal(Code::Invalid, ""),
                false => Ok(()),
            };
            stage.on("h", "k", ALL, answer).unwrap()
        };
        for (step, told) in [
            ("begin", &["v1 begin", "v1 discard"][..]),
            ("create a:1=1", &["v1 begin", "v1 discard"]),
            ("create a:2=2", &["v1 begin", "v1 create a:1=1", "v1 discard"]),
            ("commit", &["v1 begin", "v1 create a:1=1", "v1 create a:2=2", "v1 discard"]),
        ] {
            let handler = refuses(step);
            assert!(stage.apply("create k a:1 1; create k a:2 2").is_err());
            assert_eq!(read(&feed), told);
            handler.cancel();
        }
    });
}

#[test]
fn it_tells_operations_in_the_order_in_which_they_were_accepted() {
    let stage = Stage::direct();
    let feed = stage.registry.events(100).unwrap();
    let is_second = std::sync::atomic::AtomicBool::new(false);
    let answer = move |line: &str| {
        let defers =
            line == "create a:1=1" && !is_second.swap(true, std::sync::atomic::Ordering::Relaxed);
        if defers { refusal(Code::NotFound, "") } else { Ok(()) }
    };
    stage.on("h", "k", OPS, answer).unwrap();
    stage.apply("create k a:1 1; create k a:2 2").unwrap();
    assert_eq!(read(&feed), ["v1 begin", "v1 create a:2=2", "v1 create a:1=1", "v1 commit"]);
}

#[test]
fn a_dry_run_is_not_told() {
    let stage = Stage::direct();
    let feed = stage.registry.events(100).unwrap();
    submit(&stage.registry, "create k a:1 1", true).unwrap();
    stage.on("h", "k", OPS, |_| refusal(Code::Invalid, "")).unwrap();
    submit(&stage.registry, "create k a:1 1", true).unwrap_err();
    assert_eq!(read(&feed), [""; 0]);
}

#[test]
fn it_begins_when_it_is_made_and_each_has_its_own_events() {
    let stage = Stage::direct();
    stage.apply("create k a:1 1").unwrap();
    let first = stage.registry.events(100).unwrap();
    stage.apply("create k a:2 2").unwrap();
    let second = stage.registry.events(100).unwrap();
    stage.apply("create k a:3 3").unwrap();
    assert_eq!(read(&first).len(), 6);
    assert_eq!(read(&second), ["v3 begin", "v3 create a:3=3", "v3 commit"]);
    drop(second);
    stage.apply("create k a:4 4").unwrap();
    assert_eq!(read(&first).len(), 3);
}

#[test]
fn what_is_told_can_be_seen() {
    let stage = Stage::direct();
    let feed = stage.registry.events(100).unwrap();
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            for version in 1..=200 {
                // No half of a transaction, and nothing before it counts.
                for kind in ["registry.begin", "entry.create", "registry.commit"] {
                    let event = next(&feed).unwrap();
                    assert_eq!((event.kind, event.version), (kind, version));
                    assert!(stage.registry.current_version().unwrap() >= version);
                    assert!(stage.registry.snapshot_at(version).is_ok());
                }
            }
        });
        for number in 1..=200 {
            stage.apply(&format!("create k a:{number} {number}")).unwrap();
            if number % 10 == 0 {
                // It has room for a hundred.
                let version = stage.registry.current_version().unwrap();
                assert_eq!(version, number);
                crate::common::handlers::wait_until(|| is_drained(&feed));
            }
        }
        reading.join().unwrap();
    });
}

/// Whether poll(2) says that there is nothing.
fn is_drained(feed: &Feed) -> bool {
    !is_readable(feed)
}

fn is_readable(feed: &Feed) -> bool {
    let mut poll = libc::pollfd { fd: feed.fd().unwrap(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd, which lives through the call.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    assert!(ready >= 0);
    ready == 1
}

#[test]
fn what_does_not_fit_is_one_gap_with_the_version_current_when_it_is_read() {
    let stage = Stage::direct();
    let feed = stage.registry.events(4).unwrap();
    stage.apply("create k a:1 1").unwrap();
    // One event of it would fit.
    stage.apply("create k a:2 2").unwrap();
    stage.apply("create k a:3 3").unwrap();
    assert_eq!(read(&feed), ["v1 begin", "v1 create a:1=1", "v1 commit", "v3 gap"]);
    // From then on it goes on.
    stage.apply("create k a:4 4").unwrap();
    assert_eq!(read(&feed), ["v4 begin", "v4 create a:4=4", "v4 commit"]);
    // More than there is room for at all.
    stage.apply("delete a:1; delete a:2; delete a:3").unwrap();
    stage.registry.apply_version(2).unwrap();
    assert_eq!(read(&feed), ["v2 gap"]);
    assert_eq!(read(&feed), [""; 0]);
}

#[test]
fn a_full_feed_never_holds_up_an_apply() {
    let stage = Stage::direct();
    let feeds: Vec<Feed> = [0, 1, 2].map(|room| stage.registry.events(room).unwrap()).into();
    for number in 1..=50 {
        stage.apply(&format!("create k a:{number} 1")).unwrap();
    }
    for feed in &feeds {
        assert_eq!(read(feed), ["v50 gap"]);
    }
}

#[test]
fn next_waits_for_an_event_and_gives_up_at_its_deadline() {
    let stage = Stage::direct();
    let feed = stage.registry.events(100).unwrap();
    for wait in [Duration::ZERO, Duration::from_millis(5)] {
        let began = Instant::now();
        let error = failure(feed.next(&Plain::default(), Some(began + wait)));
        assert_eq!((error.code, error.retryable), (Code::Timeout, true));
        assert!(began.elapsed() >= wait);
    }
    thread::scope(|scope| {
        let waiting = scope.spawn(|| feed.next(&Plain::default(), None).unwrap().kind);
        stage.apply("create k a:1 1").unwrap();
        assert_eq!(waiting.join().unwrap(), "registry.begin");
    });
}

#[test]
fn each_event_goes_to_one_of_several_readers() {
    let stage = Stage::direct();
    let feed = stage.registry.events(10_000).unwrap();
    let rounds = 300;
    thread::scope(|scope| {
        let read = || {
            let mut count = 0;
            while let Ok(event) = feed.next(&Plain::default(), None) {
                assert_ne!(event.kind, "gap");
                count += 1;
            }
            count
        };
        let readers = [scope.spawn(read), scope.spawn(read), scope.spawn(read)];
        for number in 0..rounds {
            stage.apply(&format!("create k a:{number} 1")).unwrap();
        }
        crate::common::handlers::wait_until(|| is_drained(&feed));
        stage.database.close().unwrap();
        let count: usize = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        assert_eq!(count, rounds * 3);
    });
}

#[test]
fn its_descriptor_is_readable_while_there_are_events() {
    let stage = Stage::direct();
    let feed = stage.registry.events(4).unwrap();
    stage.apply("create k a:1 1").unwrap();
    // Also if it is asked for behind the events.
    assert!(is_readable(&feed));
    for _ in 0..3 {
        assert!(is_readable(&feed));
        next(&feed).unwrap();
    }
    assert!(!is_readable(&feed));
    stage.apply("create k a:2 2").unwrap();
    stage.apply("create k a:3 3").unwrap();
    for _ in 0..4 {
        assert!(is_readable(&feed));
        next(&feed).unwrap();
    }
    assert!(!is_readable(&feed));
    assert_eq!(feed.fd().unwrap(), feed.fd().unwrap());
    stage.database.close().unwrap();
    assert!(is_readable(&feed), "its end is something to read");
}

#[test]
fn it_ends_when_the_database_is_closed_behind_what_was_told() {
    let stage = Stage::direct();
    let feed = stage.registry.events(100).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| feed.next(&Plain::default(), None));
        stage.database.close().unwrap();
        let error = failure(waiting.join().unwrap());
        assert_eq!((error.code, error.message.as_str()), (Code::Internal, "database is closed"));
    });
    let stage = Stage::direct();
    let feed = stage.registry.events(100).unwrap();
    stage.apply("create k a:1 1").unwrap();
    stage.database.close().unwrap();
    for kind in ["registry.begin", "entry.create", "registry.commit"] {
        assert_eq!(next(&feed).unwrap().kind, kind);
    }
    assert_eq!(next(&feed).unwrap_err().code, Code::Internal);
    assert_eq!(failure(stage.registry.events(1)).code, Code::Internal);
}

#[test]
fn an_event_as_a_map_says_no_more_than_there_is() {
    let stage = Stage::direct();
    let feed = stage.registry.events(100).unwrap();
    stage.apply("create k a:1 1").unwrap();
    stage.apply("update k a:1 2").unwrap();
    let maps: Vec<String> = (0..6)
        .map(|_| {
            let mut out = Vec::new();
            next(&feed).unwrap().append_map(&mut out);
            Value::from_canonical(&out).to_json().unwrap()
        })
        .collect();
    let keys = |map: &str, key: &str| map.contains(&format!("\"{key}\":"));
    assert_eq!(maps[0], r#"{"kind":"registry.begin","version":1}"#);
    assert!(keys(&maps[1], "entry") && !keys(&maps[1], "original"), "{}", maps[1]);
    assert!(keys(&maps[4], "entry") && keys(&maps[4], "original"), "{}", maps[4]);
    assert!(maps.iter().all(|map| !keys(map, "foreign")));
}

#[test]
fn it_tells_what_happens_through_another_handle_as_its_own() {
    let scratch = Scratch::new();
    let stage = Stage::on_database(scratch.open(), Way::Direct);
    let feed = stage.registry.events(100).unwrap();
    let other: Registry = scratch.open().entries().unwrap();
    apply(&other, "create k a:1 1").unwrap();
    assert_eq!(read(&feed), ["v1 begin", "v1 create a:1=1", "v1 commit"]);
    assert_eq!(state(&other), "a:1=1");
}
