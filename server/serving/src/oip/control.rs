//! What a request to load may carry: a version policy, in the words of Triton's `ModelConfig`.

use std::collections::BTreeSet;

use candor_domain::{Error, ErrorCode, Result, Version};
use serde::Deserialize;
use serde_json::Value;

use crate::VersionPolicy;

/// A file in the parameters of a request.
///
/// # Errors
/// `Unsupported`, always.
pub fn refuse_file(parameter: &str) -> Result<()> {
    if !parameter.starts_with("file:") {
        return Ok(());
    }
    Err(Error::new(ErrorCode::Unsupported, "models are not taken from requests")
        .hint("put the files into the model repository and load without parameters"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyConfig {
    version_policy: Option<Policy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Policy {
    All {},
    Latest { num_versions: usize },
    Specific { versions: Vec<Value> },
}

/// The version policy in a `ModelConfig`, written as JSON, if there is one.
///
/// # Errors
/// `Unsupported` for other parts of a configuration, `InvalidInput` for a wrong policy; the place is one within the
/// configuration.
pub fn version_policy(config: &str) -> Result<Option<VersionPolicy>> {
    let config: PolicyConfig = serde_json::from_str(config).map_err(|error| {
        let code =
            if error.to_string().contains("unknown field") { ErrorCode::Unsupported } else { ErrorCode::InvalidInput };
        Error::new(code, format!("this configuration is not read here: {error}"))
            .hint("only version_policy is taken from a request; the rest stands in the model's model.toml")
    })?;
    config.version_policy.map(read_policy).transpose().map_err(|error| error.at("version_policy"))
}

fn read_policy(policy: Policy) -> Result<VersionPolicy> {
    match policy {
        Policy::All {} => Ok(VersionPolicy::All),
        Policy::Latest { num_versions: 0 } => {
            Err(Error::invalid("no version would be served").expected("num_versions of 1 or more"))
        }
        Policy::Latest { num_versions } => Ok(VersionPolicy::Latest(num_versions)),
        Policy::Specific { versions } if versions.is_empty() => {
            Err(Error::invalid("no version would be served").expected("at least one version"))
        }
        Policy::Specific { versions } => {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let versions = versions.iter().map(|value| Version::parse(&text(value)));
            versions.collect::<Result<BTreeSet<_>>>().map(VersionPolicy::Specific)
        }
    }
}
