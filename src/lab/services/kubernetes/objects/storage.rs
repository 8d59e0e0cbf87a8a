//! Volume claims and the class that fills them.

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus,
    VolumeResourceRequirements,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{labels, meta, quantities};
use crate::lab::services::kubernetes::state::{Kubernetes, Workload};

const STORAGE_CLASS: &str = "local-path";

pub(crate) fn claim(
    cluster: &Kubernetes,
    workload: &Workload,
    ordinal: usize,
) -> PersistentVolumeClaim {
    let name = format!("data-{}-{ordinal}", workload.name);
    let size = format!("{}Gi", workload.volume);
    let metadata = meta(
        cluster,
        "PersistentVolumeClaim",
        Some(workload.namespace),
        &name,
        cluster.born,
    );
    let volume = format!("pvc-{}", metadata.uid.clone().unwrap_or_default());
    let room = quantities(&[("storage", &size)]);
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            labels: Some(labels(&[("app", workload.name)])),
            ..metadata
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(room.clone()),
                ..VolumeResourceRequirements::default()
            }),
            storage_class_name: Some(STORAGE_CLASS.into()),
            volume_mode: Some("Filesystem".into()),
            volume_name: Some(volume),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: Some(PersistentVolumeClaimStatus {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            capacity: Some(room),
            phase: Some("Bound".into()),
            ..PersistentVolumeClaimStatus::default()
        }),
    }
}

pub(crate) fn storage_class(cluster: &Kubernetes) -> StorageClass {
    StorageClass {
        metadata: ObjectMeta {
            annotations: Some(labels(&[(
                "storageclass.kubernetes.io/is-default-class",
                "true",
            )])),
            ..meta(cluster, "StorageClass", None, STORAGE_CLASS, cluster.born)
        },
        provisioner: "rancher.io/local-path".into(),
        reclaim_policy: Some("Delete".into()),
        volume_binding_mode: Some("WaitForFirstConsumer".into()),
        ..StorageClass::default()
    }
}
