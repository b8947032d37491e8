//! entries: a versioned registry of typed entries.

mod dependencies;
mod entry;
mod error;
mod find;
mod id;
mod op;
mod persistent;
mod slots;
mod state;

pub use entry::Entry;
pub use error::EntryError;
pub use id::{Id, IdRef};
pub use op::{Op, OpKind};
