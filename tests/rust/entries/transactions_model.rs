//! Random handlers that refuse at random, against a model of what they are to
//! see and what is left.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::common::handlers::{Stage, Way, detail, line_of_op, state};
use acervo::database::{Database, Options};
use acervo::entries::{Handler, Plain, Rejection, Wants};
use acervo::error::{Code, Error};
use proptest::prelude::*;

const KINDS: [&str; 3] = ["k.a", "k.b", "j"];
const PATTERNS: [(&str, &[usize]); 4] =
    [("**", &[0, 1, 2]), ("k.*", &[0, 1]), ("(j|k).**", &[0, 1, 2]), ("k.b", &[1])];

/// Kind and number.
type Simple = (usize, i64);
type State = BTreeMap<usize, Simple>;

/// What a handler refuses, as which kind and how often: `begin`, `commit`,
/// `op a:1`, `undo a:1`.
type Plan = HashMap<(usize, String), (Code, u32)>;

/// An operation: the entry before and behind it.
#[derive(Clone, Copy, Debug)]
struct Op {
    id: usize,
    before: Option<Simple>,
    after: Option<Simple>,
}

impl Op {
    fn line(&self) -> String {
        let id = self.id;
        match (self.before, self.after) {
            (None, Some((_, number))) => format!("create a:{id}={number}"),
            (Some((_, number)), None) => format!("delete a:{id}={number}"),
            (before, after) => format!("update a:{id}={}>{}", before.unwrap().1, after.unwrap().1),
        }
    }

    fn inverse(&self) -> Self {
        Self { id: self.id, before: self.after, after: self.before }
    }

    fn kind(&self) -> usize {
        self.after.or(self.before).unwrap().0
    }
}

/// The operations from one state to another, which touch these ids, in order.
fn ops_between(from: &State, to: &State, touched: &BTreeSet<usize>) -> Vec<Op> {
    let (mut deletes, mut others) = (Vec::new(), Vec::new());
    for &id in touched {
        let (before, after) = (from.get(&id).copied(), to.get(&id).copied());
        match (before, after) {
            (None, None) => {}
            (Some(_), None) => deletes.push(Op { id, before, after }),
            (Some(old), Some(new)) if old.0 != new.0 => {
                deletes.push(Op { id, before, after: None });
                others.push(Op { id, before: None, after });
            }
            _ => others.push(Op { id, before, after }),
        }
    }
    deletes.extend(others);
    deletes
}

#[derive(Clone)]
struct Asked {
    number: usize,
    kinds: &'static [usize],
    wants: Wants,
}

#[derive(Debug, PartialEq, Eq)]
struct Failure {
    code: Code,
    ids: Option<String>,
    undo: Option<String>,
}

/// A version: its parent, its state, what it touched.
type Made = (u64, State, BTreeSet<usize>);

struct Model {
    versions: BTreeMap<u64, Made>,
    head: u64,
    handlers: Vec<Asked>,
    plan: Plan,
    log: Vec<String>,
    told: Vec<String>,
}

impl Model {
    fn new() -> Self {
        let root = (0, State::new(), BTreeSet::new());
        let versions = BTreeMap::from([(0, root)]);
        let (handlers, plan) = (Vec::new(), Plan::new());
        Self { versions, head: 0, handlers, plan, log: Vec::new(), told: Vec::new() }
    }

    fn state(&self) -> &State {
        &self.versions[&self.head].1
    }

    fn ask(&mut self, handler: &Asked, line: &str, dry: bool) -> Result<(), Code> {
        let dry = if dry { "dry " } else { "" };
        self.log.push(format!("{}: {dry}{line}", handler.number));
        refused(&mut self.plan, handler.number, line)
    }

    /// Runs a transaction that asks `handlers`; begin, commit and feeds are left
    /// out of a replay.
    fn run(
        &mut self,
        handlers: &[Asked],
        ops: &[Op],
        version: u64,
        dry: bool,
        is_replay: bool,
    ) -> Result<(), Failure> {
        let mut begun = Vec::new();
        let mut accepted: Vec<(Asked, Op)> = Vec::new();
        let mut done: Vec<Op> = Vec::new();
        let mut failed = None;
        for handler in handlers.iter().filter(|_| !is_replay) {
            if handler.wants.begin
                && let Err(code) = self.ask(handler, "begin", dry)
            {
                failed = Some((code, None));
                break;
            }
            begun.push(handler.clone());
        }
        let mut waiting: Vec<(Op, Vec<Asked>)> = ops
            .iter()
            .map(|op| {
                (*op, handlers.iter().filter(|it| it.kinds.contains(&op.kind())).cloned().collect())
            })
            .collect();
        while failed.is_none() && !waiting.is_empty() {
            let mut deferred = Vec::new();
            let mut is_progress = false;
            'ops: for (op, handlers) in std::mem::take(&mut waiting) {
                for (place, handler) in handlers.iter().enumerate() {
                    match self.ask(handler, &op.line(), dry) {
                        Ok(()) => accepted.push((handler.clone(), op)),
                        Err(Code::NotFound) => {
                            is_progress |= place > 0;
                            deferred.push((op, handlers[place..].to_vec()));
                            continue 'ops;
                        }
                        Err(code) => {
                            failed = Some((code, None));
                            break 'ops;
                        }
                    }
                }
                is_progress = true;
                done.push(op);
            }
            if failed.is_none() && !is_progress {
                let ids: Vec<String> =
                    deferred.iter().map(|(op, _)| format!("\"a:{}\"", op.id)).collect();
                failed = Some((Code::NotFound, Some(format!("[{}]", ids.join(",")))));
            }
            waiting = deferred;
        }
        if failed.is_none() && !dry && !is_replay {
            for handler in handlers.iter().filter(|handler| handler.wants.commit) {
                if let Err(code) = self.ask(handler, "commit", dry) {
                    failed = Some((code, None));
                    break;
                }
            }
        }
        let mut undo = Vec::new();
        if failed.is_some() || dry {
            for (handler, op) in accepted.iter().rev() {
                let line = format!("undo {}", op.inverse().line());
                if self.ask(handler, &line, dry).is_err() {
                    undo.push(format!(r#"{{"id":"a:{}","message":"no"}}"#, op.id));
                }
            }
            for handler in begun.iter().filter(|handler| handler.wants.discard) {
                let _ = self.ask(handler, "discard", dry);
            }
        }
        if !dry && !is_replay {
            self.told.push(format!("v{version} registry.begin"));
            self.told.extend(done.iter().map(|op| format!("v{version} {}", op.line())));
            let end = if failed.is_some() { "discard" } else { "commit" };
            self.told.push(format!("v{version} registry.{end}"));
        }
        match failed {
            None => Ok(()),
            Some((code, ids)) => {
                let undo = (!undo.is_empty()).then(|| format!("[{}]", undo.join(",")));
                Err(Failure { code, ids, undo })
            }
        }
    }

    fn apply(
        &mut self,
        aimed: &State,
        touched: &BTreeSet<usize>,
        dry: bool,
    ) -> Result<(), Failure> {
        let version = self.versions.keys().last().unwrap() + 1;
        let ops = ops_between(self.state(), aimed, touched);
        self.run(&self.handlers.clone(), &ops, version, dry, false)?;
        if !dry {
            self.versions.insert(version, (self.head, aimed.clone(), touched.clone()));
            self.head = version;
        }
        Ok(())
    }

    fn ancestors(&self, mut version: u64) -> Vec<u64> {
        let mut all = vec![version];
        while version != 0 {
            version = self.versions[&version].0;
            all.push(version);
        }
        all
    }

    fn go(&mut self, version: u64) -> Result<(), Failure> {
        if version == self.head {
            return Ok(());
        }
        let (from, to) = (self.ancestors(self.head), self.ancestors(version));
        let between = from
            .iter()
            .filter(|it| !to.contains(it))
            .chain(to.iter().filter(|it| !from.contains(it)));
        let touched = between.flat_map(|version| self.versions[version].2.clone()).collect();
        let ops = ops_between(self.state(), &self.versions[&version].1.clone(), &touched);
        self.run(&self.handlers.clone(), &ops, version, false, false)?;
        self.head = version;
        Ok(())
    }

    fn on(&mut self, handler: Asked) -> Result<(), Failure> {
        if handler.wants.replay {
            let there = self.state().clone();
            let touched = there.keys().copied().collect();
            let mut ops = ops_between(&State::new(), &there, &touched);
            ops.retain(|op| handler.kinds.contains(&op.kind()));
            self.run(std::slice::from_ref(&handler), &ops, self.head, false, true)?;
        }
        self.handlers.push(handler);
        Ok(())
    }
}

/// What a handler answers to a line, by the plan.
fn refused(plan: &mut Plan, handler: usize, line: &str) -> Result<(), Code> {
    let line = line.trim_start_matches("dry ");
    let (undo, line) = match line.strip_prefix("undo ") {
        Some(line) => ("undo", line),
        None => ("op", line),
    };
    let step = match line.split_once(' ') {
        Some((_, rest)) => format!("{undo} {}", rest.split_once('=').unwrap().0),
        None => line.to_owned(),
    };
    match plan.get_mut(&(handler, step)) {
        Some((code, left)) if *left > 0 => {
            *left -= 1;
            Err(*code)
        }
        _ => Ok(()),
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Each id with the entry it is to have then.
    Apply {
        aims: Vec<(usize, Option<Simple>)>,
        dry: bool,
    },
    Go(prop::sample::Index),
    On {
        pattern: usize,
        wants: (bool, bool, bool, bool),
    },
    Cancel(prop::sample::Index),
}

type Refusals = Vec<(usize, String, Code, u32)>;

fn step() -> impl Strategy<Value = (Step, Refusals)> {
    let simple = (0..KINDS.len(), 0..100_i64);
    let aims = prop::collection::vec((0..6_usize, prop::option::weighted(0.7, simple)), 1..7);
    let wants = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let step = prop_oneof![
        8 => (aims, prop::bool::weighted(0.15)).prop_map(|(aims, dry)| Step::Apply { aims, dry }),
        2 => any::<prop::sample::Index>().prop_map(Step::Go),
        3 => (0..PATTERNS.len(), wants).prop_map(|(pattern, wants)| Step::On { pattern, wants }),
        1 => any::<prop::sample::Index>().prop_map(Step::Cancel),
    ];
    let what = prop_oneof![
        1 => Just("begin".to_owned()),
        1 => Just("commit".to_owned()),
        8 => (0..6_usize).prop_map(|id| format!("op a:{id}")),
        3 => (0..6_usize).prop_map(|id| format!("undo a:{id}")),
        1 => Just("discard".to_owned()),
    ];
    let code = prop_oneof![
        4 => Just(Code::NotFound),
        1 => Just(Code::Invalid),
        1 => Just(Code::RateLimited)
    ];
    let refusal = (0..8_usize, what, code, 1..4_u32);
    (step, prop::collection::vec(refusal, 0..4))
}

fn failure_of(error: &Error) -> Failure {
    Failure { code: error.code, ids: detail(error, "ids"), undo: detail(error, "undo") }
}

/// Makes the entries what `aims` says, in one changeset; nothing if there is
/// nothing to do.
fn submit(
    stage: &Stage,
    current: &State,
    aims: &State,
    gone: &BTreeSet<usize>,
    dry: bool,
) -> Result<u64, Error> {
    let mut text = Vec::new();
    for id in gone {
        text.push(format!("delete a:{id}"));
    }
    for (id, (kind, number)) in aims {
        let verb = match current.get(id) {
            Some((before, _)) if before == kind => "update",
            Some(_) => {
                text.push(format!("delete a:{id}"));
                "create"
            }
            None => "create",
        };
        text.push(format!("{verb} {} a:{id} {number}", KINDS[*kind]));
    }
    crate::common::handlers::submit(&stage.registry, &text.join(";"), dry)
        .map(|applied| applied.version)
}

fn run(way: Way, steps: Vec<(Step, Refusals)>) {
    let database = Database::open(b":memory:", &Options::default()).unwrap();
    let stage = Stage::on_database(database, way);
    let feed = stage.registry.events(100_000).unwrap();
    let mut model = Model::new();
    let plan = Arc::<Mutex<Plan>>::default();
    let mut handlers: Vec<(usize, Arc<Handler>)> = Vec::new();
    let mut made = 0;
    for (step, refusals) in steps {
        let fresh: Plan = refusals
            .into_iter()
            .map(|(who, what, code, times)| ((who, what), (code, times)))
            .collect();
        model.plan.clone_from(&fresh);
        *plan.lock().unwrap() = fresh;
        match step {
            Step::Apply { aims, dry } => {
                let aims: BTreeMap<usize, Option<Simple>> = aims.into_iter().collect();
                let current = model.state().clone();
                let mut aimed = current.clone();
                let (mut puts, mut gone) = (State::new(), BTreeSet::new());
                for (id, aim) in aims {
                    match aim {
                        Some(simple) => {
                            puts.insert(id, simple);
                            aimed.insert(id, simple);
                        }
                        None if current.contains_key(&id) => {
                            gone.insert(id);
                            aimed.remove(&id);
                        }
                        None => {}
                    }
                }
                if puts.is_empty() && gone.is_empty() {
                    continue;
                }
                let touched = puts.keys().chain(&gone).copied().collect();
                let result = submit(&stage, &current, &puts, &gone, dry);
                let expected = model.apply(&aimed, &touched, dry).map(|()| model.head);
                assert_eq!(result.map_err(|error| failure_of(&error)), expected);
            }
            Step::Go(index) => {
                let versions: Vec<u64> = model.versions.keys().copied().collect();
                let version = *index.get(&versions);
                let result = stage.registry.apply_version(version).map_err(Error::from);
                assert_eq!(result.map_err(|error| failure_of(&error)), model.go(version));
            }
            Step::On { pattern, wants: (begin, commit, discard, replay) } => {
                let (pattern, kinds) = PATTERNS[pattern];
                let wants = Wants { begin, commit, discard, replay };
                let (number, answers) = (made, Arc::clone(&plan));
                made += 1;
                let answer = move |line: &str| {
                    refused(&mut answers.lock().unwrap(), number, line)
                        .map_err(|code| Rejection { code, message: "no".to_owned() })
                };
                let result = stage.on(&number.to_string(), pattern, wants, answer);
                let expected = model.on(Asked { number, kinds, wants });
                match result {
                    Ok(handler) => {
                        assert_eq!(expected, Ok(()));
                        handlers.push((number, handler));
                    }
                    Err(error) => {
                        assert_eq!(Err(failure_of(&Error::from(error))), expected);
                    }
                }
            }
            Step::Cancel(index) => {
                if !handlers.is_empty() {
                    let (number, handler) = handlers.remove(index.index(handlers.len()));
                    handler.cancel();
                    model.handlers.retain(|handler| handler.number != number);
                }
            }
        }
        assert_eq!(stage.log.take(), std::mem::take(&mut model.log));
        let mut told = Vec::new();
        while let Ok(event) = feed.next(&Plain::default(), Some(Instant::now())) {
            let what = event.op.as_ref().map_or(event.kind.to_owned(), line_of_op);
            told.push(format!("v{} {what}", event.version));
        }
        assert_eq!(told, std::mem::take(&mut model.told));
        let entries: Vec<String> =
            model.state().iter().map(|(id, (_, number))| format!("a:{id}={number}")).collect();
        assert_eq!(state(&stage.registry), entries.join(" "));
        assert_eq!(stage.registry.current_version().unwrap(), model.head);
        let versions: Vec<u64> =
            stage.registry.versions().unwrap().iter().map(|version| version.id).collect();
        assert_eq!(versions, model.versions.keys().copied().collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn direct_handlers_see_what_the_model_says(steps in prop::collection::vec(step(), 1..40)) {
        run(Way::Direct, steps);
    }

    #[test]
    fn handlers_of_every_kind_see_what_the_model_says(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        run(Way::Mixed, steps);
    }
}
