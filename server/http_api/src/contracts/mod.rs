//! Wire contracts of other servers, thin and over the same use-cases. Each is off until the configuration
//! turns it on; what is off is not there at all.
//!
//! Two readings and two writings make all of them: tensors (TensorFlow Serving, KServe v1), where a row is a
//! row of the graph's inputs; and tables (SageMaker, MLflow, Vertex), where it is a row of features, read by
//! the native API's own code.
//!
//! | module | what it does |
//! |---|---|
//! | `body` | a JSON body: `instances`, `inputs`, `dataframe_split`, `dataframe_records` |
//! | `frame` | `dataframe_split`, and CSV with or without a line of names |
//! | `tensors` | nested values into tensors whose shape nobody has announced |
//! | `codec` | one request's way in and out |
//! | `write` | tensors as nested values, by row or whole |
//! | `tokens` | NaN and Infinity, which JSON does not have and TensorFlow Serving does |
//! | `status` | status and metadata in the words of TensorFlow Serving |
//! | `schema` | the documented shapes of bodies |

mod body;
mod codec;
mod frame;
mod schema;
mod status;
mod tensors;
mod tokens;
mod write;

pub(crate) use codec::{ContractCodec, ContractReply, Dialect, Form};
pub(crate) use schema::{
    InvocationBody, LoadBody, ModelNames, ModelRow, ModelRows, PredictionRows, Predictions, V1Body, VertexBody,
};
pub(crate) use status::{metadata, model_version_status};

use actix_web::dev::ResourceDef;

use crate::routes::ROUTES;

#[cfg(test)]
mod tests;

/// Whose contract a route belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract {
    /// TensorFlow Serving's and KServe's v1 alike.
    V1,
    /// TensorFlow Serving's REST API.
    TfServing,
    /// KServe's v1 protocol.
    Kserve,
    /// SageMaker's and MLflow's containers.
    Invocations,
    /// Vertex AI's custom containers.
    Vertex,
}

/// Who answers below `/v1/models`, where two contracts disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum V1 {
    /// Nobody.
    #[default]
    Off,
    /// TensorFlow Serving's REST API.
    TfServing,
    /// KServe's v1 protocol.
    Kserve,
}

/// Which contracts are on.
#[derive(Debug, Clone, Default)]
pub struct Contracts {
    /// Who answers below `/v1/models`.
    pub v1: V1,
    /// Whether `/ping`, `/invocations` and `/models` are there.
    pub invocations: bool,
    /// The model behind paths that name none; `None` for the only one that is served.
    pub default_model: Option<String>,
    /// The paths of Vertex, if they are there.
    pub vertex: Option<VertexPaths>,
}

/// Where Vertex AI calls a container.
#[derive(Debug, Clone)]
pub struct VertexPaths {
    /// Health.
    pub health: String,
    /// Predictions.
    pub predict: String,
}

impl Contracts {
    /// Whether a contract's routes are there.
    #[must_use]
    pub fn has(&self, contract: Contract) -> bool {
        match contract {
            Contract::V1 => self.v1 != V1::Off,
            Contract::TfServing => self.v1 == V1::TfServing,
            Contract::Kserve => self.v1 == V1::Kserve,
            Contract::Invocations => self.invocations,
            Contract::Vertex => self.vertex.is_some(),
        }
    }

    /// The path at which a route's path really is: Vertex tells its containers theirs.
    #[must_use]
    pub fn path_of<'a>(&'a self, path: &'a str) -> &'a str {
        match (path, &self.vertex) {
            ("/vertex/predict", Some(paths)) => &paths.predict,
            ("/vertex/health", Some(paths)) => &paths.health,
            _ => path,
        }
    }
}

/// Why a path can be no path of Vertex's; `None` if it can.
#[must_use]
pub fn fault_of_path(path: &str) -> Option<&'static str> {
    /// Everything below these is Candor's, there already or not yet.
    const OWN: [&str; 2] = ["v2", "api"];
    let first = path.strip_prefix('/').and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.:~".contains(&byte);
    if first.is_empty() || !path.bytes().all(plain) || path.contains("//") || path.contains("/.") {
        return Some("must be a path such as /predict, of letters, digits and _ - . : ~");
    }
    // Vertex's routes come before others, which they would shadow. Whatever is off today may be on tomorrow.
    let others = ROUTES.iter().filter(|route| route.contract != Some(Contract::Vertex));
    let is_taken =
        OWN.contains(&first) || others.map(|route| route.path).any(|taken| ResourceDef::new(taken).is_match(path));
    is_taken.then_some("is a path of Candor's own, or of another contract; choose another, such as /predict")
}

/// As [`fault_of_path`], for the path of Vertex's health: it may also be one that answers about health to everybody
/// anyhow, and then says whether the server is ready.
#[must_use]
pub fn fault_of_health_path(path: &str) -> Option<&'static str> {
    if ["/health", "/ping"].contains(&path) { None } else { fault_of_path(path) }
}

/// What would make a path that nothing answers at be there.
pub(crate) fn hint_of_off(contracts: &Contracts, path: &str) -> Option<&'static str> {
    let is_at = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if is_at("/v1/models") {
        Some(match contracts.v1 {
            V1::Off => "set contracts.v1 to \"tf_serving\" or \"kserve\" to have this; see docs/CONTRACTS.md",
            V1::TfServing => "contracts.v1 is \"tf_serving\", which has no such path",
            V1::Kserve => "contracts.v1 is \"kserve\", which has no such path",
        })
    } else if !contracts.invocations && ["/invocations", "/ping", "/models", "/version"].into_iter().any(is_at) {
        Some("set contracts.invocations to true to have this; see docs/CONTRACTS.md")
    } else if contracts.vertex.is_none() && is_at("/vertex") {
        Some("set contracts.vertex to true to have this; see docs/CONTRACTS.md")
    } else {
        None
    }
}
