//! Fenced, attached, bare, armed, and the way from each to each.

use std::collections::{BTreeMap, BTreeSet};

use redis_operator::model::redis::{Facts, RoleState, UNARMED};
use redis_operator::names;
use redis_operator::redis::clients::kill_clients;
use redis_operator::redis::{Connection, Secret, link_secret, roles};

use super::server::{APP_PASSWORD, PORT, Server, binaries, run, until};

/// A master that takes writes.
pub async fn master(server: &Server) -> Connection {
    let redis = server.operator().await;
    roles::bare(&redis).await.unwrap();
    roles::arm(&redis, 0).await.unwrap();
    redis
}

pub fn secret(word: &str) -> Secret {
    link_secret(&Secret::new("link key"), "set uid", "parent run id", word, 1)
}

pub async fn attach(child: &Connection, parent: &Server, name: &str, secret: &Secret) -> Facts {
    roles::attach(child, parent.address(), PORT, &names::link_user(name), secret)
        .await
        .unwrap()
}

pub async fn link_up(child: &Connection) -> Facts {
    until("the link is up", async || {
        child
            .look()
            .await
            .ok()
            .filter(|facts| facts.replica_link().is_some_and(|link| link.up))
    })
    .await
}

/// The parent notes a replica as online only with its first acknowledgement, after the link is up for the replica.
async fn online(parent: &Connection) -> Facts {
    until("the parent has the replica online", async || {
        let facts = parent.look().await.ok()?;
        facts.replicas.iter().all(|replica| replica.online()).then_some(facts)
    })
    .await
}

pub async fn link_down(child: &Connection) -> Facts {
    until("the link is down", async || {
        child
            .look()
            .await
            .ok()
            .filter(|facts| facts.replica_link().is_some_and(|link| !link.up))
    })
    .await
}

pub async fn caught_up(child: &Connection, parent: &Connection) -> Facts {
    until("the replica has everything", async || {
        let want = parent.look().await.ok()?.offset;
        child.look().await.ok().filter(|facts| want <= facts.offset)
    })
    .await
}

#[tokio::test]
async fn a_fenced_pod_refuses_writes_and_stale_reads_and_answers_a_look() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let facts = server.operator().await.look().await.unwrap();
        assert_eq!(facts.state(), RoleState::Fenced);
        assert_eq!(facts.announced, "orders-0.orders-nodes.shop.svc");
        assert_eq!((facts.min_replicas_to_write, facts.serve_stale), (UNARMED, false));
        assert_eq!(facts.managed["repl-timeout"].as_deref(), Some("15"));
        assert_eq!(facts.managed.len(), 2);
        assert_eq!(server.app::<()>(&["SET", "key", "value"]).await, Err("READONLY".into()));
        assert_eq!(server.app::<()>(&["GET", "key"]).await, Err("MASTERDOWN".into()));
    }
}

#[tokio::test]
async fn a_bare_master_never_takes_a_write_and_an_armed_one_does() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let redis = server.operator().await;
        assert_eq!(roles::bare(&redis).await.unwrap().state(), RoleState::Bare);
        assert_eq!(
            server.app::<()>(&["SET", "key", "value"]).await,
            Err("NOREPLICAS".into())
        );
        assert_eq!(
            roles::arm(&redis, 0).await.unwrap().state(),
            RoleState::Armed { min: 0 }
        );
        assert_eq!(server.app::<String>(&["SET", "key", "value"]).await, Ok("OK".into()));
        assert_eq!(
            roles::arm(&redis, 1).await.unwrap().state(),
            RoleState::Armed { min: 1 }
        );
        assert_eq!(
            server.app::<()>(&["SET", "key", "value"]).await,
            Err("NOREPLICAS".into())
        );
    }
}

#[tokio::test]
async fn bare_takes_the_arms_of_a_master_that_had_them() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let redis = master(&server).await;
        assert_eq!(roles::bare(&redis).await.unwrap().state(), RoleState::Bare);
        assert_eq!(
            server.app::<()>(&["SET", "key", "value"]).await,
            Err("NOREPLICAS".into())
        );
    }
}

#[tokio::test]
async fn a_replica_attaches_with_minted_credentials_only() {
    for binary in binaries() {
        let (parent, child) = (Server::start(&binary, "orders-0"), Server::start(&binary, "orders-1"));
        let (up, down) = (master(&parent).await, child.operator().await);
        parent.app::<()>(&["SET", "key", "value"]).await.unwrap();

        let facts = attach(&down, &parent, "orders-1", &secret("child")).await;
        assert_eq!(
            facts.state(),
            RoleState::Attached {
                host: parent.address().to_string()
            }
        );
        // The parent says in its log of refusals that it was asked and did not let the child in.
        until("the parent refuses the child", async || {
            let log: Vec<redis::Value> = parent.tester(&["ACL", "LOG"]).await.ok()?;
            format!("{log:?}").contains(&hex_of("rrs-link-orders-1")).then_some(())
        })
        .await;
        assert_eq!(up.look().await.unwrap().replicas, []);

        let facts = roles::mint_link(&up, "orders-1", &secret("child")).await.unwrap();
        assert_eq!(facts.link_users, BTreeSet::from(["rrs-link-orders-1".to_owned()]));
        link_up(&down).await;
        let facts = caught_up(&down, &up).await;
        assert_eq!(facts.keys, 1);
        assert_eq!(facts.min_replicas_to_write, UNARMED);
        assert_eq!(child.app::<String>(&["GET", "key"]).await, Ok("value".into()));
        let replicas = online(&up).await.replicas;
        assert_eq!(replicas.len(), 1);
        assert_eq!(
            (replicas[0].ip.as_str(), replicas[0].online()),
            ("orders-1.orders-nodes.shop.svc", true)
        );
    }
}

/// How `Debug` of a `Value` shows text: as a list of bytes or as text, depending on the crate; both are searched.
fn hex_of(text: &str) -> String {
    format!("{:?}", redis::Value::BulkString(text.as_bytes().to_vec()))
}

#[tokio::test]
async fn a_replica_with_another_secret_than_the_one_minted_is_refused() {
    for binary in binaries() {
        let (parent, child) = (Server::start(&binary, "orders-0"), Server::start(&binary, "orders-1"));
        let (up, down) = (master(&parent).await, child.operator().await);
        roles::mint_link(&up, "orders-1", &secret("child")).await.unwrap();
        attach(&down, &parent, "orders-1", &secret("another")).await;
        until("the child is told so", async || {
            child.log().contains("WRONGPASS").then_some(())
        })
        .await;
        assert!(!down.look().await.unwrap().replica_link().unwrap().up);
        attach(&down, &parent, "orders-1", &secret("child")).await;
        link_up(&down).await;
    }
}

#[tokio::test]
async fn a_fenced_replica_lets_go_and_serves_nobody() {
    for binary in binaries() {
        let (parent, child) = (Server::start(&binary, "orders-0"), Server::start(&binary, "orders-1"));
        let (up, down) = (master(&parent).await, child.operator().await);
        parent.app::<()>(&["SET", "key", "value"]).await.unwrap();
        roles::mint_link(&up, "orders-1", &secret("child")).await.unwrap();
        attach(&down, &parent, "orders-1", &secret("child")).await;
        link_up(&down).await;
        assert_eq!(child.app::<String>(&["GET", "key"]).await, Ok("value".into()));

        let fenced = roles::fence(&down).await.unwrap();
        assert_eq!((fenced.state(), fenced.serve_stale), (RoleState::Fenced, false));
        assert_eq!(child.app::<()>(&["GET", "key"]).await, Err("MASTERDOWN".into()));
        until("the parent has no replica", async || {
            up.look().await.ok().filter(|facts| facts.replicas.is_empty())
        })
        .await;

        attach(&down, &parent, "orders-1", &secret("child")).await;
        link_up(&down).await;
        let facts = up.look().await.unwrap();
        assert_eq!((facts.sync_full, facts.sync_partial_ok), (1, 1));
    }
}

/// A learner is known by this: whoever still has the id that it began with has completed no full resync.
#[tokio::test]
async fn a_server_keeps_the_id_it_began_with_until_a_full_resync_is_complete() {
    for binary in binaries() {
        let parent = Server::start_with(&binary, "orders-0", "rdb-key-save-delay 20000");
        let child = Server::start(&binary, "orders-1");
        let (up, down) = (master(&parent).await, child.operator().await);
        for key in 0..100 {
            let words = ["SET", &format!("key-{key}"), &"value".repeat(1000)];
            parent.app::<()>(&words).await.unwrap();
        }
        let own = down.look().await.unwrap().replid;
        roles::mint_link(&up, "orders-1", &secret("child")).await.unwrap();
        attach(&down, &parent, "orders-1", &secret("child")).await;
        let syncing = until("a full resync has begun", async || {
            let facts = down.look().await.ok()?;
            facts.replica_link().is_some_and(|link| link.syncing).then_some(facts)
        })
        .await;
        assert_eq!(syncing.replid, own);
        // What is cut off in the middle is not complete.
        roles::revoke_link(&up, "orders-1").await.unwrap();
        assert_eq!(link_down(&down).await.replid, own);
        parent
            .tester::<()>(&["CONFIG", "SET", "rdb-key-save-delay", "0"])
            .await
            .unwrap();
        roles::mint_link(&up, "orders-1", &secret("child")).await.unwrap();
        link_up(&down).await;
        let facts = caught_up(&down, &up).await;
        assert_eq!((facts.replid, facts.keys), (up.look().await.unwrap().replid, 100));
    }
}

#[tokio::test]
async fn a_revoked_link_is_cut_and_resumes_partially_when_minted_again() {
    for binary in binaries() {
        let (parent, child) = (Server::start(&binary, "orders-0"), Server::start(&binary, "orders-1"));
        let (up, down) = (master(&parent).await, child.operator().await);
        roles::mint_link(&up, "orders-1", &secret("child")).await.unwrap();
        attach(&down, &parent, "orders-1", &secret("child")).await;
        link_up(&down).await;

        let facts = roles::revoke_link(&up, "orders-1").await.unwrap();
        assert_eq!(facts.link_users, BTreeSet::new());
        link_down(&down).await;
        parent.app::<()>(&["SET", "while", "away"]).await.unwrap();
        let before = up.look().await.unwrap();

        roles::mint_link(&up, "orders-1", &secret("child")).await.unwrap();
        link_up(&down).await;
        caught_up(&down, &up).await;
        let after = up.look().await.unwrap();
        assert_eq!((before.sync_full, after.sync_full), (1, 1));
        assert_eq!(after.sync_partial_ok, before.sync_partial_ok + 1);
        assert_eq!(child.app::<String>(&["GET", "while"]).await, Ok("away".into()));
    }
}

#[tokio::test]
async fn minting_again_with_another_secret_leaves_a_link_up() {
    for binary in binaries() {
        let (parent, child) = (Server::start(&binary, "orders-0"), Server::start(&binary, "orders-1"));
        let (up, down) = (master(&parent).await, child.operator().await);
        roles::mint_link(&up, "orders-1", &secret("first")).await.unwrap();
        attach(&down, &parent, "orders-1", &secret("first")).await;
        link_up(&down).await;

        roles::mint_link(&up, "orders-1", &secret("second")).await.unwrap();
        let facts = attach(&down, &parent, "orders-1", &secret("second")).await;
        assert!(facts.replica_link().unwrap().up);
        parent.app::<()>(&["SET", "key", "value"]).await.unwrap();
        caught_up(&down, &up).await;
        let facts = up.look().await.unwrap();
        assert_eq!(
            (facts.sync_full, facts.sync_partial_ok, facts.replicas.len()),
            (1, 0, 1)
        );
    }
}

#[tokio::test]
async fn a_fence_keeps_data_and_history_so_that_the_old_master_resumes_partially() {
    for binary in binaries() {
        let (first, second) = (Server::start(&binary, "orders-0"), Server::start(&binary, "orders-1"));
        let (old, new) = (master(&first).await, second.operator().await);
        roles::mint_link(&old, "orders-1", &secret("child")).await.unwrap();
        attach(&new, &first, "orders-1", &secret("child")).await;
        link_up(&new).await;
        first.app::<()>(&["SET", "key", "value"]).await.unwrap();
        let before = old.look().await.unwrap();

        let fenced = roles::fence(&old).await.unwrap();
        assert_eq!(fenced.state(), RoleState::Fenced);
        assert_eq!((fenced.min_replicas_to_write, fenced.serve_stale), (UNARMED, false));
        assert_eq!((fenced.replid.as_str(), fenced.keys), (before.replid.as_str(), 1));
        assert!(before.offset <= fenced.offset);
        assert_eq!(first.app::<()>(&["SET", "key", "other"]).await, Err("READONLY".into()));
        assert_eq!(first.app::<()>(&["GET", "key"]).await, Err("MASTERDOWN".into()));

        until("the replica holds all of it", async || {
            new.look().await.ok().filter(|facts| facts.offset == fenced.offset)
        })
        .await;
        let promoted = roles::bare(&new).await.unwrap();
        assert_eq!(promoted.replid2.as_deref(), Some(before.replid.as_str()));
        assert_eq!(promoted.second_offset, Some(fenced.offset + 1));
        roles::arm(&new, 0).await.unwrap();
        roles::mint_link(&new, "orders-0", &secret("back")).await.unwrap();
        attach(&old, &second, "orders-0", &secret("back")).await;
        link_up(&old).await;
        let facts = new.look().await.unwrap();
        assert_eq!((facts.sync_full, facts.sync_partial_ok), (0, 1));
        assert_eq!(first.app::<String>(&["GET", "key"]).await, Ok("value".into()));
    }
}

#[tokio::test]
async fn a_restarted_server_is_fenced_with_its_data() {
    for binary in binaries() {
        let mut server = Server::start(&binary, "orders-0");
        let before = master(&server).await.look().await.unwrap();
        // Otherwise an fsync in progress may hold the write back in the process's own memory.
        server
            .tester::<()>(&["CONFIG", "SET", "appendfsync", "always"])
            .await
            .unwrap();
        server.app::<()>(&["SET", "key", "value"]).await.unwrap();
        server.kill();
        server.restart();
        let redis = server.operator().await;
        let facts = until("it has loaded", async || {
            redis.look().await.ok().filter(|it| it.loading.is_none())
        })
        .await;
        assert_ne!(facts.run_id, before.run_id);
        assert_eq!(facts.state(), RoleState::Fenced);
        assert_eq!(
            (facts.min_replicas_to_write, facts.serve_stale, facts.keys),
            (UNARMED, false, 1)
        );
        assert_eq!(server.app::<()>(&["GET", "key"]).await, Err("MASTERDOWN".into()));
        roles::bare(&redis).await.unwrap();
        assert_eq!(server.app::<String>(&["GET", "key"]).await, Ok("value".into()));
    }
}

#[tokio::test]
async fn the_application_user_changes_in_one_step_and_its_clients_stay() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let redis = master(&server).await;
        let mut client = server.client("app").await;
        let (old, new) = (Secret::new(APP_PASSWORD).sha256_hex(), Secret::new("next").sha256_hex());
        let rules = ["~*", "&*", "+@all", "-@admin", "-@dangerous"].map(str::to_owned);
        let facts = roles::set_app_user(&redis, "app", &BTreeSet::from([old.clone(), new.clone()]), &rules)
            .await
            .unwrap();
        let user = facts.app.unwrap();
        assert!(user.enabled);
        assert_eq!(user.hashes, BTreeSet::from([old, new.clone()]));
        assert_eq!(
            run::<String>(&mut client, &["SET", "key", "value"]).await,
            Ok("OK".into())
        );

        let facts = roles::set_app_user(&redis, "app", &BTreeSet::from([new.clone()]), &rules)
            .await
            .unwrap();
        assert_eq!(facts.app.unwrap().hashes, BTreeSet::from([new]));
        assert_eq!(run::<String>(&mut client, &["GET", "key"]).await, Ok("value".into()));
        assert_eq!(
            run::<()>(&mut client, &["CONFIG", "GET", "port"]).await,
            Err("NOPERM".into())
        );
    }
}

#[tokio::test]
async fn configuration_is_set_all_or_none() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let redis = server.operator().await;
        let values = |policy: &str| -> BTreeMap<String, String> {
            [("repl-timeout", "20"), ("maxmemory-policy", policy)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        };
        let error = roles::set_config(&redis, &values("nonsense")).await.unwrap_err();
        assert!(!error.possibly_executed());
        assert_eq!(
            redis.look().await.unwrap().managed["repl-timeout"].as_deref(),
            Some("15")
        );
        let facts = roles::set_config(&redis, &values("allkeys-lru")).await.unwrap();
        let shown: BTreeMap<_, _> = values("allkeys-lru").into_iter().map(|(k, v)| (k, Some(v))).collect();
        assert_eq!(facts.managed, shown);
        let unchanged = roles::set_config(&redis, &BTreeMap::new()).await.unwrap();
        assert_eq!(unchanged.managed, shown);
    }
}

#[tokio::test]
async fn clients_of_applications_are_killed_and_replicas_and_our_own_stay() {
    for binary in binaries() {
        let (parent, child) = (Server::start(&binary, "orders-0"), Server::start(&binary, "orders-1"));
        let (up, down) = (master(&parent).await, child.operator().await);
        roles::mint_link(&up, "orders-1", &secret("child")).await.unwrap();
        attach(&down, &parent, "orders-1", &secret("child")).await;
        link_up(&down).await;
        online(&up).await;
        let mut client = parent.client("app").await;
        assert_eq!(kill_clients(&up).await.unwrap(), 1);
        assert_eq!(
            run::<String>(&mut client, &["GET", "key"]).await,
            Err("no reply".into())
        );
        assert!(up.look().await.unwrap().replicas[0].online());
        assert_eq!(kill_clients(&up).await.unwrap(), 0);
    }
}
