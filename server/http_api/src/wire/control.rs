//! The `model_repository` extension: index and load requests, index rows.

use candor_domain::{Error, Result};
use candor_serving::{IndexEntry, VersionPolicy, oip::control};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::syntax_error;

/// What the index is asked for.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct IndexRequest {
    /// Only versions that are ready.
    #[serde(default)]
    #[schema(example = true)]
    pub ready: bool,
}

/// One version in the index.
#[derive(Debug, Serialize, ToSchema)]
pub struct IndexRow {
    /// The model.
    #[schema(example = "iris")]
    pub name: String,
    /// The version; left out for a model of which none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2")]
    pub version: Option<String>,
    /// `READY`, `LOADING`, `UNLOADING` or `UNAVAILABLE`.
    #[schema(example = "READY")]
    pub state: &'static str,
    /// Why; empty when all is well.
    #[schema(example = "")]
    pub reason: String,
}

impl From<IndexEntry> for IndexRow {
    fn from(entry: IndexEntry) -> Self {
        Self {
            name: entry.model.to_string(),
            version: entry.version.map(|version| version.to_string()),
            state: entry.state.index_state(),
            reason: entry.reason,
        }
    }
}

/// How a model is to be loaded.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct LoadRequest {
    /// `config`: a `ModelConfig` as JSON text, of which `version_policy` is taken. Files cannot be sent.
    #[serde(default)]
    #[schema(example = json!({"config": "{\"version_policy\": {\"specific\": {\"versions\": [1, 2]}}}"}))]
    pub parameters: Map<String, Value>,
}

impl IndexRequest {
    pub(crate) fn parse(body: &[u8]) -> Result<Self> {
        parse_or_default(body)
    }
}

/// A body that may be left out.
fn parse_or_default<T: Default + DeserializeOwned>(body: &[u8]) -> Result<T> {
    // What JSON takes for space; other bytes are something.
    if body.iter().all(|byte| b" \t\r\n".contains(byte)) {
        return Ok(T::default());
    }
    let wrong = |error: serde_json::Error| syntax_error(&error, body, super::NO_NAN);
    // For serde an array of values is as good as an object of fields.
    if !body.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice::<Map<String, Value>>(body).map_err(wrong)?;
    }
    serde_json::from_slice(body).map_err(wrong)
}

impl LoadRequest {
    pub(crate) fn parse(body: &[u8]) -> Result<Self> {
        parse_or_default(body)
    }

    /// The version policy that the request carries, if any.
    ///
    /// # Errors
    /// `Unsupported` for files and for other parts of a configuration, `InvalidInput` for a wrong policy.
    pub(crate) fn version_policy(&self) -> Result<Option<VersionPolicy>> {
        for key in self.parameters.keys() {
            let at = || format!("/parameters/{}", candor_domain::names::quoted(key).trim_matches('"'));
            control::refuse_file(key).map_err(|error| error.at(at()))?;
        }
        let Some(config) = self.parameters.get("config") else { return Ok(None) };
        let at = "/parameters/config";
        let text =
            config.as_str().ok_or_else(|| Error::invalid("config is not text").at(at).expected("JSON as a string"))?;
        control::version_policy(text).map_err(|error| {
            let within = error.place().map(|place| format!("/{place}")).unwrap_or_default();
            error.at(format!("{at}{within}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use candor_domain::ErrorCode;

    use super::*;

    fn policy(config: &str) -> Result<Option<VersionPolicy>> {
        let body = serde_json::json!({"parameters": {"config": config}}).to_string();
        LoadRequest::parse(body.as_bytes()).unwrap().version_policy()
    }

    #[test]
    fn version_policies_are_taken_and_the_rest_is_refused() {
        assert_eq!(LoadRequest::parse(b"").unwrap().version_policy().unwrap(), None);
        assert_eq!(policy(r#"{"version_policy":{"all":{}}}"#).unwrap(), Some(VersionPolicy::All));
        let two = policy(r#"{"version_policy":{"specific":{"versions":[1,"2"]}}}"#).unwrap().unwrap();
        assert_eq!(two.to_string(), "1,2");
        for (config, code) in [
            (r#"{"max_batch_size":4}"#, ErrorCode::Unsupported),
            (r#"{"version_policy":{"latest":{"num_versions":0}}}"#, ErrorCode::InvalidInput),
            (r#"{"version_policy":{"specific":{"versions":["../1"]}}}"#, ErrorCode::InvalidInput),
            ("not json", ErrorCode::InvalidInput),
        ] {
            assert_eq!(policy(config).unwrap_err().code(), code, "{config}");
        }
        let file = LoadRequest::parse(br#"{"parameters":{"file:1/model.onnx":"AAAA"}}"#).unwrap();
        assert_eq!(file.version_policy().unwrap_err().code(), ErrorCode::Unsupported);
    }
}
