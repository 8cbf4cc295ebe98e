//! The database panics where it finds pages that make no sense. That is a damaged file, and an error as any other.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use super::JournalError;

thread_local! {
    /// Whether this thread is in the database, and its panics are reported as errors.
    static IN_DATABASE: Cell<bool> = const { Cell::new(false) };
}

/// Do something with the database; a panic of it says that the file is damaged, and nothing else.
pub(super) fn guarded<T>(act: impl FnOnce() -> Result<T, JournalError>) -> Result<T, JournalError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            if !IN_DATABASE.get() {
                others(panic);
            }
        }));
    });
    let outer = IN_DATABASE.replace(true);
    // What a panic leaves behind is never trusted again: after an error that is not a full disk nothing more is written.
    let outcome = catch_unwind(AssertUnwindSafe(act));
    IN_DATABASE.set(outer);
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(JournalError::Damaged { reason: format!("its pages make no sense ({text})") })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        let error = guarded::<()>(|| panic!("no page {}", 3)).unwrap_err();
        assert_eq!(error.to_string(), "the journal is damaged: its pages make no sense (no page 3)");
        assert_eq!(guarded(|| Ok(1)), Ok(1));
        assert!(!IN_DATABASE.get());
    }
}
