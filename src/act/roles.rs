//! Steps on a Redis. Each goes over the held connection of exactly the process it was decided for, and what it read
//! afterwards is at once what the next round sees.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::{ActError, Actor, REDIS_CALL, link_key};
use crate::build::acl;
use crate::model::observed::{Observed, Refusal};
use crate::model::plan::{Step, Target};
use crate::model::redis::{Facts, PodUid};
use crate::model::timeline::CutOff;
use crate::names;
use crate::observe::Memory;
use crate::redis::{CallError, Connection, clients, clock, link_secret, roles};

/// Does a role step.
pub(super) async fn role(actor: &Actor<'_>, observed: &Observed, step: &Step) -> Result<(), ActError> {
    match step {
        Step::Bare { to } => on(actor, to, "bare", async |c| roles::bare(c).await).await,
        Step::Fence { to } => on(actor, to, "fence", async |c| roles::fence(c).await).await,
        Step::Arm { to, min, epoch } => {
            let min = u32::try_from(*min).map_err(|_| ActError::Missing("min-replicas-to-write is negative"))?;
            tracing::info!(set = %actor.key, pod = %to.name, min, epoch, "arms");
            on(actor, to, "arm", async |c| roles::arm(c, min).await).await
        }
        Step::LockOut { parent, child } => {
            on(actor, parent, "lock-out", async |c| roles::revoke_link(c, child).await).await
        }
        Step::Drain { to } => {
            let down = |f: &Facts| f.replica_link().is_none_or(|link| !link.up);
            on(actor, to, "drain", async |c| roles::look_until(c, down, DRAIN).await).await
        }
        Step::CatchUp { to, offset } => {
            let there = |f: &Facts| f.offset >= *offset;
            on(actor, to, "catch-up", async |c| {
                roles::look_until(c, there, CATCH_UP).await
            })
            .await
        }
        Step::ComeAlong { to, lineage } => {
            let there = |f: &Facts| f.replid == *lineage && f.replica_link().is_some_and(|link| link.up);
            let looked = on(actor, to, "come-along", async |c| {
                roles::look_until(c, there, COME_ALONG).await
            });
            // One that does not answer is left behind: the new master does not wait for it.
            looked
                .await
                .or_else(|error| if error.is_lease() { Err(error) } else { Ok(()) })
        }
        Step::Attach { child, parent, epoch } => attach(actor, observed, child, parent, *epoch).await,
        Step::KillClients { .. }
        | Step::DeletePod { .. }
        | Step::Record { .. }
        | Step::CreateInternal { .. }
        | Step::CreateApp
        | Step::WriteAcl { .. }
        | Step::Grow { .. }
        | Step::Create(_)
        | Step::Apply { .. }
        | Step::Delete { .. }
        | Step::Configure { .. }
        | Step::Login { .. }
        | Step::Label { .. }
        | Step::Gate { .. }
        | Step::Mark { .. } => Err(ActError::Missing("this step is not for a Redis")),
    }
}

/// How long one drain looks: decide judges what was seen, and may ask for another.
const DRAIN: Duration = Duration::from_millis(250);
/// How long one look at a child that is to come along takes.
const COME_ALONG: Duration = Duration::from_millis(100);
/// How long one catching up looks.
const CATCH_UP: Duration = Duration::from_millis(400);

/// Cuts applications off from a former master, and notes when.
pub(super) async fn kill_clients(
    actor: &Actor<'_>,
    to: &Target,
    refused: u64,
    memory: &mut Memory,
) -> Result<(), ActError> {
    let connection = connection(actor, to)?;
    let killed = clients::kill_clients(&connection)
        .await
        .map_err(|source| ActError::Redis {
            pod: to.name.clone(),
            source,
        })?;
    if killed > 0 {
        tracing::info!(set = %actor.key, pod = %to.name, killed, "cut applications off");
    }
    let at = clock::now();
    memory
        .timeline
        .cut_off
        .insert(to.run_id.clone(), CutOff { at, refused });
    Ok(())
}

/// Mints the link at the parent, attaches the child, and looks at the parent once more: "holds everything the master had
/// at the attach" is judged by a look that is younger than the attach.
async fn attach(
    actor: &Actor<'_>,
    observed: &Observed,
    child: &Target,
    parent: &Target,
    epoch: i64,
) -> Result<(), ActError> {
    let epoch = u64::try_from(epoch).map_err(|_| ActError::Missing("the epoch is negative"))?;
    let secret = link_secret(
        link_key(observed)?,
        &actor.cluster.uid,
        &parent.run_id,
        &child.run_id,
        epoch,
    );
    let ip: IpAddr = parent
        .ip
        .parse()
        .map_err(|_| ActError::Missing("the parent's address is no IP address"))?;
    let user = names::link_user(&child.name);
    if facts(actor, parent).is_some_and(|f| f.replica_link().is_some()) {
        stand_still(actor, child, parent).await?;
    }
    // Whoever still holds a link under this name, such as a process that was deleted by force, loses it first.
    if !observed.attached.contains_key(&child.run_id) {
        on(actor, parent, "revoke", async |c| {
            roles::revoke_link(c, &child.name).await
        })
        .await?;
    }
    on(actor, parent, "mint", async |c| {
        roles::mint_link(c, &child.name, &secret).await
    })
    .await?;
    on(actor, child, "attach", async |c| {
        roles::attach(c, ip, names::REDIS_PORT, &user, &secret).await
    })
    .await?;
    on(actor, parent, "look", async |c| c.look().await).await
}

/// A replica may be ahead of another one by what is on its way, and would get everything anew from it. So it stands still until its
/// next parent has come past it; on real servers one of two that moved under writes did otherwise need a full resync.
async fn stand_still(actor: &Actor<'_>, child: &Target, parent: &Target) -> Result<(), ActError> {
    on(actor, child, "stand-still", async |c| roles::fence(c).await).await?;
    let Some(held) = facts(actor, child) else {
        return Err(ActError::OtherProcess(child.name.clone()));
    };
    let past = |f: &Facts| f.replid != held.replid || f.offset >= held.offset;
    on(actor, parent, "come-past", async |c| {
        roles::look_until(c, past, CATCH_UP).await
    })
    .await?;
    match facts(actor, parent).is_some_and(|f| past(&f)) {
        true => Ok(()),
        false => Err(ActError::Missing("the parent has not come to where the child is")),
    }
}

/// Sets directives one by one: each that Redis refuses, or shows in another spelling, is remembered.
pub(super) async fn configure(
    actor: &Actor<'_>,
    to: &Target,
    values: &BTreeMap<String, String>,
    memory: &mut Memory,
) -> Result<(), ActError> {
    for (key, value) in values {
        let one = BTreeMap::from([(key.clone(), value.clone())]);
        let answer = match on(actor, to, "configure", async |c| roles::set_config(c, &one).await).await {
            Ok(()) => {
                let shown = facts(actor, to).and_then(|f| f.managed.get(key).cloned().flatten());
                shown.map(Refusal::Shown)
            }
            Err(ActError::Redis {
                source: CallError::Refused { message, .. },
                ..
            }) if message.contains("immutable") => Some(Refusal::Immutable),
            // Any other code (BUSY, LOADING, OOM) speaks of the moment, not of the value.
            Err(ActError::Redis {
                source: CallError::Refused { code, message, .. },
                ..
            }) if code == "ERR" => Some(Refusal::Refused(message)),
            Err(error) => return Err(error),
        };
        if let Some(answer) = answer {
            memory.refused.insert((key.clone(), value.clone()), answer);
        }
    }
    Ok(())
}

/// Gives the application's user its password and rules.
pub(super) async fn login(actor: &Actor<'_>, to: &Target, sha256: &str) -> Result<(), ActError> {
    let name = &actor.cluster.spec.auth.username;
    let hashes = BTreeSet::from([sha256.to_owned()]);
    let rules: Vec<String> = acl::APPLICATION_RULES.split_whitespace().map(str::to_owned).collect();
    on(actor, to, "login", async |c| {
        roles::set_app_user(c, name, &hashes, &rules).await
    })
    .await
}

/// Runs a procedure on the process that the step was decided for, and publishes what it read.
async fn on(
    actor: &Actor<'_>,
    to: &Target,
    what: &str,
    procedure: impl AsyncFnOnce(&Connection) -> Result<Facts, CallError>,
) -> Result<(), ActError> {
    let uid = PodUid(to.uid.clone());
    let lost = |source| ActError::Redis {
        pod: to.name.clone(),
        source,
    };
    let connection = connection(actor, to)?;
    let read = procedure(&connection).await.map_err(lost)?;
    tracing::debug!(set = %actor.key, pod = %to.name, what, state = ?read.state(), "done");
    actor.probes.publish(actor.key, &uid, read);
    Ok(())
}

/// The held connection to exactly this process, for a call that ends before the Lease does.
fn connection(actor: &Actor<'_>, to: &Target) -> Result<Connection, ActError> {
    actor.leadership.check(REDIS_CALL)?;
    if facts(actor, to).is_none_or(|f| f.run_id != to.run_id) {
        return Err(ActError::OtherProcess(to.name.clone()));
    }
    let connection = actor.probes.connection(actor.key, &PodUid(to.uid.clone()));
    connection.ok_or_else(|| ActError::OtherProcess(to.name.clone()))
}

fn facts(actor: &Actor<'_>, to: &Target) -> Option<std::sync::Arc<Facts>> {
    actor
        .probes
        .look(actor.key)
        .get(&PodUid(to.uid.clone()))?
        .facts()
        .cloned()
}
