//! Who is talked to, what a failure says, and what never shows.

use std::time::Duration;

use redis_operator::model::redis::ProbeError;
use redis_operator::redis::client::{CallError, End};
use redis_operator::redis::connection::open;
use redis_operator::redis::{Endpoint, Secret, Target, Tcp, roles};

use super::server::{APP_PASSWORD, OPERATOR_PASSWORD, Server, announced, binaries, until, view};

#[tokio::test]
async fn another_pods_redis_at_the_address_is_the_wrong_server_and_nothing_is_done_to_it() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let held = server.operator().await;
        let endpoint = Endpoint {
            announced: announced("orders-1"),
            ..server.endpoint()
        };
        let error = open(&Tcp, &endpoint, view()).await.err();
        assert_eq!(
            error,
            Some(CallError::WrongServer {
                want: announced("orders-1"),
                got: announced("orders-0")
            })
        );
        assert!(
            held.look().await.is_ok(),
            "the connection of the right pod's watch was not killed"
        );
    }
}

#[tokio::test]
async fn a_wrong_password_is_not_mistaken_for_a_dead_server() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let endpoint = Endpoint {
            password: Secret::new("another"),
            ..server.endpoint()
        };
        assert_eq!(open(&Tcp, &endpoint, view()).await.err(), Some(CallError::NoAuth));
        assert!(ProbeError::from(CallError::NoAuth).proves_life());
    }
}

#[tokio::test]
async fn a_closed_port_refuses() {
    for binary in binaries() {
        let mut server = Server::start(&binary, "orders-0");
        let endpoint = server.endpoint();
        server.kill();
        assert_eq!(
            open(&Tcp, &endpoint, view()).await.err(),
            Some(CallError::NotConnected(End::Refused))
        );
    }
}

#[tokio::test]
async fn a_command_to_a_hung_server_has_no_reply_and_is_possibly_executed() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let redis = server.operator().await;
        server.signal("STOP");
        let error = roles::bare(&redis).await.unwrap_err();
        assert_eq!(error, CallError::NoReply(Duration::from_millis(500)));
        assert!(error.possibly_executed());
        server.signal("CONT");
        // It was executed, which is why nobody may assume otherwise.
        until("the late command shows", async || {
            redis.look().await.ok().filter(|facts| facts.replica_link().is_none())
        })
        .await;
    }
}

#[tokio::test]
async fn a_killed_server_ends_the_connection_and_later_commands_are_known_not_to_be_sent() {
    for binary in binaries() {
        let mut server = Server::start(&binary, "orders-0");
        let redis = server.operator().await;
        server.kill();
        assert_eq!(redis.ended().await, End::Eof);
        let error = redis.look().await.unwrap_err();
        assert_eq!(error, CallError::NotConnected(End::Eof));
        assert!(!error.possibly_executed());
    }
}

#[tokio::test]
async fn a_busy_server_refuses_everything_and_lives() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let redis = server.operator().await;
        roles::bare(&redis).await.unwrap();
        let mut client = server.client("tester").await;
        let script =
            tokio::spawn(
                async move { super::server::run::<()>(&mut client, &["EVAL", "while true do end", "0"]).await },
            );
        let error = until("it says that it is busy", async || match redis.look().await {
            Err(error @ CallError::Refused { .. }) => Some(error),
            _ => None,
        })
        .await;
        assert!(!error.possibly_executed());
        assert_eq!(ProbeError::from(error), ProbeError::Says { code: "BUSY".into() });
        let error = roles::fence(&redis).await.unwrap_err();
        let CallError::Refused { command, code, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!((command, code.as_str()), ("REPLICAOF", "BUSY"));
        server.tester::<()>(&["SCRIPT", "KILL"]).await.unwrap();
        script.await.unwrap().unwrap_err();
        assert!(
            roles::fence(&redis).await.is_ok(),
            "and nothing of the refused transaction is left on the connection"
        );
    }
}

#[tokio::test]
async fn no_secret_shows_in_debug_output_or_in_an_error() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let redis = server.operator().await;
        let link = Secret::new("link-secret-that-must-not-show");
        let target = Target {
            pod: "orders-0".into(),
            uid: redis_operator::model::redis::PodUid("uid".into()),
            endpoint: server.endpoint(),
            view: view(),
        };
        let refused = roles::attach(&redis, server.address(), 6379, "rrs-link-orders-0\u{0}", &link).await;
        let facts = redis.look().await.unwrap();
        let wrong = open(
            &Tcp,
            &Endpoint {
                user: "nobody".into(),
                ..server.endpoint()
            },
            view(),
        )
        .await
        .err();
        let shown = format!("{target:?} {refused:?} {facts:?} {wrong:?} {link:?}");
        for secret in [APP_PASSWORD, OPERATOR_PASSWORD, "link-secret-that-must-not-show"] {
            assert!(!shown.contains(secret), "{shown}");
            assert!(!server.log().contains(secret));
        }
    }
}
