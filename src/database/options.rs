//! The options of an open.

use std::time::Duration;

use super::OpenError;
use crate::entries::{self, HistoryKind};
use crate::error::Error;
use crate::kv::Settings;
use crate::storage::Durability;
use crate::value::{Token, View};

/// What a host may set before it opens a database. What it does not set has
/// its default, or on a file that is open already, what the first open set.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub(super) durability: Option<Durability>,
    pub(super) flush_interval_ms: Option<u64>,
    pub(super) max_unwritten_ms: Option<u64>,
    pub(super) registry_persistent: Option<bool>,
    pub(super) value_limit: Option<usize>,
    pub(super) memory_limit: Option<usize>,
    pub(super) read_only: Option<bool>,
    pub(super) busy_timeout_ms: Option<u64>,
    pub(super) file_mode: Option<u32>,
    pub(super) history: Option<HistoryKind>,
    pub(super) history_keep: Option<u64>,
    pub(super) handler_timeout_ms: Option<u64>,
    pub(super) require_handler: Option<bool>,
    pub(super) internal_kinds: Option<Vec<Box<[u8]>>>,
}

/// SQLite stores no row above 10^9 bytes.
const LARGEST_VALUE: i64 = 999_000_000;

impl Options {
    /// Sets one option from its name and value.
    ///
    /// # Errors
    ///
    /// INVALID naming the option: unknown, wrong type, out of range.
    pub fn set(&mut self, name: &str, value: View<'_>) -> Result<(), Error> {
        let option = Named { name, value };
        match name {
            "durability" => self.durability = Some(option.durability()?),
            "flush_interval_ms" => {
                self.flush_interval_ms = Some(option.int(1, 24 * 3600 * 1000)? as u64);
            }
            "max_unwritten_ms" => {
                self.max_unwritten_ms = Some(option.int(0, 24 * 3600 * 1000)? as u64);
            }
            "registry_persistent" => self.registry_persistent = Some(option.bool()?),
            "value_limit" => self.value_limit = Some(option.int(1, LARGEST_VALUE)? as usize),
            "memory_limit" => self.memory_limit = Some(option.int(1, i64::MAX)? as usize),
            "read_only" => self.read_only = Some(option.bool()?),
            "busy_timeout_ms" => {
                self.busy_timeout_ms = Some(option.int(0, i64::from(i32::MAX))? as u64);
            }
            "history" => self.history = Some(option.history()?),
            "history_keep" => self.history_keep = Some(option.int(1, i64::MAX)? as u64),
            "handler_timeout_ms" => {
                self.handler_timeout_ms = Some(option.int(1, i64::from(i32::MAX))? as u64);
            }
            "require_handler" => self.require_handler = Some(option.bool()?),
            "internal_kinds" => self.internal_kinds = Some(option.texts()?),
            "file_mode" => self.file_mode = Some(option.int(0o400, 0o777)? as u32),
            _ => return Err(option.wrong("it is unknown").into()),
        }
        Ok(())
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            synced: self.durability() == Durability::Full,
            flush_interval: self.flush_interval(),
            max_unwritten: self.max_unwritten(),
            registry_persistent: self.registry_persistent.unwrap_or(true),
            value_limit: self.value_limit.unwrap_or(16 << 20),
            memory_limit: self.memory_limit,
        }
    }

    pub(super) fn entries(&self) -> entries::Settings {
        entries::Settings {
            history: self.history(),
            history_keep: self.history_keep,
            value_limit: self.settings().value_limit,
            handler_timeout: Duration::from_millis(self.handler_timeout_ms()),
            require_handler: self.require_handler.unwrap_or_default(),
            internal_kinds: self.internal_kinds(),
        }
    }

    fn flush_interval(&self) -> Duration {
        Duration::from_millis(self.flush_interval_ms.unwrap_or(100))
    }

    fn max_unwritten_ms(&self) -> u64 {
        self.max_unwritten_ms.unwrap_or(1000)
    }

    /// Nobody waits for what is meant to stay in memory for that long.
    fn max_unwritten(&self) -> Option<Duration> {
        let bound = Some(self.max_unwritten_ms()).filter(|&bound| bound > 0)?;
        Some(Duration::from_millis(bound).max(self.flush_interval()))
    }

    fn handler_timeout_ms(&self) -> u64 {
        self.handler_timeout_ms.unwrap_or(30_000)
    }

    fn internal_kinds(&self) -> Vec<Box<[u8]>> {
        const DEFAULT: [&str; 4] =
            ["registry.entry", "ns.requirement", "ns.dependency", "ns.definition"];
        let default = || DEFAULT.iter().map(|kind| kind.as_bytes().into()).collect();
        self.internal_kinds.clone().unwrap_or_else(default)
    }

    /// As asked for; on a database in memory, where there is no file to keep a
    /// history in, it is in memory too.
    pub(super) fn history(&self) -> HistoryKind {
        self.history.unwrap_or(HistoryKind::Sqlite)
    }

    pub(super) fn durability(&self) -> Durability {
        self.durability.unwrap_or(Durability::Full)
    }

    pub(super) fn busy_timeout(&self) -> Duration {
        Duration::from_millis(self.busy_timeout_ms.unwrap_or(5000))
    }

    pub(super) fn file_mode(&self) -> u32 {
        self.file_mode.unwrap_or(0o600)
    }

    /// The first option set here that is not as `first`, the options of the
    /// first open, have it.
    pub(super) fn differs_from(&self, first: &Self) -> Option<&'static str> {
        fn differs<T: PartialEq>(mine: Option<T>, firsts: T) -> bool {
            mine.is_some_and(|mine| mine != firsts)
        }
        let of_first = first.settings();
        let interval = of_first.flush_interval.as_millis() as u64;
        let timeout = first.busy_timeout().as_millis() as u64;
        [
            (differs(self.durability, first.durability()), "durability"),
            (differs(self.flush_interval_ms, interval), "flush_interval_ms"),
            (differs(self.max_unwritten_ms, first.max_unwritten_ms()), "max_unwritten_ms"),
            (
                differs(self.registry_persistent, of_first.registry_persistent),
                "registry_persistent",
            ),
            (differs(self.value_limit, of_first.value_limit), "value_limit"),
            (differs(self.memory_limit.map(Some), of_first.memory_limit), "memory_limit"),
            (differs(self.busy_timeout_ms, timeout), "busy_timeout_ms"),
            (differs(self.file_mode, first.file_mode()), "file_mode"),
            (differs(self.history, first.history()), "history"),
            (differs(self.history_keep.map(Some), first.history_keep), "history_keep"),
            (differs(self.handler_timeout_ms, first.handler_timeout_ms()), "handler_timeout_ms"),
            (
                differs(self.require_handler, first.require_handler.unwrap_or_default()),
                "require_handler",
            ),
            (differs(self.internal_kinds.clone(), first.internal_kinds()), "internal_kinds"),
        ]
        .into_iter()
        .find_map(|(differs, name)| differs.then_some(name))
    }
}

/// An option with the value it was given.
struct Named<'a> {
    name: &'a str,
    value: View<'a>,
}

impl Named<'_> {
    fn wrong(&self, what: impl Into<String>) -> OpenError {
        OpenError::Option { name: self.name.to_owned(), what: what.into() }
    }

    fn token(&self) -> Token<'_> {
        let mut view = self.value;
        view.token()
    }

    fn bool(&self) -> Result<bool, OpenError> {
        match self.token() {
            Token::Bool(value) => Ok(value),
            other => Err(self.wrong(format!("it is a bool, not a {}", other.type_of().name()))),
        }
    }

    fn texts(&self) -> Result<Vec<Box<[u8]>>, OpenError> {
        let mut view = self.value;
        let refuse = |got: Token<'_>| {
            self.wrong(format!("it is a list of strings, got {}", got.type_of().name()))
        };
        let len = match view.token() {
            Token::Array(len) => len,
            // An empty Lua table.
            Token::Map(0) => 0,
            other => return Err(refuse(other)),
        };
        let text = |token| match token {
            Token::String(text) => Ok(text.into()),
            other => Err(refuse(other)),
        };
        (0..len).map(|_| text(View::new(view.skip()).token())).collect()
    }

    fn int(&self, least: i64, most: i64) -> Result<i64, OpenError> {
        match self.token() {
            Token::Int(value) if (least..=most).contains(&value) => Ok(value),
            Token::Int(value) => Err(self.wrong(format!("{value} is not in {least} to {most}"))),
            other => Err(self.wrong(format!("it is an int, not a {}", other.type_of().name()))),
        }
    }

    fn history(&self) -> Result<HistoryKind, OpenError> {
        match self.token() {
            Token::String(b"sqlite") => Ok(HistoryKind::Sqlite),
            Token::String(b"memory") => Ok(HistoryKind::Memory),
            Token::String(b"none") => Ok(HistoryKind::None),
            _ => Err(self.wrong("it is \"sqlite\", \"memory\" or \"none\"")),
        }
    }

    fn durability(&self) -> Result<Durability, OpenError> {
        match self.token() {
            Token::String(b"full") => Ok(Durability::Full),
            Token::String(b"normal") => Ok(Durability::Normal),
            Token::String(b"off") => Ok(Durability::Off),
            _ => Err(self.wrong("it is \"full\", \"normal\" or \"off\"")),
        }
    }
}
