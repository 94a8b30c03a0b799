//! Leaves out a rule, on this thread only.

use std::cell::Cell;

use crate::decide::rules::Rule;

thread_local! {
    static OFF: Cell<Option<Rule>> = const { Cell::new(None) };
}

/// Whether a rule holds here and now.
pub fn holds(rule: Rule) -> bool {
    OFF.get() != Some(rule)
}

/// Decides without a rule, or with all of them.
pub fn without<T>(rule: Option<Rule>, decide: impl FnOnce() -> T) -> T {
    let before = OFF.replace(rule);
    let decided = decide();
    OFF.set(before);
    decided
}
