//! What the library is compared with: the best that one would write by hand
//! for just this one thing.

pub mod disk;
pub mod gather;
pub mod hash;
pub mod replay;
pub mod sqlite;
