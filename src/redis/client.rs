//! One held connection to one Redis: commands with a deadline, and looks.
//!
//! Nothing here is tried twice. A command whose reply did not come is reported as possibly executed, for whoever
//! asked to decide.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, Value};
use futures::FutureExt;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::clock;
use super::connection::View;
use crate::model::redis::{Facts, ProbeError};

pub use super::socket::End;

/// How long a command may take unless said otherwise.
pub const DEADLINE: Duration = Duration::from_millis(500);

/// What [`CallError::Refused`] calls a command that failed inside a transaction: the others of it were executed.
pub const IN_EXEC: &str = "a command of EXEC";

/// Why a command has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nothing was sent.
    #[error("not connected: {0}")]
    NotConnected(End),
    /// Sent, and no reply within this time.
    #[error("no reply within {0:?}; the command may have been executed")]
    NoReply(Duration),
    /// Sent, and the connection ended before the reply.
    #[error("connection lost before the reply ({0}); the command may have been executed")]
    Lost(End),
    /// Redis answered with an error. Nothing of a transaction was executed then, unless `command` is [`IN_EXEC`].
    #[error("{command} was refused: {code} {message}")]
    Refused {
        /// What was refused; never with its arguments.
        command: &'static str,
        /// First word of the error, such as `LOADING`.
        code: String,
        /// The rest of it; empty if the command carried a secret that an error might repeat.
        message: String,
    },
    /// Redis does not take the password, or took it back.
    #[error("the operator's user or password is not accepted")]
    NoAuth,
    /// Another pod's Redis answers at this address. Nothing but the login and the question was sent to it.
    #[error("another pod answers at this address: it announces {got:?} instead of {want:?}")]
    WrongServer {
        /// The DNS name of the pod that was looked for.
        want: String,
        /// The name that Redis announces.
        got: String,
    },
    /// Executed, but the reply is not understood.
    #[error("reply not understood: {0}")]
    Odd(String),
}

impl CallError {
    /// Whether Redis may have done, or may yet do, what was asked.
    pub fn possibly_executed(&self) -> bool {
        match self {
            Self::NoReply(_) | Self::Lost(_) | Self::Odd(_) => true,
            Self::Refused { command, .. } => *command == IN_EXEC,
            Self::NotConnected(_) | Self::NoAuth | Self::WrongServer { .. } => false,
        }
    }
}

impl From<CallError> for ProbeError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotConnected(end) | CallError::Lost(end) => match end {
                End::Refused => Self::Refused,
                End::Timeout => Self::Timeout,
                End::Eof => Self::Eof,
                End::Io(text) => Self::Unreachable(text),
                End::Protocol => Self::Protocol("not Redis's protocol".to_owned()),
                End::Closed => Self::NotAsked,
            },
            CallError::NoReply(_) => Self::Timeout,
            CallError::Refused { code, .. } => Self::Says { code },
            CallError::NoAuth => Self::Auth,
            CallError::WrongServer { want, got } => Self::Wrong { want, got },
            CallError::Odd(text) => Self::Protocol(text),
        }
    }
}

/// A command and what may be said of it when it fails.
pub(super) struct Command {
    name: &'static str,
    secret: bool,
    cmd: Cmd,
}

impl Command {
    /// A command of words; `name` is what an error calls it.
    pub(super) fn new(name: &'static str, words: &[&str]) -> Self {
        let mut cmd = Cmd::new();
        cmd.arg(words);
        Self {
            name,
            secret: false,
            cmd,
        }
    }

    /// Adds a word.
    pub(super) fn arg(mut self, word: &str) -> Self {
        self.cmd.arg(word);
        self
    }

    /// Adds a password: from now on an error of Redis about this command is reduced to its code.
    pub(super) fn secret(mut self, bytes: &[u8]) -> Self {
        self.cmd.arg(bytes);
        self.secret = true;
        self
    }
}

/// A held connection. Clones are the same connection; it ends when the last one is dropped, or by [`Self::close`].
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    multiplexed: MultiplexedConnection,
    driver: AbortHandle,
    ended: watch::Receiver<Option<End>>,
    view: Mutex<View>,
    /// Held while a time is taken and the command queued, so that the order of times is the order of execution.
    order: Mutex<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub(super) fn new(
        multiplexed: MultiplexedConnection,
        driver: AbortHandle,
        ended: watch::Receiver<Option<End>>,
        view: View,
    ) -> Self {
        Self(Arc::new(Inner {
            multiplexed,
            driver,
            ended,
            view: Mutex::new(view),
            order: Mutex::new(()),
        }))
    }

    /// Ends the connection for every clone of it, with a reset.
    pub fn close(&self) {
        self.0.driver.abort();
    }

    /// Changes what later looks read.
    pub(super) fn set_view(&self, view: View) {
        *self.0.view.lock().unwrap_or_else(PoisonError::into_inner) = view;
    }

    /// Waits until the connection has ended, and says how.
    pub async fn ended(&self) -> End {
        let mut ended = self.0.ended.clone();
        // The sender lives in the task that drives the connection: without it the task was stopped by us.
        let end = match ended.wait_for(Option::is_some).await {
            Ok(end) => (*end).clone(),
            Err(_) => None,
        };
        end.unwrap_or(End::Closed)
    }

    /// Reads the facts of this Redis within [`DEADLINE`].
    pub async fn look(&self) -> Result<Facts, CallError> {
        self.act(Vec::new(), DEADLINE).await
    }

    /// Reads the facts of this Redis within `deadline`.
    pub async fn look_within(&self, deadline: Duration) -> Result<Facts, CallError> {
        self.act(Vec::new(), deadline).await
    }

    /// Sends the commands, as one transaction if there is more than one, and a look behind them, in one write.
    /// The facts are those after the commands.
    pub(super) async fn act(&self, commands: Vec<Command>, deadline: Duration) -> Result<Facts, CallError> {
        let batch = if commands.len() > 1 {
            transaction(commands)
        } else {
            commands
        };
        let acts = batch.len();
        let view = self.0.view.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let look = view.commands();
        let mut replies = self.send(batch.into_iter().chain(look).collect(), deadline).await?;
        let answered_at = clock::now();
        let looked = replies.values.split_off(acts);
        let names = replies.names.split_off(acts);
        check(&replies.values, &replies.names)?;
        check(&looked, &names)
            .and_then(|()| view.facts(replies.asked_at, answered_at, looked))
            .map_err(|error| {
                if acts == 0 {
                    error
                } else {
                    CallError::Odd(format!("done, but then: {error}"))
                }
            })
    }

    /// Sends the commands in one write and returns their replies, or the first error among them.
    pub(super) async fn run(&self, commands: Vec<Command>, deadline: Duration) -> Result<Vec<Value>, CallError> {
        let replies = self.send(commands, deadline).await?;
        check(&replies.values, &replies.names)?;
        Ok(replies.values)
    }

    async fn send(&self, commands: Vec<Command>, deadline: Duration) -> Result<Replies, CallError> {
        if let Some(end) = self.end_now() {
            return Err(CallError::NotConnected(end));
        }
        let mut pipeline = ::redis::Pipeline::with_capacity(commands.len());
        let mut names = Vec::with_capacity(commands.len());
        for Command { name, secret, cmd } in commands {
            pipeline.add_command(cmd);
            names.push((name, secret));
        }
        let mut multiplexed = self.0.multiplexed.clone();
        let mut call = pin!(multiplexed.send_packed_commands(&pipeline, 0, names.len()));
        let (asked_at, at_once) = {
            let _order = self.0.order.lock().unwrap_or_else(PoisonError::into_inner);
            (clock::now(), call.as_mut().now_or_never())
        };
        let result = match at_once {
            Some(result) => result,
            None => timeout(deadline, call)
                .await
                .map_err(|_| CallError::NoReply(deadline))?,
        };
        match result {
            Ok(values) => Ok(Replies {
                asked_at,
                values,
                names,
            }),
            Err(_) => Err(CallError::Lost(self.ended().await)),
        }
    }

    fn end_now(&self) -> Option<End> {
        let ended = &self.0.ended;
        match ended.borrow().clone() {
            None if ended.has_changed().is_err() => Some(End::Closed),
            end => end,
        }
    }
}

/// `MULTI` ... `EXEC`. All of it goes out in one write: between them no command of another task can come.
fn transaction(commands: Vec<Command>) -> Vec<Command> {
    let mut batch = vec![Command::new("MULTI", &["MULTI"])];
    let secret = commands.iter().any(|command| command.secret);
    batch.extend(commands);
    batch.push(Command {
        secret,
        ..Command::new(IN_EXEC, &["EXEC"])
    });
    batch
}

/// Replies in the order of their commands, with the commands' names and whether they carried a secret.
struct Replies {
    asked_at: Timestamp,
    values: Vec<Value>,
    names: Vec<(&'static str, bool)>,
}

fn check(values: &[Value], names: &[(&'static str, bool)]) -> Result<(), CallError> {
    values
        .iter()
        .zip(names)
        .try_for_each(|(value, (name, secret))| refused(value, name, *secret))
}

/// The error in a reply, or in the replies of a transaction.
fn refused(reply: &Value, command: &'static str, secret: bool) -> Result<(), CallError> {
    match reply {
        Value::ServerError(error) => Err(match error.code() {
            "NOAUTH" | "WRONGPASS" => CallError::NoAuth,
            code => CallError::Refused {
                command,
                code: code.to_owned(),
                message: if secret {
                    String::new()
                } else {
                    error.details().unwrap_or_default().to_owned()
                },
            },
        }),
        Value::Array(replies) => replies.iter().try_for_each(|reply| refused(reply, command, secret)),
        _ => Ok(()),
    }
}
