//! Transactions of several processes on one file: turns, what is foreign,
//! writes that fail, and processes that die in the middle.

mod common;

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use acervo::database::{Database, Options};
use acervo::entries::{Feed, Plain, Wants};
use acervo::error::Code;
use common::handlers::{
    ALL, Facts, LONG, Log, OPS, REPLAY, Stage, Way, apply, facts, line_of, line_of_op, refusal,
    state, wait_until,
};
use common::other::{Other, role, serve};
use common::{Scratch, int, options, text};

fn settings() -> Options {
    options(&[("durability", text("normal"))])
}

fn open(scratch: &Scratch) -> Database {
    scratch.open_with(&settings())
}

/// From here on every write to a file fails, or again none does.
fn let_writes_fail(fail: bool) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a signal disposition, and a limit that lives through the calls.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit), 0);
        limit.rlim_cur = if fail { 0 } else { limit.rlim_max };
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
    }
}

#[test]
fn the_other_process() {
    let Some(path) = role() else { return };
    let database = Database::open(path.as_os_str().as_bytes(), &settings()).unwrap();
    let stage = Stage::on_database(database, Way::Direct);
    let code = |result: Result<u64, acervo::error::Error>| match result {
        Ok(version) => format!("v{version}"),
        Err(error) => format!("{:?} {}", error.code, error.retryable),
    };
    serve(|words| match words {
        ["apply", changes @ ..] => code(stage.apply(&changes.join(" "))),
        ["go", version] => {
            let version = version.parse().unwrap();
            code(stage.registry.apply_version(version).map(|()| version).map_err(Into::into))
        }
        ["accept", name, pattern] => {
            stage.accept(name, pattern, ALL);
            "done".to_owned()
        }
        // Accepts with an answer that comes late, and keeps a mixed company.
        ["mixed"] => {
            for _ in 0..3 {
                let responder = stage.responder_by(Way::Mixed, Box::new(|_| Ok(())));
                stage.registry.on(b"**", ALL, responder, &Plain::default()).unwrap();
            }
            "done".to_owned()
        }
        // Stops for good where the handler sees this.
        ["stop-at", line @ ..] => {
            let line = line.join(" ");
            stage
                .on("stops", "**", ALL, move |seen| {
                    if seen == line {
                        let mut out = std::io::stdout();
                        writeln!(out, "\nanswer: stopped").unwrap();
                        out.flush().unwrap();
                        thread::sleep(LONG * 10);
                    }
                    Ok(())
                })
                .unwrap();
            "done".to_owned()
        }
        ["refuse", line @ ..] => {
            let line = line.join(" ");
            let answer =
                move |seen: &str| if seen == line { refusal(Code::Invalid, "") } else { Ok(()) };
            stage.on("refuses", "**", ALL, answer).unwrap();
            "done".to_owned()
        }
        ["fail-writes", fail] => {
            let_writes_fail(*fail == "true");
            "done".to_owned()
        }
        ["log"] => stage.log.take().join(", "),
        ["state"] => state(&stage.registry),
        ["facts"] => format!("{:?}", stage.facts()),
        // Makes pairs until it is killed.
        ["spin"] => {
            for number in 0.. {
                let verb = if number == 0 { "create" } else { "update" };
                let change = format!("{verb} k a:x {number}; {verb} k a:y {number}");
                stage.apply(&change).unwrap();
                if number == 3 {
                    let mut out = std::io::stdout();
                    std::io::Write::write_all(&mut out, b"\nanswer: spinning\n").unwrap();
                }
            }
            unreachable!()
        }
        ["work", name, rounds] => {
            for round in 0..rounds.parse::<u64>().unwrap() {
                stage.apply(&format!("create k {name}:{round} 1")).unwrap();
            }
            "done".to_owned()
        }
        _ => panic!("{words:?}"),
    });
}

#[test]
fn when_the_history_cannot_be_written_everything_is_undone() {
    let scratch = Scratch::new();
    let mut other = Other::start(&scratch);
    assert_eq!(other.ask("apply create k a:1 1; create k a:2 2"), "v1");
    assert_eq!(other.ask("apply update k a:1 10"), "v2");
    other.ask("accept h k");
    other.ask("accept g other");
    let before = other.ask("facts");
    for (change, asked, undone) in [
        (
            "apply update k a:1 11; delete a:2; create k a:3 3",
            "h: delete a:2=2, h: update a:1=10>11, h: create a:3=3",
            "h: undo delete a:3=3, h: undo update a:1=11>10, h: undo create a:2=2",
        ),
        ("go 1", "h: update a:1=10>1", "h: undo update a:1=1>10"),
    ] {
        other.ask("fail-writes true");
        assert_eq!(other.ask(change), "Unavailable true");
        other.ask("fail-writes false");
        assert_eq!(
            other.ask("log"),
            format!(
                "h: begin, g: begin, {asked}, h: commit, g: commit, {undone}, h: discard, g: discard"
            )
        );
        assert_eq!(other.ask("facts"), before);
    }
    // No number was used up.
    assert_eq!(other.ask("apply create k a:4 4"), "v3");
    let database = open(&scratch);
    assert_eq!(state(&database.entries().unwrap()), "a:1=10 a:2=2 a:4=4");
}

#[test]
fn a_process_that_dies_at_any_step_leaves_the_old_version_and_its_turn() {
    for step in ["begin", "create a:1=1", "create a:2=2", "commit", "undo delete a:1=1", "discard"]
    {
        let scratch = Scratch::new();
        let database = open(&scratch);
        let registry = database.entries().unwrap();
        apply(&registry, "create k a:0 0").unwrap();
        let mut other = Other::start(&scratch);
        if matches!(step, "undo delete a:1=1" | "discard") {
            other.ask("refuse create a:2=2");
        }
        other.ask(&format!("stop-at {step}"));
        other.say("apply create k a:1 1; create k a:2 2");
        assert_eq!(other.hear(), "stopped");
        assert_eq!(state(&registry), "a:0=0");
        other.kill();
        let versions = vec![(0, None), (1, Some(0))];
        let before = Facts { state: "a:0=0".into(), head: 1, versions };
        assert_eq!(facts(&registry), before, "{step}");
        assert_eq!(apply(&registry, "create k a:3 3").unwrap(), 2);
        database.close().unwrap();
        let database = open(&scratch);
        assert_eq!(state(&database.entries().unwrap()), "a:0=0 a:3=3");
    }
}

#[test]
fn a_process_killed_whenever_leaves_a_whole_version() {
    for round in 0..12 {
        let scratch = Scratch::new();
        let mut other = Other::start(&scratch);
        other.ask("mixed");
        assert_eq!(other.ask("spin"), "spinning");
        thread::sleep(Duration::from_micros(337 * round));
        other.kill();
        let database = open(&scratch);
        let registry = database.entries().unwrap();
        let Facts { state, head, versions } = facts(&registry);
        let number = head - 1;
        assert_eq!(state, format!("a:x={number} a:y={number}"));
        assert_eq!(versions.len() as u64, head + 1);
        assert_eq!(apply(&registry, "create k a:z 1").unwrap(), head + 1);
    }
}

#[test]
fn the_turn_is_waited_for_as_long_as_busy_timeout_says_and_the_store_does_not_wait() {
    let scratch = Scratch::new();
    let mut other = Other::start(&scratch);
    other.ask("stop-at create a:1=1");
    let options = options(&[("durability", text("normal")), ("busy_timeout_ms", int(30))]);
    let database = scratch.open_with(&options);
    let registry = database.entries().unwrap();
    other.say("apply create k a:1 1");
    assert_eq!(other.hear(), "stopped");
    let error = apply(&registry, "create k a:2 2").unwrap_err();
    assert_eq!((error.code, error.retryable), (Code::Unavailable, true));
    // SQLite's lock is not held meanwhile.
    database.global().put(b"key", int(1).as_bytes(), None).unwrap();
    database.flush().unwrap();
    assert_eq!(state(&registry), "");
    other.kill();
    assert_eq!(apply(&registry, "create k a:2 2").unwrap(), 1);
}

fn read_lines(feed: &Feed, count: usize) -> Vec<String> {
    (0..count)
        .map(|_| {
            let event = feed.next(&Plain::default(), Some(Instant::now() + LONG)).unwrap();
            let what = event.op.as_ref().map_or(event.kind.to_owned(), line_of_op);
            let foreign = if event.foreign { "foreign " } else { "" };
            format!("{foreign}v{} {what}", event.version)
        })
        .collect()
}

#[test]
fn versions_of_another_process_are_facts_that_feeds_report_and_replay_handlers_are_told() {
    for way in [Way::Direct, Way::Late, Way::Queued] {
        let scratch = Scratch::new();
        let stage = Stage::on_database(open(&scratch), way);
        let feed = stage.registry.events(1000).unwrap();
        let wants = Wants { replay: true, ..ALL };
        // A refusal changes nothing.
        let refuses = |line: &str| match line.starts_with("foreign") {
            true => refusal(Code::Invalid, "too late for that"),
            false => Ok(()),
        };
        stage.on("told", "k", wants, refuses).unwrap();
        stage.accept("asked", "k", ALL);
        let mut other = Other::start(&scratch);
        assert_eq!(other.ask("apply create k a:1 1; create j a:2 2"), "v1");
        // Noticed without doing anything here.
        stage.log.wait_for(1);
        assert_eq!(stage.log.take(), ["told: foreign create a:1=1"]);
        assert_eq!(other.ask("apply update k a:1 3; create ns.definition a:3 3"), "v2");
        assert_eq!(
            read_lines(&feed, 8),
            [
                "foreign v1 registry.begin",
                "foreign v1 create a:1=1",
                "foreign v1 create a:2=2",
                "foreign v1 registry.commit",
                "foreign v2 registry.begin",
                "foreign v2 update a:1=1>3",
                // Internal kinds are told to feeds, and to no handler.
                "foreign v2 create a:3=3",
                "foreign v2 registry.commit",
            ]
        );
        stage.log.wait_for(1);
        assert_eq!(stage.log.take(), ["told: foreign update a:1=1>3"]);
        assert_eq!(other.ask("go 1"), "v1");
        assert_eq!(
            read_lines(&feed, 4),
            [
                "foreign v1 registry.begin",
                "foreign v1 delete a:3=3",
                "foreign v1 update a:1=3>1",
                "foreign v1 registry.commit"
            ]
        );
        assert_eq!(state(&stage.registry), "a:1=1 a:2=2");
        stage.log.wait_for(1);
        assert_eq!(stage.log.take(), ["told: foreign update a:1=3>1"]);
    }
}

#[test]
fn what_is_foreign_is_told_in_its_order_with_own_transactions() {
    for way in [Way::Direct, Way::Late, Way::Queued] {
        let scratch = Scratch::new();
        let stage = Stage::on_database(open(&scratch), way);
        stage.accept("h", "k", REPLAY);
        let feed = stage.registry.events(1000).unwrap();
        let mut other = Other::start(&scratch);
        let (mut lines, mut told) = (Vec::new(), Vec::new());
        for number in (1..40).step_by(2) {
            let foreign = format!("apply create k a:{number} {number}");
            assert_eq!(other.ask(&foreign), format!("v{number}"));
            let next = number + 1;
            assert_eq!(stage.apply(&format!("create k a:{next} {next}")).unwrap(), next);
            lines.push(format!("h: foreign create a:{number}={number}"));
            lines.push(format!("h: create a:{next}={next}"));
            for (version, foreign) in [(number, "foreign "), (next, "")] {
                for what in ["registry.begin", "create", "registry.commit"] {
                    let what = match what {
                        "create" => format!("create a:{version}={version}"),
                        what => what.to_owned(),
                    };
                    told.push(format!("{foreign}v{version} {what}"));
                }
            }
        }
        assert_eq!(stage.log.take(), lines);
        assert_eq!(read_lines(&feed, told.len()), told);
    }
}

#[test]
fn two_processes_with_handlers_that_answer_late_make_linear_versions() {
    const ROUNDS: u64 = 120;
    let scratch = Scratch::new();
    let stage = Stage::on_database(open(&scratch), Way::Mixed);
    let mut other = Other::start(&scratch);
    other.ask("mixed");
    let logs: Vec<Log> = (0..3)
        .map(|_| {
            let log = Log::default();
            let own = log.clone();
            let responder = stage.responder(Box::new(move |question| {
                own.add(line_of(question).trim_start_matches("foreign ").to_owned());
                Ok(())
            }));
            stage.registry.on(b"**", REPLAY, responder, &Plain::default()).unwrap();
            log
        })
        .collect();
    other.say(&format!("work b {ROUNDS}"));
    thread::scope(|scope| {
        for name in ["c", "d"] {
            let stage = &stage;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    stage.apply(&format!("create k {name}:{round} 1")).unwrap();
                }
            });
        }
    });
    assert_eq!(other.hear(), "done");
    let all = 3 * ROUNDS;
    let facts = stage.facts();
    assert_eq!((facts.head, facts.versions.len() as u64), (all, all + 1));
    for (version, parent) in &facts.versions[1..] {
        assert_eq!(*parent, Some(version - 1));
    }
    let mut entries: Vec<String> = facts.state.split(' ').map(str::to_owned).collect();
    entries.sort();
    let first = {
        logs[0].wait_for(all as usize);
        logs[0].take()
    };
    for log in &logs[1..] {
        log.wait_for(all as usize);
        // All saw all of it, in the same order.
        assert_eq!(log.take(), first);
    }
    let mut seen: Vec<String> =
        first.iter().map(|line| line.trim_start_matches("create ").to_owned()).collect();
    seen.sort();
    assert_eq!(seen, entries);
}

#[test]
fn a_handler_may_close_the_database_when_it_is_told_what_is_foreign() {
    for way in [Way::Direct, Way::Late, Way::Queued] {
        let scratch = Scratch::new();
        // The handlers live on the stage of another database.
        let stage = Stage::new(way, &Options::default());
        let database = open(&scratch);
        let registry = database.entries().unwrap();
        let (database, is_closed) = (Mutex::new(Some(database)), Arc::new(AtomicBool::new(false)));
        let (closes, held) = (Arc::clone(&is_closed), Arc::new(()));
        let holds = Arc::clone(&held);
        let responder = stage.responder(Box::new(move |_| {
            let _holds = &holds;
            if let Some(database) = database.lock().unwrap().take() {
                database.close().unwrap();
                closes.store(true, Ordering::Release);
            }
            Ok(())
        }));
        registry.on(b"k", REPLAY, responder, &Plain::default()).unwrap();
        let mut other = Other::start(&scratch);
        assert_eq!(other.ask("apply create k a:1 1"), "v1");
        wait_until(|| is_closed.load(Ordering::Acquire));
        assert_eq!(apply(&registry, "create k a:2 2").unwrap_err().code, Code::Internal);
        // The handler was let go: nothing is left open.
        let kept = if way == Way::Queued { 2 } else { 1 };
        wait_until(|| Arc::strong_count(&held) == kept);
        let database = open(&scratch);
        assert_eq!(state(&database.entries().unwrap()), "a:1=1");
    }
}

#[test]
fn operations_only_handlers_hear_nothing_of_other_processes() {
    let scratch = Scratch::new();
    let stage = Stage::on_database(open(&scratch), Way::Direct);
    stage.accept("h", "k", OPS);
    let mut other = Other::start(&scratch);
    assert_eq!(other.ask("apply create k a:1 1"), "v1");
    assert_eq!(state(&stage.registry), "a:1=1");
    stage.apply("update k a:1 2").unwrap();
    assert_eq!(stage.log.take(), ["h: update a:1=1>2"]);
}
