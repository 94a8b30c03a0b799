//! The programs of Kubernetes, built from Go modules and cached by what they are built from.
//!
//! There is no Go code of ours: two `go.mod` files name the versions, `go build` does the rest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::cgroup::Group;
use crate::command::{command, long, output, say};
use crate::daemon::{build_group, registered};
use crate::error::{At, Result};
use crate::key::Key;
use crate::places::{Places, make_dir, write};

const KUBERNETES: Module = Module {
    name: "kubernetes",
    go_mod: include_str!("../programs/kubernetes/go.mod"),
    go_sum: include_str!("../programs/kubernetes/go.sum"),
    // Without the stamp the programs do not know their own version. Another flag compiles everything again.
    flags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.35.4 \
            -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35",
    programs: &[
        ("etcd", "go.etcd.io/etcd/server/v3"),
        ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        (
            "kube-controller-manager",
            "k8s.io/kubernetes/cmd/kube-controller-manager",
        ),
        ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
        ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
        ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
        ("helm", "helm.sh/helm/v3/cmd/helm"),
        ("coredns", "github.com/coredns/coredns"),
    ],
};

/// A module of its own: its dependencies contradict those of the others.
const STORAGE: Module = Module {
    name: "storage",
    go_mod: include_str!("../programs/storage/go.mod"),
    go_sum: include_str!("../programs/storage/go.sum"),
    flags: "-s -w",
    programs: &[("local-path-provisioner", "github.com/rancher/local-path-provisioner")],
};

struct Module {
    name: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
    flags: &'static str,
    programs: &'static [(&'static str, &'static str)],
}

impl Module {
    fn key(&self, go: &str) -> Key {
        Key::of(&[self.name, go, self.go_mod, self.go_sum, self.flags])
    }
}

/// Builds what the cache lacks and links every program into the state's `bin`.
pub(crate) fn ensure(places: &Places) -> Result<()> {
    let go = output(&mut command("go", ["env", "GOVERSION"]))?;
    let total: usize = [&KUBERNETES, &STORAGE].iter().map(|m| m.programs.len()).sum();
    let mut number = 0;
    make_dir(&places.programs())?;
    for module in [&KUBERNETES, &STORAGE] {
        let built = places
            .cache
            .join(format!("programs-{}-{}", module.name, module.key(go.trim())));
        for (name, package) in module.programs {
            number += 1;
            let program = built.join(name);
            if !program.exists() {
                build(places, module, name, package, &program, &format!("{number} of {total}"))?;
            }
            link(&program, &places.programs().join(name))?;
        }
    }
    Ok(())
}

/// One program at a time: progress is visible, and what is finished stays finished after a Ctrl-C.
fn build(places: &Places, module: &Module, name: &str, package: &str, program: &Path, count: &str) -> Result<()> {
    let begun = Instant::now();
    say(&format!("building {name} ({count})"));
    let source = places.scratch().join(module.name);
    write(&source.join("go.mod"), module.go_mod)?;
    write(&source.join("go.sum"), module.go_sum)?;
    let new = program.with_extension("new");
    if let Some(dir) = program.parent() {
        make_dir(dir)?;
    }
    let log = places.cache.join(format!("build-{name}.log"));
    let mut go = go_build(&build_group(places)?, &source);
    go.args(["-ldflags", module.flags, "-o"]).arg(&new).arg(package);
    long(
        &mut go,
        &format!("building {name} ({count}; log: {})", log.display()),
        &log,
    )?;
    fs::rename(&new, program).at("write", program)?;
    say(&format!("built {name} in {:.0} s", begun.elapsed().as_secs_f32()));
    Ok(())
}

fn go_build(group: &Group, source: &Path) -> Command {
    let mut go = registered(group);
    go.args(["go", "build", "-trimpath", "-buildvcs=false"])
        .current_dir(source);
    go.env("CGO_ENABLED", "0").env("GOFLAGS", "").env("GOWORK", "off");
    go
}

fn link(program: &Path, link: &PathBuf) -> Result<()> {
    if fs::read_link(link).is_ok_and(|target| target == program) {
        return Ok(());
    }
    let _ = fs::remove_file(link);
    std::os::unix::fs::symlink(program, link).at("create", link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_a_tool_of_its_module() {
        for module in [&KUBERNETES, &STORAGE] {
            for (name, package) in module.programs {
                assert!(
                    module.go_mod.contains(package),
                    "{name} is not in the go.mod of {}",
                    module.name
                );
            }
        }
    }

    #[test]
    fn another_go_or_another_flag_is_another_key() {
        let key = KUBERNETES.key("go1.26.8");
        assert_eq!(key, KUBERNETES.key("go1.26.8"));
        assert_ne!(key, KUBERNETES.key("go1.26.9"));
        assert_ne!(
            key,
            Module {
                flags: "-s",
                ..KUBERNETES
            }
            .key("go1.26.8")
        );
    }
}
