//! Where declarations stand in WGSL text: functions with their parameters, and module-scope variables.
//!
//! Not a parser: naga is, but it keeps no place for a parameter or an attribute. This reads text that naga has accepted (or is
//! about to refuse), finds tokens outside comments, and is never the judge of what is valid.

use std::borrow::Cow;
use std::ops::Range;

/// A range of bytes.
pub(crate) type Place = Range<usize>;

/// What stands at module scope.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Declarations {
    /// The name of everything: functions, variables, constants, structs, aliases.
    pub names: Vec<Place>,
    pub functions: Vec<Function>,
    pub variables: Vec<Variable>,
}

/// `fn name(params) -> result`.
#[derive(Debug, PartialEq)]
pub(crate) struct Function {
    pub name: Place,
    /// The name of each parameter.
    pub params: Vec<Place>,
    /// The result type, where there is one.
    pub result: Option<Place>,
}

/// `@attributes var<space> name: type`.
#[derive(Debug, PartialEq)]
pub(crate) struct Variable {
    pub name: Place,
    /// From the first attribute up to `var`; empty where there is none.
    pub attributes: Place,
}

/// An identifier, a number, or one character of punctuation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub place: Place,
    pub is_name: bool,
}

impl Token {
    /// The token's text.
    pub(crate) fn text<'a>(&self, source: &'a str) -> &'a str {
        &source[self.place.clone()]
    }
}

/// Whether a character may stand in a name or number. WGSL's rule is Unicode's XID; every XID character is one of these.
fn in_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric() || !c.is_ascii() && !c.is_whitespace() && !c.is_control()
}

/// Every token outside comments. An unclosed block comment ends the text.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = source[at..].chars().next() {
        let rest = &source[at..];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            at += block_comment(rest);
        } else if in_word(c) {
            let length = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
            found.push(Token { place: at..at + length, is_name: !c.is_ascii_digit() });
            at += length;
        } else {
            if !c.is_whitespace() {
                found.push(Token { place: at..at + c.len_utf8(), is_name: false });
            }
            at += c.len_utf8();
        }
    }
    found
}

/// Bytes of the block comment that the text starts with; block comments nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    let bytes = text.as_bytes();
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The declarations at module scope, in the order of the text.
pub(crate) fn declarations(source: &str) -> Declarations {
    let tokens = tokens(source);
    let text = |i: usize| tokens.get(i).map_or("", |token: &Token| token.text(source));
    let mut found = Declarations::default();
    let mut depth = 0_usize;
    let mut attributes = None;
    let mut i = 0;
    while i < tokens.len() {
        match text(i) {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                attributes = None;
            }
            "alias" | "const" | "override" | "struct" if depth == 0 => {
                found.names.extend(tokens.get(i + 1).map(|token| token.place.clone()));
            }
            ";" => attributes = None,
            "@" if depth == 0 => {
                attributes.get_or_insert(tokens[i].place.start);
            }
            "fn" if depth == 0 => {
                attributes = None;
                if tokens.get(i + 1).is_some_and(|token| token.is_name) && text(i + 2) == "(" {
                    let (function, next) = function(source, &tokens, i + 1);
                    found.names.push(function.name.clone());
                    found.functions.push(function);
                    i = next;
                    continue;
                }
            }
            "var" if depth == 0 => {
                let start = tokens[i].place.start;
                let attributes = attributes.take().unwrap_or(start)..start;
                let mut name = i + 1;
                if text(name) == "<" {
                    while name < tokens.len() && text(name) != ">" {
                        name += 1;
                    }
                    name += 1;
                }
                if let Some(token) = tokens.get(name).filter(|token| token.is_name) {
                    found.names.push(token.place.clone());
                    found.variables.push(Variable { name: token.place.clone(), attributes });
                }
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// The text without the directives that naga stumbles over and that change nothing here, blanks in their place: every `requires`,
/// whose features are there or are refused where they are used, and of the `enable`s those for subgroups, which naga has without,
/// and for experiments of a browser.
pub(crate) fn without_directives(source: &str) -> Cow<'_, str> {
    let is_there = |name: &str| name.starts_with("subgroups") || name.starts_with("chromium_");
    let mut blanks: Vec<Place> = Vec::new();
    // Directives come first, each up to its semicolon.
    let tokens = tokens(source);
    let mut rest = &tokens[..];
    while let Some(first) = rest.first().map(|token| token.text(source))
        && matches!(first, "enable" | "requires" | "diagnostic")
        && let Some(end) = rest.iter().position(|token| token.text(source) == ";")
    {
        let (directive, next) = rest.split_at(end + 1);
        let whole = directive[0].place.start..directive[end].place.end;
        let names = || directive[1..end].iter().filter(|token| token.is_name);
        match first {
            "requires" => blanks.push(whole),
            "enable" if names().all(|name| is_there(name.text(source))) => blanks.push(whole),
            "enable" => {
                for (name, after) in directive[1..].iter().zip(&directive[2..]) {
                    if is_there(name.text(source)) {
                        // With its comma. The list may end in one, so that the last name leaves the one before it.
                        let comma = after.text(source) == ",";
                        let end = if comma { after.place.end } else { name.place.end };
                        blanks.push(name.place.start..end);
                    }
                }
            }
            _ => {}
        }
        rest = next;
    }
    if blanks.is_empty() {
        return Cow::Borrowed(source);
    }
    let mut text = String::with_capacity(source.len());
    for blank in blanks {
        text.push_str(&source[text.len()..blank.start]);
        // Byte for byte, so that every place stays, and lines too.
        text.extend(source[blank].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
    }
    text.push_str(&source[text.len()..]);
    Cow::Owned(text)
}

/// Every `var<immediate>`, and `var<push_constant>`, as wgpu called it up to version 27: from `var` to the `>`.
pub(crate) fn immediates(source: &str) -> Vec<Place> {
    let tokens = tokens(source);
    let is_one = |four: &[Token]| {
        let [var, open, space, close] = [0, 1, 2, 3].map(|at| four[at].text(source));
        var == "var" && open == "<" && matches!(space, "immediate" | "push_constant") && close == ">"
    };
    let found = tokens.windows(4).filter(|four| is_one(four));
    found.map(|four| four[0].place.start..four[3].place.end).collect()
}

/// The function whose name is token `name`, and the token to go on with (its `{`).
fn function(source: &str, tokens: &[Token], name: usize) -> (Function, usize) {
    let text = |i: usize| tokens[i].text(source);
    let mut function = Function { name: tokens[name].place.clone(), params: Vec::new(), result: None };
    let mut depth = 0_usize;
    let mut i = name + 1;
    while i < tokens.len() {
        match text(i) {
            "(" | "<" | "[" => depth += 1,
            ")" | ">" | "]" => depth = depth.saturating_sub(1),
            "{" => return (function, i),
            // `name :` at the level of the parameter list, which attributes and types do not have.
            ":" if depth == 1 && tokens[i - 1].is_name => function.params.push(tokens[i - 1].place.clone()),
            _ => {}
        }
        i += 1;
        if depth == 0 {
            break;
        }
    }
    if i + 1 < tokens.len() && text(i) == "-" && text(i + 1) == ">" {
        let first = i + 2;
        while i < tokens.len() && text(i) != "{" {
            i += 1;
        }
        if first < i {
            function.result = Some(tokens[first].place.start..tokens[i - 1].place.end);
        }
    }
    (function, i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_functions_and_variables_outside_comments() {
        let source = "// fn no(a: f32)\n/* fn /* nested */ no(b: i32) */ struct fn_ { var_: f32 }
            @group(0) @binding(3) var<storage, read> größe: array<f32>; var<private> p: f32 = 1.0;
            @must_use fn f(@builtin(x) a: array<f32, (1)>, b: ptr<function, vec2<f32>>,) -> vec3<f32> { var x: f32; { } }
            fn g() { return; } fn h(x: u32) -> R{}";
        let found = declarations(source);
        let names: Vec<&str> = found.functions.iter().map(|f| &source[f.name.clone()]).collect();
        assert_eq!(names, ["f", "g", "h"]);
        let params: Vec<&str> = found.functions[0].params.iter().map(|p| &source[p.clone()]).collect();
        assert_eq!(params, ["a", "b"]);
        let results: Vec<_> =
            found.functions.iter().map(|f| f.result.clone().map(|place| &source[place])).collect();
        assert_eq!(results, [Some("vec3<f32>"), None, Some("R")]);
        let names: Vec<&str> = found.names.iter().map(|name| &source[name.clone()]).collect();
        assert_eq!(names, ["fn_", "größe", "p", "f", "g", "h"]);
        let variables: Vec<_> = found
            .variables
            .iter()
            .map(|v| (&source[v.name.clone()], &source[v.attributes.clone()]))
            .collect();
        assert_eq!(variables, [("größe", "@group(0) @binding(3) "), ("p", "")]);
    }

    #[test]
    fn blanks_directives_that_change_nothing() {
        for (source, expected) in [
            ("", ""),
            ("fn f() {}", "fn f() {}"),
            ("enable f16; fn f() {}", "enable f16; fn f() {}"),
            ("enable subgroups;\nfn f() {}", "                 \nfn f() {}"),
            ("enable\nsubgroups; enable f16;", "      \n           enable f16;"),
            ("enable subgroups, f16;", "enable            f16;"),
            ("enable f16, subgroups;", "enable f16,          ;"),
            ("enable f16,subgroups , subgroups_f16,;", "enable f16,                          ;"),
            ("// ö\nrequires ünknown, b; fn requires() {}", "// ö\n                      fn requires() {}"),
            ("diagnostic(off, a.b); requires c;", "diagnostic(off, a.b);            "),
            // Not at the top, and not at its end.
            ("fn f() {} enable subgroups;", "fn f() {} enable subgroups;"),
            ("enable subgroups", "enable subgroups"),
            ("enable wgpu_ray_query;", "enable wgpu_ray_query;"),
        ] {
            let text = without_directives(source);
            assert_eq!(text, expected);
            assert_eq!(text.len(), source.len());
        }
    }

    #[test]
    fn finds_immediate_data() {
        let source = "// var<immediate> no: u32;
            @id(1) override immediate: u32 = 1u; var < immediate > a: f32; var<private> push_constant: u32;
            fn f() { var immediate = 1; } var</* here */push_constant>b: f32; var<immediate";
        let found: Vec<&str> = immediates(source).into_iter().map(|place| &source[place]).collect();
        assert_eq!(found, ["var < immediate >", "var</* here */push_constant>"]);
    }

    #[test]
    fn survives_text_that_is_no_wgsl() {
        for source in [
            "",
            "fn",
            "fn f",
            "fn f(",
            "fn f(a:",
            "fn f() ->",
            "var",
            "var<",
            "@",
            "/*",
            "/* /* */",
            "/",
            "}}}",
            "(((",
            "🦀 fn f(🦀: f32)",
        ] {
            declarations(source);
            without_directives(source);
            immediates(source);
            for end in (0..source.len()).filter(|&end| source.is_char_boundary(end)) {
                declarations(&source[..end]);
            }
        }
    }
}
