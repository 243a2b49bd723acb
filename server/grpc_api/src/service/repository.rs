//! The model repository: what is in it, load, unload.

use std::{collections::HashMap, sync::Arc};

use candor_domain::{Error, ErrorCode, ModelName, Result, names::quoted};
use candor_serving::{Pending, Registry, VersionPolicy, oip::control};

use super::lost;
use crate::proto::{
    ModelRepositoryParameter, RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelLoadRequest,
    RepositoryModelLoadResponse, RepositoryModelUnloadRequest, RepositoryModelUnloadResponse,
    model_repository_parameter::ParameterChoice, repository_index_response::ModelIndex,
};

/// Lists every model and version with its state.
pub(super) async fn index(
    registry: &Arc<Registry>,
    request: RepositoryIndexRequest,
) -> Result<RepositoryIndexResponse> {
    if !request.repository_name.is_empty() {
        return Err(no_names(&request.repository_name));
    }
    let registry = Arc::clone(registry);
    // It looks at the disk, which must not hold up this thread's other calls.
    let index = tokio::task::spawn_blocking(move || registry.index()).await;
    let index = index.map_err(|_| lost("the look at the repository was lost"))?.map_err(|error| {
        // The error holds a path, which is the operator's business and not the caller's.
        tracing::error!("{error}");
        lost("the model repository cannot be read; see the server's log")
    })?;
    let models = index.into_iter().map(|entry| ModelIndex {
        name: entry.model.to_string(),
        version: entry.version.map(|version| version.to_string()).unwrap_or_default(),
        state: entry.state.index_state().to_owned(),
        reason: entry.reason,
    });
    Ok(RepositoryIndexResponse { models: models.filter(|row| !request.ready || row.state == "READY").collect() })
}

/// Loads a model; answers when it is ready.
pub(super) async fn load(
    registry: &Registry,
    request: RepositoryModelLoadRequest,
) -> Result<RepositoryModelLoadResponse> {
    let RepositoryModelLoadRequest { repository_name, model_name, parameters } = request;
    let name = target(repository_name, model_name)?;
    let policy = policy(&parameters)?;
    done(registry.load(name.clone(), policy)?).await?;
    Ok(RepositoryModelLoadResponse { model_name: name.to_string(), is_loaded: true })
}

/// Takes a model out of service; its only parameter, `unload_dependents`, concerns ensembles, which there are none of.
pub(super) async fn unload(
    registry: &Registry,
    request: RepositoryModelUnloadRequest,
) -> Result<RepositoryModelUnloadResponse> {
    let name = target(request.repository_name, request.model_name)?;
    done(registry.unload(name.clone())?).await?;
    Ok(RepositoryModelUnloadResponse { model_name: name.to_string(), is_unloaded: true })
}

/// The model; KServe's clients have its name where Triton's have the repository's.
fn target(repository: String, model: String) -> Result<ModelName> {
    match (repository.is_empty(), model.is_empty()) {
        (true, _) => ModelName::parse(&model),
        (false, true) => ModelName::parse(&repository),
        (false, false) => Err(no_names(&repository)),
    }
}

fn no_names(repository: &str) -> Error {
    Error::new(ErrorCode::Unsupported, "repositories have no names here")
        .at("repository_name")
        .expected("nothing")
        .got(quoted(repository))
}

fn policy(parameters: &HashMap<String, ModelRepositoryParameter>) -> Result<Option<VersionPolicy>> {
    for key in parameters.keys() {
        control::refuse_file(key).map_err(|error| error.at(format!("parameters[{}]", quoted(key))))?;
    }
    let at = "parameters[\"config\"]";
    let Some(config) = parameters.get("config") else { return Ok(None) };
    let Some(ParameterChoice::StringParam(text)) = &config.parameter_choice else {
        return Err(Error::invalid("config is not text").at(at).expected("JSON in string_param"));
    };
    control::version_policy(text).map_err(|error| {
        let within = error.place().map(|place| format!(".{place}")).unwrap_or_default();
        error.at(format!("{at}{within}"))
    })
}

/// The work goes on when the caller leaves; this only waits for it.
async fn done(pending: Pending<Result<()>>) -> Result<()> {
    pending.wait().await.unwrap_or_else(|| Err(lost("the load was lost; see the server's log")))
}
