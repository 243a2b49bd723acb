//! Static tokens from a file: who they name and what they may do.
//!
//! Only sha256 digests stand in the file, so that reading it gives nobody a token; comparing digests
//! gives nothing away by its timing. JWT, keys and mTLS will come behind the same seam.

use std::{collections::HashMap, sync::Arc};

use candor_domain::{Access, Error, Principal, Result};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

type Sha256Digest = [u8; 32];

/// Tokens by digest.
#[derive(Debug)]
pub struct Tokens(HashMap<Sha256Digest, Principal>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    access: String,
    sha256: String,
}

impl Tokens {
    /// Reads a tokens file: TOML with `[[token]]` tables of `name`, `access` and `sha256`.
    ///
    /// # Errors
    /// `InvalidInput` that names the entry and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| Error::invalid(error.to_string()))?;
        let mut tokens = HashMap::new();
        for (index, line) in file.token.into_iter().enumerate() {
            let at = || format!("token[{index}] '{}'", line.name);
            let access =
                Access::from_word(&line.access).filter(|access| *access > Access::Public).ok_or_else(|| {
                    Error::invalid("unknown access")
                        .at(at())
                        .expected("infer, observe, operate or admin")
                        .got(&*line.access)
                })?;
            let digest = parse_hex(&line.sha256).ok_or_else(|| {
                Error::invalid("sha256 is not a digest")
                    .at(at())
                    .expected("64 hex digits")
                    .hint("make one with: printf %s \"$TOKEN\" | sha256sum")
            })?;
            if line.name.is_empty() {
                return Err(Error::invalid("the token has no name").at(at()));
            }
            let principal = Principal { name: Arc::from(&*line.name), access };
            if let Some(other) = tokens.insert(digest, principal) {
                return Err(Error::invalid(format!("has the same token as '{}'", other.name)).at(at()));
            }
        }
        if tokens.is_empty() {
            return Err(Error::invalid("there is no [[token]] in it, so nobody could call the server"));
        }
        Ok(Self(tokens))
    }

    /// Whoever holds `token`.
    #[must_use]
    pub fn holder(&self, token: &[u8]) -> Option<&Principal> {
        self.0.get(&Sha256Digest::from(Sha256::digest(token)))
    }
}

fn parse_hex(text: &str) -> Option<Sha256Digest> {
    let mut digest = Sha256Digest::default();
    if text.len() != 2 * digest.len() || !text.is_ascii() {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// sha256 of "abc" (FIPS 180-2, appendix B.1).
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_token_names_its_holder() {
        let text = format!("[[token]]\nname = \"ci\"\naccess = \"operate\"\nsha256 = \"{ABC}\"\n");
        let tokens = Tokens::parse(&text).unwrap();
        let holder = tokens.holder(b"abc").unwrap();
        assert_eq!((&*holder.name, holder.access), ("ci", Access::Operate));
        assert!(tokens.holder(b"abd").is_none());
        assert!(tokens.holder(b"").is_none());
    }

    #[test]
    fn wrong_files_are_refused() {
        let line = |name: &str, access: &str, sha: &str| {
            format!("[[token]]\nname='{name}'\naccess='{access}'\nsha256='{sha}'\n")
        };
        for (text, message) in [
            (String::new(), "nobody could call"),
            (line("a", "root", ABC), "infer, observe, operate or admin"),
            (line("a", "public", ABC), "infer, observe, operate or admin"),
            (line("a", "infer", "abc"), "64 hex digits"),
            (line("", "infer", ABC), "no name"),
            (line("a", "infer", ABC) + &line("b", "admin", ABC), "same token as 'a'"),
            (line("a", "infer", ABC) + "tokn = 3", "unknown field"),
        ] {
            let error = Tokens::parse(&text).unwrap_err().to_string();
            assert!(error.contains(message), "{error} does not say {message:?}");
        }
    }
}
