//! A Redis that loads.

use redis_operator::model::redis::{RoleState, UNARMED};
use redis_operator::redis::client::CallError;
use redis_operator::redis::roles;

use super::server::{Server, binaries, run, until};

/// Makes loading take 2 ms per key and lets clients in between; both directives are meant for tests and hidden.
const SLOW_LOAD: &str = "key-load-delay 2000\nloading-process-events-interval-bytes 1024";
const KEYS: u64 = 1000;

#[tokio::test]
async fn facts_come_while_loading_and_role_commands_are_refused_until_it_has_ended() {
    for binary in binaries() {
        let mut server = Server::start_with(&binary, "orders-0", SLOW_LOAD);
        let redis = server.operator().await;
        roles::bare(&redis).await.unwrap();
        roles::arm(&redis, 0).await.unwrap();
        let mut client = server.client("app").await;
        for key in 0..KEYS {
            run::<()>(&mut client, &["SET", &format!("key-{key}"), &"value".repeat(10)])
                .await
                .unwrap();
        }
        server.tester::<String>(&["BGREWRITEAOF"]).await.unwrap();
        until("the rewrite has ended", async || {
            redis
                .look()
                .await
                .ok()
                .filter(|facts| !facts.aof.rewrite_in_progress && !facts.aof.rewrite_scheduled)
        })
        .await;
        server.kill();
        server.restart();

        let redis = server.operator().await;
        let facts = redis.look().await.unwrap();
        let loading = facts.loading.expect("two seconds of loading have just begun");
        assert!(loading.percent.is_none_or(|percent| percent <= 100));
        assert_eq!(facts.state(), RoleState::Fenced);
        assert_eq!((facts.min_replicas_to_write, facts.serve_stale), (UNARMED, false));
        assert!(facts.app.is_some());
        assert!(facts.keys < KEYS);
        let error = roles::bare(&redis).await.unwrap_err();
        let CallError::Refused { command, code, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!((*command, code.as_str()), ("REPLICAOF", "LOADING"));
        assert!(!error.possibly_executed());

        let facts = until("it has loaded", async || {
            redis.look().await.ok().filter(|it| it.loading.is_none())
        })
        .await;
        assert_eq!((facts.keys, facts.state()), (KEYS, RoleState::Fenced));
    }
}
