//! Rules that a schema alone cannot hold, as CEL expressions that the apiserver runs.
//!
//! One table: where a rule stands, the expression, and the sentence a person reads. A rule lets pass what the schema
//! refuses anyway, so that one mistake gives one sentence; a sentence names only fields that exist. A rule that is
//! tightened later would lock out objects that are already stored, also from writes of their status: new rules must be
//! transition rules, or conditions.

mod tiers;

use kube::core::{Message, Reason, Rule};

use super::reserved;

/// A rule and the fields it stands at, as paths from the root of the object: `spec.storage.size`, `` for the root.
pub struct Placed {
    /// Every field with this rule; `[]` behind a list stands for its items.
    pub at: &'static [&'static str],
    /// Expression and message.
    pub rule: Rule,
}

/// Maps of labels that we copy to objects.
const LABELS: &[&str] = &[
    "spec.commonMetadata.labels",
    "spec.services.master.metadata.labels",
    "spec.services.replicas.metadata.labels",
    "spec.template.metadata.labels",
    "spec.tiers[].service.metadata.labels",
    "spec.tiers[].template.metadata.labels",
];
/// Maps of annotations that we copy to objects.
const ANNOTATIONS: &[&str] = &[
    "spec.commonMetadata.annotations",
    "spec.services.master.metadata.annotations",
    "spec.services.replicas.metadata.annotations",
    "spec.template.metadata.annotations",
    "spec.tiers[].service.metadata.annotations",
    "spec.tiers[].template.metadata.annotations",
];
const NODE_SELECTOR: &[&str] = &[
    "spec.template.spec.nodeSelector",
    "spec.tiers[].template.spec.nodeSelector",
];
const RESOURCES: &[&str] = &["spec.resources", "spec.tiers[].resources"];
const STORAGE_SIZE: &[&str] = &["spec.storage.size", "spec.tiers[].storage.size"];
const CONFIG: &[&str] = &["spec.config", "spec.tiers[].config"];
const ROOT: &[&str] = &[""];
const SERVICES: &[&str] = &[
    "spec.services.master.spec",
    "spec.services.replicas.spec",
    "spec.tiers[].service.spec",
];

/// Every rule, in the order of the reference.
pub fn all() -> Vec<Placed> {
    [
        name(),
        resources(),
        storage(),
        config(),
        tiers::all(),
        auth(),
        failover(),
        services(),
        metadata(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn rule(at: &'static [&'static str], expression: impl Into<String>, message: &str) -> Placed {
    Placed {
        at,
        rule: Rule::new(expression).message(message),
    }
}

/// A rule whose sentence is an expression too; keep it to parts of bounded length, it is priced like a rule.
fn rule_saying(at: &'static [&'static str], expression: impl Into<String>, message: impl Into<String>) -> Placed {
    Placed {
        at,
        rule: Rule::new(expression).message(Message::Expression(message.into())),
    }
}

/// Pods, Services and claims are named after the set, and their names must fit labels.
fn name() -> Vec<Placed> {
    const LONG: &str = "size(self.metadata.name) > 40";
    let dns = format!("{LONG} || self.metadata.name.matches('^[a-z]([a-z0-9-]*[a-z0-9])?$')");
    [
        rule(
            ROOT,
            format!("!({LONG})"),
            "metadata.name must be at most 40 characters",
        ),
        rule(
            ROOT,
            dns,
            "metadata.name must be a DNS-1035 label: it becomes a Service name",
        ),
    ]
    .map(|placed| about(placed, ".metadata.name"))
    .into()
}

fn resources() -> Vec<Placed> {
    vec![
        rule(
            RESOURCES,
            "!has(self.limits) || !('memory' in self.limits) || !isQuantity(string(self.limits['memory'])) \
             || quantity(string(self.limits['memory'])).compareTo(quantity('64Mi')) >= 0",
            "limits.memory must be at least 64Mi",
        ),
        rule_saying(
            RESOURCES,
            format!("!has(self.requests) || !has(self.limits) || !self.requests.exists(r, {ABOVE_LIMIT})"),
            format!("'requests.' + self.requests.filter(r, {ABOVE_LIMIT})[0] + ' is above its limit'"),
        ),
        about(
            rule(
                &["spec"],
                maxmemory_fits("self.config", "self.resources"),
                "config.maxmemory must be below resources.limits.memory",
            ),
            ".config",
        ),
    ]
}

const ABOVE_LIMIT: &str = "r in self.limits && isQuantity(string(self.requests[r])) \
    && isQuantity(string(self.limits[r])) \
    && quantity(string(self.requests[r])).compareTo(quantity(string(self.limits[r]))) > 0";

/// CEL: `maxmemory` of one block of directives against the limit of another block, where both are plain. Redis's units are
/// written as Kubernetes writes them: `kb` is 1024 and `k` is 1000 in Redis, `Ki` and `k` in Kubernetes.
fn maxmemory_fits(config: &str, resources: &str) -> String {
    let limit = format!("string({resources}.limits['memory'])");
    let bytes = format!(
        "{config}['maxmemory'].lowerAscii().replace('kb', 'Ki').replace('mb', 'Mi').replace('gb', 'Gi').replace('b', '')\
         .replace('m', 'M').replace('g', 'G')"
    );
    format!(
        "!(has({config}) && 'maxmemory' in {config} && has({resources}) && has({resources}.limits) \
         && 'memory' in {resources}.limits && isQuantity({limit}) \
         && {config}['maxmemory'].matches('^[0-9]{{1,15}}([kKmMgG]?[bB]?)$')) \
         || quantity({bytes}).compareTo(quantity({limit})) < 0"
    )
}

fn storage() -> Vec<Placed> {
    vec![
        rule(
            STORAGE_SIZE,
            "!isQuantity(string(self)) || (quantity(string(self)).compareTo(quantity('128Mi')) >= 0 \
             && quantity(string(self)).compareTo(quantity('64Ti')) <= 0)",
            "storage.size must be between 128Mi and 64Ti",
        ),
        rule_saying(
            STORAGE_SIZE,
            "!isQuantity(string(self)) || !isQuantity(string(oldSelf)) \
             || quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",
            "'storage.size cannot be reduced (was ' + string(oldSelf) + ')'",
        ),
        rule(
            &["spec.storage"],
            "self.accessMode == oldSelf.accessMode \
             && (has(self.storageClassName) ? self.storageClassName : '') \
             == (has(oldSelf.storageClassName) ? oldSelf.storageClassName : '')",
            "storageClassName and accessMode are immutable; make a new set and move the data",
        ),
    ]
}

fn config() -> Vec<Placed> {
    let [elsewhere, managed, forbidden] = [
        reserved::elsewhere("k"),
        reserved::managed("k"),
        reserved::forbidden("k"),
    ];
    let first = |condition: &str| format!(r#"'config key "' + self.filter(k, {condition})[0] + '" is "#);
    vec![
        rule(
            CONFIG,
            "self.all(k, k.size() <= 64 && k.matches('^[a-z][a-z0-9-]*$'))",
            "config keys are redis.conf directives: lower-case letters, digits and '-', at most 64 characters",
        ),
        forbidding(rule_saying(
            CONFIG,
            format!("!self.exists(k, {elsewhere})"),
            format!(
                "{}managed by the operator; use spec.' + {}[self.filter(k, {elsewhere})[0]]",
                first(&elsewhere),
                reserved::fields()
            ),
        )),
        forbidding(rule_saying(
            CONFIG,
            format!("!self.exists(k, {managed})"),
            format!("{}managed by the operator'", first(&managed)),
        )),
        forbidding(rule_saying(
            CONFIG,
            format!("!self.exists(k, {forbidden})"),
            format!("{}not allowed'", first(&forbidden)),
        )),
    ]
}

/// Names the field in the error's path, for a rule that has to stand above it.
fn about(placed: Placed, field: &str) -> Placed {
    Placed {
        rule: placed.rule.field_path(field),
        ..placed
    }
}

fn forbidding(placed: Placed) -> Placed {
    Placed {
        rule: placed.rule.reason(Reason::FieldValueForbidden),
        ..placed
    }
}

fn auth() -> Vec<Placed> {
    vec![
        rule_saying(
            &["spec.auth.username"],
            "!self.startsWith('rrs-')",
            r#"'user name "' + self + '" is reserved'"#,
        ),
        rule(
            &["spec.auth.username"],
            "self == oldSelf",
            "auth.username is immutable: the old login would stay valid until every pod is made anew",
        ),
    ]
}

fn services() -> Vec<Placed> {
    vec![
        rule(
            SERVICES,
            "self.type == 'LoadBalancer' || (!has(self.loadBalancerClass) && !has(self.loadBalancerSourceRanges))",
            "loadBalancerClass and loadBalancerSourceRanges need type LoadBalancer",
        ),
        rule(
            SERVICES,
            "self.type != 'ClusterIP' || (!has(self.nodePort) && !has(self.externalTrafficPolicy))",
            "nodePort and externalTrafficPolicy need type NodePort or LoadBalancer",
        ),
        rule(
            SERVICES,
            "!has(self.loadBalancerSourceRanges) || self.loadBalancerSourceRanges.all(c, isCIDR(c))",
            "loadBalancerSourceRanges must be CIDRs such as 10.0.0.0/8",
        ),
        rule(
            SERVICES,
            "!has(self.ipFamilyPolicy) || self.ipFamilyPolicy != 'SingleStack' || !has(self.ipFamilies) \
             || size(self.ipFamilies) < 2",
            "two ipFamilies need ipFamilyPolicy PreferDualStack or RequireDualStack",
        ),
        between(
            &["spec.services.replicas.maxLag"],
            ("1s", "1h"),
            "services.replicas.maxLag must be between 1s and 1h",
        ),
        between(
            &["spec.tiers[].service.maxLag"],
            ("1s", "1h"),
            "service.maxLag must be between 1s and 1h",
        ),
    ]
}

/// A duration within bounds. What is no duration is refused by the schema.
fn between(at: &'static [&'static str], (least, most): (&str, &str), message: &str) -> Placed {
    let form = super::durations::FORM;
    let bounds = format!("duration(self) >= duration('{least}') && duration(self) <= duration('{most}')");
    rule(at, format!("!self.matches('{form}') || ({bounds})"), message)
}

fn failover() -> Vec<Placed> {
    const SELF_FENCE: &[&str] = &["spec.failover.selfFenceAfter"];
    let form = super::durations::FORM;
    vec![
        between(
            &["spec.failover.downAfter"],
            ("300ms", "60s"),
            "failover.downAfter must be between 300ms and 60s",
        ),
        between(
            SELF_FENCE,
            ("1s", "60s"),
            "failover.selfFenceAfter must be between 1s and 60s",
        ),
        rule(
            SELF_FENCE,
            format!("!self.matches('{form}') || duration(self).getMilliseconds() % 1000 == 0"),
            "failover.selfFenceAfter must be whole seconds; it becomes min-replicas-max-lag",
        ),
        between(
            &["spec.failover.cooldown"],
            ("0s", "1h"),
            "failover.cooldown must be at most 1h",
        ),
        between(
            &["spec.failover.awaitReturn"],
            ("0s", "10m"),
            "failover.awaitReturn must be at most 10m",
        ),
        about(
            rule(
                &["spec"],
                format!(
                    "!self.failover.awaitReturn.matches('{form}') || duration(self.failover.awaitReturn) == duration('0s') \
                     || self.persistence.appendFsync == 'always'"
                ),
                "failover.awaitReturn needs persistence.appendFsync: always",
            ),
            ".failover.awaitReturn",
        ),
        rule(
            &["spec.failover.priorities[]"],
            "has(self.zone) != has(self.node)",
            "give exactly one of zone and node",
        ),
    ]
}

/// What we own on the objects we make must not come from a user, and a key that no object can have must not get there.
fn metadata() -> Vec<Placed> {
    const OURS: &str = "self.all(k, !k.startsWith('redisreplicaset.dev/') && !k.startsWith('app.kubernetes.io/') \
        && !k.startsWith('argocd.argoproj.io/'))";
    const RESERVED: &str = "keys under redisreplicaset.dev/, app.kubernetes.io/ and argocd.argoproj.io/ are reserved";
    const FORM: &str = "self.all(k, !format.qualifiedName().validate(k).hasValue())";
    vec![
        rule(LABELS, OURS, RESERVED),
        rule(ANNOTATIONS, OURS, RESERVED),
        rule(
            LABELS,
            FORM,
            "label keys must be names such as team or example.com/team",
        ),
        rule(
            NODE_SELECTOR,
            FORM,
            "label keys must be names such as team or example.com/team",
        ),
        rule(
            ANNOTATIONS,
            FORM,
            "annotation keys must be names such as team or example.com/team",
        ),
    ]
}
