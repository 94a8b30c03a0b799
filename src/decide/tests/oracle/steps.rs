//! What must be true before a step is done.

use crate::api::status::{Operation, OperationKind};
use crate::decide::tests::world::redis::{Link, Redis, Role};
use crate::decide::tests::world::{GHOSTS, PLACES, Pod, SET, TIERS, World, first_of, place_of, pod_name, tier_at};
use crate::model::plan::{Authority, Step, Target};
use crate::model::redis::Facts;
use crate::names;

/// A step that is about to be done.
pub fn step(world: &World, step: &Step) {
    if let Step::Bare { to } | Step::Arm { to, .. } | Step::Attach { child: to, .. } = step {
        assert!(!is_fenced(world, &to.name), "S11: a fenced pod gets a role: {step:?}");
    }
    match step {
        Step::Record { authority, why } => record(world, authority, why),
        Step::Bare { to } if is_source(world, &to.name) => {
            assert!(!is_recorded(world, to), "the recorded master is a source");
        }
        Step::Bare { to } | Step::Arm { to, .. } => promotion(world, to, step),
        Step::Attach { child, parent, epoch } => attach(world, child, parent, *epoch),
        Step::Fence { to } => {
            let intended = |o: &Operation| o.kind == OperationKind::Switchover && Some(o.epoch) > world.status.epoch;
            let planned = world.status.operation.as_ref().is_some_and(intended);
            let planned = planned || is_fenced(world, &to.name);
            assert!(planned || !is_recorded(world, to), "S8: the recorded master is fenced");
        }
        Step::LockOut { parent, child } => {
            let itself = is_recorded(world, parent) && *child == parent.name;
            assert!(!itself, "the master is locked out of itself");
        }
        Step::DeletePod { uid, .. } => deletion(world, uid),
        Step::Mark { claim, epoch, .. } => {
            let of = |slot: &usize| names::claim(&pod_name(*slot)) == *claim;
            let carried = (0..world.slots.len().min(GHOSTS))
                .find(of)
                .and_then(|o| world.slots[o].claim.as_ref()?.epoch);
            assert!(
                carried.is_none_or(|carried| carried <= *epoch),
                "S2: the epoch of {claim} falls"
            );
        }
        Step::Create(object) | Step::Apply { object, .. } if object.id.kind == "StatefulSet" => {
            let tier = (0..=TIERS.len())
                .map(|tier| tier_at(tier * PLACES))
                .find(|tier| names::stateful_set(SET, tier) == object.id.name);
            smaller(
                world,
                tier.unwrap(),
                object.body["spec"]["replicas"].as_u64().unwrap() as usize,
            );
        }
        _ => {}
    }
}

fn is_recorded(world: &World, to: &Target) -> bool {
    world.status.master.as_ref().is_some_and(|m| m.uid == to.uid)
}

/// Whether a person named who takes over, and so took the responsibility for what is lost.
fn is_named(under_way: &Operation) -> bool {
    let of = |id: &str| id.starts_with("force-failover=") || id.starts_with("accept-data-loss=");
    under_way.request_id.as_deref().is_some_and(of)
}

/// Whether status names a pod as the one from which others take in what they lack.
fn is_source(world: &World, pod: &str) -> bool {
    let under_way = world.status.operation.as_ref();
    under_way.is_some_and(|o| o.to.is_empty() && o.source.as_deref() == Some(pod))
}

fn is_fenced(world: &World, pod: &str) -> bool {
    world.status.fenced.iter().any(|f| f.name == pod)
}

fn record(world: &World, new: &Authority, why: &str) {
    let old = Authority::from(&world.status);
    assert!(new.epoch >= old.epoch, "S2: the epoch falls");
    if new.epoch == old.epoch {
        assert_eq!(new.master, old.master, "S2: an epoch names two masters");
    } else {
        assert!(
            new.operation.as_ref().is_some_and(|o| o.epoch == new.epoch),
            "S8: an epoch without an operation"
        );
    }
    if let (Some(was), Some(is)) = (&old.operation, &new.operation) {
        let replaced = was.to.is_empty() || is.to.is_empty() || new.epoch > old.epoch;
        assert!(
            was.to == is.to || replaced,
            "S8: another operation begins while one is under way"
        );
    }
    if let Some(to) = new.operation.as_ref().filter(|_| old.operation.is_none()) {
        moved(world, to);
    }
    let volume = |a: &Authority| a.master.as_ref().map(|m| m.volume.clone());
    if old.master.is_some() && volume(new) != volume(&old) {
        handed_over(world, new, why);
    } else if new.epoch > old.epoch {
        granted(world, new);
    }
    lowering(world, &old, new);
    leaving(world, &old, new);
    if let (Some(was), Some(is)) = (old.quorum, new.quorum) {
        let most = crate::decide::wait_target(new.electors.len());
        assert!(
            is.wait <= was.wait.max(most),
            "k rises to {} with {} electors",
            is.wait,
            new.electors.len()
        );
    }
}

/// A hand-over leads to a node that drains only from a pod that ends sooner.
fn moved(world: &World, to: &Operation) {
    let target = place_of(&to.to);
    let node = |at: usize| world.draining.get(world.pod(at)?.node.as_ref()?).copied();
    let (Some(from), Some(target)) = (world.master(), target) else {
        return;
    };
    let ends = world.pod(from).is_none_or(|p| p.deleting);
    assert!(
        to.kind != OperationKind::Switchover || ends || node(target).is_none() || node(target) < node(from),
        "{} is to take over on a node that drains",
        to.to
    );
}

/// S6 and S7: who takes over holds every confirmed write, and after a switchover every write.
fn handed_over(world: &World, new: &Authority, why: &str) {
    let under_way = new.operation.as_ref().filter(|o| o.kind.is_handover());
    let under_way = under_way.unwrap_or_else(|| panic!("another volume's pod becomes master: {why}"));
    let winner = world.slots.iter().find(|s| {
        s.pod
            .as_ref()
            .is_some_and(|p| new.master.as_ref().is_some_and(|m| m.uid == p.uid))
    });
    // It may have died since it was looked at: then it is never promoted.
    let Some(redis) = winner.and_then(|s| s.pod.as_ref()?.redis.as_ref()) else {
        return;
    };
    if is_named(under_way) {
        return by_a_person(world, under_way, redis);
    }
    let ordinal = place_of(&under_way.to).unwrap();
    assert!(
        !redis.data.is_empty() || !had_data(world, ordinal),
        "S4: {} takes over empty, and the set had data",
        under_way.to
    );
    let lost: Vec<_> = world.confirmed.iter().filter(|w| !redis.data.contains(w)).collect();
    assert!(
        lost.is_empty(),
        "S9: {} takes over without {lost:?}: {why}",
        under_way.to
    );
    if let (OperationKind::Switchover, Some(before)) = (under_way.kind, world.master().and_then(|o| world.redis(o))) {
        assert_eq!(redis.data, before.data, "S7: a switchover loses writes");
    }
}

/// Who takes over was named by a person who asked for just that: the pod, in the epoch that is replaced. Nobody answers for an
/// empty one by force.
fn by_a_person(world: &World, under_way: &Operation, winner: &Redis) {
    let (name, value) = under_way
        .request_id
        .as_deref()
        .and_then(|id| id.split_once('='))
        .unwrap();
    let rows = world.status.requests.iter().filter(|r| r.name == name);
    let asked = rows
        .map(|r| &r.value)
        .chain(world.requests.get(name))
        .any(|known| known == value);
    assert!(asked, "nobody asked for {name}={value}");
    if name == "force-failover" {
        let named = format!("{}@{}", under_way.to, world.status.epoch.unwrap_or(0));
        assert_eq!(value, named, "S4: another takes over than was named");
        let had = world.status.high_water_mark.as_ref().is_some_and(|m| m.keys > 0);
        assert!(
            !had || !winner.data.is_empty(),
            "S4: {} takes over empty by force",
            under_way.to
        );
    }
}

/// A start from a file may lack confirmed writes only if just that file lost them.
fn granted(world: &World, new: &Authority) {
    let Some(redis) = world.master().and_then(|o| world.redis(o)).filter(|r| r.loading == 0) else {
        return;
    };
    if let Some(under_way) = new.operation.as_ref().filter(|o| is_named(o)) {
        return by_a_person(world, under_way, redis);
    }
    // A master that was awaited has everything, also what no replica had.
    let awaited = new.operation.as_ref().is_some_and(|o| o.verdict.is_some());
    let lacks = world.kept.iter().any(|w| !redis.data.contains(w));
    assert!(
        !awaited || !lacks,
        "an awaited master comes back without answered writes"
    );
    let missing = world.confirmed.iter().filter(|w| !redis.data.contains(w));
    let lost: Vec<_> = missing.filter(|w| !world.may_lack(**w)).collect();
    assert!(
        lost.is_empty(),
        "S9: the master is granted its role again without {lost:?}, which its file did not lose"
    );
}

/// An elector leaves only when min(k, the rest) of the remaining replicas hold everything that the master has.
fn leaving(world: &World, old: &Authority, new: &Authority) {
    // A learner that was a voter has left and entered again.
    let voted = |volume: &str| old.electors.iter().any(|e| e.volume == volume && !e.learner);
    let stays = |volume: &str| {
        new.electors
            .iter()
            .any(|e| e.volume == volume && (!e.learner || !voted(volume)))
    };
    if new.epoch > old.epoch || old.electors.iter().all(|e| stays(&e.volume)) {
        return;
    }
    let (Some(master), Some(quorum)) = (world.master(), new.quorum) else {
        panic!("an elector leaves without a master")
    };
    let all = &world
        .redis(master)
        .expect("an elector leaves while the master is dead")
        .data;
    let holds = |ordinal: &usize| {
        let slot = &world.slots[*ordinal];
        let elector = slot.claim.as_ref().is_some_and(|c| stays(&c.uid));
        *ordinal != master && elector && world.redis(*ordinal).is_some_and(|r| &r.data == all)
    };
    let holders = (0..world.slots.len()).filter(holds).count();
    let volume = |ordinal: usize| world.slots[ordinal].claim.as_ref().map(|c| c.uid.as_str());
    // Who enters in the same write does so after the other has left.
    let others = old
        .electors
        .iter()
        .filter(|e| stays(&e.volume) && Some(e.volume.as_str()) != volume(master));
    let rest = others.count();
    assert!(
        holders >= rest.min(quorum.wait as usize),
        "an elector leaves while {holders} of {rest} hold everything: {:?} from {:?}, k {}",
        new.electors,
        old.electors,
        quorum.wait
    );
}

/// min falls on proof only: nobody but those that were counted could still acknowledge.
fn lowering(world: &World, old: &Authority, new: &Authority) {
    let (Some(was), Some(is)) = (old.quorum, new.quorum) else {
        return;
    };
    let by_spec = crate::decide::min_target(1 + world.cluster.spec.replicas as usize);
    if is.min_replicas_to_write >= was.min_replicas_to_write.min(by_spec) || new.epoch > old.epoch {
        return;
    }
    let Some((master, redis)) = world.master().and_then(|o| Some((world.pod(o)?, world.redis(o)?))) else {
        return;
    };
    // Who was locked out while out of sight believes that its link is up: the master has closed its end.
    let may = |at: &&usize| {
        world
            .pod(**at)
            .is_some_and(|p| redis.links.contains_key(&pod_name(p.name)))
    };
    let linked = world.followers(&master.ip).iter().filter(may).count() as i32;
    assert!(
        linked <= is.min_replicas_to_write,
        "min falls to {} while {linked} replicas acknowledge",
        is.min_replicas_to_write
    );
}

/// S4 and S8: only the recorded process, in its epoch, and never one without the data the set had.
fn promotion(world: &World, to: &Target, step: &Step) {
    let status = &world.status;
    assert!(
        is_recorded(world, to),
        "S8: {} is promoted before it was recorded",
        to.name
    );
    let ordinal = place_of(&to.name).unwrap();
    let Some(redis) = world.redis(ordinal).filter(|r| r.run_id == to.run_id) else {
        return;
    };
    assert!(
        is_chosen(world, redis) || !redis.data.is_empty() || !had_data(world, ordinal),
        "S4: {} is empty, and the set had data",
        to.name
    );
    match step {
        Step::Arm { min, epoch, .. } => {
            assert_eq!(Some(*epoch), status.epoch, "armed in another epoch");
            assert_eq!(redis.role, Role::Master, "armed before it is bare");
            let lineage = status.histories.first().map(|h| (h.replid.as_str(), h.epoch));
            let handed_over = status.operation.as_ref().is_some_and(|o| o.kind.is_handover());
            assert!(
                handed_over || lineage == Some((redis.replid.as_str(), *epoch)),
                "armed before its lineage was recorded"
            );
            let recorded = status.quorum.map_or(0, |q| q.min_replicas_to_write);
            assert!(*min >= recorded, "min {min} is set before it was recorded ({recorded})");
        }
        _ => assert!(
            status.operation.as_ref().is_some_and(|o| o.to == to.name),
            "S8: bare without an operation"
        ),
    }
}

/// Whether this process took over just now: it was judged when it was chosen, and what a former master brings back later was
/// lost by then. Another process in its place has what its file has, for which only a person answers.
fn is_chosen(world: &World, redis: &Redis) -> bool {
    let under_way = world.status.operation.as_ref().filter(|o| o.kind.is_handover());
    under_way.is_some_and(|o| is_named(o) || world.chosen.as_ref() == Some(&redis.run_id))
}

/// Whether the operator can know that the set had data: by the mark, or by a replica that holds more of the recorded
/// lineage than the mark. What the master lost before anybody saw it, and who has it under a history of its own, can not
/// be told from old data.
fn had_data(world: &World, ordinal: usize) -> bool {
    let status = &world.status;
    let Some(mark) = &status.high_water_mark else {
        return false;
    };
    let lineage = status.histories.first().map(|h| h.replid.as_str());
    let holds = |(other, pod, redis): (usize, &Pod, &Redis)| {
        let seen = pod.seen.facts().is_some_and(|f| f.run_id == redis.run_id && f.keys > 0);
        other != ordinal && seen && Some(redis.replid.as_str()) == lineage && redis.offset as i64 > mark.offset
    };
    mark.keys > 0 || world.processes().any(holds)
}

fn attach(world: &World, child: &Target, parent: &Target, epoch: i64) {
    if place_of(&child.name).unwrap() >= PLACES {
        return attach_below(world, child, parent, epoch);
    }
    let source = is_source(world, &parent.name);
    assert!(
        is_recorded(world, parent) || source,
        "{} is attached to {}, which is not the master",
        child.name,
        parent.name
    );
    assert!(!is_recorded(world, child), "the master is attached");
    assert_eq!(Some(epoch), world.status.epoch, "attached in another epoch");
    let entered = world.status.electors.iter().any(|e| e.uid == child.uid);
    assert!(entered, "{} is attached before it entered the electors", child.name);
    budget(world, child, parent);
    // A command for a process that has another one in its place is not done.
    let at = |to: &Target| world.redis(place_of(&to.name)?).filter(|r| r.run_id == to.run_id);
    if let (Some(from), Some(to)) = (at(parent), at(child)) {
        assert_eq!(from.role, Role::Master, "attached to a pod that is no master");
        if source {
            let lineage = world.status.histories.first().map(|h| h.replid.as_str());
            assert_eq!(
                lineage,
                Some(from.replid.as_str()),
                "attached before the source's lineage was recorded"
            );
            let goes_on = from.continues(&to.replid, to.offset);
            assert!(goes_on, "{} would throw its data away for a source's", child.name);
        }
        let wiped =
            from.data.is_empty() && !to.data.is_empty() && !is_chosen(world, from) && had_data(world, usize::MAX);
        assert!(!wiped, "S5: {} would be wiped by an empty master", child.name);
    }
}

/// A pod of a tier hangs on a replica that is above it, never on a master: it would confirm writes there.
fn attach_below(world: &World, child: &Target, parent: &Target, epoch: i64) {
    assert_eq!(Some(epoch), world.status.epoch, "attached in another epoch");
    assert!(!is_recorded(world, parent), "{} is attached to the master", child.name);
    budget(world, child, parent);
    let (at, mut way) = (place_of(&child.name).unwrap(), vec![place_of(&parent.name).unwrap()]);
    let above = |at: usize| match &world.redis(at)?.role {
        Role::Follows { ip, .. } => world.at(ip),
        Role::Master | Role::Fenced => None,
    };
    while let Some(next) = above(way[way.len() - 1]).filter(|next| !way.contains(next)) {
        way.push(next);
    }
    assert!(!way.contains(&at), "{} is attached below itself: {way:?}", child.name);
    let tier = |at: usize| world.cluster.tiers().find(|tier| tier.name == tier_at(at)).unwrap();
    let mut tiers = std::iter::successors(Some(tier(at)), |tier| {
        let from = tier.level?.from;
        world.cluster.tiers().find(|tier| tier.index == from)
    });
    let is_above = tiers.any(|tier| tier.index == tier_of(world, way[0]));
    assert!(
        is_above,
        "{} is attached to {}, which is in no tier above it",
        child.name, parent.name
    );
    if let (Some(from), Some(to)) = (world.redis(way[0]), world.redis(at)) {
        assert_ne!(from.role, Role::Master, "{} is attached to a master", child.name);
        let wiped = from.data.is_empty() && !to.data.is_empty() && had_data(world, usize::MAX);
        let of_master = world
            .master()
            .and_then(|o| world.redis(o))
            .is_some_and(|m| m.data.is_empty());
        assert!(!wiped || of_master, "S5: {} would be wiped by an empty pod", child.name);
    }
}

fn tier_of(world: &World, at: usize) -> usize {
    world
        .cluster
        .tiers()
        .find(|tier| tier.name == tier_at(at))
        .unwrap()
        .index
}

/// R7: whom the operator sees in a full resync, or gave one in this pass, is waited for.
fn budget(world: &World, child: &Target, parent: &Target) {
    let Some(at) = world.at(&parent.ip) else { return };
    let (Some(host), Some(master)) = (world.pod(at), world.redis(at)) else {
        return;
    };
    let full = |(_, pod, redis): &(usize, &Pod, &Redis)| {
        let fresh = |f: &Facts| f.run_id == redis.run_id && world.now.duration_since(f.asked_at).as_secs() < 1;
        let seen = pod.operator_reaches()
            && pod.peers_reach()
            && host.peers_reach()
            && pod.seen.facts().is_some_and(|f| fresh(f));
        let Role::Follows { ip, link } = &redis.role else {
            return false;
        };
        let begins = *link == Link::Down
            && redis
                .secret
                .as_ref()
                .is_some_and(|s| master.links.values().any(|l| l == s));
        let takes = matches!(link, Link::Syncing(_)) || begins && !master.continues(&redis.replid, redis.offset);
        *ip == parent.ip && seen && takes
    };
    let own = world
        .processes()
        .any(|(_, pod, redis)| pod.uid == child.uid && master.continues(&redis.replid, redis.offset));
    let others = world
        .processes()
        .filter(full)
        .filter(|(_, pod, _)| pod.uid != child.uid)
        .count();
    assert!(
        own || others == 0,
        "R7: a full resync for {} beside {others} others",
        child.name
    );
}

/// One pod at a time is made anew, and a master that takes writes only if nobody is there who could take over.
fn deletion(world: &World, uid: &str) {
    let pods = || world.slots.iter().take(GHOSTS).filter_map(|slot| slot.pod.as_ref());
    let pod = pods().find(|pod| pod.uid == uid);
    let process = pod.and_then(|pod| pod.redis.as_ref());
    let alone = world
        .slots
        .iter()
        .take(PLACES)
        .filter(|slot| slot.pod.is_some())
        .count()
        == 1;
    assert!(
        alone || !process.is_some_and(Redis::is_armed),
        "the master is deleted beside its replicas"
    );
    // Whoever does not run is missed by nobody.
    assert!(
        process.is_none() || !pods().any(|pod| pod.deleting),
        "two pods are made anew at once"
    );
}

/// A smaller StatefulSet drops one pod, which is neither master nor elector and can not come back to the master.
fn smaller(world: &World, tier: &str, is: usize) {
    let was = world.stateful_set_of(tier).map_or(0, |s| s.replicas as usize);
    if is >= was {
        return;
    }
    assert_eq!(was - is, 1, "the StatefulSet shrinks by more than one");
    let is = first_of(tier) + is;
    assert!(
        world.master().is_none_or(|master| master < is || is >= PLACES),
        "the master is scaled away"
    );
    let volume = world
        .slots
        .get(is)
        .and_then(|s| s.claim.as_ref())
        .map(|c| c.uid.as_str());
    let elector = world.status.electors.iter().any(|e| Some(e.volume.as_str()) == volume);
    assert!(!elector, "s-{is} is scaled away while it is an elector");
    let master = world.master().and_then(|o| world.redis(o));
    let linked = master.is_some_and(|m| m.links.contains_key(&pod_name(is)));
    assert!(!linked, "s-{is} is scaled away before it was locked out");
}
