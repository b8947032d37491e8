//! stand-in until the binding lands
pub(crate) fn is_open_in_another_copy(_: u64, _: u64) -> bool {
    false
}
