//! The Kubernetes API as JSON, for callers that wait for the answer.

use std::sync::OnceLock;
use std::time::Duration;

use http::{Method, Request};
use kube::Client;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::failure::{Context, Failure, Outcome};

/// Longest that a call may take.
const CALL: Duration = Duration::from_secs(15);

/// Path of the objects of a namespace: `core` resources, `apps/v1` ones, and so on.
fn prefix(resource: &str) -> &'static str {
    match resource {
        "statefulsets" | "deployments" | "controllerrevisions" => "/apis/apps/v1",
        "poddisruptionbudgets" => "/apis/policy/v1",
        "leases" => "/apis/coordination.k8s.io/v1",
        "endpointslices" => "/apis/discovery.k8s.io/v1",
        "clusterroles" | "clusterrolebindings" | "roles" | "rolebindings" => "/apis/rbac.authorization.k8s.io/v1",
        "customresourcedefinitions" => "/apis/apiextensions.k8s.io/v1",
        "redisreplicasets" => "/apis/redisreplicaset.dev/v1alpha1",
        _ => "/api/v1",
    }
}

/// Path of a resource in a namespace, or across the cluster if that is empty.
pub fn path(resource: &str, namespace: &str, name: &str) -> String {
    let mut path = prefix(resource).to_owned();
    if !namespace.is_empty() {
        path += &format!("/namespaces/{namespace}");
    }
    path += &format!("/{resource}");
    if !name.is_empty() {
        path += &format!("/{name}");
    }
    path
}

/// A connection to the API server as the administrator.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
    runtime: &'static Runtime,
}

fn runtime() -> Outcome<&'static Runtime> {
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
    });
    runtime
        .as_ref()
        .map_err(|error| Failure::new(format!("no runtime: {error}")))
}

impl Kubernetes {
    /// By KUBECONFIG.
    ///
    /// # Errors
    /// If there is none or it is not usable.
    pub fn connect() -> Outcome<Self> {
        let runtime = runtime()?;
        runtime.block_on(async {
            let mut config = kube::Config::infer().await.context("no kubeconfig")?;
            // A refusal is an answer here: 429 says that an eviction is not granted.
            config.default_retry = false;
            let client = Client::try_from(config).context("no client for the API server")?;
            Ok(Self { client, runtime })
        })
    }

    /// The object, or `None` if there is none of that name.
    ///
    /// # Errors
    /// If the API server does not answer or refuses.
    pub fn find(&self, resource: &str, namespace: &str, name: &str) -> Outcome<Option<Value>> {
        let path = path(resource, namespace, name);
        match self.call(Method::GET, &path, "", None) {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            other => other.map(Some).context(format_args!("get {path}")),
        }
    }

    /// The object.
    ///
    /// # Errors
    /// Also if there is none of that name.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Outcome<Value> {
        self.find(resource, namespace, name)?
            .context(format_args!("there is no {resource} {namespace}/{name}"))
    }

    /// The objects that match a label selector; all if it is empty.
    ///
    /// # Errors
    /// If the API server does not answer or refuses.
    pub fn list(&self, resource: &str, namespace: &str, selector: &str) -> Outcome<Vec<Value>> {
        let query = selector.replace('=', "%3D").replace(',', "%2C");
        let path = format!("{}?labelSelector={query}", path(resource, namespace, ""));
        let mut list = self
            .call(Method::GET, &path, "", None)
            .context(format_args!("list {path}"))?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Err(Failure::new(format!("{path} is no list"))),
        }
    }

    /// Changes an object by a JSON merge patch and returns it.
    ///
    /// # Errors
    /// If the API server does not answer or refuses.
    pub fn merge(&self, resource: &str, namespace: &str, name: &str, patch: &Value) -> Outcome<Value> {
        let path = path(resource, namespace, name);
        self.call(Method::PATCH, &path, "application/merge-patch+json", Some(patch))
            .context(format_args!("patch {path}"))
    }

    /// Creates an object.
    ///
    /// # Errors
    /// If the API server does not answer or refuses.
    pub fn create(&self, resource: &str, namespace: &str, object: &Value) -> Outcome<Value> {
        let path = path(resource, namespace, "");
        self.call(Method::POST, &path, "application/json", Some(object))
            .context(format_args!("create {path}"))
    }

    /// Deletes an object; its dependants go in the background. An object that is not there is deleted already.
    ///
    /// # Errors
    /// If the API server does not answer or refuses.
    pub fn delete(&self, resource: &str, namespace: &str, name: &str) -> Outcome {
        let path = path(resource, namespace, name);
        match self.call(
            Method::DELETE,
            &format!("{path}?propagationPolicy=Background"),
            "",
            None,
        ) {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop).context(format_args!("delete {path}")),
        }
    }

    /// Asks for a pod's eviction. Says whether the disruption budgets grant it.
    ///
    /// # Errors
    /// If the API server does not answer or refuses for another reason.
    pub fn evict(&self, namespace: &str, pod: &str) -> Outcome<bool> {
        let path = format!("{}/eviction", path("pods", namespace, pod));
        let eviction = serde_json::json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
        });
        match self.call(Method::POST, &path, "application/json", Some(&eviction)) {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 429 => Ok(false),
            Err(error) => Err(error).context(format_args!("create {path}")),
        }
    }

    /// A pod's log, or that of its container before the last restart.
    ///
    /// # Errors
    /// If the kubelet does not give it.
    pub fn log(&self, namespace: &str, pod: &str, previous: bool) -> Outcome<String> {
        let path = format!("{}/log?previous={previous}", path("pods", namespace, pod));
        let request = Request::get(&path).body(Vec::new())?;
        self.runtime
            .block_on(self.client.request_text(request))
            .context(format_args!("get {path}"))
    }

    fn call(&self, method: Method, path: &str, content: &str, body: Option<&Value>) -> Result<Value, kube::Error> {
        let mut request = Request::builder().method(method).uri(path);
        if !content.is_empty() {
            request = request.header("content-type", content);
        }
        let body = body.map(|value| value.to_string().into_bytes()).unwrap_or_default();
        let request = request.body(body).map_err(kube::Error::HttpError)?;
        self.runtime.block_on(async {
            match tokio::time::timeout(CALL, self.client.request::<Value>(request)).await {
                Ok(answer) => answer,
                Err(_) => Err(kube::Error::Service("no answer within 15 s".into())),
            }
        })
    }
}
