//! Handlers that write down what they see, and registries to try them on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use acervo::database::{Database, Options};
use acervo::entries::{
    Applied, Entry, EntryError, Handler, IdRef, Op, Plain, Question, Queue, Registry, Rejection,
    Responder, Response, Step, Wants,
};
use acervo::error::{Code, Error};
use acervo::value::Value;

/// Wants everything but a replay.
pub const ALL: Wants = Wants { begin: true, commit: true, discard: true, replay: false };
/// Operations only.
pub const OPS: Wants = Wants { begin: false, commit: false, discard: false, replay: false };
/// Operations, and those that are there already.
pub const REPLAY: Wants = Wants { replay: true, ..OPS };

/// Longer than anything takes that is not stuck.
pub const LONG: Duration = Duration::from_secs(60);

/// An entry whose data is a number.
pub fn entry(kind: &str, id: &str, number: i64) -> Entry {
    entry_with(kind, id, number, "{}")
}

pub fn entry_with(kind: &str, id: &str, number: i64, meta: &str) -> Entry {
    let data = Value::from_json(number.to_string().as_bytes()).unwrap();
    let meta = Value::from_json(meta.as_bytes()).unwrap();
    Entry::new(IdRef::parse(id.as_bytes()), kind.as_bytes(), Some(meta), Some(data)).unwrap()
}

pub fn number(entry: &Entry) -> String {
    entry.data().map_or_else(String::new, |data| data.to_json().unwrap())
}

/// `create a:x=1`, `update a:x=1>2`, `delete a:x=2`.
pub fn line_of_op(op: &Op) -> String {
    let name = op.kind.name().trim_start_matches("entry.");
    let now = number(&op.entry);
    match (&op.original, name) {
        (None, "create") => format!("create {}={now}", op.id()),
        (Some(original), "update") => format!("update {}={}>{now}", op.id(), number(original)),
        (Some(original), "delete") => {
            // For a delete both are the entry that goes.
            assert_eq!(original, &op.entry);
            format!("delete {}={now}", op.id())
        }
        other => panic!("{other:?} in {op:?}"),
    }
}

/// What a handler is asked, as a line: `begin`, `create a:x=1`,
/// `undo delete a:x=1`, `dry commit`.
pub fn line_of(question: &Question) -> String {
    let mut line = String::new();
    let circumstances = question.circumstances();
    for (holds, word) in [
        (circumstances.dry_run, "dry "),
        (circumstances.undo, "undo "),
        (circumstances.foreign, "foreign "),
    ] {
        if holds {
            line.push_str(word);
        }
    }
    match question.step() {
        Step::Op(op) => line.push_str(&line_of_op(op)),
        step => line.push_str(step.name().trim_start_matches("registry.")),
    }
    line
}

/// What happened, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// What was added since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Waits until there are that many lines.
    pub fn wait_for(&self, lines: usize) {
        wait_until(|| self.len() >= lines);
    }
}

/// Waits for something that will be, unless something is stuck.
pub fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "it does not come");
        thread::sleep(Duration::from_millis(1));
    }
}

pub fn refusal(code: Code, message: &str) -> Result<(), Rejection> {
    Err(Rejection { code, message: message.to_owned() })
}

/// What a handler of a test answers.
pub type Answer = Box<dyn Fn(&Question) -> Result<(), Rejection> + Send + Sync>;

/// A thread with a queue that runs what comes in.
pub struct Worker {
    pub queue: Arc<Queue>,
    answers: Arc<Mutex<Vec<Arc<Answer>>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub fn start() -> Self {
        let queue = Arc::<Queue>::default();
        let answers = Arc::<Mutex<Vec<Arc<Answer>>>>::default();
        let is_over = Arc::<AtomicBool>::default();
        let run = {
            let (queue, answers, is_over) = (queue.clone(), answers.clone(), is_over.clone());
            move || {
                while !is_over.load(Ordering::Acquire) {
                    while let Some(item) = queue.pop() {
                        let answer = answers.lock().unwrap()[item.key() as usize].clone();
                        item.run(|question| answer(question));
                    }
                    queue.wait(Some(Instant::now() + Duration::from_millis(5)));
                }
            }
        };
        let thread = Some(thread::spawn(run));
        Self { queue, answers, is_over, thread }
    }

    pub fn responder(&self, answer: Answer) -> Responder {
        let mut answers = self.answers.lock().unwrap();
        answers.push(Arc::new(answer));
        Responder::Queued(Arc::clone(&self.queue), answers.len() as u64 - 1)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.queue.close();
        self.is_over.store(true, Ordering::Release);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking(), "the worker panicked");
    }
}

type Late = (Arc<Question>, Result<(), Rejection>);

/// A thread that gives the answers of handlers that answered nothing yet.
pub struct Answerer {
    sender: Option<mpsc::Sender<Late>>,
    thread: Option<JoinHandle<()>>,
}

impl Answerer {
    pub fn start() -> Self {
        let (sender, receiver) = mpsc::channel::<Late>();
        let thread = thread::spawn(move || {
            for (question, answer) in receiver {
                // Nobody may wait for it any more.
                let _ = question.answer(answer);
            }
        });
        Self { sender: Some(sender), thread: Some(thread) }
    }

    pub fn responder(&self, answer: Answer) -> Responder {
        let sender = self.sender.clone().unwrap();
        Responder::Direct(Box::new(move |question| {
            sender.send((Arc::clone(question), answer(question))).unwrap();
            Response::Pending
        }))
    }
}

/// A responder that is called where the question is asked.
pub fn direct(answer: Answer) -> Responder {
    Responder::Direct(Box::new(move |question| match answer(question) {
        Ok(()) => Response::Accept,
        Err(rejection) => Response::Reject(rejection),
    }))
}

/// How the handlers of a stage are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Called on the thread that applies.
    Direct,
    /// Called there, and another thread gives the answer.
    Late,
    /// Through the queue of another thread.
    Queued,
    /// Each in turn by one of these.
    Mixed,
}

/// A registry with handlers that write down what they are asked.
pub struct Stage {
    pub database: Database,
    pub registry: Registry,
    pub log: Log,
    way: Way,
    count: AtomicUsize,
    pub worker: Worker,
    answerer: Answerer,
}

impl Stage {
    pub fn on_database(database: Database, way: Way) -> Self {
        let registry = database.entries().unwrap();
        let count = AtomicUsize::new(0);
        let (worker, answerer) = (Worker::start(), Answerer::start());
        Self { database, registry, log: Log::default(), way, count, worker, answerer }
    }

    pub fn new(way: Way, options: &Options) -> Self {
        Self::on_database(Database::open(b":memory:", options).unwrap(), way)
    }

    pub fn direct() -> Self {
        Self::new(Way::Direct, &Options::default())
    }

    /// Runs a test with handlers of every kind.
    pub fn each(options: &Options, test: impl Fn(&Self)) {
        for way in [Way::Direct, Way::Late, Way::Queued, Way::Mixed] {
            // A failure shows which.
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{way:?}\n"));
            test(&Self::new(way, options));
        }
    }

    pub fn responder(&self, answer: Answer) -> Responder {
        self.responder_by(self.way, answer)
    }

    pub fn responder_by(&self, way: Way, answer: Answer) -> Responder {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        match (way, number % 3) {
            (Way::Direct, _) | (Way::Mixed, 0) => direct(answer),
            (Way::Late, _) | (Way::Mixed, 1) => self.answerer.responder(answer),
            (Way::Queued, _) | (Way::Mixed, _) => self.worker.responder(answer),
        }
    }

    /// Registers a handler that writes down what it is asked behind its name,
    /// and answers what `answer` makes of the line.
    pub fn on(
        &self,
        name: &str,
        pattern: &str,
        wants: Wants,
        answer: impl Fn(&str) -> Result<(), Rejection> + Send + Sync + 'static,
    ) -> Result<Arc<Handler>, EntryError> {
        let (name, log) = (name.to_owned(), self.log.clone());
        let answer: Answer = Box::new(move |question| {
            let line = line_of(question);
            log.add(format!("{name}: {line}"));
            answer(&line)
        });
        self.registry.on(pattern.as_bytes(), wants, self.responder(answer), &Plain::default())
    }

    /// Registers a handler that accepts everything.
    pub fn accept(&self, name: &str, pattern: &str, wants: Wants) -> Arc<Handler> {
        self.on(name, pattern, wants, |_| Ok(())).unwrap()
    }

    pub fn apply(&self, text: &str) -> Result<u64, Error> {
        apply(&self.registry, text)
    }

    pub fn facts(&self) -> Facts {
        facts(&self.registry)
    }
}

/// Queues changes given as `create KIND ID NUMBER; update KIND ID NUMBER;
/// delete ID` and applies them as one.
pub fn apply(registry: &Registry, text: &str) -> Result<u64, Error> {
    submit(registry, text, false).map(|applied| applied.version)
}

pub fn submit(registry: &Registry, text: &str, dry_run: bool) -> Result<Applied, Error> {
    let mut changes = registry.snapshot().map_err(Error::from)?.changes();
    for change in text.split(';') {
        match change.split_whitespace().collect::<Vec<_>>()[..] {
            ["create", kind, id, number] => {
                changes.create(entry(kind, id, number.parse().unwrap())).unwrap();
            }
            ["update", kind, id, number] => {
                changes.update(entry(kind, id, number.parse().unwrap())).unwrap();
            }
            ["delete", id] => changes.delete(IdRef::parse(id.as_bytes())).unwrap(),
            _ => panic!("{change}"),
        }
    }
    changes.options.dry_run = dry_run;
    changes.apply().map_err(Error::from)
}

/// What can be seen of a registry: entries, current version, all versions with
/// their parents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub state: String,
    pub head: u64,
    pub versions: Vec<(u64, Option<u64>)>,
}

pub fn facts(registry: &Registry) -> Facts {
    let snapshot = registry.snapshot().unwrap();
    let head = registry.current_version().unwrap();
    let versions = registry.versions().unwrap().iter().map(|it| (it.id, it.parent)).collect();
    Facts { state: state_of(snapshot.entries().iter()), head, versions }
}

/// `a:x=1 a:y=2`.
pub fn state_of<'a>(entries: impl Iterator<Item = &'a Entry>) -> String {
    let entries: Vec<String> =
        entries.map(|entry| format!("{}={}", entry.id(), number(entry))).collect();
    entries.join(" ")
}

pub fn state(registry: &Registry) -> String {
    state_of(registry.snapshot().unwrap().entries().iter())
}

/// The failure of a call of the registry, as hosts see it.
pub fn failure<T>(result: Result<T, EntryError>) -> Error {
    match result {
        Ok(_) => panic!("it did not fail"),
        Err(error) => error.into(),
    }
}

/// The elements of `details[name]` as JSON.
pub fn detail(error: &Error, name: &str) -> Option<String> {
    let details = error.details.as_ref()?;
    let found = details.lookup(super::text(name).as_bytes())?;
    Some(Value::from_canonical(found).to_json().unwrap())
}
