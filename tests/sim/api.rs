//! The API server as the client's service: one request, one reply, and the fault that it may meet.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use futures::future::pending;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::effects::Kind;
use crate::store::{Interest, Key, Patch, Refused};
use crate::world::{Sim, World};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// How long a request is on its way.
const WAY: Duration = Duration::from_millis(1);
/// How long a delayed one is: its caller gives up after a second.
const LONG_WAY: Duration = Duration::from_secs(2);

/// A client of one life of the operator.
pub fn client(sim: &Sim, life: u64) -> Client {
    let sim = sim.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let sim = sim.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await?;
            let call = Call::read(&parts.method, &parts.uri, &body);
            sleep(WAY).await;
            serve(&sim, life, call).await
        }
    });
    Client::new(service, "default")
}

async fn serve(sim: &Sim, life: u64, call: Call) -> Result<Answer, tower::BoxError> {
    if !sim.world().lives(life) {
        return pending().await;
    }
    let fault = call.effect().and_then(|name| sim.world().effects.next(name));
    match fault {
        None => Ok(sim.world().answer(&call)),
        Some(Kind::CrashBefore) => {
            sim.world().crash();
            pending().await
        }
        Some(Kind::CrashAfter) => {
            sim.world().answer(&call);
            sim.world().crash();
            pending().await
        }
        Some(Kind::Error) => Ok(status(&Refused {
            code: 500,
            reason: "InternalError",
            message: "an error was put here".into(),
        })),
        Some(Kind::LostReply) => {
            sim.world().answer(&call);
            Err("the connection broke before the reply".into())
        }
        Some(Kind::Delay) => {
            let sim = sim.clone();
            let late = tokio::spawn(async move {
                sleep(LONG_WAY).await;
                sim.world().answer(&call)
            });
            Ok(late.await?)
        }
    }
}

/// A request.
struct Call {
    method: Method,
    plural: String,
    namespace: Option<String>,
    name: Option<String>,
    status: bool,
    query: Vec<(String, String)>,
    body: Value,
}

impl Call {
    fn read(method: &Method, uri: &http::Uri, body: &[u8]) -> Self {
        let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
        let group = if parts[0] == "api" { 2 } else { 3 };
        let parts = &parts[group..];
        let (namespace, parts) = match parts {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            all => (None, all),
        };
        let pairs = uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        Self {
            method: method.clone(),
            plural: parts[0].to_owned(),
            namespace,
            name: parts.get(1).map(|name| (*name).to_owned()),
            status: parts.get(2) == Some(&"status"),
            query: pairs.map(|(name, value)| (name.to_owned(), plain(value))).collect(),
            body: serde_json::from_slice(body).unwrap_or(Value::Null),
        }
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    fn key(&self) -> Key {
        let of_body = self.body["metadata"]["name"].as_str().map(str::to_owned);
        Key {
            plural: self.plural.clone(),
            namespace: self.namespace.clone().unwrap_or_default(),
            name: self.name.clone().or(of_body).unwrap_or_default(),
        }
    }

    fn interest(&self) -> Interest {
        Interest {
            plural: self.plural.clone(),
            namespace: self.namespace.clone(),
            label: self.query("labelSelector").map(str::to_owned),
        }
    }

    /// Name of what it changes. The Lease is renewed all the time and is no effect on a set.
    fn effect(&self) -> Option<String> {
        if self.method == Method::GET || self.plural == "leases" {
            return None;
        }
        let name = match self.plural.as_str() {
            // Their names are random.
            "events" => self.body["reason"].as_str().unwrap_or("again").to_owned(),
            "configmaps" => "config".to_owned(),
            _ => self.key().name,
        };
        let part = if self.status { "/status" } else { "" };
        let manager = self
            .query("fieldManager")
            .map(|m| format!(" as {m}"))
            .unwrap_or_default();
        Some(format!("{} {}/{name}{part}{manager}", self.method, self.plural))
    }
}

/// Percent-encoding undone.
fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16)).unwrap_or(0);
        bytes.push(match byte {
            b'%' => u8::try_from(digit() * 16 + digit()).unwrap_or(b'?'),
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl World {
    fn answer(&mut self, call: &Call) -> Answer {
        if call.method == Method::GET && call.name.is_none() {
            return if call.query("watch") == Some("true") {
                self.watch(call)
            } else {
                self.list(call)
            };
        }
        let key = call.key();
        let done = match call.method {
            Method::GET => self.store.get(&key).cloned().ok_or_else(|| Refused {
                code: 404,
                reason: "NotFound",
                message: format!("{} {:?} not found", key.plural, key.name),
            }),
            Method::POST => self.store.create(&key, call.body.clone()),
            Method::PUT => self.store.replace(&key, call.body.clone()),
            Method::PATCH => {
                let how = match call.query("fieldManager") {
                    Some(manager) if call.body["apiVersion"].is_string() => Patch::Apply {
                        manager,
                        force: call.query("force") == Some("true"),
                    },
                    _ => Patch::Merge,
                };
                self.store.patch(&key, call.status, how, &call.body)
            }
            Method::DELETE => {
                let uid = call.body["preconditions"]["uid"].as_str();
                self.store.delete(&key, uid)
            }
            _ => Err(Refused {
                code: 405,
                reason: "MethodNotAllowed",
                message: call.method.to_string(),
            }),
        };
        match done {
            Ok(object) => json_answer(200, &object),
            Err(refused) => status(&refused),
        }
    }

    fn list(&self, call: &Call) -> Answer {
        let items = self.store.list(&call.interest());
        let version = self.store.version().to_string();
        json_answer(
            200,
            &json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items}),
        )
    }

    fn watch(&mut self, call: &Call) -> Answer {
        let (to, lines) = mpsc::unbounded();
        let after = call.query("resourceVersion").and_then(|v| v.parse().ok()).unwrap_or(0);
        let seconds = call.query("timeoutSeconds").and_then(|s| s.parse().ok()).unwrap_or(290);
        let ends = Instant::now() + Duration::from_secs(seconds);
        self.store.watch(call.interest(), after, to, ends);
        let frames = lines.map(|line| Ok::<_, Infallible>(Frame::data(line)));
        Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
    }
}

fn status(refused: &Refused) -> Answer {
    let Refused { code, reason, message } = refused;
    json_answer(
        *code,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code}),
    )
}

fn json_answer(code: u16, value: &Value) -> Answer {
    let body = Full::new(Bytes::from(serde_json::to_vec(value).unwrap()));
    Response::builder()
        .status(code)
        .body(BodyExt::boxed_unsync(body))
        .unwrap()
}
