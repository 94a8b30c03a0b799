//! The watch over real servers: what wakes a set, and what is known afterwards.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::SignedDuration;
use redis_operator::model::redis::{PodUid, ProbeError, RoleState, Seen, SetKey};
use redis_operator::redis::client::End;
use redis_operator::redis::{Probes, Secret, Target, Tcp, clock, roles};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::server::{APP_PASSWORD, PATIENCE, Server, binaries, until, view};

struct Watch {
    probes: Probes,
    woken: UnboundedReceiver<SetKey>,
}

impl Watch {
    fn new() -> Self {
        let (wake, woken) = unbounded_channel();
        Self {
            probes: Probes::new(wake, Arc::new(Tcp)),
            woken,
        }
    }

    /// Waits, driven by the wake-ups alone, until what is seen of the Redis is as wanted.
    async fn woken_until(&mut self, what: &str, mut wanted: impl FnMut(&Seen) -> bool) -> Seen {
        let wait = async {
            loop {
                let seen = self.probes.look(&set()).remove(&uid()).expect("is watched");
                if wanted(&seen) {
                    return seen;
                }
                assert_eq!(self.woken.recv().await, Some(set()));
            }
        };
        timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("never woken: {what}"))
    }

    async fn answers(&mut self) -> Seen {
        self.woken_until("it answers", |seen| seen.facts().is_some()).await
    }

    fn seen(&self) -> Seen {
        self.probes.look(&set()).remove(&uid()).expect("is watched")
    }
}

fn set() -> SetKey {
    SetKey {
        namespace: "shop".into(),
        name: "orders".into(),
    }
}

fn uid() -> PodUid {
    PodUid("uid of orders-0".into())
}

fn target(server: &Server) -> Target {
    Target {
        pod: "orders-0".into(),
        uid: uid(),
        endpoint: server.endpoint(),
        view: view(),
    }
}

fn error_of(seen: &Seen) -> Option<&ProbeError> {
    match seen {
        Seen::Unknown { error, .. } => Some(error),
        Seen::Answers { .. } => None,
    }
}

/// Clients of our user that the server has.
async fn connections(server: &Server) -> usize {
    let list: String = server.tester(&["CLIENT", "LIST"]).await.unwrap();
    list.lines().filter(|line| line.contains("user=rrs-operator ")).count()
}

#[tokio::test]
async fn a_kill_wakes_the_set_with_both_proofs_of_death_and_a_restart_with_another_run_id() {
    for binary in binaries() {
        let mut server = Server::start(&binary, "orders-0");
        let mut watch = Watch::new();
        watch.probes.keep(&set(), vec![target(&server)]);
        let before = watch.answers().await.facts().unwrap().clone();

        let begin = Instant::now();
        server.kill();
        watch
            .woken_until("the end of the connection", |seen| {
                matches!(seen, Seen::Unknown { eof: true, .. })
            })
            .await;
        let eof = begin.elapsed();
        let dead = |seen: &Seen| error_of(seen) == Some(&ProbeError::Refused);
        let seen = watch.woken_until("and then a refusal", dead).await;
        println!("kill -9 -> wake by EOF {eof:?}, -> refused {:?}", begin.elapsed());
        let Seen::Unknown { eof, last, .. } = &seen else {
            panic!("{seen:?}")
        };
        assert!(eof);
        assert_eq!(last.as_ref().unwrap().run_id, before.run_id);
        assert!(watch.probes.connection(&set(), &uid()).is_none());

        server.restart();
        let after = watch.answers().await.facts().unwrap().clone();
        assert_ne!(after.run_id, before.run_id);
        assert_eq!(after.state(), RoleState::Fenced);
    }
}

#[tokio::test]
async fn a_hung_server_becomes_a_timeout_and_answers_again_over_the_same_connection() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let mut watch = Watch::new();
        watch.probes.keep(&set(), vec![target(&server)]);
        watch.answers().await;

        let begin = Instant::now();
        server.signal("STOP");
        let hung = |seen: &Seen| error_of(seen) == Some(&ProbeError::Timeout);
        let seen = watch.woken_until("a missed deadline", hung).await;
        println!("SIGSTOP -> wake by missed deadline {:?}", begin.elapsed());
        assert!(matches!(
            seen,
            Seen::Unknown {
                eof: false,
                last: Some(_),
                ..
            }
        ));
        assert!(!error_of(&seen).unwrap().proves_life());
        server.signal("CONT");
        watch.answers().await;
    }
}

#[tokio::test]
async fn a_short_down_after_is_taken_up_over_the_same_connection_and_shortens_the_wait_for_an_answer() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let mut watch = Watch::new();
        watch.probes.keep(&set(), vec![target(&server)]);
        watch.answers().await;
        let mut impatient = target(&server);
        impatient.view.down_after = Duration::from_millis(300);
        watch.probes.keep(&set(), vec![impatient]);
        assert_eq!(connections(&server).await, 1);

        let looked = |seen: &Seen| seen.facts().map(|facts| facts.asked_at);
        let mut looks = BTreeSet::new();
        until("ten looks", async || {
            looks.extend(looked(&watch.seen()));
            (looks.len() == 10).then_some(())
        })
        .await;
        let looks: Vec<_> = looks.into_iter().collect();
        let mut gaps: Vec<_> = looks.windows(2).map(|pair| pair[1].duration_since(pair[0])).collect();
        gaps.sort_unstable();
        println!("looks come every {}", gaps[5]);
        // With the default they come every 500 ms.
        assert!(gaps[5] < SignedDuration::from_millis(400), "{gaps:?}");

        let last = looked(&watch.seen()).unwrap();
        server.signal("STOP");
        let hung = |seen: &Seen| error_of(seen) == Some(&ProbeError::Timeout);
        let seen = watch.woken_until("a missed deadline", hung).await;
        let known = clock::now();
        server.signal("CONT");
        let Seen::Unknown { since, .. } = seen else {
            panic!("{seen:?}")
        };
        println!(
            "silent since {}, known after {}",
            since.duration_since(last),
            known.duration_since(since)
        );
        // With the longest deadline it would be 500 ms.
        let late = Duration::try_from(known.duration_since(since)).unwrap();
        assert!(
            Duration::from_millis(150) <= late && late < Duration::from_millis(500),
            "{late:?}"
        );
        watch.answers().await;
    }
}

#[tokio::test]
async fn a_server_hung_for_long_is_connected_anew_when_it_is_back() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let mut watch = Watch::new();
        watch.probes.keep(&set(), vec![target(&server)]);
        watch.answers().await;
        let held = watch.probes.connection(&set(), &uid()).unwrap();
        server.signal("STOP");
        assert_eq!(timeout(PATIENCE, held.ended()).await, Ok(End::Closed));
        watch
            .woken_until("a missed deadline", |seen| error_of(seen) == Some(&ProbeError::Timeout))
            .await;
        server.signal("CONT");
        watch.answers().await;
    }
}

#[tokio::test]
async fn a_role_changed_behind_our_back_wakes_the_set() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let mut watch = Watch::new();
        watch.probes.keep(&set(), vec![target(&server)]);
        watch.answers().await;

        server.tester::<()>(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
        let bare = |seen: &Seen| seen.facts().is_some_and(|facts| facts.state() == RoleState::Bare);
        watch.woken_until("it is bare", bare).await;
        server
            .tester::<()>(&["CONFIG", "SET", "min-replicas-to-write", "0"])
            .await
            .unwrap();
        let armed = |seen: &Seen| {
            seen.facts()
                .is_some_and(|facts| facts.state() == RoleState::Armed { min: 0 })
        };
        watch.woken_until("it is armed", armed).await;
    }
}

#[tokio::test]
async fn a_growing_offset_is_logged_and_wakes_nobody() {
    for binary in binaries() {
        let (server, replica) = (Server::start(&binary, "orders-0"), Server::start(&binary, "orders-1"));
        server.tester::<()>(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
        let login = ["CONFIG", "SET", "masteruser", "tester", "masterauth", APP_PASSWORD];
        replica.tester::<()>(&login).await.unwrap();
        replica
            .tester::<()>(&["REPLICAOF", &server.address().to_string(), "6379"])
            .await
            .unwrap();
        let mut watch = Watch::new();
        watch.probes.keep(&set(), vec![target(&server)]);
        let online = |seen: &Seen| {
            seen.facts()
                .is_some_and(|facts| facts.replicas.len() == 1 && facts.replicas.iter().all(|it| it.online()))
        };
        let before = watch
            .woken_until("a replica is online", online)
            .await
            .facts()
            .unwrap()
            .clone();
        while watch.woken.try_recv().is_ok() {}

        // A master sends its replicas a ping every second.
        let after = until("the offset grew over two looks", async || {
            watch
                .seen()
                .facts()
                .filter(|facts| before.offset + 28 <= facts.offset)
                .cloned()
        })
        .await;
        assert!(watch.woken.try_recv().is_err(), "a look without news woke the set");
        let seen = watch.seen();
        let age = seen
            .offsets()
            .age(before.offset, after.answered_at)
            .expect("within the log");
        assert!(Duration::ZERO < age && age < PATIENCE, "{age:?}");
        assert_eq!(
            seen.offsets().age(after.offset + 1000, after.answered_at),
            Some(Duration::ZERO)
        );
    }
}

#[tokio::test]
async fn another_view_is_read_over_the_same_connection() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let mut watch = Watch::new();
        watch.probes.keep(&set(), vec![target(&server)]);
        watch.answers().await;
        let held = watch.probes.connection(&set(), &uid()).unwrap();

        let mut more = target(&server);
        more.view.managed = vec!["repl-backlog-size".into()];
        watch.probes.keep(&set(), vec![more]);
        assert!(watch.seen().facts().is_some(), "what was known stays known");
        let read = |seen: &Seen| {
            seen.facts()
                .is_some_and(|facts| facts.managed.keys().map(String::as_str).eq(["repl-backlog-size"]))
        };
        watch.woken_until("the other directive", read).await;
        assert!(held.look().await.is_ok());
    }
}

#[tokio::test]
async fn facts_published_after_a_command_are_there_at_once_and_wake_nobody() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let mut watch = Watch::new();
        watch.probes.keep(&set(), vec![target(&server)]);
        watch.answers().await;
        while watch.woken.try_recv().is_ok() {}

        let redis = watch.probes.connection(&set(), &uid()).unwrap();
        let facts = roles::bare(&redis).await.unwrap();
        watch.probes.publish(&set(), &uid(), facts.clone());
        let seen = watch.seen();
        assert_eq!(seen.facts().unwrap().state(), RoleState::Bare);
        assert!(facts.asked_at <= seen.facts().unwrap().asked_at);
        until("a look after that", async || {
            (facts.asked_at < watch.seen().facts()?.asked_at).then_some(())
        })
        .await;
        assert_eq!(watch.seen().facts().unwrap().state(), RoleState::Bare);
    }
}

#[tokio::test]
async fn a_second_operator_kills_the_first_ones_connections() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let mut first = Watch::new();
        first.probes.keep(&set(), vec![target(&server)]);
        first.answers().await;
        let held = first.probes.connection(&set(), &uid()).unwrap();

        // Whoever gets the second one's connection finds the first one's gone already.
        let mut second = Watch::new();
        second.probes.keep(&set(), vec![target(&server)]);
        assert_eq!(timeout(PATIENCE, held.ended()).await, Ok(End::Eof));
        first.probes.clear();
        second.answers().await;
        assert!(!roles::bare(&held).await.unwrap_err().possibly_executed());
    }
}

#[tokio::test]
async fn clear_closes_every_connection_and_ends_every_watch() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let mut watch = Watch::new();
        watch.probes.keep(&set(), vec![target(&server)]);
        watch.answers().await;
        let held = watch.probes.connection(&set(), &uid()).unwrap();
        assert_eq!(connections(&server).await, 1);

        watch.probes.clear();
        assert!(watch.probes.look(&set()).is_empty());
        assert!(watch.probes.connection(&set(), &uid()).is_none());
        assert_eq!(timeout(PATIENCE, held.ended()).await, Ok(End::Closed));
        assert!(!roles::bare(&held).await.unwrap_err().possibly_executed());
        until("the server has no connection of ours", async || {
            (connections(&server).await == 0).then_some(())
        })
        .await;
        // Every sender of wake-ups but the one in `probes` is gone with its task.
        drop(watch.probes);
        let end = async { while watch.woken.recv().await.is_some() {} };
        timeout(PATIENCE, end).await.expect("no task is left");
    }
}

#[tokio::test]
async fn a_pod_that_left_is_watched_no_more_and_an_unchanged_one_keeps_its_connection() {
    for binary in binaries() {
        let (zero, one) = (Server::start(&binary, "orders-0"), Server::start(&binary, "orders-1"));
        let other = Target {
            pod: "orders-1".into(),
            uid: PodUid("uid of orders-1".into()),
            ..target(&one)
        };
        let mut watch = Watch::new();
        watch.probes.keep(&set(), vec![target(&zero), other.clone()]);
        watch.answers().await;
        until("the other answers", async || {
            watch.probes.look(&set())[&other.uid].facts().cloned()
        })
        .await;
        let (kept, left) = (
            watch.probes.connection(&set(), &uid()).unwrap(),
            watch.probes.connection(&set(), &other.uid).unwrap(),
        );

        watch.probes.keep(&set(), vec![target(&zero)]);
        assert_eq!(watch.probes.look(&set()).into_keys().collect::<Vec<_>>(), [uid()]);
        assert_eq!(timeout(PATIENCE, left.ended()).await, Ok(End::Closed));
        assert!(kept.look().await.is_ok());
        watch.probes.forget(&set());
        assert_eq!(timeout(PATIENCE, kept.ended()).await, Ok(End::Closed));
    }
}

#[tokio::test]
async fn a_changed_password_is_used_at_once_and_the_last_facts_are_kept() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-0");
        let mut watch = Watch::new();
        watch.probes.keep(&set(), vec![target(&server)]);
        watch.answers().await;
        let mut changed = target(&server);
        changed.endpoint.password = Secret::new("rotated");
        watch.probes.keep(&set(), vec![changed.clone()]);
        assert!(watch.seen().last_facts().is_some());
        watch
            .woken_until("the password is refused", |seen| {
                error_of(seen) == Some(&ProbeError::Auth)
            })
            .await;
        let hash = format!("#{}", Secret::new("rotated").sha256_hex());
        server
            .tester::<()>(&["ACL", "SETUSER", "rrs-operator", &hash])
            .await
            .unwrap();
        watch.answers().await;
    }
}

#[tokio::test]
async fn another_pod_at_the_address_is_said_to_be_another() {
    for binary in binaries() {
        let server = Server::start(&binary, "orders-1");
        let mut watch = Watch::new();
        let mut wrong = target(&server);
        wrong.endpoint.announced = super::server::announced("orders-0");
        watch.probes.keep(&set(), vec![wrong]);
        watch
            .woken_until("the wrong server", |seen| {
                matches!(error_of(seen), Some(ProbeError::Wrong { .. }))
            })
            .await;
    }
}
