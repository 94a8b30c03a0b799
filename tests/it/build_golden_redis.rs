//! The two files that a Redis boots from, read by a real `redis-server`.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use redis_operator::build::{acl, conf};
use redis_operator::model::cluster::Cluster;

use crate::build_golden::{logins, set};

/// A `redis-server` on our two files, with its own directory; it ends with the value.
struct Server {
    process: Child,
    directory: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

impl Server {
    /// Starts it as a pod does, the file first and arguments after it. They, and another directory in the file, which has
    /// to be there when the line is read, only keep it out of the way of others.
    fn start(name: &str, conf: &str, users: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("rrs-build-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let moved = conf.replace("\ndir \"/data\"\n", &format!("\ndir \"{}\"\n", directory.display()));
        assert_ne!(moved, conf);
        std::fs::write(directory.join("redis.conf"), moved).unwrap();
        let log = std::fs::File::create(directory.join("log")).unwrap();
        std::fs::write(directory.join("users.acl"), users).unwrap();
        let process = Command::new("redis-server")
            .arg(directory.join("redis.conf"))
            .args([
                "--port",
                "0",
                "--replica-announce-ip",
                "cache-0.cache-nodes.shop.svc",
                "--aclfile",
            ])
            .arg(directory.join("users.acl"))
            .arg("--unixsocket")
            .arg(directory.join("socket"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("redis-server is installed");
        let mut server = Self { process, directory };
        let deadline = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(server.directory.join("socket")).is_err() {
            let ended = server.process.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "{}", server.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn login(&self, user: &str, password: &acl::Password) -> Connection {
        let mut connection = self.connect();
        let password = std::str::from_utf8(password.expose()).unwrap();
        assert_eq!(connection.ask(&["AUTH", user, password]), "+OK");
        connection
    }

    fn connect(&self) -> Connection {
        let stream = UnixStream::connect(self.directory.join("socket")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Connection { stream }
    }
}

struct Connection {
    stream: UnixStream,
}

impl Connection {
    /// Sends a command; the reply's elements, one a line, each without its length.
    fn ask(&mut self, command: &[&str]) -> String {
        let mut request = format!("*{}\r\n", command.len());
        command
            .iter()
            .for_each(|word| request += &format!("${}\r\n{word}\r\n", word.len()));
        self.stream.write_all(request.as_bytes()).unwrap();
        self.reply().join("\n")
    }

    fn reply(&mut self) -> Vec<String> {
        let head = self.line();
        let count = || head[1..].parse::<i64>().unwrap();
        match head.as_bytes()[0] {
            b'*' => (0..count()).flat_map(|_| self.reply()).collect(),
            b'$' if count() < 0 => vec![String::new()],
            b'$' => {
                let mut body = vec![0; usize::try_from(count()).unwrap() + 2];
                self.stream.read_exact(&mut body).unwrap();
                vec![String::from_utf8_lossy(&body[..body.len() - 2]).into_owned()]
            }
            _ => vec![head],
        }
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        String::from_utf8(line[..line.len() - 2].to_vec()).unwrap()
    }
}

fn files(cluster: &Cluster) -> (String, String) {
    let (internal, application) = logins();
    let users = acl::file(cluster, &internal.hashes(Some(application.hash()))).unwrap();
    (conf::build(cluster, cluster.core()).unwrap().text, users)
}

/// The full set's, without the directive that no server knows.
fn known(name: &str) -> Cluster {
    let mut cluster = set(name);
    cluster.spec.config.remove("aclog-is-no-directive");
    cluster
}

#[test]
fn a_pod_boots_fenced_with_every_directive_as_written() {
    for name in ["minimal", "full"] {
        let cluster = known(name);
        let (text, users) = files(&cluster);
        let server = Server::start(name, &text, &users);
        let mut operator = server.login("rrs-operator", &logins().0.operator);
        for (key, value) in [
            ("min-replicas-to-write", "65535"),
            ("min-replicas-max-lag", "2"),
            ("replica-serve-stale-data", "no"),
            ("replicaof", "127.0.0.1 1"),
            ("bind", "* -::*"),
            ("repl-backlog-size", "67108864"),
            ("repl-backlog-ttl", "0"),
            ("repl-diskless-load", "on-empty-db"),
            ("appendonly", "yes"),
            ("aof-use-rdb-preamble", "yes"),
            ("shutdown-timeout", "10"),
            ("replica-announce-ip", "cache-0.cache-nodes.shop.svc"),
        ] {
            assert_eq!(operator.ask(&["CONFIG", "GET", key]), format!("{key}\n{value}"));
        }
        let role = operator.ask(&["ROLE"]);
        assert!(role.starts_with("slave\n127.0.0.1\n:1\n"), "{role}");
        let mut application = server.login(&cluster.spec.auth.username, &logins().1);
        assert!(application.ask(&["SET", "a", "b"]).starts_with("-READONLY"));
        assert!(application.ask(&["GET", "a"]).starts_with("-MASTERDOWN"));
        assert!(server.connect().ask(&["PING"]).starts_with("-NOAUTH"));
    }
}

#[test]
fn what_a_person_configured_is_in_force_and_can_be_set_live_with_the_same_words() {
    let cluster = known("full");
    let (text, users) = files(&cluster);
    let server = Server::start("live", &text, &users);
    let mut operator = server.login("rrs-operator", &logins().0.operator);
    let values = conf::live_values(&cluster, cluster.core()).unwrap();
    let read = |operator: &mut Connection| -> Vec<String> {
        values.keys().map(|key| operator.ask(&["CONFIG", "GET", key])).collect()
    };
    let booted = read(&mut operator);
    for wanted in [
        "appendfsync\nalways",
        "client-output-buffer-limit\nnormal 268435456 134217728 60 slave 1073741824 536870912 120 pubsub 33554432 8388608 60",
        "latency-tracking-info-percentiles\n50 99.9",
        "maxmemory\n2013265920",
        "maxmemory-policy\nallkeys-lru",
        "notify-keyspace-events\n",
        "save\n3600 1 300 100",
    ] {
        assert!(booted.iter().any(|found| found == wanted), "{wanted:?} in {booted:?}");
    }
    for (key, value) in &values {
        assert_eq!(operator.ask(&["CONFIG", "SET", key, value]), "+OK", "{key}");
    }
    assert_eq!(read(&mut operator), booted);
}

#[test]
fn an_unknown_directive_is_named_in_the_log_as_it_was_written() {
    let (text, _) = files(&set("full"));
    let line = text.lines().find(|line| line.starts_with("aclog")).unwrap();
    assert_eq!(line, r#"aclog-is-no-directive "quote \" backslash \\ and \xc3\xa9""#);
    let file = std::env::temp_dir().join(format!("rrs-build-unknown-{}.conf", std::process::id()));
    std::fs::write(&file, format!("port 0\n{line}\n")).unwrap();
    let output = Command::new("redis-server")
        .arg(Path::new(&file))
        .output()
        .expect("redis-server is installed");
    drop(std::fs::remove_file(&file));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    // Redis 8.0 takes it for a module's, and says so with the value as it read it.
    let read = r#"aclog-is-no-directive quote " backslash \ and é"#;
    let named = (said.contains(line) && said.contains("Bad directive")) || said.contains(read);
    assert!(!output.status.success() && named, "{said}");
}

#[test]
fn each_user_may_do_its_own_work_and_nothing_more() {
    let (text, users) = files(&known("full"));
    let server = Server::start("users", &text, &users);
    let operator = logins().0.operator;
    let mut connection = server.login("rrs-operator", &operator);
    // ACL DRYRUN is no command of the operator's: a user of the test's own asks it.
    let hash = acl::Password::new("t").unwrap().hash();
    assert_eq!(
        connection.ask(&["ACL", "SETUSER", "tester", "on", hash.rule(), "+@all"]),
        "+OK"
    );
    let mut tester = server.login("tester", &acl::Password::new("t").unwrap());
    for (user, may, may_not) in [
        ("rrs-operator", OPERATOR_MAY, OPERATOR_MAY_NOT),
        ("rrs-probe", PROBE_MAY, PROBE_MAY_NOT),
        ("orders", APPLICATION_MAY, APPLICATION_MAY_NOT),
    ] {
        let mut dry = |command: &&str| {
            let words: Vec<_> = ["ACL", "DRYRUN", user].into_iter().chain(command.split(' ')).collect();
            tester.ask(&words)
        };
        may.iter()
            .for_each(|command| assert_eq!(dry(command), "+OK", "{user} {command}"));
        may_not.iter().for_each(|command| {
            let answer = dry(command);
            assert!(answer.contains("has no permissions"), "{user} {command}: {answer}");
        });
    }
    let listed = connection.ask(&["ACL", "USERS"]);
    assert_eq!(listed, "default\norders\nrrs-operator\nrrs-probe\ntester");
    let default = connection.ask(&["ACL", "GETUSER", "default"]);
    assert!(
        default.contains("off") && default.contains("-@all") && !default.contains("nopass"),
        "{default}"
    );
}

#[test]
fn default_is_the_applications_user_where_it_is_asked_for() {
    let mut cluster = set("minimal");
    cluster.spec.auth.username = "default".into();
    let (text, users) = files(&cluster);
    let server = Server::start("default", &text, &users);
    let mut connection = server.connect();
    assert!(connection.ask(&["GET", "a"]).starts_with("-NOAUTH"));
    let password = logins().1;
    assert_eq!(
        connection.ask(&["AUTH", std::str::from_utf8(password.expose()).unwrap()]),
        "+OK"
    );
    assert!(connection.ask(&["FLUSHALL"]).starts_with("-NOPERM"));
    assert!(connection.ask(&["GET", "a"]).starts_with("-MASTERDOWN"));
}

const OPERATOR_MAY: &[&str] = &[
    "PING",
    "INFO replication",
    "ROLE",
    "REPLICAOF NO ONE",
    "REPLICAOF 127.0.0.1 1",
    "MULTI",
    "EXEC",
    "DISCARD",
    "CLIENT PAUSE 100 WRITE",
    "CLIENT UNPAUSE",
    "CLIENT KILL USER x SKIPME yes",
    "CLIENT LIST TYPE normal",
    "CLIENT ID",
    "CONFIG GET replica-announce-ip",
    "CONFIG SET min-replicas-to-write 1",
    "ACL SETUSER rrs-link-cache-1 on",
    "ACL DELUSER rrs-link-cache-1",
    "ACL GETUSER orders",
    "ACL USERS",
    "ACL WHOAMI",
    "HELLO 3",
];
const OPERATOR_MAY_NOT: &[&str] = &[
    "GET a",
    "SET a b",
    "KEYS *",
    "SCAN 0",
    "FLUSHALL",
    "EVAL x 0",
    "SHUTDOWN",
    "DEBUG SLEEP 0",
    "ACL LOAD",
    "ACL LIST",
    "ACL SAVE",
    "CONFIG REWRITE",
    "CONFIG RESETSTAT",
    "FAILOVER",
    "MONITOR",
    "PSYNC ? -1",
    "SUBSCRIBE c",
    "MODULE LIST",
    "CLIENT NO-EVICT on",
    "BGSAVE",
];
const PROBE_MAY: &[&str] = &["PING", "INFO", "ROLE", "CONFIG GET replica-announce-ip", "HELLO 3"];
const PROBE_MAY_NOT: &[&str] = &[
    "REPLICAOF NO ONE",
    "CONFIG SET save x",
    "CLIENT LIST",
    "ACL USERS",
    "GET a",
    "MULTI",
    "ACL WHOAMI",
    "CLIENT KILL ID 1",
];
const APPLICATION_MAY: &[&str] = &[
    "PING",
    "GET a",
    "SET a b",
    "SCAN 0",
    "DEL a",
    "UNLINK a",
    "WAIT 1 0",
    "MULTI",
    "EXEC",
    "WATCH a",
    "EVAL x 0",
    "SCRIPT LOAD x",
    "FCALL f 0",
    "FUNCTION LOAD x",
    "PUBLISH c m",
    "SUBSCRIBE c",
    "PSUBSCRIBE c*",
    "SPUBLISH c m",
    "XADD s * a b",
    "XREADGROUP GROUP g c STREAMS s >",
    "BLPOP l 0",
    "INFO",
    "DBSIZE",
    "SELECT 1",
    "COMMAND COUNT",
    "CLIENT SETNAME n",
    "CLIENT GETNAME",
    "CLIENT ID",
    "CLIENT INFO",
    "CLIENT TRACKING on",
    "OBJECT ENCODING a",
    "TIME",
    "MEMORY USAGE a",
    "DUMP a",
    "COPY a b",
    "RENAME a b",
    "ACL WHOAMI",
    "HELLO 3",
    "READONLY",
    "EXPIRE a 1",
];
const APPLICATION_MAY_NOT: &[&str] = &[
    "KEYS *",
    "SORT a",
    "SORT_RO a",
    "FLUSHALL",
    "FLUSHDB",
    "SWAPDB 0 1",
    "RESTORE a 0 x",
    "MIGRATE h 1 a 0 1",
    "SHUTDOWN",
    "CONFIG GET a",
    "CONFIG SET save x",
    "REPLICAOF NO ONE",
    "SLAVEOF NO ONE",
    "FAILOVER",
    "PSYNC ? -1",
    "SYNC",
    "REPLCONF ack 0",
    "ROLE",
    "DEBUG SLEEP 0",
    "MONITOR",
    "ACL LIST",
    "ACL SETUSER x",
    "ACL GETUSER x",
    "CLIENT LIST",
    "CLIENT KILL ID 1",
    "CLIENT PAUSE 1",
    "CLIENT NO-EVICT on",
    "BGSAVE",
    "SAVE",
    "BGREWRITEAOF",
    "MODULE LIST",
    "LASTSAVE",
    "SLOWLOG GET",
    "LATENCY RESET",
    "CLUSTER MEET h 1",
    "PFDEBUG ENCODING a",
];
