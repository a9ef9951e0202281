//! A bare expression, `a*x + y`, turned into the WGSL function that returns it. Errors point into the expression.

use std::ops::Range;
use std::sync::Arc;

use crate::element::ElementType;
use crate::error::{Error, Result};
use crate::kernel::habit;
use crate::kernel::scan;
use crate::kernel::source::Source;
use crate::kernel::stack;
use crate::kernel::validity::Explanation;
use crate::kernel::wgsl::{self, Body};

/// The function's name. A parameter of the same name hides it, which is fine: the expression has no use for it.
const FUNCTION: &str = "expression";

/// The name under which the expression's type is looked up.
const VALUE: &str = "forall_value";

/// Characters of an expression that its kernel's name shows.
const NAME_LENGTH: usize = 48;

/// Reads `expression` as a function of `inputs`, whose result type is the type of the expression.
pub(crate) fn read(expression: &str, inputs: &[(&str, ElementType)]) -> Result<Body> {
    let source = Source { name: name(expression), text: expression.into(), offset: 0 };
    stack::with_stack_for(expression, &source, || read_here(expression, source.clone(), inputs))
}

/// The same, on this thread's stack.
fn read_here(expression: &str, source: Source, inputs: &[(&str, ElementType)]) -> Result<Body> {
    check_inputs(&source, inputs)?;
    check_comments(&source)?;
    check_brackets(&source)?;
    read_checked(expression, source.clone(), inputs).map_err(|error| match error {
        Error::Wgsl { .. } => match habit::explain(expression, inputs) {
            Some(Explanation { message, place, help }) => {
                source.invalid(place, &message, "", help.as_slice())
            }
            None => error,
        },
        other => other,
    })
}

/// The same, of text that can be placed into a function.
fn read_checked(expression: &str, source: Source, inputs: &[(&str, ElementType)]) -> Result<Body> {
    let params: Vec<String> = inputs.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
    let params = params.join(", ");

    // The type, from naga, of `let value = (expression);`, in a block of its own because a parameter may have that name.
    let head = format!("fn {FUNCTION}({params}) {{ {{ let {VALUE} = (\n");
    let text = format!("{head}{expression}\n); }} }}\n");
    let placed = Source { offset: head.len(), ..source.clone() };
    let module = wgsl::parse(&placed, &text)?;
    let info = wgsl::validate(&placed, &module, wgsl::CAPABILITIES)?;
    let ty = module.functions.iter().find_map(|(handle, function)| {
        let named = function.named_expressions.iter().find(|(_, name)| *name == VALUE)?;
        let inner = info[handle][*named.0].ty.inner_with(&module.types);
        Some(
            wgsl::inner_type(inner)
                .map(|(ty, is_bool)| if is_bool { "bool".to_owned() } else { ty.to_string() }),
        )
    });
    let Some(Some(ty)) = ty else {
        let help = "its value must be f32, i32, u32, bool, or a vector of f32, i32 or u32";
        return Err(source.unsupported(Some(0..expression.len()), "an expression of this type", help));
    };

    let head = format!("fn {FUNCTION}({params}) -> {ty} {{ return (\n");
    let text: Arc<str> = format!("{head}{expression}\n); }}\n").into();
    wgsl::read_source(Source { offset: head.len(), ..source }, text, None)
}

/// The expression itself, on one line and not too long.
fn name(expression: &str) -> String {
    let words: Vec<&str> = expression.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(NAME_LENGTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Every name must do as a parameter's, and every type be one of WGSL's.
fn check_inputs(source: &Source, inputs: &[(&str, ElementType)]) -> Result<()> {
    for (name, ty) in inputs {
        if !ty.scalar.in_wgsl() {
            let help =
                "WGSL computes in 32 bits: convert the array to f32, i32 or u32, or use a closure kernel";
            return Err(source.unsupported(None, &format!("input `{name}` of type {ty}"), help));
        }
        let tokens = scan::tokens(name);
        let is_one_word = matches!(&tokens[..], [token] if token.is_name && token.place == (0..name.len()));
        let text = format!("fn {FUNCTION}({name}: f32) {{}}");
        let refused = if is_one_word { wgsl::parse(source, &text).is_err() } else { true };
        if refused {
            let message = format!("`{name}` cannot be the name of an input");
            let help =
                "a name is letters, digits and `_`, starts with no digit, and is no word that WGSL reserves";
            return Err(source.invalid(None, &message, "", &[help.to_owned()]));
        }
    }
    for (i, (name, _)) in inputs.iter().enumerate() {
        if inputs[..i].iter().any(|(other, _)| other == name) {
            return Err(source.invalid(None, &format!("there are two inputs called `{name}`"), "", &[]));
        }
    }
    Ok(())
}

/// A comment would silently hide the rest, which may be meant: `x // 2` is a quotient in Python.
fn check_comments(source: &Source) -> Result<()> {
    let text = &*source.text;
    let starts = |mark: &str| text.find(mark).map(|at| at..at + mark.len());
    let Some(place) = starts("//").into_iter().chain(starts("/*")).min_by_key(|place| place.start) else {
        return Ok(());
    };
    let mark = &text[place.clone()];
    let help = match mark {
        "//" => "for a whole quotient write floor(x / y) (floats) or x / y (integers)",
        _ => "an expression has no comments",
    };
    let message = format!("`{mark}` starts a comment in WGSL");
    Err(source.invalid(Some(place), &message, "", &[help.to_owned()]))
}

/// Nothing in the text may close what stands around it, or start a statement.
fn check_brackets(source: &Source) -> Result<()> {
    let text = &*source.text;
    let mut open: Vec<(&str, Range<usize>)> = Vec::new();
    let tokens = scan::tokens(text);
    for token in &tokens {
        let word = token.text(text);
        match word {
            "(" => open.push((")", token.place.clone())),
            "[" => open.push(("]", token.place.clone())),
            ")" | "]" => {
                let opened = open.pop();
                if opened.is_none_or(|(closes, _)| closes != word) {
                    let message = format!("this `{word}` closes nothing");
                    return Err(source.invalid(Some(token.place.clone()), &message, "", &[]));
                }
            }
            ";" | "{" | "}" | "@" => {
                let message = format!("`{word}` cannot stand in an expression");
                let help = "write a whole function for more than one expression: `fn f(x: f32) -> f32 { … }`";
                return Err(source.invalid(Some(token.place.clone()), &message, "", &[help.to_owned()]));
            }
            _ => {}
        }
    }
    if let Some((closes, place)) = open.pop() {
        return Err(source.invalid(Some(place), &format!("a `{closes}` is missing"), "opened here", &[]));
    }
    if tokens.is_empty() {
        return Err(source.invalid(None, "the expression is empty", "", &[]));
    }
    Ok(())
}
