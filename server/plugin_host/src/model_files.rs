//! Files of a model's folder in a component's configuration.
//!
//! A property that the component's schema marks with `"x-candor-file": "json"` may be given as
//! `{"file": "tokenizer.json"}`: the host reads the file and puts what is in it in that place, before the configuration
//! is checked. The plugin never sees a path, opens no file, and is made alike in this process and in one of its own. It
//! does not know where files lie.

use std::collections::BTreeMap;

use candor_domain::error::{Error, ErrorCode, Result};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// What stands in place of a file's content.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    file: String,
}

/// The configuration with the content of files in their places. `read` gives the bytes of a file by its plain name.
///
/// # Errors
/// What `read` says; `InvalidModel` for a file that is no JSON.
pub fn filled(schema: &str, config_json: &str, read: &dyn Fn(&str) -> Result<Vec<u8>>) -> Result<String> {
    let marked = marked(schema);
    if marked.is_empty() {
        return Ok(config_json.to_owned());
    }
    // Texts of values are kept as they are. What is no object is left to the check.
    let Ok(mut config) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(config_json) else {
        return Ok(config_json.to_owned());
    };
    for property in marked {
        let Some(value) = config.get_mut(&property) else { continue };
        let Ok(Named { file }) = serde_json::from_str(value.get()) else { continue };
        let wrong = |what: String| Error::new(ErrorCode::InvalidModel, what).at(format!("configuration `{property}`"));
        let bytes = read(&file).map_err(|error| Error::new(error.code(), format!("the file '{file}': {error}")))?;
        let text = String::from_utf8(bytes).map_err(|_| wrong(format!("the file '{file}' is not UTF-8")))?;
        *value =
            RawValue::from_string(text).map_err(|error| wrong(format!("the file '{file}' is no JSON: {error}")))?;
    }
    serde_json::to_string(&config).map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))
}

/// Names of the properties that may be files.
fn marked(schema: &str) -> Vec<String> {
    let Ok(schema) = serde_json::from_str::<Value>(schema) else { return Vec::new() };
    let properties = schema.get("properties").and_then(Value::as_object);
    let is_file = |property: &Value| property.get("x-candor-file").and_then(Value::as_str) == Some("json");
    properties.into_iter().flatten().filter(|(_, property)| is_file(property)).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"properties": {"t": {"x-candor-file": "json"}, "u": {"type": "object"}}}"#;

    fn read(name: &str) -> Result<Vec<u8>> {
        match name {
            "t.json" => Ok(b" {\"score\": -1.2300000000000000001, \"big\": 18446744073709551615}\n".to_vec()),
            "cut.json" => Ok(b"{\"a\":".to_vec()),
            "bytes" => Ok(vec![0xff]),
            _ => Err(Error::new(ErrorCode::NotFound, "it is not there")),
        }
    }

    #[test]
    fn files_stand_where_the_schema_lets_them() {
        let filled = |config: &str| filled(SCHEMA, config, &read).unwrap();
        // The file's own text, number for number.
        let config = filled(r#"{"t": {"file": "t.json"}, "n": 1.0}"#);
        assert_eq!(config, r#"{"n":1.0,"t":{"score": -1.2300000000000000001, "big": 18446744073709551615}}"#);
        for left in
            [r#"{"u":{"file":"t.json"}}"#, r#"{"t":{"file":"t.json","a":1}}"#, r#"{"t":{"model":1}}"#, "[1]", "{"]
        {
            assert_eq!(filled(left), left);
        }
        assert_eq!(super::filled("{}", r#"{"t": {"file": "t.json"}}"#, &read).unwrap(), r#"{"t": {"file": "t.json"}}"#);
    }

    #[test]
    fn files_that_cannot_be_are_refused() {
        let error = |file: &str| filled(SCHEMA, &format!(r#"{{"t": {{"file": "{file}"}}}}"#), &read).unwrap_err();
        let cut = error("cut.json");
        assert!(cut.code() == ErrorCode::InvalidModel && cut.to_string().contains("'cut.json' is no JSON"), "{cut}");
        assert!(error("bytes").to_string().contains("not UTF-8"));
        let gone = error("none");
        assert!(gone.code() == ErrorCode::NotFound && gone.to_string().contains("the file 'none': it is not there"));
    }
}
