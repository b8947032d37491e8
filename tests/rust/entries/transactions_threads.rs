//! Many threads that apply, read, and answer late.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::common::handlers::{
    ALL, Answer, REPLAY, Stage, Way, entry, number, refusal, state, wait_until,
};
use acervo::database::Options;
use acervo::entries::{
    Attention, Caller, OpKind, Plain, Question, Queue, Rejection, Responder, Wants,
};
use acervo::error::Code;

/// What a handler has accepted and not undone.
#[derive(Default)]
struct World {
    entries: Mutex<BTreeMap<String, String>>,
    transactions: AtomicUsize,
    undone: AtomicUsize,
}

impl World {
    /// Takes an operation over, which has to fit.
    fn take(&self, question: &Question) {
        let Some(op) = question.step().op() else { return };
        let mut entries = self.entries.lock().unwrap();
        let (id, now) = (op.id().to_string(), number(&op.entry));
        let before = match op.kind {
            OpKind::Create | OpKind::Update => entries.insert(id, now),
            OpKind::Delete => entries.remove(&id),
        };
        assert_eq!(before, op.original.as_ref().map(number), "{op:?}");
        if question.circumstances().undo {
            self.undone.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Refuses about every `nth` question, and takes what it accepts.
    fn answer(self: &Arc<Self>, nth: usize) -> Answer {
        let (world, asked) = (Arc::clone(self), AtomicUsize::new(1));
        Box::new(move |question: &Question| -> Result<(), Rejection> {
            let is_refused = !question.circumstances().undo
                && question.step().name() != "registry.discard"
                && asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(nth);
            if is_refused {
                return refusal(Code::Conflict, "not now");
            }
            if question.step().name() == "registry.begin" {
                world.transactions.fetch_add(1, Ordering::Relaxed);
            }
            if asked.load(Ordering::Relaxed).is_multiple_of(3) {
                thread::yield_now();
            }
            world.take(question);
            Ok(())
        })
    }

    fn text(&self) -> String {
        let entries = self.entries.lock().unwrap();
        let entries: Vec<String> = entries.iter().map(|(id, it)| format!("{id}={it}")).collect();
        entries.join(" ")
    }
}

/// Serves its own queue wherever it waits.
struct Serving {
    queue: Arc<Queue>,
    answer: Answer,
}

impl Caller for Serving {
    fn attention(&self) -> &Attention {
        self.queue.attention()
    }

    fn serve(&self) {
        while let Some(item) = self.queue.pop() {
            item.run(|question| (self.answer)(question));
        }
    }
}

const ROUNDS: u64 = 150;

/// Changes the pair `name` of entries, which always have the same number, and
/// an entry that all change. Gives whether it was applied.
fn change_pair(stage: &Stage, caller: &dyn Caller, name: &str, round: u64) -> bool {
    let mut changes = stage.registry.snapshot().unwrap().changes();
    let round = round as i64;
    let pair = ["a", "b"].map(|ns| entry("k.pair", &format!("{ns}:{name}"), round));
    let is_there = changes.snapshot().get(pair[0].id().parts()).is_some();
    for entry in pair {
        match (is_there, round % 7) {
            (false, _) => changes.create(entry).unwrap(),
            (true, 0) => changes.delete(entry.id().parts()).unwrap(),
            (true, _) => changes.update(entry).unwrap(),
        }
    }
    changes.update(entry("k.all", "c:all", round)).unwrap();
    match changes.apply_with(&Default::default(), caller) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(acervo::error::Error::from(error).code, Code::Conflict);
            false
        }
    }
}

/// Reads until it is over; pairs are whole and versions do not go back.
fn read(stage: &Stage, is_over: &AtomicBool) {
    let mut last = 0;
    while !is_over.load(Ordering::Acquire) {
        let snapshot = stage.registry.snapshot().unwrap();
        assert!(snapshot.version() >= last);
        last = snapshot.version();
        let numbers = |ns: &str| -> Vec<String> {
            snapshot
                .entries()
                .iter()
                .filter(|it| it.id().ns() == ns.as_bytes())
                .map(number)
                .collect()
        };
        assert_eq!(numbers("a"), numbers("b"));
        let then = stage.registry.snapshot_at(last.saturating_sub(3).max(1)).unwrap();
        assert!(then.get(acervo::entries::IdRef::parse(b"c:all")).is_some());
        thread::yield_now();
    }
}

#[test]
fn threads_that_apply_read_and_answer_late_make_linear_versions_and_leave_nothing_half_done() {
    let stage = Stage::new(Way::Mixed, &Options::default());
    stage.apply("create k.all c:all 0").unwrap();
    let worlds: Vec<Arc<World>> = (0..3).map(|_| Arc::default()).collect();
    let wants = Wants { replay: true, ..ALL };
    for (world, nth) in worlds.iter().zip([41, 67, 97]) {
        let responder = stage.responder(world.answer(nth));
        stage.registry.on(b"**", wants, responder, &Plain::default()).unwrap();
    }
    let own = Arc::<World>::default();
    let serving = || Serving { queue: Arc::default(), answer: own.answer(53) };
    let (applied, left) = (AtomicU64::new(0), AtomicUsize::new(4));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for number in 0..4 {
            let (stage, serving, applied, left) = (&stage, &serving, &applied, &left);
            threads.push(scope.spawn(move || {
                // One owns a queue, which it serves while it waits.
                let serving = (number == 0).then(serving);
                let plain = Plain::default();
                let caller: &dyn Caller = match &serving {
                    Some(serving) => {
                        let responder = Responder::Queued(Arc::clone(&serving.queue), 0);
                        stage.registry.on(b"k.pair", wants, responder, serving).unwrap();
                        serving
                    }
                    None => &plain,
                };
                for round in 1..=ROUNDS {
                    if change_pair(stage, caller, &number.to_string(), round) {
                        applied.fetch_add(1, Ordering::Relaxed);
                    }
                }
                left.fetch_sub(1, Ordering::AcqRel);
                // The others need its answers to the end.
                while left.load(Ordering::Acquire) > 0 {
                    caller.serve();
                    thread::yield_now();
                }
                if let Some(serving) = serving {
                    serving.queue.close();
                }
            }));
        }
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| read(&stage, &is_over))).collect();
        // Handlers that come and go.
        let coming = scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                let world = Arc::<World>::default();
                let responder = stage.responder(world.answer(usize::MAX));
                let on = stage.registry.on(b"k.pair", REPLAY, responder, &Plain::default());
                on.unwrap().cancel();
                thread::yield_now();
            }
        });
        wait_until(|| threads.iter().all(|thread| thread.is_finished()));
        is_over.store(true, Ordering::Release);
        for thread in threads.into_iter().chain(readers).chain([coming]) {
            thread.join().unwrap();
        }
    });
    let versions = stage.registry.versions().unwrap();
    assert_eq!(versions.len() as u64, applied.load(Ordering::Relaxed) + 2);
    for (version, id) in versions.iter().zip(0_u64..) {
        assert_eq!((version.id, version.parent), (id, id.checked_sub(1)));
    }
    let pairs = state(&stage.registry)
        .split(' ')
        .filter(|it| !it.starts_with("c:"))
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(own.text(), pairs);
    for world in &worlds {
        // What it accepted and did not undo is what counts.
        assert_eq!(world.text(), state(&stage.registry));
        assert!(world.undone.load(Ordering::Relaxed) > 0);
        assert!(world.transactions.load(Ordering::Relaxed) > ROUNDS as usize);
    }
}

#[test]
fn closing_in_the_middle_of_many_transactions_ends_all_of_them() {
    for round in 0..30_u64 {
        let scratch = crate::common::Scratch::new();
        let stage = Stage::on_database(scratch.open(), Way::Mixed);
        let worlds: Vec<Arc<World>> = (0..3).map(|_| Arc::default()).collect();
        for world in &worlds {
            let responder = stage.responder(world.answer(50));
            stage.registry.on(b"**", ALL, responder, &Plain::default()).unwrap();
        }
        let applied = AtomicU64::new(0);
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for number in 0..4 {
                let (stage, applied) = (&stage, &applied);
                threads.push(scope.spawn(move || {
                    for id in 0.. {
                        let result = stage.apply(&format!("create k n{number}:{id} 1"));
                        match result.map_err(|error| error.code) {
                            Ok(_) => applied.fetch_add(1, Ordering::Relaxed),
                            Err(Code::Conflict) => continue,
                            Err(code) => {
                                assert_eq!(code, Code::Internal);
                                break;
                            }
                        };
                    }
                }));
            }
            wait_until(|| applied.load(Ordering::Relaxed) > round);
            stage.database.close().unwrap();
            wait_until(|| threads.iter().all(|thread| thread.is_finished()));
        });
        let database = scratch.open();
        let registry = database.entries().unwrap();
        let applied = applied.load(Ordering::Relaxed);
        assert_eq!(registry.current_version().unwrap(), applied);
        assert_eq!(registry.figures().unwrap().entries, applied);
        // The first is direct, and has seen every end.
        assert_eq!(worlds[0].text(), state(&registry));
    }
}
