//! Every method on one page: path, access, and how its messages come.
//!
//! Adding a method means adding a line here. The gate reads the same table, so a method without an access cannot
//! exist, and a test calls every line of it with every kind of token.

use candor_domain::Access;

/// How a method is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One request, one answer.
    Unary,
    /// Either side may go on sending.
    Streaming,
    /// Not at all; why.
    Missing(&'static str),
}

/// One method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Path, as it stands in a request.
    pub path: &'static str,
    /// What a caller must hold; the same as for the HTTP route that does the same.
    pub access: Access,
    /// How it is answered.
    pub kind: Kind,
}

const SHARED_MEMORY: &str = "shared memory is not taken: tensors travel in messages";
const TRACE: &str = "traces are not set by clients";
const LOG: &str = "the log is set in the configuration (log.level)";

/// Who answers calls of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Inference,
    Health,
    ReflectionV1,
    ReflectionV1Alpha,
}

macro_rules! methods {
    ($($service:literal { $($name:literal $access:ident $kind:expr;)* })*) => {
        /// All methods.
        pub static METHODS: &[Method] = &[$($(
            Method { path: concat!("/", $service, "/", $name), access: Access::$access, kind: $kind },
        )*)*];
    };
}

use Kind::{Missing, Streaming, Unary};

methods! {
    "inference.GRPCInferenceService" {
        // The hot path comes first, because paths are tried in this order.
        "ModelInfer"                   Infer   Unary;
        "ModelStreamInfer"             Infer   Streaming;
        "ServerLive"                   Public  Unary;
        "ServerReady"                  Public  Unary;
        "ModelReady"                   Infer   Unary;
        "ServerMetadata"               Infer   Unary;
        "ModelMetadata"                Infer   Unary;
        "ModelConfig"                  Infer   Unary;
        "ModelStatistics"              Observe Unary;
        "RepositoryIndex"              Observe Unary;
        "RepositoryModelLoad"          Operate Unary;
        "RepositoryModelUnload"        Operate Unary;
        // What Triton has and Candor does not: answered with the reason.
        "SystemSharedMemoryStatus"     Observe Missing(SHARED_MEMORY);
        "SystemSharedMemoryRegister"   Operate Missing(SHARED_MEMORY);
        "SystemSharedMemoryUnregister" Operate Missing(SHARED_MEMORY);
        "CudaSharedMemoryStatus"       Observe Missing(SHARED_MEMORY);
        "CudaSharedMemoryRegister"     Operate Missing(SHARED_MEMORY);
        "CudaSharedMemoryUnregister"   Operate Missing(SHARED_MEMORY);
        "TraceSetting"                 Operate Missing(TRACE);
        "LogSettings"                  Operate Missing(LOG);
    }
    "grpc.health.v1.Health" {
        "Check"                        Public  Unary;
        "Watch"                        Public  Streaming;
    }
    "grpc.reflection.v1.ServerReflection" {
        "ServerReflectionInfo"         Public  Streaming;
    }
    "grpc.reflection.v1alpha.ServerReflection" {
        "ServerReflectionInfo"         Public  Streaming;
    }
}

/// The method at a path.
pub(crate) fn at(path: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.path == path)
}

impl Method {
    /// Who answers it.
    pub(crate) fn service(&self) -> Service {
        let of = |service: &str| self.path.strip_prefix('/').is_some_and(|path| path.starts_with(service));
        if of("grpc.health.v1.") {
            Service::Health
        } else if of("grpc.reflection.v1.") {
            Service::ReflectionV1
        } else if of("grpc.reflection.v1alpha.") {
            Service::ReflectionV1Alpha
        } else {
            Service::Inference
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn paths_are_distinct_and_belong_to_their_service() {
        let paths: BTreeSet<_> = METHODS.iter().map(|method| method.path).collect();
        assert_eq!(paths.len(), METHODS.len());
        for (path, service) in [
            ("/inference.GRPCInferenceService/ModelInfer", Service::Inference),
            ("/grpc.health.v1.Health/Check", Service::Health),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Service::ReflectionV1),
            ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Service::ReflectionV1Alpha),
        ] {
            assert_eq!(at(path).unwrap().service(), service, "{path}");
        }
        assert_eq!(at("/inference.GRPCInferenceService/modelinfer"), None);
    }

    #[test]
    fn every_method_of_the_descriptor_stands_in_the_table() {
        use prost::Message as _;
        let files = tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET;
        assert!(!files.is_empty());
        let set = prost_types::FileDescriptorSet::decode(crate::proto::DESCRIPTOR).unwrap();
        let services = set.file.iter().flat_map(|file| file.service.iter().map(move |service| (file, service)));
        let mut seen = 0;
        for (file, service) in services {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let streams = method.client_streaming() || method.server_streaming();
                let kind = if streams { Streaming } else { Unary };
                assert_eq!(at(&path).map(|method| method.kind), Some(kind), "{path}");
                seen += 1;
            }
        }
        let ours = METHODS.iter().filter(|method| method.service() == Service::Inference);
        assert_eq!(ours.filter(|method| !matches!(method.kind, Missing(_))).count(), seen);
    }
}
