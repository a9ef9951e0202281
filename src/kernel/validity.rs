//! naga's validation errors, which speak of entries in its tables, in words: what has which type, and where.

use std::ops::Range;

use naga::front::Typifier;
use naga::proc::ResolveContext;
use naga::valid::{CallError, ExpressionError, FunctionError, ValidationError};
use naga::{BinaryOperator as Op, Expression, Function, Handle, Module, Statement, WithSpan};

use crate::kernel::wgsl::{describe, describe_inner};

/// What is wrong, where, and what to do if that is known.
pub(crate) struct Explanation {
    pub message: String,
    pub place: Option<Range<usize>>,
    pub help: Option<String>,
}

/// What to do where a literal stands beside a variable of another type.
pub(crate) const CONVERT: &str = "WGSL converts no variable: write `f32(i) * 0.5` for an integer `i`";

/// Puts an error into words. The common mistakes are told by type; the rest in naga's own words.
pub(crate) fn explain(module: &Module, error: &WithSpan<ValidationError>) -> Explanation {
    if let ValidationError::Function { handle, source, .. } = error.as_inner()
        && let Some(explanation) = in_function(module, &module.functions[*handle], source)
    {
        return explanation;
    }
    // The outer errors only say "function [0] is invalid"; the shortest span is the one that says most.
    let mut cause: &dyn std::error::Error = error.as_inner();
    while let Some(next) = cause.source() {
        cause = next;
    }
    let (message, help) = match without_handles(&cause.to_string()) {
        // naga's word for literals that have no type yet.
        message if message.starts_with("Abstract types may only appear") => {
            ("this number does not become what it is combined with".to_owned(), Some(CONVERT.to_owned()))
        }
        // naga names a flag of its own, which nobody who writes WGSL can set.
        message if message.contains("64") && message.contains("Capabilities::") => {
            let what = message.split_once(" requires").map_or(&*message, |(what, _)| what);
            let help = "WGSL computes in f32, i32, u32 and bool; a closure kernel may use f64, i64 and u64";
            (format!("{what}: not supported"), Some(help.to_owned()))
        }
        message => match LACKING.iter().find(|(flag, ..)| message.contains(flag)) {
            Some((_, what, help)) => (format!("{what}: not supported"), Some((*help).to_owned())),
            None if message.contains("is a pointer of space") => (
                "a function takes pointers to variables of functions, and to private ones".to_owned(),
                Some(
                    "naga, which wgpu uses too, passes no other: use the variable itself in the function"
                        .to_owned(),
                ),
            ),
            None => (message, None),
        },
    };
    let place = error.spans().filter_map(|(span, _)| span.to_range()).min_by_key(Range::len);
    let place = place.or_else(|| match error.as_inner() {
        ValidationError::Type { handle, .. } => holder(module, *handle),
        _ => None,
    });
    Explanation { message, place, help }
}

/// What needs a feature of wgpu beyond WGSL: a part of naga's name of it, what it is, and what to do instead.
const LACKING: [(&str, &str, &str); 7] = [
    (
        "FLOAT32_ATOMIC",
        "an atomic of f32",
        "add with bitcast and atomicCompareExchangeWeak on an atomic<u32>",
    ),
    ("INT64_ATOMIC", "an atomic of 64 bits", "WGSL has atomics of i32 and u32"),
    ("TEXTURE_ATOMIC", "atomic operations on a texture", "use a storage buffer of atomic<u32>"),
    ("16BIT_NORM_FORMATS", "this texel format", "use r32float or rgba16float"),
    ("IMMEDIATES", "var<immediate>", "make it a parameter of the function"),
    ("RAY_QUERY", "a ray query", "read the triangles from a storage buffer"),
    ("TEXTURE_EXTERNAL", "an external texture", "bind a texture_2d<f32>"),
];

/// The variable that a type is in: a type that has no name has no place either.
fn holder(module: &Module, ty: Handle<naga::Type>) -> Option<Range<usize>> {
    let mut holding = vec![ty];
    // What a type is made of comes before it.
    for (handle, outer) in module.types.iter() {
        let holds = match &outer.inner {
            naga::TypeInner::Array { base, .. } => holding.contains(base),
            naga::TypeInner::Struct { members, .. } => {
                members.iter().any(|member| holding.contains(&member.ty))
            }
            _ => false,
        };
        if holds {
            holding.push(handle);
        }
    }
    let global = module.global_variables.iter().find(|(_, variable)| holding.contains(&variable.ty));
    global.and_then(|(handle, _)| module.global_variables.get_span(handle).to_range())
}

fn in_function(module: &Module, function: &Function, error: &FunctionError) -> Option<Explanation> {
    let ty = |expression: Handle<Expression>| type_of(module, function, expression);
    let at = |expression: Handle<Expression>| function.expressions.get_span(expression).to_range();
    let statement = |wanted: &dyn Fn(&Statement) -> bool| place_of(&function.body, wanted);
    let name = function.name.as_deref().unwrap_or_default();
    let (message, place, help) = match *error {
        FunctionError::InvalidReturnType { expression, expected_ty } => {
            let place = statement(&|s| matches!(s, Statement::Return { value } if *value == expression));
            let message = match (expression, expected_ty) {
                (Some(value), Some(expected)) => {
                    format!("`{name}` returns {}, declared is {}", ty(value)?, describe(module, expected))
                }
                (Some(value), None) => format!("`{name}` returns {}, but declares no result", ty(value)?),
                (None, Some(expected)) => {
                    format!("`{name}` can end without returning its {}", describe(module, expected))
                }
                (None, None) => return None,
            };
            // Without a statement: the end of the function, whose span is all of it.
            let end = module.functions.iter().find(|(_, f)| f.name == function.name);
            let end = end.and_then(|(handle, _)| module.functions.get_span(handle).to_range());
            // naga does not ask whether a loop ever leaves, and has put a return behind it.
            let written = |statement: &&Statement| !matches!(statement, Statement::Return { value: None });
            let after_loop = matches!(function.body.iter().rfind(written), Some(Statement::Loop { .. }));
            let help = (expression.is_none() && after_loop).then(|| {
                "a loop counts as one that ends, even without a break: write a return after it".to_owned()
            });
            (message, place.or_else(|| end.map(|place| place.end.saturating_sub(1)..place.end)), help)
        }
        FunctionError::InvalidIfType(condition) => {
            let place = statement(&|s| matches!(s, Statement::If { condition: c, .. } if *c == condition));
            (
                format!("the condition is {}, expected bool", ty(condition)?),
                place.and_then(|place| first_of(at(condition), place)),
                Some("compare it, such as `x != 0`".to_owned()),
            )
        }
        FunctionError::InvalidSwitchType(selector) => {
            (format!("the switch is over {}, expected i32 or u32", ty(selector)?), at(selector), None)
        }
        FunctionError::InvalidStoreTypes { pointer, value } => {
            let place = statement(
                &|s| matches!(s, Statement::Store { pointer: p, value: v } if *p == pointer && *v == value),
            );
            (format!("{} is assigned to {}", ty(value)?, ty(pointer)?), place, None)
        }
        FunctionError::InvalidCall { function: callee, ref error } => {
            let called = module.functions[callee].name.as_deref().unwrap_or_default();
            let place = statement(&|s| {
                matches!(s, Statement::Call { function, arguments, .. } if *function == callee && match error {
                    CallError::ArgumentCount { seen, .. } => arguments.len() == *seen,
                    CallError::ArgumentType { index, seen_expression, .. } => arguments.get(*index) == Some(seen_expression),
                    _ => false,
                })
            });
            match *error {
                CallError::ArgumentCount { required, seen } => {
                    (format!("`{called}` takes {required} arguments, got {seen}"), place, None)
                }
                CallError::ArgumentType { index, required, seen_expression } => {
                    let (got, expected) = (ty(seen_expression)?, describe(module, required));
                    (
                        format!("argument {} of `{called}` is {got}, expected {expected}", index + 1),
                        place,
                        None,
                    )
                }
                _ => return None,
            }
        }
        FunctionError::Expression { handle, ref source } => match source {
            ExpressionError::InvalidBinaryOperandTypes { op, lhs_type, rhs_type, .. } => {
                let (left, right) = (describe_inner(module, lhs_type), describe_inner(module, rhs_type));
                let convert = (left != right)
                    .then(|| format!("WGSL converts nothing by itself: write `{left}(…)` or `{right}(…)`"));
                (format!("there is no {left} {} {right}", symbol(*op)), at(handle), convert)
            }
            ExpressionError::InvalidUnaryOperandType(op, operand) => {
                let symbol = match op {
                    naga::UnaryOperator::Negate => "-",
                    naga::UnaryOperator::LogicalNot => "!",
                    naga::UnaryOperator::BitwiseNot => "~",
                };
                (format!("there is no {symbol}{}", ty(*operand)?), at(handle), None)
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(Explanation { message, place, help })
}

/// A type in words; of a variable, the type of what it holds.
fn type_of(module: &Module, function: &Function, expression: Handle<Expression>) -> Option<String> {
    let mut typifier = Typifier::new();
    let context = ResolveContext::with_locals(module, &function.local_variables, &function.arguments);
    typifier.grow(expression, &function.expressions, &context).ok()?;
    Some(match *typifier.get(expression, &module.types) {
        naga::TypeInner::Pointer { base, .. } => format!("a variable of {}", describe(module, base)),
        ref inner => match typifier[expression].handle() {
            Some(handle) => describe(module, handle),
            None => describe_inner(module, inner),
        },
    })
}

/// The place of the first statement of that kind, in the order of the text.
pub(crate) fn place_of(block: &naga::Block, wanted: &dyn Fn(&Statement) -> bool) -> Option<Range<usize>> {
    block.span_iter().find_map(|(statement, span)| {
        if wanted(statement) {
            return span.to_range();
        }
        match statement {
            Statement::Block(block) => place_of(block, wanted),
            Statement::If { accept, reject, .. } => {
                place_of(accept, wanted).or_else(|| place_of(reject, wanted))
            }
            Statement::Switch { cases, .. } => cases.iter().find_map(|case| place_of(&case.body, wanted)),
            Statement::Loop { body, continuing, .. } => {
                place_of(body, wanted).or_else(|| place_of(continuing, wanted))
            }
            _ => None,
        }
    })
}

/// `inner` where it lies in `outer`, else `outer`: an expression that is a parameter has the place of its declaration.
fn first_of(inner: Option<Range<usize>>, outer: Range<usize>) -> Option<Range<usize>> {
    inner.filter(|inner| outer.start <= inner.start && inner.end <= outer.end).or(Some(outer))
}

const fn symbol(op: Op) -> &'static str {
    match op {
        Op::Add => "+",
        Op::Subtract => "-",
        Op::Multiply => "*",
        Op::Divide => "/",
        Op::Modulo => "%",
        Op::Equal => "==",
        Op::NotEqual => "!=",
        Op::Less => "<",
        Op::LessEqual => "<=",
        Op::Greater => ">",
        Op::GreaterEqual => ">=",
        Op::And => "&",
        Op::ExclusiveOr => "^",
        Op::InclusiveOr => "|",
        Op::LogicalAnd => "&&",
        Op::LogicalOr => "||",
        Op::ShiftLeft => "<<",
        Op::ShiftRight => ">>",
    }
}

/// naga's message without the handles in it: `[3]`, `Some([3])`, `'name' [3]`.
fn without_handles(message: &str) -> String {
    let mut clean = String::new();
    for word in message.split_inclusive(' ') {
        let bare = word.trim_end_matches([' ', ',', '.']);
        let inner = bare.strip_prefix("Some(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(bare);
        let number = inner.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if number.is_some_and(|digits| digits.chars().all(|c| c.is_ascii_digit())) {
            clean.truncate(clean.trim_end().len());
            clean.push_str(&word[bare.len()..]);
        } else {
            clean.push_str(word);
        }
    }
    clean.trim_end().to_owned()
}
