//! From queued changes to operations: checked against the state that each
//! meets, and folded to what they come down to.

use super::EntryError;
use super::changes::Change;
use super::entry::Entry;
use super::op::Op;
use super::squash::Squash;
use super::state::State;

/// The operations that `changes` make of `state`, in no particular order.
pub(super) fn fold(changes: &[Change], state: &State) -> Result<Vec<Op>, EntryError> {
    if let [change] = changes {
        return Ok(vec![op_for(change, state.get(change.id().parts()), state)?]);
    }
    let mut squash = Squash::default();
    for change in changes {
        let id = change.id().parts();
        squash.push_with(id, |net| match net {
            Some(net) => op_for(change, net.entry(), state),
            None => op_for(change, state.get(id), state),
        })?;
    }
    Ok(squash.into_ops())
}

/// The operation on `state` that a change means where `present` is what has its
/// id. Its entry is the one that the state will hold.
fn op_for(change: &Change, present: Option<&Entry>, state: &State) -> Result<Op, EntryError> {
    let missing = || EntryError::NoEntry { id: change.id().to_string() };
    match change {
        Change::Create(entry) => match present {
            None => Ok(Op::create(state.intern(entry).1)),
            Some(_) => Err(EntryError::Exists { id: entry.id().to_string() }),
        },
        Change::Update(entry) => {
            let present = present.ok_or_else(missing)?;
            if present.kind() != entry.kind() {
                let text = |kind: &[u8]| String::from_utf8_lossy(kind).into_owned();
                return Err(EntryError::KindChanged {
                    id: entry.id().to_string(),
                    has: text(present.kind()),
                    given: text(entry.kind()),
                });
            }
            Ok(Op::update(entry.in_place_of(present), present.clone()))
        }
        Change::Delete(_) => Ok(Op::delete(present.ok_or_else(missing)?.clone())),
    }
}
