//! The volumes of a pod: its data, the two files it boots from, and a place for temporary ones.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, EmptyDirVolumeSource, KeyToPath, ProjectedVolumeSource, SecretProjection, Volume, VolumeMount,
    VolumeProjection,
};

use crate::model::cluster::Cluster;
use crate::names::{self, internal_key};

const FILES: &str = "files";
const TMP: &str = "tmp";

/// For the owner and the group of the pod only.
const READ_ONLY: i32 = 0o440;

/// The volumes; that of the data comes from the claim template.
pub fn of(cluster: &Cluster, config_map: &str) -> Vec<Volume> {
    let projected = ProjectedVolumeSource {
        default_mode: Some(READ_ONLY),
        sources: Some(vec![
            VolumeProjection {
                config_map: Some(ConfigMapProjection {
                    name: config_map.into(),
                    items: Some(vec![item(names::CONF_KEY)]),
                    optional: None,
                }),
                ..VolumeProjection::default()
            },
            VolumeProjection {
                secret: Some(SecretProjection {
                    name: names::internal_secret(&cluster.name),
                    // Of the Secret only this: the passwords beside it are the operator's.
                    items: Some(vec![item(internal_key::ACL)]),
                    optional: None,
                }),
                ..VolumeProjection::default()
            },
        ]),
        ..ProjectedVolumeSource::default()
    };
    vec![
        Volume {
            name: FILES.into(),
            projected: Some(projected),
            ..Volume::default()
        },
        Volume {
            name: TMP.into(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        },
    ]
}

/// Where they are mounted.
pub fn mounts() -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str, read_only| VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only,
        ..VolumeMount::default()
    };
    vec![
        mount(names::DATA_VOLUME, names::DATA_DIR, None),
        mount(FILES, names::CONF_DIR, Some(true)),
        mount(TMP, "/tmp", None),
    ]
}

fn item(key: &str) -> KeyToPath {
    KeyToPath {
        key: key.into(),
        path: key.into(),
        mode: Some(READ_ONLY),
        ..KeyToPath::default()
    }
}
