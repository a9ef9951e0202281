//! What the environment says about choosing, read once per process.

use std::env::{VarError, var};
use std::sync::OnceLock;

use crate::backend::Policy;
use crate::error::{Error, Result};

/// What the environment asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Environment {
    /// `FORALL_BACKEND`.
    pub policy: Policy,
    /// `FORALL_DETERMINISTIC`.
    pub deterministic: bool,
    /// `FORALL_EXPLAIN`.
    pub explain: bool,
}

/// # Errors
/// [`Error::Config`] for what is misspelt.
pub(super) fn environment() -> Result<&'static Environment> {
    static READ: OnceLock<Result<Environment>> = OnceLock::new();
    READ.get_or_init(|| {
        Ok(Environment {
            policy: parse("FORALL_BACKEND", "auto, gpu, simd or threads", policy)?,
            deterministic: parse("FORALL_DETERMINISTIC", "0 or 1", switch)?,
            explain: parse("FORALL_EXPLAIN", "0 or 1", switch)?,
        })
    })
    .as_ref()
    .map_err(Clone::clone)
}

/// The value of a variable; that of an empty text where it is not set.
fn parse<T>(name: &'static str, expected: &'static str, read: fn(&str) -> Option<T>) -> Result<T> {
    let got = match var(name) {
        Ok(text) => text,
        Err(VarError::NotPresent) => String::new(),
        Err(error @ VarError::NotUnicode(_)) => error.to_string(),
    };
    read(&got).ok_or(Error::Config { name, got, expected })
}

fn policy(text: &str) -> Option<Policy> {
    match text {
        "" | "auto" => Some(Policy::Auto),
        name => name.parse().ok().map(Policy::Only),
    }
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "" | "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;

    #[test]
    fn what_is_misspelt_is_none() {
        assert_eq!([policy(""), policy("auto")], [Some(Policy::Auto); 2]);
        assert_eq!(policy("simd"), Some(Policy::Only(Backend::Simd)));
        assert_eq!(["GPU", "cpu", " "].map(policy), [None; 3]);
        assert_eq!(
            ["", "0", "1", "yes", "true"].map(switch),
            [Some(false), Some(false), Some(true), None, None]
        );
    }
}
