//! Stock Redis and Valkey from Debian's packages, with an entrypoint like the official images'.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::json;

use super::{Archive, archive};
use crate::command::{long, say};
use crate::daemon::{build_group, registered};
use crate::error::{At, Result};
use crate::key::Key;
use crate::places::{Places, make_dir, write};

const ENTRYPOINT: &str = include_str!("entrypoint.sh");
/// Raised when the recipe below changes in a way that the other parts of the key do not show.
const RECIPE: &str = "1";

/// What the testbed's clusters know without pulling anything.
pub(super) const IMAGES: [Image; 3] = [
    Image {
        name: "redis:8.0",
        reference: "docker.io/library/redis:8.0",
        suite: "trixie",
        packages: "redis-server,redis-tools",
        user: "redis",
        server: "redis-server",
        links: &[],
    },
    Image {
        name: "redis:7.0",
        reference: "docker.io/library/redis:7.0",
        suite: "bookworm",
        packages: "redis-server,redis-tools",
        user: "redis",
        server: "redis-server",
        links: &[],
    },
    Image {
        name: "valkey:8.1",
        reference: "docker.io/valkey/valkey:8.1",
        suite: "trixie",
        packages: "valkey-server,valkey-tools",
        user: "valkey",
        server: "valkey-server",
        // The official image has Redis's names too.
        links: &[("valkey-server", "redis-server"), ("valkey-cli", "redis-cli")],
    },
];

pub(super) struct Image {
    name: &'static str,
    reference: &'static str,
    suite: &'static str,
    packages: &'static str,
    user: &'static str,
    server: &'static str,
    links: &'static [(&'static str, &'static str)],
}

impl Image {
    pub(super) fn ensure(&self, places: &Places, count: &str) -> Result<Archive> {
        let links = format!("{:?}", self.links);
        let parts = [
            RECIPE,
            self.reference,
            self.suite,
            self.packages,
            self.user,
            self.server,
            ENTRYPOINT,
            links.as_str(),
        ];
        let name = self.name.replace(':', "-");
        let file = places.cache.join(format!("image-{name}-{}.tar", Key::of(&parts)));
        let archive = Archive {
            name: self.name.to_owned(),
            file,
        };
        if archive.file.exists() {
            return Ok(archive);
        }
        let begun = Instant::now();
        say(&format!(
            "making the image {} from Debian's packages ({count})",
            self.name
        ));
        make_dir(&places.cache)?;
        let dir = places.scratch().join(&name);
        let _ = fs::remove_dir_all(&dir);
        make_dir(&dir)?;
        let layer = dir.join("layer.tar");
        let log = places.cache.join(format!("build-{name}.log"));
        long(
            &mut self.bootstrap(places, &dir, &layer)?,
            &format!("making {} (log: {})", self.name, log.display()),
            &log,
        )?;
        archive::pack(&archive.file, self.reference, &layer, &self.config())?;
        fs::remove_dir_all(&dir).at("remove", &dir)?;
        say(&format!("made {} in {:.0} s", self.name, begun.elapsed().as_secs_f32()));
        Ok(archive)
    }

    fn bootstrap(&self, places: &Places, dir: &Path, layer: &Path) -> Result<Command> {
        let entrypoint = dir.join("docker-entrypoint.sh");
        write(
            &entrypoint,
            ENTRYPOINT
                .replace("USER_NAME", self.user)
                .replace("SERVER", self.server),
        )?;
        let mut command = registered(&build_group(places)?);
        command.args(["mmdebstrap", "--variant=essential"]);
        command.arg(format!("--include={}", self.packages));
        for path in ["doc", "man", "locale", "info", "lintian", "bash-completion"] {
            command.arg(format!("--dpkgopt=path-exclude=/usr/share/{path}/*"));
        }
        for hook in self.user_hooks() {
            command.arg(format!("--essential-hook={hook}"));
        }
        for hook in self.finish_hooks(&entrypoint) {
            command.arg(format!("--customize-hook={hook}"));
        }
        command.arg(self.suite).arg(layer).env("TMPDIR", dir);
        Ok(command)
    }

    /// The user exists before the package would make one: the official images' number is 999.
    fn user_hooks(&self) -> Vec<String> {
        let user = self.user;
        vec![
            format!("echo '{user}:x:999:999::/data:/usr/sbin/nologin' >> \"$1/etc/passwd\""),
            format!("echo '{user}:x:999:' >> \"$1/etc/group\""),
        ]
    }

    fn finish_hooks(&self, entrypoint: &Path) -> Vec<String> {
        let mut hooks = vec![
            format!("upload {} /usr/local/bin/docker-entrypoint.sh", entrypoint.display()),
            "chmod 755 \"$1/usr/local/bin/docker-entrypoint.sh\"".to_owned(),
            "mkdir -p \"$1/data\" && chown 999:999 \"$1/data\"".to_owned(),
            "rm -rf \"$1\"/var/lib/apt/lists/* \"$1\"/var/cache/* \"$1\"/var/log/*".to_owned(),
        ];
        for (program, link) in self.links {
            hooks.push(format!("ln -s /usr/bin/{program} \"$1/usr/local/bin/{link}\""));
        }
        hooks
    }

    fn config(&self) -> serde_json::Value {
        json!({
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": [self.server],
            "WorkingDir": "/data",
            "Volumes": {"/data": {}},
            "ExposedPorts": {"6379/tcp": {}},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(server: &str, words: &str) -> String {
        // `id` says 1000 and `exec` only tells, so that the script's own decisions are what is seen.
        let script = ENTRYPOINT
            .replace("USER_NAME", "redis")
            .replace("SERVER", server)
            .replace("exec \"$@\"", "echo \"$@\"");
        let script = script.replace("$(id -u)", "1000");
        let mut command = crate::command::command("sh", ["-c", &script, "entrypoint"]);
        crate::command::output(command.args(words.split(' ')))
            .unwrap()
            .trim()
            .to_owned()
    }

    #[test]
    fn options_and_configuration_files_are_given_to_the_server() {
        assert_eq!(run("redis-server", "--port 7000"), "redis-server --port 7000");
        assert_eq!(
            run("valkey-server", "/etc/x.conf --port 1"),
            "valkey-server /etc/x.conf --port 1"
        );
        assert_eq!(
            run("redis-server", "redis-server /etc/x.conf"),
            "redis-server /etc/x.conf"
        );
        assert_eq!(run("redis-server", "redis-cli ping"), "redis-cli ping");
    }
}
