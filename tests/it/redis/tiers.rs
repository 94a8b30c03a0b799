//! What a tree of replicas builds on: who goes on under whom without a full resync.

use redis_operator::model::redis::Facts;
use redis_operator::redis::{Connection, roles};

use super::roles::{attach, caught_up, link_down, link_up, master, secret};
use super::server::{Server, binaries, until};

/// A pod that hangs on another one, over a link of its own, and has everything.
async fn hang(child: &Connection, name: &str, parent: &Server, up: &Connection) {
    roles::mint_link(up, name, &secret(name)).await.unwrap();
    attach(child, parent, name, &secret(name)).await;
    link_up(child).await;
    caught_up(child, up).await;
}

async fn write(master: &Server, key: &str) {
    master.app::<()>(&["SET", key, &"value".repeat(200)]).await.unwrap();
}

/// Resyncs that a parent gave, whole ones and partial ones.
async fn given(parent: &Connection) -> (u64, u64) {
    let facts = parent.look().await.unwrap();
    (facts.sync_full, facts.sync_partial_ok)
}

async fn is_of(child: &Connection, lineage: &str) -> Facts {
    until("the new lineage has come down", async || {
        let facts = child.look().await.ok()?;
        let up = facts.replica_link().is_some_and(|link| link.up);
        (up && facts.replid == lineage).then_some(facts)
    })
    .await
}

#[tokio::test]
async fn the_child_of_a_dead_parent_goes_on_under_a_sibling_of_it() {
    for binary in binaries() {
        let [root, mut dies, stays, leaf] =
            ["orders-0", "orders-1", "orders-2", "orders-edge-0"].map(|name| Server::start(&binary, name));
        let top = master(&root).await;
        let (dying, staying, child) = (dies.operator().await, stays.operator().await, leaf.operator().await);
        write(&root, "before").await;
        hang(&dying, "orders-1", &root, &top).await;
        hang(&staying, "orders-2", &root, &top).await;
        hang(&child, "orders-edge-0", &dies, &dying).await;

        dies.kill();
        let cut = link_down(&child).await;
        write(&root, "meanwhile").await;
        caught_up(&staying, &top).await;
        let before = given(&staying).await;
        hang(&child, "orders-edge-0", &stays, &staying).await;
        let after = given(&staying).await;
        assert_eq!((after.0 - before.0, after.1 - before.1), (0, 1));
        assert!(child.look().await.unwrap().offset > cut.offset);
    }
}

#[tokio::test]
async fn a_deep_replica_does_not_see_that_the_root_is_dead() {
    for binary in binaries() {
        let [mut root, middle, leaf] =
            ["orders-0", "orders-1", "orders-edge-0"].map(|name| Server::start(&binary, name));
        let top = master(&root).await;
        let (between, child) = (middle.operator().await, leaf.operator().await);
        write(&root, "key").await;
        hang(&between, "orders-1", &root, &top).await;
        hang(&child, "orders-edge-0", &middle, &between).await;
        root.kill();
        link_down(&between).await;
        assert!(roles::fence(&between).await.is_ok());
        let facts = child.look().await.unwrap();
        assert!(
            facts.replica_link().is_some_and(|link| link.up),
            "also under a parent that is fenced"
        );
    }
}

/// The order that a failover owes to the children of the pod that takes over. A sibling of that pod which was behind it can
/// go on from the old lineage only up to where it was itself.
#[tokio::test]
async fn who_follows_a_promoted_parent_into_its_lineage_may_leave_it_for_a_sibling_that_was_behind() {
    for binary in binaries() {
        let [mut root, ahead, behind, early, late] =
            ["orders-0", "orders-1", "orders-2", "orders-edge-0", "orders-edge-1"]
                .map(|name| Server::start(&binary, name));
        let top = master(&root).await;
        let (first, second) = (ahead.operator().await, behind.operator().await);
        let leaves = [
            ("orders-edge-0", early.operator().await),
            ("orders-edge-1", late.operator().await),
        ];
        write(&root, "before").await;
        hang(&first, "orders-1", &root, &top).await;
        hang(&second, "orders-2", &root, &top).await;
        for (name, leaf) in &leaves {
            hang(leaf, name, &ahead, &first).await;
        }
        roles::revoke_link(&top, "orders-2").await.unwrap();
        link_down(&second).await;
        write(&root, "the sibling lacks this").await;
        caught_up(&first, &top).await;
        for (_, leaf) in &leaves {
            caught_up(leaf, &first).await;
        }

        root.kill();
        link_down(&first).await;
        roles::fence(&first).await.unwrap();
        roles::fence(&second).await.unwrap();
        roles::revoke_link(&first, leaves[0].0).await.unwrap();
        let before = given(&first).await;
        let promoted = roles::bare(&first).await.unwrap();
        // It takes no write yet, so that nothing which its children hold counts for anything.
        is_of(&leaves[1].1, &promoted.replid).await;
        roles::revoke_link(&first, leaves[1].0).await.unwrap();
        hang(&second, "orders-2", &ahead, &first).await;
        let after = given(&first).await;
        assert_eq!(
            (after.0 - before.0, after.1 - before.1),
            (0, 2),
            "the late child and the sibling"
        );

        let before = given(&second).await;
        hang(&leaves[1].1, leaves[1].0, &behind, &second).await;
        let between = given(&second).await;
        assert_eq!((between.0 - before.0, between.1 - before.1), (0, 1));
        hang(&leaves[0].1, leaves[0].0, &behind, &second).await;
        let after = given(&second).await;
        assert_eq!(
            after.0 - between.0,
            1,
            "who was cut off before the promotion has lost its place"
        );
    }
}
