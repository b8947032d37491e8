//! `membarrier(2)`: a full fence in every running thread of the process.

/// Announces [`fence_in_all`]. False: the kernel refuses.
pub(super) fn register() -> bool {
    call(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
}

/// Every other thread executes a full fence between the beginning and the end
/// of this, which is one here. False: the kernel refuses.
pub(super) fn fence_in_all() -> bool {
    call(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
}

fn call(command: i32) -> bool {
    // SAFETY: a system call that takes two numbers and touches no memory.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}
