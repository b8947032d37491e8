//! The database file: SQLite in WAL mode, used as an append-ordered log.
//!
//! Key-value state lives in memory; the file is what makes it survive. Every
//! change is a row appended under the next sequence number, whatever its key,
//! so that a commit dirties one page where an upsert of random keys would
//! dirty one per key. The latest row of a key is its state; a row without a
//! value is a deletion. Rows nobody needs any more are removed from the old
//! end (`kv::compact`), so that the numbers in the table have no holes. Small
//! rows that are appended together are packed into one ([`pack`]).
//!
//! Nothing here knows what the keys mean or who reads them.

mod backup;
mod connection;
mod derived;
mod error;
mod inspect;
mod log;
mod on_device;
mod pack;
mod schema;
mod session;
mod shrink;
mod versions;

pub(crate) use backup::copy;
pub(crate) use connection::{
    Durability, Place, open_reader, open_versions, open_writer, read_versions,
};
pub(crate) use derived::NetRow;
pub use error::StorageError;
pub(crate) use inspect::{Inspection, Tables};
pub(crate) use log::{Extent, Log, Row, RowRef, SPACE_REGISTRY, SPACE_STORE, ScannedRow};
pub(crate) use pack::Appender;
pub(crate) use versions::{Tally, VersionRow, Versions};
