//! entries: a versioned registry of typed entries.
//!
//! One [`Engine`] per open database. Everybody reads the published view, an
//! immutable [`state`] of persistent structures with its version, and a
//! [`Snapshot`] is a reference to it. A change goes one way:
//!
//! | step | module |
//! |---|---|
//! | a caller queues creates, updates and deletes | [`changes`] |
//! | they are checked against the state and folded, per id, to what they come down to | [`fold`], [`squash`] |
//! | they are put in the order of their dependencies | [`dependencies`] |
//! | handlers are asked, and undo what they accepted if one refuses | [`transaction`] |
//! | the version is written | [`history`] |
//! | the new state is published, and told | [`apply`], [`follow`], [`feed`] |
//!
//! Going to another version ([`navigate`]) is the same with the squashed
//! difference of two versions, found in the tree of versions ([`lineage`]).
//! Searching ([`find`]) works on a state.

mod apply;
mod changes;
mod check;
mod dependencies;
mod engine;
mod entry;
mod error;
mod feed;
mod find;
mod fold;
mod follow;
mod handle;
mod history;
mod id;
mod lineage;
mod load;
mod lookup;
mod navigate;
mod op;
mod persistent;
mod pins;
mod policy;
mod prune;
mod recent;
mod slots;
mod snapshot;
mod squash;
mod state;
mod subscribe;
mod transaction;
mod upkeep;
mod version;
mod view;
mod watch;

pub use changes::{ApplyOptions, Base, CHANGES_LIMIT, Change, Changes};
pub(crate) use check::check;
pub(crate) use engine::{Connections, Engine, HistoryKind, Settings};
pub(crate) use entry::Body as EntryBody;
pub use entry::Entry;
pub use error::EntryError;
pub use feed::{Event, Feed};
pub(crate) use follow::Others;
pub use handle::{Applied, Figures, Registry};
pub(crate) use id::ID_LIMIT;
pub use id::{Id, IdRef};
pub use op::{Op, OpKind};
pub use policy::Policy;
pub use snapshot::{Found, Snapshot};
pub use transaction::{
    Attention, Caller, Circumstances, Direct, Handler, Item, KindPattern, Plain, Question, Queue,
    Rejection, Responder, Response, Step, Wants,
};
pub use version::Version;
