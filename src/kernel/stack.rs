//! Work on WGSL text, on a thread whose stack is large enough for it.
//!
//! naga recurses as deep as the text nests or chains: `x+x+x+…` of 5,000 terms overflows the 2 MiB of a test's or a pool's
//! thread, and a stack overflow ends the process. It also panics on some hostile texts (gfx-rs/wgpu 9499, 10345, 10267,
//! 7381). Here the one cannot happen and the other is an error like any other.
//!
//! Most texts are small and flat, and a thread costs as much as a third of reading one, or milliseconds where others wait for the
//! CPU. They are read on the caller's stack.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use crate::error::Result;
use crate::kernel::scan::{self, Token};
use crate::kernel::source::Source;

/// Stack for what naga bounds by itself (200 nested parentheses take 1 MiB when optimised, several times that when not).
const BASE: usize = 16 << 20;

/// Stack for each token. Measured: 420 bytes (`x+x+…`, optimised); an unoptimised build takes several times that. The stack is
/// address space only until it is used.
const PER_TOKEN: usize = 4 << 10;

/// Tokens of a text: about 1 MB of it, and 1 GiB of address space.
const MAX_TOKENS: usize = 1 << 18;

/// What every caller's stack has left. The smallest that a system gives a thread by itself is 512 KiB (macOS), and half of what is
/// asked for here is margin.
const AT_HAND: usize = 1 << 20;

/// Runs `work`, on such a thread if it needs one, and waits for it.
///
/// # Errors
/// [`Error::Wgsl`](crate::Error::Wgsl) if the text is too long, if `work` panics, or if there can be no such thread.
pub(crate) fn with_stack_for<T: Send>(
    text: &str,
    source: &Source,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    let tokens = scan::tokens(text);
    let failed = |message: String| Err(source.invalid(None, &message, "", &[]));
    let ended = |result: thread::Result<Result<T>>| {
        result.unwrap_or_else(|panic| {
            let why = panic_message(&*panic);
            failed(format!("reading this text failed, by a bug in forall or naga: {why}"))
        })
    };
    // Without optimisation frames are several times as large.
    if cfg!(not(debug_assertions)) && needed(text, &tokens) <= AT_HAND {
        return ended(catch_unwind(AssertUnwindSafe(work)));
    }
    let tokens = tokens.len();
    if tokens > MAX_TOKENS {
        return failed(format!("the text has {tokens} tokens, at most {MAX_TOKENS} are read"));
    }
    thread::scope(|scope| {
        let builder =
            thread::Builder::new().name("forall-wgsl".to_owned()).stack_size(BASE + tokens * PER_TOKEN);
        match builder.spawn_scoped(scope, work).map(thread::ScopedJoinHandle::join) {
            Ok(result) => ended(result),
            Err(error) => failed(format!("there is no memory for a thread to read the text on: {error}")),
        }
    })
}

/// The stack for a text, where the code is optimised: twice what was measured. Recursion follows brackets in brackets (3.9 KiB each),
/// operators and templates in one statement (0.9 KiB a token), and chains of declarations and of `else` (0.2 KiB a token).
fn needed(text: &str, tokens: &[Token]) -> usize {
    let (mut depth, mut deepest, mut run, mut longest) = (0_usize, 0, 0_usize, 0);
    for token in tokens {
        let token = token.text(text);
        match token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        run = if matches!(token, ";" | "{" | "}") { 0 } else { run + 1 };
        (deepest, longest) = (deepest.max(depth), longest.max(run));
    }
    (128 << 10) + deepest * (8 << 10) + longest * (2 << 10) + tokens.len() * 512
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(text: &str) -> usize {
        needed(text, &scan::tokens(text))
    }

    #[test]
    fn what_nests_or_chains_needs_a_stack_of_its_own() {
        let flat = "fn f(x: f32) -> f32 { let y = (x + 1.0) * array(1.0, 2.0)[0]; return y; }\n";
        assert!(needs(flat) <= AT_HAND && needs(&flat.repeat(6)) <= AT_HAND);
        for (what, times) in [("(", 120), ("[", 120), ("{", 120), ("-", 400), ("+x", 200), ("array<", 200)] {
            assert!(needs(&what.repeat(times)) > AT_HAND, "{what}");
        }
        // Closed by what closes nothing: `>` compares.
        assert!(needs(&"(x > ".repeat(80)) > AT_HAND);
        assert!(needs(&"const a = b; ".repeat(400)) > AT_HAND);
        assert!(needs(&" else if (x) {}".repeat(400)) > AT_HAND);
    }

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
