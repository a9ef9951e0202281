//! What people write in an expression out of habit from NumPy, Python or C, and what it is in WGSL.
//!
//! Asked only about an expression that naga has refused, so that nothing valid is ever refused here.

use std::ops::Range;

use crate::element::{ElementType, Scalar};
use crate::kernel::scan::{self, Token};
use crate::kernel::validity::Explanation;

/// Names WGSL has not, and what to write.
const NAMES: &[(&str, &str)] = &[
    ("where", "select(if_false, if_true, condition)"),
    ("arcsin", "asin(x)"),
    ("arccos", "acos(x)"),
    ("arctan", "atan(x)"),
    ("arctan2", "atan2(y, x)"),
    ("lerp", "mix(a, b, t)"),
    ("sqr", "x*x"),
    ("square", "x*x"),
    ("power", "pow(x, y)"),
    ("maximum", "max(x, y)"),
    ("minimum", "min(x, y)"),
    ("clip", "clamp(x, low, high)"),
    ("absolute", "abs(x)"),
    ("fabs", "abs(x)"),
    ("mod", "x % y, which has the sign of x"),
    ("fmod", "x % y"),
    ("log10", "log(x) / 2.302585093"),
    ("log1p", "log(1.0 + x)"),
    ("expm1", "exp(x) - 1.0"),
    ("cbrt", "sign(x) * pow(abs(x), 1.0 / 3.0)"),
    ("rsqrt", "inverseSqrt(x)"),
    ("float", "f32(x)"),
    ("int", "i32(x)"),
    ("True", "true"),
    ("False", "false"),
    ("pi", "3.14159265"),
    ("PI", "3.14159265"),
    ("e", "2.71828183, or exp(x) for a power of it"),
];

/// Words that are operators elsewhere.
const OPERATORS: &[(&str, &str)] = &[("and", "a && b"), ("or", "a || b"), ("not", "!a")];

/// Modules that functions are called through elsewhere.
const MODULES: &[&str] = &["np", "numpy", "math", "cmath", "jnp", "torch"];

const SELECT: &str = "write select(b, a, condition): a where the condition holds, else b";

/// The first habit in the expression.
pub(crate) fn explain(text: &str, inputs: &[(&str, ElementType)]) -> Option<Explanation> {
    let tokens = scan::tokens(text);
    let expression = Expression { text, tokens: &tokens, inputs };
    (0..tokens.len()).find_map(|i| expression.habit(i)).or_else(|| expression.chain())
}

struct Expression<'a> {
    text: &'a str,
    tokens: &'a [Token],
    inputs: &'a [(&'a str, ElementType)],
}

impl Expression<'_> {
    /// The token's text, empty past either end.
    fn word(&self, i: Option<usize>) -> &str {
        i.and_then(|i| self.tokens.get(i)).map_or("", |token| token.text(self.text))
    }

    /// Whether token `i` stands right before the next.
    fn touches_next(&self, i: usize) -> bool {
        self.tokens.get(i + 1).is_some_and(|next| next.place.start == self.tokens[i].place.end)
    }

    fn found(&self, tokens: Range<usize>, message: &str, help: String) -> Option<Explanation> {
        let place = self.tokens[tokens.start].place.start..self.tokens[tokens.end - 1].place.end;
        Some(Explanation { message: message.to_owned(), place: Some(place), help: Some(help) })
    }

    /// What is wrong at token `i`.
    fn habit(&self, i: usize) -> Option<Explanation> {
        let (word, next, after) = (self.word(Some(i)), self.word(Some(i + 1)), self.word(Some(i + 2)));
        if word == "*" && next == "*" && self.touches_next(i) {
            return self.found(
                i..i + 2,
                "WGSL has no `**`",
                "write pow(x, y), or x*x for a square".to_owned(),
            );
        }
        let before = self.word(i.checked_sub(1));
        if word == "^" && self.inputs.iter().any(|(name, ty)| *name == before && ty.scalar == Scalar::F32) {
            let help = "write pow(x, y), or x*x for a square".to_owned();
            return self.found(i..i + 1, "`^` is the exclusive or of whole numbers", help);
        }
        if word == "?" {
            return self.found(i..i + 1, "WGSL has no `? :`", SELECT.to_owned());
        }
        if !self.tokens[i].is_name || self.word(i.checked_sub(1)) == "." {
            return None;
        }
        if let Some((_, ty)) = self.inputs.iter().find(|(name, _)| *name == word) {
            return self.input(i, *ty);
        }
        if MODULES.contains(&word) && next == "." {
            let help = match written(after) {
                Some(wgsl) => format!("write {wgsl}"),
                None => format!("WGSL's functions have no prefix: write {after}"),
            };
            let end = self.tokens.len().min(i + 3);
            return self.found(i..end, &format!("there is no `{word}` in WGSL"), help);
        }
        if word == "if" || word == "else" {
            return self.found(
                i..i + 1,
                &format!("`{word}` cannot stand in an expression"),
                SELECT.to_owned(),
            );
        }
        if let Some((_, wgsl)) = OPERATORS.iter().find(|(name, _)| *name == word) {
            return self.found(i..i + 1, &format!("WGSL has no `{word}`"), format!("write {wgsl}"));
        }
        self.found(i..i + 1, &format!("WGSL has no `{word}`"), format!("write {}", written(word)?))
    }

    /// What is wrong where token `i` is an input.
    fn input(&self, i: usize, ty: ElementType) -> Option<Explanation> {
        let (name, next) = (self.word(Some(i)), self.word(Some(i + 1)));
        if ty.width > 1 {
            return None;
        }
        if next == "[" {
            let help = format!("write `{name}`: the expression is computed for one element after the other");
            return self.found(i..i + 1, &format!("`{name}` is one {ty}, not an array"), help);
        }
        let is_operator = |word: &str| matches!(word, "+" | "-" | "*" | "/" | "%");
        let right = if self.word(Some(i + 2)) == "-" { i + 3 } else { i + 2 };
        let beside = is_operator(next) && self.is_float(right)
            || is_operator(self.word(i.checked_sub(1))) && self.ends_float(i.checked_sub(2));
        if ty.scalar == Scalar::F32 || !beside {
            return None;
        }
        let message = format!("`{name}` is {ty}, which does not become a float by itself");
        self.found(i..i + 1, &message, format!("write f32({name}), as in f32({name}) * 0.5"))
    }

    /// Whether a number with a point or an exponent starts at token `i`.
    fn is_float(&self, i: usize) -> bool {
        let word = self.word(Some(i));
        word == "." || is_number(word) && (self.word(Some(i + 1)) == "." || has_exponent(word))
    }

    /// Whether one ends there.
    fn ends_float(&self, i: Option<usize>) -> bool {
        let word = self.word(i);
        let before = self.word(i.and_then(|i| i.checked_sub(1)));
        word == "." || is_number(word) && (before == "." || has_exponent(word))
    }

    /// Whether the `<` behind a token holds a type: `vec2<f32>`.
    fn is_generic(&self, i: Option<usize>) -> bool {
        let word = self.word(i);
        word.starts_with("vec") || word.starts_with("mat") || word == "array" || word == "bitcast"
    }

    /// `a < b < c`.
    fn chain(&self) -> Option<Explanation> {
        let mut compared = false;
        let mut i = 0;
        while i < self.tokens.len() {
            let rest = &self.text[self.tokens[i].place.start..];
            let starts = |operators: &[&str]| operators.iter().any(|operator| rest.starts_with(operator));
            if starts(&["<<", ">>"]) {
                i += 1;
            } else if starts(&["&&", "||"]) {
                compared = false;
                i += 1;
            } else if starts(&["<"]) && self.is_generic(i.checked_sub(1)) {
                while i < self.tokens.len() && self.word(Some(i)) != ">" {
                    i += 1;
                }
            } else if starts(&["(", ")", "[", "]", ","]) {
                compared = false;
            } else if starts(&["<", ">", "==", "!="]) {
                if compared {
                    let help = "write 0 < x && x < 3".to_owned();
                    return self.found(i..i + 1, "a comparison is not compared again", help);
                }
                compared = true;
                i += usize::from(starts(&["<=", ">=", "==", "!="]));
            }
            i += 1;
        }
        None
    }
}

fn written(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(other, _)| *other == name).map(|(_, wgsl)| *wgsl)
}

fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

fn has_exponent(number: &str) -> bool {
    number.contains(['e', 'E', 'f']) && !number.starts_with("0x")
}
