//! Effects of the operator, each by name and number, and the one fault that a run has.

use std::collections::BTreeMap;
use std::fmt;

use tokio::time::Instant;

/// What goes wrong with one effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The operator's process ends before the effect.
    CrashBefore,
    /// It ends when the effect has been made and before it reads the reply.
    CrashAfter,
    /// The effect is refused.
    Error,
    /// The effect is made, and the connection breaks before the reply.
    LostReply,
    /// The effect is made after its caller has given up.
    Delay,
}

impl Kind {
    pub const ALL: [Self; 5] = [
        Self::CrashBefore,
        Self::CrashAfter,
        Self::Error,
        Self::LostReply,
        Self::Delay,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::CrashBefore => "crash-before",
            Self::CrashAfter => "crash-after",
            Self::Error => "error",
            Self::LostReply => "lost-reply",
            Self::Delay => "delay",
        }
    }
}

/// One fault: at which effect, which is known by its name and how often that came before.
#[derive(Clone, Debug)]
pub struct Fault {
    pub effect: Effect,
    pub kind: Kind,
}

/// An effect: what it is, and the how manieth of its name, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub name: String,
    pub nth: usize,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.name, self.nth)
    }
}

/// The effects of a run.
#[derive(Default)]
pub struct Effects {
    /// Whether they are counted: not before what the scenario does.
    pub counting: bool,
    pub made: Vec<Effect>,
    counts: BTreeMap<String, usize>,
    pub fault: Option<Fault>,
    /// When the last one was made.
    pub last: Option<Instant>,
    /// Whether the fault has been.
    pub hit: bool,
}

impl Effects {
    /// Notes an effect that is about to be made, and says what goes wrong with it.
    pub fn next(&mut self, name: String) -> Option<Kind> {
        self.last = Some(Instant::now());
        if !self.counting {
            return None;
        }
        let nth = self.counts.entry(name.clone()).or_default();
        *nth += 1;
        let effect = Effect { name, nth: *nth };
        let fault = self.fault.as_ref().filter(|fault| !self.hit && fault.effect == effect);
        let kind = fault.map(|fault| fault.kind);
        self.hit |= kind.is_some();
        self.made.push(effect);
        kind
    }
}
