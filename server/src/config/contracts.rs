//! `[contracts]`: what clients of other servers find here.

use candor_domain::ModelName;
use candor_http_api::{
    Contracts, V1,
    contracts::{VertexPaths, fault_of_health_path, fault_of_path},
};

use super::settings::Reader;

pub(super) fn read_contracts(read: &mut Reader<'_>) -> Contracts {
    let default_model = Some(read.text("contracts.default_model")).filter(|name| !name.is_empty());
    if let Some(Err(error)) = default_model.as_deref().map(ModelName::parse) {
        read.complain("contracts.default_model", error);
    }
    Contracts {
        v1: read.word("contracts.v1", &[("off", V1::Off), ("tf_serving", V1::TfServing), ("kserve", V1::Kserve)]),
        invocations: read.boolean("contracts.invocations"),
        default_model,
        // While it is off, what variables of the same names say is meant for others.
        vertex: read.boolean("contracts.vertex").then(|| read_vertex_paths(read)),
    }
}

fn read_vertex_paths(read: &mut Reader<'_>) -> VertexPaths {
    let mut path = |key: &str, fault: fn(&str) -> Option<&'static str>| {
        let path = read.text(key);
        if let Some(fault) = fault(&path) {
            read.complain(key, fault);
        }
        path
    };
    let (health, predict) = (
        path("contracts.vertex_health_route", fault_of_health_path),
        path("contracts.vertex_predict_route", fault_of_path),
    );
    if health == predict {
        read.complain("contracts.vertex_predict_route", "must not be contracts.vertex_health_route");
    }
    VertexPaths { health, predict }
}
