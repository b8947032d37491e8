//! Copying a database to a new file.

use std::path::Path;

use super::open;
use crate::error::{Code, Error};
use crate::platform::file::Draft;
use crate::storage::{self, Place, StorageError};

/// Copies the file to `path`, where nothing may be yet. When this returns the
/// copy and its name are on the device; on failure nothing is left of it.
pub(super) fn backup(place: &Place, path: &[u8]) -> Result<(), Error> {
    if path == b":memory:" {
        return Err(Error::invalid(
            "path: \":memory:\" names no file; to have one of that name, write ./:memory:",
        ));
    }
    let to = open::path_of(path)?;
    let fault = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(&to),
        _ => StorageError::from_io(&error, &to).into(),
    };
    // Before the work; what counts is the publishing.
    if to.symlink_metadata().is_ok() {
        return Err(exists(&to));
    }
    let draft = Draft::create(&to, place.file_mode).map_err(fault)?;
    storage::copy(place, draft.path())?;
    draft.publish().map_err(fault)
}

fn exists(path: &Path) -> Error {
    let message = format!(
        "{} exists already; a backup is a new file, remove it or choose another name",
        path.display()
    );
    Error::new(Code::AlreadyExists, message)
}
