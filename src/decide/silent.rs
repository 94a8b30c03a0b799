//! An elector that is silent for long: neither the operator nor the master hears it, and nobody knows whether it is dead.

use k8s_openapi::jiff::SignedDuration;

use super::view::View;
use crate::api::status::{Elector, MemberState};
use crate::model::observed::Member;
use crate::model::redis::Facts;
use crate::names;

/// A node that starts again is back by then, more or less. Who comes later enters the electors again by a partial resync.
const LONG: SignedDuration = SignedDuration::from_secs(30);

/// Whether an elector is to be locked out at the master that serves: its vote would be missing for ever.
pub(super) fn for_long(view: &View, elector: &Elector, master: &Facts) -> bool {
    let is_master = view
        .authority
        .master
        .as_ref()
        .is_some_and(|m| m.volume == elector.volume);
    let answers = view.observed.member(&elector.name).and_then(Member::facts).is_some();
    let members = &view.observed.status.members;
    let silent = members.iter().find(|m| m.name == elector.name).is_some_and(|m| {
        let silent = matches!(
            m.state,
            MemberState::Unreachable | MemberState::Gone | MemberState::Starting
        );
        silent && view.since(m.since.0) >= LONG
    });
    silent && !answers && !is_master && !is_connected(view, elector, master)
}

/// Whether the master has a connection of it, also one that is about to be given up.
fn is_connected(view: &View, elector: &Elector, master: &Facts) -> bool {
    let announced = names::dns(&view.cluster.name, &view.cluster.namespace, &elector.name);
    master.replicas.iter().any(|r| r.ip == announced)
}
