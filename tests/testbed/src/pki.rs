//! Certificates, keys and kubeconfigs: one authority, one client certificate per identity.
//!
//! Every private key and kubeconfig is readable by its owner only.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::error::{At, Result};
use crate::network::{API_ADDRESS, KUBERNETES_SERVICE, Port};
use crate::places::{Places, make_dir, read, write};

/// Names under which clients are known: file stem, user, group.
const CLIENTS: [(&str, &str, Option<&str>); 6] = [
    ("admin", "admin", Some("system:masters")),
    (
        "kubelet-client",
        "kube-apiserver-kubelet-client",
        Some("system:masters"),
    ),
    ("kube-controller-manager", "system:kube-controller-manager", None),
    ("kube-scheduler", "system:kube-scheduler", None),
    ("kube-proxy", "system:kube-proxy", None),
    ("coredns", "testbed:coredns", Some("system:masters")),
];

/// Makes what is missing for the control plane.
pub(crate) fn ensure_control_plane(places: &Places) -> Result<()> {
    let dir = places.pki();
    make_dir(&dir)?;
    fs::set_permissions(&dir, Permissions::from_mode(0o700)).at("protect", &dir)?;
    if !dir.join("ca.crt").exists() {
        let key = KeyPair::generate()?;
        let certificate = authority().self_signed(&key)?;
        secret(&dir.join("ca.key"), &key.serialize_pem())?;
        write(&dir.join("ca.crt"), certificate.pem())?;
    }
    if !dir.join("service-accounts.key").exists() {
        let key = KeyPair::generate()?;
        write(&dir.join("service-accounts.pub"), key.public_key_pem())?;
        secret(&dir.join("service-accounts.key"), &key.serialize_pem())?;
    }
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "localhost",
    ];
    let addresses = [API_ADDRESS, KUBERNETES_SERVICE, "127.0.0.1"];
    server(&dir, "kube-apiserver", names.iter().chain(&addresses))?;
    for (stem, user, group) in CLIENTS {
        client(&dir, stem, user, group)?;
    }
    client(
        &dir,
        "local-path-provisioner",
        "testbed:local-path-provisioner",
        Some("system:masters"),
    )
}

/// Makes what is missing for a node: its client identity and its kubelet's server certificate.
pub(crate) fn ensure_node(places: &Places, node: &str, port: &Port) -> Result<()> {
    let dir = places.pki();
    client(&dir, node, &format!("system:node:{node}"), Some("system:nodes"))?;
    server(&dir, &format!("{node}-kubelet"), [node, &port.address()].iter())
}

fn authority() -> CertificateParams {
    let mut params = named("testbed-ca", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn named(user: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params
}

fn server<'a>(dir: &Path, stem: &str, names: impl Iterator<Item = &'a &'a str>) -> Result<()> {
    let mut params = CertificateParams::new(names.map(|n| (*n).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name = named(stem, None).distinguished_name;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    sign(dir, stem, params)
}

fn client(dir: &Path, stem: &str, user: &str, group: Option<&str>) -> Result<()> {
    let mut params = named(user, group);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    sign(dir, stem, params)?;
    secret(&dir.join(format!("{stem}.kubeconfig")), &kubeconfig(dir, stem))
}

fn sign(dir: &Path, stem: &str, mut params: CertificateParams) -> Result<()> {
    let [certificate, key_file] = pair(dir, stem);
    if certificate.exists() && key_file.exists() {
        return Ok(());
    }
    let issuer = Issuer::new(authority(), KeyPair::from_pem(&read(&dir.join("ca.key"))?)?);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let signed = params.signed_by(&key, &issuer)?;
    secret(&key_file, &key.serialize_pem())?;
    write(&certificate, signed.pem())
}

/// The files of a certificate and its key.
pub(crate) fn pair(dir: &Path, stem: &str) -> [PathBuf; 2] {
    [dir.join(format!("{stem}.crt")), dir.join(format!("{stem}.key"))]
}

fn kubeconfig(dir: &Path, stem: &str) -> String {
    let [certificate, key] = pair(dir, stem);
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: testbed
  cluster:
    server: https://{API_ADDRESS}:6443
    certificate-authority: {ca}
users:
- name: {stem}
  user:
    client-certificate: {certificate}
    client-key: {key}
contexts:
- name: testbed
  context: {{cluster: testbed, user: {stem}}}
current-context: testbed
",
        ca = dir.join("ca.crt").display(),
        certificate = certificate.display(),
        key = key.display(),
    )
}

fn secret(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("secret");
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&new)
        .at("write", &new)?;
    file.set_permissions(Permissions::from_mode(0o600))
        .at("protect", &new)?;
    fs::write(&new, text).at("write", &new)?;
    fs::rename(&new, path).at("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_kubeconfigs_are_for_their_owner_only_and_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::new(dir.path().to_owned(), dir.path().to_owned());
        ensure_control_plane(&places).unwrap();
        ensure_node(&places, "n1", &Port::of("testbed", "n1").unwrap()).unwrap();
        let before = read(&places.pki().join("n1.crt")).unwrap();
        ensure_node(&places, "n1", &Port::of("testbed", "n1").unwrap()).unwrap();
        assert_eq!(before, read(&places.pki().join("n1.crt")).unwrap());
        for name in [
            "ca.key",
            "service-accounts.key",
            "n1.key",
            "admin.kubeconfig",
            "n1.kubeconfig",
        ] {
            let mode = fs::metadata(places.pki().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
