//! Files of a model's folder in a component's configuration.
//!
//! A property that the component's schema marks with `"x-candor-file": "json"` may be given as
//! `{"file": "tokenizer.json"}`: the host reads the file and puts what is in it in that place, before the configuration
//! is checked. One that is marked `"x-candor-file": "base64"` may also be given as the name alone, or left out where the
//! schema has a name as its default; `{"file": …, "base64": …}` comes in its place, with the bytes of the file. The
//! plugin never sees a path, opens no file, and is made alike in this process and in one of its own. It does not know
//! where files lie.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use candor_domain::error::{Error, ErrorCode, Result};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// What stands in place of a file's content.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    file: String,
}

/// A property that may be a file.
struct Marked {
    property: String,
    /// Whether bytes come, and not JSON.
    is_bytes: bool,
    /// The file if the configuration names none.
    default: Option<String>,
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
    for Marked { property, is_bytes, default } in marked {
        let given = config.get(&property).map(|value| value.get());
        let named = given.and_then(|text| serde_json::from_str(text).ok()).map(|Named { file }| file);
        let alone = || given.and_then(|text| serde_json::from_str::<String>(text).ok());
        let named = if is_bytes { named.or_else(alone) } else { named };
        let Some(file) = named.or_else(|| default.filter(|_| is_bytes && given.is_none())) else { continue };
        let wrong = |what: String| Error::new(ErrorCode::InvalidModel, what).at(format!("configuration `{property}`"));
        let bytes = read(&file).map_err(|error| Error::new(error.code(), format!("the file '{file}': {error}")))?;
        let text = if is_bytes {
            serde_json::json!({"file": file, "base64": STANDARD.encode(bytes)}).to_string()
        } else {
            String::from_utf8(bytes).map_err(|_| wrong(format!("the file '{file}' is not UTF-8")))?
        };
        let value =
            RawValue::from_string(text).map_err(|error| wrong(format!("the file '{file}' is no JSON: {error}")))?;
        config.insert(property, value);
    }
    serde_json::to_string(&config).map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))
}

/// The properties that may be files.
fn marked(schema: &str) -> Vec<Marked> {
    let Ok(schema) = serde_json::from_str::<Value>(schema) else { return Vec::new() };
    let properties = schema.get("properties").and_then(Value::as_object);
    let marked = |(name, property): (&String, &Value)| {
        let mark = property.get("x-candor-file").and_then(Value::as_str)?;
        let default = property.get("default").and_then(Value::as_str).map(str::to_owned);
        ["json", "base64"].contains(&mark).then(|| Marked {
            property: name.clone(),
            is_bytes: mark == "base64",
            default,
        })
    };
    properties.into_iter().flatten().filter_map(marked).collect()
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
    fn bytes_come_in_base64_also_by_name_alone_or_by_default() {
        const SCHEMA: &str = r#"{"properties": {"f": {"x-candor-file": "base64", "default": "bytes"}}}"#;
        let filled = |config: &str| filled(SCHEMA, config, &read).unwrap();
        let bytes = r#"{"f":{"file":"bytes","base64":"/w=="}}"#;
        for given in [r#"{"f": "bytes"}"#, r#"{"f": {"file": "bytes"}}"#, "{}"] {
            assert_eq!(filled(given), bytes);
        }
        // What is bytes already, or no name at all, is left to the check.
        for left in [bytes, r#"{"f":{"base64":"AA=="}}"#, r#"{"f":1}"#] {
            assert_eq!(filled(left), left);
        }
        let gone = super::filled(SCHEMA, r#"{"f": "none"}"#, &read).unwrap_err();
        assert_eq!(gone.code(), ErrorCode::NotFound);
        // Without a name as its default nothing is read.
        assert_eq!(super::filled(r#"{"properties": {"f": {"x-candor-file": "base64"}}}"#, "{}", &read).unwrap(), "{}");
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
