//! Rules of `spec.tiers` that need more than one block. The blocks of a tier have the rules of the set's own, in the table above.

use super::{Placed, ROOT, about, maxmemory_fits, rule, rule_saying};

/// Names that would give a tier's StatefulSet or Service a name, or its pods a label, that is taken.
const RESERVED: &str = "['core', 'replicas', 'nodes', 'master', 'app', 'internal', 'config']";

pub(super) fn all() -> Vec<Placed> {
    let mut rules = names();
    rules.extend([
        about(
            rule(
                &["spec"],
                "!has(self.tiers) || 1 + self.replicas + self.tiers.map(t, t.replicas).sum() <= 200",
                "a set has at most 200 pods: 1 + replicas + the replicas of all tiers",
            ),
            ".tiers",
        ),
        rule(
            &["spec.tiers"],
            leads_to_core(),
            "tiers[].from must lead to core in at most 4 steps: unknown name, loop, or too deep",
        ),
        about(
            rule(
                &["spec"],
                format!("!has(self.tiers) || self.tiers.all(t, {})", maxmemory()),
                "config.maxmemory of a tier must be below its resources.limits.memory",
            ),
            ".tiers",
        ),
        about(
            rule(
                &["spec"],
                format!(
                    "!has(self.tiers) || !has(oldSelf.tiers) || self.tiers.all(t, oldSelf.tiers.all(o, o.name != t.name || ({})))",
                    same_volumes()
                ),
                "storageClassName and accessMode of a tier are immutable; make a tier of another name",
            ),
            ".tiers",
        ),
    ]);
    rules
}

/// Pods and their revisions are named after both, and Kubernetes puts the name of a revision into a label of 63 characters.
fn names() -> Vec<Placed> {
    vec![
        about(
            rule(
                ROOT,
                "size(self.metadata.name) > 40 || !has(self.spec.tiers) \
                 || self.spec.tiers.all(t, size(self.metadata.name) + size(t.name) <= 51)",
                "metadata.name and a tier's name together must be at most 51 characters",
            ),
            ".metadata.name",
        ),
        rule_saying(
            &["spec.tiers[].name"],
            format!("!(self in {RESERVED})"),
            r#"'tier name "' + self + '" is reserved'"#,
        ),
    ]
}

/// Four steps are written out: an expression has no loop.
fn leads_to_core() -> String {
    let step = |tier: &str, above: &str, further: &str| {
        format!("{tier}.from == 'core' || self.exists({above}, {above}.name == {tier}.from && ({further}))")
    };
    let last = "d.from == 'core'".to_owned();
    let [c, b, a] = [("c", "d"), ("b", "c"), ("a", "b")];
    let way = [c, b, a]
        .iter()
        .fold(last, |further, (tier, above)| step(tier, above, &further));
    format!("self.all(a, {way})")
}

/// What a tier leaves out is the set's, so either half may be.
fn maxmemory() -> String {
    let own = maxmemory_fits("t.config", "t.resources");
    let own_config = maxmemory_fits("t.config", "self.resources");
    let own_limit = maxmemory_fits("self.config", "t.resources");
    format!(
        "({own}) && (has(t.resources) || {own_config}) && (has(t.config) && 'maxmemory' in t.config || {own_limit})"
    )
}

/// A block of storage may come and go while it names the class and the mode that the set's has. Those never change: that is
/// another rule, so here both tiers are compared with the set's of now.
fn same_volumes() -> String {
    let class = |storage: &str| format!("(has({storage}.storageClassName) ? {storage}.storageClassName : '')");
    let mode = |storage: &str| format!("{storage}.accessMode");
    let same = |field: &dyn Fn(&str) -> String| {
        let of = |tier: &str| {
            let (own, sets) = (field(&format!("{tier}.storage")), field("self.storage"));
            format!("(has({tier}.storage) ? {own} : {sets})")
        };
        format!("{} == {}", of("t"), of("o"))
    };
    format!("{} && {}", same(&class), same(&mode))
}
