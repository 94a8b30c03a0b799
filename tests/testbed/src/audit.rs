//! The API server's audit log as typed events: who asked for what, and what came of it.
//!
//! The API server writes a request's line just after its answer, so a caller may hold the answer a
//! moment before the line is there.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{At, Error, Result};

/// One request to the API server.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// `system:serviceaccount:<namespace>:<name>` for a pod.
    pub user: String,
    /// What the client calls itself.
    pub agent: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural resource; empty for a request of no object, such as `/healthz`.
    pub resource: String,
    /// `status`, `scale`, `exec`; empty if the object itself is meant.
    pub subresource: String,
    /// Empty for cluster-wide objects and lists.
    pub namespace: String,
    /// Empty for lists, and where the server chose the name.
    pub name: String,
    /// HTTP status; 0 while a watch is open.
    pub code: u16,
    /// When the request came, RFC 3339 with microseconds.
    pub time: String,
    /// Path and query.
    pub uri: String,
    /// What was sent, for writes of the operator's kind and of leases; else null.
    pub body: Value,
}

impl Event {
    /// Whether the request asked for a change, whatever came of it. A dry run is none.
    #[must_use]
    pub fn is_mutating(&self) -> bool {
        let writes = ["create", "update", "patch", "delete", "deletecollection"];
        writes.contains(&self.verb.as_str()) && !self.uri.contains("dryRun=All")
    }
}

/// A reader with a position in the audit log.
#[derive(Debug, Clone)]
pub struct Audit {
    file: PathBuf,
    position: u64,
    open: HashSet<String>,
}

impl Audit {
    /// From the log's beginning.
    pub(crate) fn new(file: PathBuf) -> Self {
        Self {
            file,
            position: 0,
            open: HashSet::new(),
        }
    }

    /// Forgets what is in the log until now.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn skip(&mut self) -> Result<()> {
        self.read().map(drop)
    }

    /// The requests since the last call, in the order in which they ended (a watch: in which it began).
    ///
    /// # Errors
    /// If the log cannot be read or a line is no audit event.
    pub fn read(&mut self) -> Result<Vec<Event>> {
        let mut file = File::open(&self.file).at("open", &self.file)?;
        file.seek(SeekFrom::Start(self.position)).at("read", &self.file)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).at("read", &self.file)?;
        // The last line may be half written.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.position += whole as u64;
        let mut events = Vec::new();
        for line in bytes[..whole]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let line: Line = serde_json::from_slice(line).map_err(|source| Error::Json {
                what: self.file.display().to_string(),
                source,
            })?;
            events.extend(self.accept(line));
        }
        Ok(events)
    }

    /// A long request has a line when it starts and one when it ends; the first counts.
    fn accept(&mut self, line: Line) -> Option<Event> {
        let started = line.stage == "ResponseStarted";
        if started {
            self.open.insert(line.audit_id.clone());
        } else if self.open.remove(&line.audit_id) {
            return None;
        }
        let object = line.object_ref.unwrap_or_default();
        Some(Event {
            verb: line.verb,
            user: line.user.username,
            agent: line.user_agent,
            group: object.api_group,
            resource: object.resource,
            subresource: object.subresource,
            namespace: object.namespace,
            name: object.name,
            code: if started {
                0
            } else {
                line.response_status.unwrap_or_default().code
            },
            time: line.request_received_timestamp,
            uri: line.request_uri,
            body: line.request_object,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(rename = "auditID")]
    audit_id: String,
    stage: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<ObjectRef>,
    response_status: Option<Status>,
    #[serde(default)]
    request_object: Value,
    request_received_timestamp: String,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    api_group: String,
}

#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    code: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, stage: &str, verb: &str) -> String {
        format!(
            r#"{{"kind":"Event","auditID":"{id}","stage":"{stage}","verb":"{verb}","requestURI":"/api","user":{{"username":"u"}},"objectRef":{{"resource":"pods","namespace":"a","name":"p"}},"responseStatus":{{"code":201}},"requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z"}}"#
        )
    }

    #[test]
    fn a_watch_counts_once_and_half_a_line_waits_for_its_rest() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("audit.log");
        let half = line("3", "ResponseComplete", "delete");
        let lines = [
            line("1", "ResponseStarted", "watch"),
            line("2", "ResponseComplete", "create"),
        ]
        .join("\n");
        std::fs::write(&file, format!("{lines}\n{}", &half[..40])).unwrap();
        let mut audit = Audit::new(file.clone());
        let events = audit.read().unwrap();
        assert_eq!(
            events.iter().map(|e| e.verb.as_str()).collect::<Vec<_>>(),
            ["watch", "create"]
        );
        assert_eq!((events[0].code, events[1].code), (0, 201));
        assert!(!events[0].is_mutating() && events[1].is_mutating());
        let end = line("1", "ResponseComplete", "watch");
        std::fs::write(&file, format!("{lines}\n{half}\n{end}\n")).unwrap();
        let events = audit.read().unwrap();
        assert_eq!(events.iter().map(|e| e.verb.as_str()).collect::<Vec<_>>(), ["delete"]);
        assert_eq!((events[0].user.as_str(), events[0].name.as_str()), ("u", "p"));
    }

    #[test]
    fn what_is_skipped_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("audit.log");
        std::fs::write(&file, line("1", "ResponseComplete", "create") + "\n").unwrap();
        let mut audit = Audit::new(file);
        audit.skip().unwrap();
        assert_eq!(audit.read().unwrap(), []);
    }

    #[test]
    fn a_dry_run_changes_nothing() {
        let text = line("1", "ResponseComplete", "patch").replace("\"/api\"", "\"/api?dryRun=All\"");
        let line: Line = serde_json::from_str(&text).unwrap();
        assert!(!Audit::new(PathBuf::new()).accept(line).unwrap().is_mutating());
    }
}
