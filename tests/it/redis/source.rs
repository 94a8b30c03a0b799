//! What a source builds on: a replica that became a master gives what it has to another one over a partial resync, and
//! exactly to the byte at which it follows nobody again.

use redis_operator::redis::roles;

use super::roles::{attach, link_up, master, secret};
use super::server::{Server, binaries, run, until};

#[tokio::test]
async fn a_replica_that_is_behind_takes_in_what_a_bare_one_has_and_nothing_more_is_resynced() {
    for binary in binaries() {
        let servers = ["orders-0", "orders-1", "orders-2"].map(|name| Server::start(&binary, name));
        let [mut old, source, behind] = servers;
        let (up, best, low) = (master(&old).await, source.operator().await, behind.operator().await);
        for (child, name) in [(&best, "orders-1"), (&low, "orders-2")] {
            roles::mint_link(&up, name, &secret(name)).await.unwrap();
            attach(child, &old, name, &secret(name)).await;
            link_up(child).await;
        }
        let mut client = old.client("app").await;
        run::<()>(&mut client, &["SET", "key-0", "value"]).await.unwrap();
        until("both have the first key", async || {
            let (one, other) = (best.look().await.ok()?, low.look().await.ok()?);
            (one.keys == 1 && other.keys == 1).then_some(())
        })
        .await;
        let low_vote = roles::fence(&low).await.unwrap();
        for key in 1..100 {
            run::<()>(&mut client, &["SET", &format!("key-{key}"), "value"])
                .await
                .unwrap();
        }
        until("one has every key", async || {
            best.look().await.ok().filter(|f| f.keys == 100)
        })
        .await;
        old.kill();
        let vote = roles::fence(&best).await.unwrap();
        assert!(low_vote.offset < vote.offset);

        let bare = roles::bare(&best).await.unwrap();
        assert_eq!(bare.second_offset, Some(vote.offset + 1));
        let backlog = bare.backlog.expect("a replica keeps what it got");
        assert!(backlog.from <= low_vote.offset + 1 && !backlog.full, "{backlog:?}");
        roles::mint_link(&best, "orders-2", &secret("again")).await.unwrap();
        attach(&low, &source, "orders-2", &secret("again")).await;
        link_up(&low).await;
        let caught_up = until("the other has it", async || {
            low.look().await.ok().filter(|f| vote.offset <= f.offset)
        })
        .await;
        assert_eq!((caught_up.keys, &caught_up.replid), (100, &bare.replid));

        let end = roles::fence(&best).await.unwrap();
        let last = until("the other has the last byte", async || {
            low.look().await.ok().filter(|f| end.offset <= f.offset)
        })
        .await;
        let new_vote = roles::fence(&low).await.unwrap();
        assert_eq!((last.offset, new_vote.offset), (end.offset, end.offset));
        assert_eq!(new_vote.replid, end.replid);
        assert_eq!((end.sync_full, end.sync_partial_ok), (0, 1));
    }
}

#[tokio::test]
async fn a_backlog_says_what_it_has_no_more() {
    for binary in binaries() {
        let (old, child) = (
            Server::start(&binary, "orders-0"),
            Server::start_with(&binary, "orders-1", "repl-backlog-size 16kb\n"),
        );
        let (up, down) = (master(&old).await, child.operator().await);
        assert_eq!(down.look().await.unwrap().backlog, None);
        roles::mint_link(&up, "orders-1", &secret("child")).await.unwrap();
        attach(&down, &old, "orders-1", &secret("child")).await;
        link_up(&down).await;
        let begin = down.look().await.unwrap().offset;
        let mut client = old.client("app").await;
        for key in 0..20 {
            let value = "v".repeat(10_000);
            run::<()>(&mut client, &["SET", &format!("key-{key}"), &value])
                .await
                .unwrap();
        }
        let facts = until("it has every key", async || {
            down.look().await.ok().filter(|f| f.keys == 20)
        })
        .await;
        let backlog = facts.backlog.expect("a replica keeps what it got");
        assert!(
            backlog.full && begin + 1 < backlog.from && backlog.from <= facts.offset,
            "{facts:?}"
        );
    }
}
