//! In which order the steps of a plan go, and which of them side by side. Nothing is done here.

use crate::model::plan::Step;

/// A plan's steps in their order.
#[derive(Debug, PartialEq)]
pub(super) struct Order<'p> {
    /// Role steps, one batch after the other.
    pub batches: Vec<Batch<'p>>,
    /// What changes no role, one by one.
    pub rest: Vec<&'p Step>,
}

/// Steps that go out side by side: a hung pod never makes another wait.
#[derive(Debug, PartialEq)]
pub(super) struct Batch<'p> {
    /// Either one compare-and-set, or commands to Redis.
    pub roles: Vec<&'p Step>,
    /// What goes out with them and may fail without ending the role steps.
    pub beside: Vec<&'p Step>,
}

/// A compare-and-set goes alone, as what follows it rests on it. The VIP is switched beside the first commands: a new
/// master's clients must not wait for a call to the API server behind calls to its replicas.
pub(super) fn order(steps: &[Step]) -> Order<'_> {
    let (roles, others): (Vec<_>, Vec<_>) = steps.iter().partition(|step| step.is_role());
    let mut batches: Vec<Batch> = roles
        .chunk_by(|a, b| !is_alone(a) && !is_alone(b))
        .map(|roles| Batch {
            roles: roles.to_vec(),
            beside: Vec::new(),
        })
        .collect();
    let commands = batches
        .iter_mut()
        .find(|batch| !batch.roles.iter().any(|s| is_alone(s)));
    let Some(commands) = commands else {
        return Order { batches, rest: others };
    };
    let (vip, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(|step| step.is_vip());
    commands.beside = vip;
    Order { batches, rest }
}

fn is_alone(step: &Step) -> bool {
    matches!(step, Step::Record { .. })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::observed::ObjectId;
    use crate::model::plan::{Authority, Object, Target};
    use crate::names::manager;

    fn record() -> Step {
        Step::Record {
            authority: Authority::default(),
            why: String::new(),
        }
    }

    fn fence(pod: &str) -> Step {
        Step::Fence {
            to: Target {
                name: pod.into(),
                uid: pod.into(),
                run_id: pod.into(),
                ip: "10.0.0.1".into(),
            },
        }
    }

    fn service(manager: &'static str) -> Step {
        Step::Apply {
            object: Object {
                id: ObjectId {
                    kind: "Service",
                    name: "cache".into(),
                },
                body: json!({}),
                manager,
                uid: None,
                resource_version: None,
            },
            because: None,
        }
    }

    fn batch<'p>(roles: &[&'p Step], beside: &[&'p Step]) -> Batch<'p> {
        Batch {
            roles: roles.to_vec(),
            beside: beside.to_vec(),
        }
    }

    #[test]
    fn a_compare_and_set_goes_alone_and_the_vip_beside_the_first_commands() {
        let (vip, other, record) = (service(manager::VIP), service(manager::OBJECTS), record());
        let (one, two) = (fence("cache-1"), fence("cache-2"));
        let steps = [other.clone(), record.clone(), one.clone(), vip.clone(), two.clone()];
        let expected = Order {
            batches: vec![batch(&[&record], &[]), batch(&[&one, &two], &[&vip])],
            rest: vec![&other],
        };
        assert_eq!(order(&steps), expected);
    }

    #[test]
    fn without_commands_the_vip_is_an_object_as_any_other() {
        let (vip, other, record) = (service(manager::VIP), service(manager::OBJECTS), record());
        let steps = [vip.clone(), record.clone(), other.clone()];
        let expected = Order {
            batches: vec![batch(&[&record], &[])],
            rest: vec![&vip, &other],
        };
        assert_eq!(order(&steps), expected);
        let steps = [vip.clone(), Step::CreateApp];
        let expected = Order {
            batches: Vec::new(),
            rest: vec![&vip, &Step::CreateApp],
        };
        assert_eq!(order(&steps), expected);
    }
}
