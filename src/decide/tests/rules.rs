//! Leaves out a rule, on this thread only.

use std::cell::Cell;

use crate::decide::rules::Rule;

thread_local! {
    static OFF: Cell<Option<Rule>> = const { Cell::new(None) };
}

/// Whether a rule holds here and now. A set of the model has so few writes that whoever lacks one is often empty: that nobody
/// empty wins is left out with any other rule, as it would hide what that one is for.
pub fn holds(rule: Rule) -> bool {
    match OFF.get() {
        None => true,
        Some(off) => rule != off && rule != Rule::NobodyEmptyWins,
    }
}

/// Decides without a rule, or with all of them.
pub fn without<T>(rule: Option<Rule>, decide: impl FnOnce() -> T) -> T {
    let before = OFF.replace(rule);
    let decided = decide();
    OFF.set(before);
    decided
}
