//! Who is calling, what they may do, and how often: the same at every door.
//!
//! A door knows what its route or method asks for and what the caller has sent; here it is told whether that is
//! enough. Tokens come from a file; a quota is one caller's over all doors together.

mod quota;
mod tokens;

use std::{net::IpAddr, sync::Arc};

use candor_domain::{Access, Error, ErrorCode, Principal, Result};

pub use quota::Quota;
pub use tokens::Tokens;

use quota::Caller;

/// What is known of callers.
pub struct Callers {
    tokens: Option<Tokens>,
    quota: Option<Quota>,
    /// Who everybody is as long as there are no tokens.
    anybody: Principal,
}

impl Callers {
    /// Without `tokens` everybody may do everything, without a `quota` any number of times.
    #[must_use]
    pub fn new(tokens: Option<Tokens>, quota: Option<Quota>) -> Self {
        Self { tokens, quota, anybody: Principal::anonymous(Access::Admin) }
    }

    /// Who everybody is, if no question need be asked.
    #[must_use]
    pub fn anybody(&self) -> Option<&Principal> {
        (self.tokens.is_none() && self.quota.is_none()).then_some(&self.anybody)
    }

    /// Whether callers have names.
    #[must_use]
    pub fn have_names(&self) -> bool {
        self.tokens.is_some()
    }

    /// Lets a caller in who may do what asks for `needed`, or says why not. `authorization` is the header of that
    /// name, `address` where the connection comes from.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden` or `QuotaExceeded`.
    pub fn admit(&self, needed: Access, authorization: Option<&[u8]>, address: Option<IpAddr>) -> Result<Principal> {
        let principal = self.principal(needed, authorization)?;
        if !principal.may(needed) {
            return Err(if principal.access == Access::Public {
                Error::new(ErrorCode::Unauthenticated, "this needs a token")
                    .expected(format!("a token with access '{needed}'"))
                    .hint(HOW)
            } else {
                Error::new(ErrorCode::Forbidden, format!("'{}' may not do this", principal.name))
                    .expected(format!("access '{needed}'"))
                    .got(format!("'{}'", principal.access))
            });
        }
        if needed > Access::Public {
            self.spend(&principal, address)?;
        }
        Ok(principal)
    }

    fn principal(&self, needed: Access, authorization: Option<&[u8]>) -> Result<Principal> {
        match &self.tokens {
            None => Ok(self.anybody.clone()),
            // Whose token is stale may still ask whether the server lives.
            Some(_) if needed == Access::Public => Ok(Principal::anonymous(Access::Public)),
            Some(tokens) => match authorization {
                None => Ok(Principal::anonymous(Access::Public)),
                Some(value) => {
                    let holder = bearer(value).and_then(|token| tokens.holder(token));
                    let unknown = || Error::new(ErrorCode::Unauthenticated, "the token is not known").hint(HOW);
                    holder.cloned().ok_or_else(unknown)
                }
            },
        }
    }

    /// Counts one request of a caller.
    ///
    /// # Errors
    /// `QuotaExceeded`.
    pub fn spend(&self, principal: &Principal, address: Option<IpAddr>) -> Result<()> {
        let Some(quota) = &self.quota else { return Ok(()) };
        quota.spend(&match self.tokens {
            Some(_) => Caller::Named(Arc::clone(&principal.name)),
            None => Caller::Address(address),
        })
    }
}

const HOW: &str = "send the header Authorization: Bearer <token>";

/// The token of an `Authorization: Bearer …` header (RFC 6750 §2.1; the scheme's case does not matter).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    (scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty()).then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::bearer;

    #[test]
    fn bearer_tokens_are_read_as_the_rfc_writes_them() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bearer  abc "), Some(&b"abc"[..]));
        for bad in [&b""[..], b"Bearer", b"Bearer ", b"Basic abc", b"abc"] {
            assert_eq!(bearer(bad), None, "{bad:?}");
        }
    }
}
