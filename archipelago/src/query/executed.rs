//! What a replica executes: nothing. It has a message of its own.

/// No statement has this trait. Without it, a misplaced `execute` would be taken for that of
/// `RunQueryDsl`, and rustc would ask for that trait on the handle.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a replica only reads, and `execute` is for statements that write",
    label = "this belongs to `repos.primary()`",
    note = "a SELECT on a replica runs with `load`, `first`, `get_result` or `optional`"
)]
pub trait ExecutedOnAReplica {
    fn never(self) -> !;
}
