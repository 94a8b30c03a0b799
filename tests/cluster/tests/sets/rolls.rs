//! Revisions that do not come up: a roll stops at its first pod while the set serves, and the spec put back undoes it.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use cluster_tests::ensure;
use cluster_tests::failure::Outcome;
use cluster_tests::scene::Scene;
use cluster_tests::set::{Set, text};
use serde_json::json;

const READY: Duration = Duration::from_secs(120);
/// For the kubelet to find out that there is no such image.
const TOLD: Duration = Duration::from_secs(60);
/// How long a roll that was stopped is looked at.
const LASTING: Duration = Duration::from_secs(10);
const IMAGE: &str = "redis:8.0";
const NO_IMAGE: &str = "redis:0.0-none";

#[test]
fn an_image_that_nobody_has_stops_at_its_first_pod_and_the_old_one_undoes_it() -> Outcome {
    Scene::play("rolls", |scene| {
        let set = {
            let _alone = Scene::start_alone();
            // Also where no pod ever ran, a mended spec is enough.
            let spec = json!({"image": NO_IMAGE, "replicas": 2});
            let set = Set::create(&scene.cluster, &scene.namespace, "rolled", spec)?;
            set.wait_condition("UpToDate", "False", "ImagePullFailed", TOLD)?;
            image(&set, IMAGE)?;
            set.wait_ready(READY)?;
            set
        };
        set.wait_redundant(READY)?;
        let (before, epoch) = (uids(&set)?, set.epoch()?);
        image(&set, NO_IMAGE)?;
        let told = set.wait_condition("UpToDate", "False", "ImagePullFailed", TOLD)?;
        ensure!(told.ends_with("the roll stopped, put the spec back to undo"), "{told}");
        thread::sleep(LASTING);
        set.wait_condition("Available", "True", "Serving", Duration::from_secs(5))?;
        let broken = made_anew(&before, &uids(&set)?);
        ensure!(broken.len() == 1, "the roll did not stop at its first pod: {broken:?}");
        image(&set, IMAGE)?;
        set.wait_condition("UpToDate", "True", "UpToDate", READY)?;
        set.wait_ready(READY)?;
        let after = made_anew(&before, &uids(&set)?);
        ensure!(after == broken, "others than {broken:?} were made anew: {after:?}");
        ensure!(set.epoch()? == epoch, "the master changed");
        Ok(())
    })
}

fn image(set: &Set, image: &str) -> Outcome {
    set.change(&json!({"spec": {"image": image}}))
}

fn uids(set: &Set) -> Outcome<BTreeMap<String, String>> {
    let of = |field: &serde_json::Value| text(field).to_owned();
    let pods = set.pods()?;
    let uids = pods
        .iter()
        .map(|pod| (of(&pod["metadata"]["name"]), of(&pod["metadata"]["uid"])));
    Ok(uids.collect())
}

/// Pods that are not the same as before.
fn made_anew(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let other = |pod: &&String| before.get(*pod) != now.get(*pod);
    before.keys().filter(other).cloned().collect()
}
