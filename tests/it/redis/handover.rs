//! What a change of the master builds on: a demoted or dead master's replicas lose nothing that it had sent.

use redis_operator::model::redis::{Facts, RoleState};
use redis_operator::redis::clients::kill_clients;
use redis_operator::redis::{Connection, roles};

use super::roles::{attach, link_up, master, secret};
use super::server::{Server, binaries, run, until};

/// A master that takes writes, and a replica whose link is up.
async fn pair(parent: &Server, child: &Server) -> (Connection, Connection) {
    let (up, down) = (master(parent).await, child.operator().await);
    roles::mint_link(&up, "orders-1", &secret("child")).await.unwrap();
    attach(&down, parent, "orders-1", &secret("child")).await;
    link_up(&down).await;
    (up, down)
}

/// Writes until the server refuses, and says how many writes were acknowledged.
async fn writes(server: &Server) -> tokio::task::JoinHandle<(u64, String)> {
    let mut client = server.client("app").await;
    tokio::spawn(async move {
        let value = "value".repeat(2000);
        let mut acknowledged = 0;
        loop {
            match run::<()>(&mut client, &["SET", &format!("key-{acknowledged}"), &value]).await {
                Ok(()) => acknowledged += 1,
                Err(refusal) => return (acknowledged, refusal),
            }
        }
    })
}

async fn written(redis: &Connection, bytes: u64) -> Facts {
    let begin = redis.look().await.unwrap().offset;
    until("enough is written", async || {
        redis.look().await.ok().filter(|facts| begin + bytes <= facts.offset)
    })
    .await
}

fn link_is_up(facts: &Facts) -> bool {
    facts.replica_link().is_some_and(|link| link.up)
}

/// The replica holds exactly what the demoted master says it had, over the link it had before.
async fn holds_exactly(child: &Connection, parent: &Connection, fenced: &Facts) {
    let facts = until("the replica holds everything", async || {
        child.look().await.ok().filter(|facts| fenced.offset <= facts.offset)
    })
    .await;
    assert_eq!((facts.offset, &facts.replid), (fenced.offset, &fenced.replid));
    assert!(link_is_up(&facts), "the link outlives the demotion");
    let (late, master) = (child.look().await.unwrap(), parent.look().await.unwrap());
    assert_eq!((late.offset, master.offset), (fenced.offset, fenced.offset));
    assert_eq!(late.keys, master.keys);
    assert!(link_is_up(&late));
}

#[tokio::test]
async fn a_replica_of_a_master_demoted_under_writes_gets_exactly_what_the_master_had() {
    for binary in binaries() {
        let (parent, child) = (Server::start(&binary, "orders-0"), Server::start(&binary, "orders-1"));
        let (up, down) = pair(&parent, &child).await;
        let writers = [writes(&parent).await, writes(&parent).await, writes(&parent).await];
        written(&up, 1 << 20).await;

        let fenced = roles::fence(&up).await.unwrap();
        assert_eq!(fenced.state(), RoleState::Fenced);
        for writer in writers {
            let (acknowledged, refusal) = writer.await.unwrap();
            assert!(acknowledged > 0);
            assert_eq!(refusal, "READONLY");
        }
        holds_exactly(&down, &up, &fenced).await;
    }
}

#[tokio::test]
async fn what_a_demoted_master_had_not_sent_yet_still_reaches_a_slow_replica() {
    for binary in binaries() {
        let (parent, child) = (Server::start(&binary, "orders-0"), Server::start(&binary, "orders-1"));
        let (up, down) = pair(&parent, &child).await;
        let before = down.look().await.unwrap();
        // More than sockets hold: the rest waits in the master's memory.
        child.signal("STOP");
        let writer = writes(&parent).await;
        written(&up, 24 << 20).await;
        let fenced = roles::fence(&up).await.unwrap();
        writer.await.unwrap();
        child.signal("CONT");
        holds_exactly(&down, &up, &fenced).await;
        assert!(before.offset + (24 << 20) <= fenced.offset);

        // It takes over, and the old master comes back without a full resync.
        let promoted = roles::bare(&down).await.unwrap();
        assert_eq!(promoted.second_offset, Some(fenced.offset + 1));
        roles::arm(&down, 0).await.unwrap();
        roles::mint_link(&down, "orders-0", &secret("back")).await.unwrap();
        roles::attach(
            &up,
            child.address(),
            super::server::PORT,
            "rrs-link-orders-0",
            &secret("back"),
        )
        .await
        .unwrap();
        link_up(&up).await;
        let facts = down.look().await.unwrap();
        assert_eq!((facts.sync_full, facts.sync_partial_ok), (0, 1));
    }
}

#[tokio::test]
async fn a_dead_masters_stream_is_read_to_its_end_before_the_link_is_down() {
    for binary in binaries() {
        let (mut parent, child) = (Server::start(&binary, "orders-0"), Server::start(&binary, "orders-1"));
        let (up, down) = pair(&parent, &child).await;
        // What waits in the sockets when the master dies is what a detach at once would drop.
        child.signal("STOP");
        let mut client = parent.client("app").await;
        for key in 0..100 {
            run::<()>(&mut client, &["SET", &format!("key-{key}"), "value"])
                .await
                .unwrap();
        }
        let last = until("the keys are in the stream", async || {
            up.look().await.ok().filter(|facts| facts.keys == 100)
        })
        .await;
        parent.kill();
        child.signal("CONT");
        let drained = until("the link is down by itself", async || {
            down.look().await.ok().filter(|facts| !link_is_up(facts))
        })
        .await;
        assert_eq!((drained.offset, drained.keys), (last.offset, 100));
        let vote = roles::fence(&down).await.unwrap();
        assert_eq!((vote.offset, vote.replid), (drained.offset, drained.replid));
    }
}

#[tokio::test]
async fn a_fenced_master_lets_go_of_its_applications_when_they_are_cut_off() {
    for binary in binaries() {
        let (parent, child) = (Server::start(&binary, "orders-0"), Server::start(&binary, "orders-1"));
        let (up, down) = pair(&parent, &child).await;
        let mut clients = [parent.client("app").await, parent.client("app").await];
        roles::fence(&up).await.unwrap();
        let done = kill_clients(&up, None).await.unwrap();
        assert_eq!((done.killed, done.spared), (2, 0));
        for client in &mut clients {
            assert_eq!(run::<()>(client, &["PING"]).await, Err("no reply".into()));
        }
        assert!(link_is_up(&down.look().await.unwrap()), "replicas stay");
    }
}
