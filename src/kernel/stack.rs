//! Work on WGSL text, on a thread whose stack is large enough for it.
//!
//! naga recurses as deep as the text nests or chains: `x+x+x+…` of 5,000 terms overflows the 2 MiB of a test's or a pool's
//! thread, and a stack overflow ends the process. It also panics on some hostile texts (gfx-rs/wgpu 9499, 10345, 10267,
//! 7381). Here the one cannot happen and the other is an error like any other.

use std::any::Any;
use std::thread;

use crate::error::Result;
use crate::kernel::scan;
use crate::kernel::source::Source;

/// Stack for what naga bounds by itself (200 nested parentheses take 1 MiB when optimised, several times that when not).
const BASE: usize = 16 << 20;

/// Stack for each token. Measured: 420 bytes (`x+x+…`, optimised); an unoptimised build takes several times that. The stack is
/// address space only until it is used.
const PER_TOKEN: usize = 4 << 10;

/// Tokens of a text: about 1 MB of it, and 1 GiB of address space.
const MAX_TOKENS: usize = 1 << 18;

/// Runs `work` on such a thread and waits for it.
///
/// # Errors
/// [`Error::Wgsl`](crate::Error::Wgsl) if the text is too long, if `work` panics, or if there can be no such thread.
pub(crate) fn with_stack_for<T: Send>(
    text: &str,
    source: &Source,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    let tokens = scan::tokens(text).len();
    if tokens > MAX_TOKENS {
        let message = format!("the text has {tokens} tokens, at most {MAX_TOKENS} are read");
        return Err(source.invalid(None, &message, "", &[]));
    }
    let failed = |message: String| Err(source.invalid(None, &message, "", &[]));
    thread::scope(|scope| {
        let builder =
            thread::Builder::new().name("forall-wgsl".to_owned()).stack_size(BASE + tokens * PER_TOKEN);
        match builder.spawn_scoped(scope, work).map(thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => failed(format!(
                "reading this text failed, by a bug in forall or naga: {}",
                panic_message(&*panic)
            )),
            Err(error) => failed(format!("there is no memory for a thread to read the text on: {error}")),
        }
    })
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        let source = Source { name: "k".to_owned(), text: "fn".into(), offset: 0 };
        let error = with_stack_for("fn", &source, || -> Result<()> { panic!("at the {}", "disco") });
        assert!(error.expect_err("panicked").to_string().ends_with(": at the disco"));
        assert_eq!(with_stack_for("fn", &source, || Ok(7)), Ok(7));
        let long = "x ".repeat(MAX_TOKENS + 1);
        assert!(with_stack_for(&long, &source, || Ok(7)).is_err());
    }
}
