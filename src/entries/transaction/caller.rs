//! Who makes a transaction, while it waits.

use std::sync::Arc;

use crate::platform::signal::Signal;

/// Who makes a transaction. While it waits, for its turn or for an answer, it
/// may have to answer itself what others ask of it.
pub trait Caller {
    /// What wakes it.
    #[doc(hidden)]
    fn attention(&self) -> &Attention;

    /// Answers what is asked of this caller.
    fn serve(&self) {}
}

/// What wakes a caller that waits.
#[derive(Clone, Default)]
pub struct Attention(pub(in crate::entries) Arc<Signal>);

/// A caller of whom nothing is asked.
pub struct Plain(Attention);

impl Default for Plain {
    fn default() -> Self {
        thread_local! {
            static OWN: Attention = Attention::default();
        }
        // A database may be closed while the thread ends and its own is gone.
        Self(OWN.try_with(Attention::clone).unwrap_or_default())
    }
}

impl Caller for Plain {
    fn attention(&self) -> &Attention {
        &self.0
    }
}

impl dyn Caller + '_ {
    pub(in crate::entries) fn signal(&self) -> &Arc<Signal> {
        &self.attention().0
    }
}
