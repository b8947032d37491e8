//! Feeds: what happens to the entry registry, one event after the other.

use std::ffi::c_int;
use std::time::{Duration, Instant};

use super::database::acervo;
use super::error::acervo_error;
use super::history::registry_of;
use super::raw::{self, Out};
use super::value::acervo_value;
use super::wall;
use crate::entries::{Feed, Plain};
use crate::error::Error;
use crate::value::Value;

/// What happens to the entry registry from when it was made on. Keeps its
/// database alive.
///
/// Threads: one at a time.
pub struct acervo_feed {
    feed: Feed,
}

/// A stream of what happens to the entry registry from now on. Up to `capacity`
/// events (1 or more) wait to be read; a transaction that does not fit is lost,
/// with what comes behind it, and told as one event "gap". Never holds up an
/// apply. `out` is owned: free with acervo_feed_free.
///
/// ACERVO_INVALID: a capacity of 0.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_events(
    db: *mut acervo,
    capacity: u32,
    out: *mut *mut acervo_feed,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out = Out::reset(out, std::ptr::null_mut(), "out");
        wall::call("acervo_events", err, || {
            out.needed()?;
            let registry = registry_of(db)?;
            if capacity == 0 {
                return Err(Error::invalid("capacity is 0"));
            }
            let feed = registry.events(capacity as usize)?;
            out.set(Box::into_raw(Box::new(acervo_feed { feed })));
            Ok(())
        })
    }
}

/// The next event; waits for it up to `timeout_ms` milliseconds, below 0 for
/// good. A map of `kind` ("registry.begin", "entry.create", "entry.update",
/// "entry.delete", "registry.commit", "registry.discard", "gap"), `version`
/// (the one that the transaction makes or moves to; of a gap the current one)
/// and, where there are any, `entry`, `original` and `foreign` (true: another
/// process did it). The events of a transaction come together, when it has
/// ended. `out_event` is owned: free with acervo_value_free.
///
/// ACERVO_TIMEOUT: none came. ACERVO_INTERNAL: the database is closed, also
/// while this waits; what had come before can be read first.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_feed_next(
    feed: *mut acervo_feed,
    timeout_ms: i64,
    out_event: *mut *mut acervo_value,
    err: *mut *mut acervo_error,
) -> i32 {
    // SAFETY: the pointers are as the header asks for.
    unsafe {
        let out_event = Out::reset(out_event, std::ptr::null_mut(), "out_event");
        wall::call("acervo_feed_next", err, || {
            out_event.needed()?;
            let feed = &raw::handle(feed, "feed")?.feed;
            // What is too far away to be told is for good.
            let deadline = u64::try_from(timeout_ms)
                .ok()
                .and_then(|wait| Instant::now().checked_add(Duration::from_millis(wait)));
            let event = feed.next(&Plain::default(), deadline)?;
            let mut bytes = Vec::new();
            event.append_map(&mut bytes);
            out_event.set(acervo_value::owned(Value::try_from_canonical(&bytes)?));
            Ok(())
        })
    }
}

/// A descriptor for poll(2) and its like, readable while acervo_feed_next has
/// something to give: an event, or that the database is closed. Borrowed until
/// the feed is freed; neither read from it nor close it. -1 for NULL, in a
/// forked child, and if the process has no descriptors left.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_feed_fd(feed: *const acervo_feed) -> c_int {
    wall::or(-1, || {
        // SAFETY: NULL or a live feed.
        unsafe { feed.as_ref() }.and_then(|feed| feed.feed.fd().ok()).unwrap_or(-1)
    })
}

/// Frees a feed, with what was not read. NULL is accepted.
///
/// Threads: one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn acervo_feed_free(feed: *mut acervo_feed) {
    if !feed.is_null() {
        // SAFETY: it came from acervo_events, and the caller gives it up.
        wall::or((), || drop(unsafe { Box::from_raw(feed) }));
    }
}
