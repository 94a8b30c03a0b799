//! A real Redis, configured as a pod of ours: its own address, redis.conf and aclfile, fenced at every start.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo, RedisConnectionInfo};
use redis_operator::redis::connection::open;
use redis_operator::redis::{Connection, Endpoint, Secret, Tcp, View};

/// Longest any condition may take. Generous: the machine may be full.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The application's password.
pub const APP_PASSWORD: &str = "app-password-that-must-not-show";
/// The operator's password.
pub const OPERATOR_PASSWORD: &str = "operator-password-that-must-not-show";
/// Port of every server; each has an address of its own, as pods have.
pub const PORT: u16 = 6379;

/// The servers to test.
pub fn binaries() -> Vec<PathBuf> {
    match std::env::var_os("REDIS_SERVERS") {
        Some(list) => std::env::split_paths(&list).collect(),
        None => vec![PathBuf::from("redis-server")],
    }
}

/// One server process and its directory. Dropping it ends the process and removes the directory.
pub struct Server {
    binary: PathBuf,
    name: String,
    address: IpAddr,
    directory: PathBuf,
    process: Option<Child>,
}

impl Server {
    /// Starts a server that announces itself as pod `name`, and waits until it listens.
    pub fn start(binary: &Path, name: &str) -> Self {
        Self::start_with(binary, name, "")
    }

    /// Starts a server with more lines in its redis.conf.
    pub fn start_with(binary: &Path, name: &str, more: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        // Apart from other test processes by the pid, and never 127.0.0.1.
        let [.., high, low] = pid.to_be_bytes();
        let [.., third, fourth] = (count + 2).to_be_bytes();
        let address = IpAddr::V4(Ipv4Addr::new(127, high | 64, low ^ third, fourth));
        let directory = std::env::temp_dir().join(format!("redis-operator-it-{pid}-{count}"));
        std::fs::create_dir_all(&directory).expect("a directory for the server");
        let announced = announced(name);
        let mut server = Self {
            binary: binary.to_path_buf(),
            name: announced,
            address,
            directory,
            process: None,
        };
        server.write_files(more);
        server.restart();
        server
    }

    /// Starts the process again, on the data that is there.
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "still runs");
        let log = std::fs::File::create(self.directory.join("log")).expect("the server's log");
        let child = Command::new(&self.binary)
            .arg(self.directory.join("redis.conf"))
            .args(["--replica-announce-ip", &self.name])
            .current_dir(&self.directory)
            .stdout(log.try_clone().expect("the log twice"))
            .stderr(log)
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{} can not be started ({error}): install it, or name others in REDIS_SERVERS",
                    self.binary.display()
                )
            });
        self.process = Some(child);
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(self.socket()).is_err() {
            let ended = self
                .process
                .as_mut()
                .expect("just started")
                .try_wait()
                .expect("its state");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "does not listen: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the process without a chance to save anything.
    pub fn kill(&mut self) {
        if self.process.is_some() {
            self.signal("KILL");
        }
        if let Some(mut process) = self.process.take() {
            process.wait().expect("its end");
        }
    }

    /// Sends a signal such as `STOP` or `CONT`, also to a fork that writes a file.
    pub fn signal(&self, name: &str) {
        let group = self.process.as_ref().expect("runs").id();
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} -{group}")])
            .status()
            .expect("kill");
        assert!(status.success());
    }

    /// What the server wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Its address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Its address and port.
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, PORT)
    }

    /// How the operator reaches it.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: self.socket(),
            announced: self.name.clone(),
            user: "rrs-operator".into(),
            password: Secret::new(OPERATOR_PASSWORD),
        }
    }

    /// A connection as the operator.
    pub async fn operator(&self) -> Connection {
        open(&Tcp, &self.endpoint(), view())
            .await
            .unwrap_or_else(|error| panic!("{error}: {}", self.log()))
    }

    /// A connection as another user: `app`, or `tester`, who may do everything.
    pub async fn client(&self, user: &str) -> MultiplexedConnection {
        let address = ConnectionAddr::Tcp(self.address.to_string(), PORT);
        let login = RedisConnectionInfo::default()
            .set_username(user)
            .set_password(APP_PASSWORD);
        let info = address
            .into_connection_info()
            .expect("an address")
            .set_redis_settings(login);
        let patient = AsyncConnectionConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(PATIENCE));
        let client = redis::Client::open(info).expect("a client");
        client
            .get_multiplexed_async_connection_with_config(&patient)
            .await
            .expect("a connection as another user")
    }

    /// Runs one command as `app`; an error is its first word.
    pub async fn app<T: FromRedisValue>(&self, words: &[&str]) -> Result<T, String> {
        run(&mut self.client("app").await, words).await
    }

    /// Runs one command as a user who may do everything; an error is its first word.
    pub async fn tester<T: FromRedisValue>(&self, words: &[&str]) -> Result<T, String> {
        run(&mut self.client("tester").await, words).await
    }

    fn write_files(&self, more: &str) {
        let directory = self.directory.display();
        let mut conf = String::new();
        for line in [
            &format!("bind {}", self.address),
            &format!("port {PORT}"),
            &format!("dir {directory}"),
            &format!("aclfile {directory}/users.acl"),
            "protected-mode no",
            "replicaof 127.0.0.1 1",
            "min-replicas-to-write 65535",
            "min-replicas-max-lag 2",
            "replica-serve-stale-data no",
            "repl-ping-replica-period 1",
            "repl-timeout 15",
            "repl-backlog-size 64mb",
            "repl-backlog-ttl 0",
            "repl-diskless-sync-delay 0",
            "repl-diskless-load on-empty-db",
            "appendonly yes",
            "save \"\"",
            "shutdown-timeout 10",
            "busy-reply-threshold 300",
            more,
        ] {
            writeln!(conf, "{line}").expect("text");
        }
        std::fs::write(self.directory.join("redis.conf"), conf).expect("redis.conf");
        let app = Secret::new(APP_PASSWORD).sha256_hex();
        let operator = Secret::new(OPERATOR_PASSWORD).sha256_hex();
        let acl = format!(
            "user default off\n\
             user rrs-operator on #{operator} -@all +ping +info +role +replicaof +multi +exec +discard \
             +client|pause +client|unpause +client|kill +client|list +client|id +config|get +config|set \
             +acl|setuser +acl|deluser +acl|getuser +acl|users +acl|whoami\n\
             user app on #{app} ~* &* +@all -@admin -@dangerous\n\
             user tester on #{app} ~* &* +@all\n"
        );
        std::fs::write(self.directory.join("users.acl"), acl).expect("users.acl");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // Left behind for whoever looks into a failed test.
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.directory).expect("the server's directory goes");
        }
    }
}

/// The DNS name of a pod.
pub fn announced(pod: &str) -> String {
    format!("{pod}.orders-nodes.shop.svc")
}

/// What the tests look at.
pub fn view() -> View {
    View {
        app_user: "app".into(),
        managed: vec!["maxmemory-policy".into(), "repl-timeout".into()],
        down_after: Duration::from_secs(1),
    }
}

/// Runs one command; an error is its first word.
pub async fn run<T: FromRedisValue>(client: &mut MultiplexedConnection, words: &[&str]) -> Result<T, String> {
    let mut cmd = Cmd::new();
    cmd.arg(words);
    cmd.query_async(client)
        .await
        .map_err(|error| error.code().unwrap_or("no reply").to_owned())
}

/// Asks again until the answer is there; fails with `what` if it never comes.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
