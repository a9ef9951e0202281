//! BODY, as every subcommand takes it: a `.wgsl` file or a text; a function, a whole compute shader, or an expression.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use forall::{Element, Kernel, ShaderOptions};

use crate::Failure;
use crate::run::Launch;

/// A text, and where it came from.
#[derive(Debug)]
pub(crate) struct Body {
    pub text: String,
    /// `None` for a text on the command line.
    pub path: Option<PathBuf>,
}

impl Body {
    /// Reads BODY.
    pub(crate) fn open(body: &OsStr) -> Result<Self, Failure> {
        /// A thousand times a long shader; a device may never end.
        const MOST: u64 = 16 << 20;

        let path = Path::new(body);
        if !Self::is_file(path) {
            let text = body.to_str().ok_or_else(|| Failure::Usage("BODY is not UTF-8".into()))?;
            return Ok(Self { text: text.to_owned(), path: None });
        }
        let fail = |what: &dyn std::fmt::Display| Failure::Run(format!("{}: {what}", path.display()));
        let mut text = String::new();
        let file = File::open(path).map_err(|e| fail(&e))?;
        file.take(MOST + 1).read_to_string(&mut text).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidData => fail(&"not UTF-8, expected a WGSL text"),
            _ => fail(&e),
        })?;
        if text.len() as u64 > MOST {
            return Err(fail(&format!("more than {} MiB, expected a WGSL text", MOST >> 20)));
        }
        Ok(Self { text, path: Some(path.to_owned()) })
    }

    /// Whether BODY is the name of a file.
    pub(crate) fn is_file(body: &Path) -> bool {
        body.extension().is_some_and(|extension| extension == "wgsl")
    }

    /// Whether there is a `@compute` entry point in it.
    pub(crate) fn is_shader(&self) -> bool {
        let text = without_comments(&self.text);
        text.split('@').skip(1).any(|rest| {
            let rest = rest.trim_start().strip_prefix("compute");
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
    }

    /// Whether it is no function: `a*x + y`.
    pub(crate) fn is_expression(&self) -> bool {
        self.path.is_none() && self.words().all(|(_, word)| word != "fn")
    }

    /// The words of the text, and where they start.
    fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        let words = self.text.split(|c: char| !c.is_alphanumeric() && c != '_');
        let start = |word: &str| word.as_ptr().addr() - self.text.as_ptr().addr();
        words.filter(|word| !word.is_empty()).map(move |word| (start(word), word))
    }

    /// The words of an expression that are neither numbers nor functions, types or members: its inputs.
    pub(crate) fn names(&self) -> Vec<&str> {
        const TYPES: [&str; 12] =
            ["f32", "i32", "u32", "bool", "vec2", "vec3", "vec4", "array", "bitcast", "true", "false", "_"];
        let mut names = Vec::new();
        for (start, word) in self.words() {
            let called = self.text[start + word.len()..].trim_start().starts_with('(');
            let member = self.text[..start].trim_end().ends_with('.');
            let number = word.starts_with(|c: char| c.is_ascii_digit());
            if !called && !member && !number && !TYPES.contains(&word) && !names.contains(&word) {
                names.push(word);
            }
        }
        names
    }

    /// The kernel of a function of one element, or of an expression whose names are all f32.
    pub(crate) fn function(&self, name: Option<&str>) -> Result<Kernel, Failure> {
        let kernel = match name {
            Some(name) => Kernel::map_named(&self.text, name),
            None if self.is_expression() => {
                let inputs: Vec<_> = self.names().into_iter().map(|name| (name, f32::TYPE)).collect();
                Kernel::expression(&self.text, &inputs)
            }
            None => Kernel::map(&self.text),
        };
        kernel.map_err(|error| self.place(error))
    }

    /// The kernel of a compute shader.
    pub(crate) fn shader(&self, launch: &Launch) -> Result<Kernel, Failure> {
        let mut options = ShaderOptions::new();
        if let Some(entry) = &launch.entry {
            options = options.entry(entry);
        }
        for (at, constant) in launch.constants.iter().enumerate() {
            if launch.constants[..at].iter().any(|other| other.name == constant.name) {
                return Err(Failure::Usage(format!("--const {}: given twice", constant.name)));
            }
            options = options.constant(&constant.name, constant.value);
        }
        options.build(&self.text).map_err(|error| self.place(error).map(|message| in_options(&message)))
    }

    /// An error about the text, with the file it is in.
    fn place(&self, error: forall::Error) -> Failure {
        Failure::from(error).map(|message| match &self.path {
            Some(path) => format!("{}: {message}", path.display()),
            None => message,
        })
    }
}

/// The library's hints name its methods; here options do the same.
fn in_options(message: &str) -> String {
    let mut text = String::new();
    let mut rest = message;
    while let Some((before, after)) = rest.split_once("ShaderOptions::new().") {
        text.push_str(before);
        let call = after.split_once("(\"").and_then(|(method, rest)| {
            let (name, rest) = rest.split_once('"')?;
            let (value, rest) = rest.split_once(')')?;
            Some((method, name, value.trim_start_matches([',', ' ']), rest))
        });
        match call {
            Some(("entry", name, _, rest_of_it)) => {
                text.push_str(&format!("--entry {name}"));
                rest = rest_of_it;
            }
            Some(("constant", name, value, rest_of_it)) => {
                text.push_str(&format!("--const {name}={value}"));
                rest = rest_of_it;
            }
            _ => {
                text.push_str("ShaderOptions::new().");
                rest = after;
            }
        }
    }
    text + rest
}

/// The text without WGSL's comments, of which those in `/* */` nest.
fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if depth == 0 && rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("/*") {
            depth += 1;
            rest = &rest[2..];
        } else if depth > 0 && rest.starts_with("*/") {
            depth -= 1;
            rest = &rest[2..];
            out.push(' ');
        } else {
            if depth == 0 {
                out.push(c);
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compute_entry_point_makes_a_shader() {
        let is_shader = |text: &str| Body { text: text.to_owned(), path: None }.is_shader();
        assert!(is_shader("@compute @workgroup_size(1) fn main() {}"));
        assert!(is_shader("@workgroup_size(1) @ compute\nfn main() {}"));
        assert!(is_shader("/* a /* b */ @nothing */ @compute/**/fn main() {}"));
        assert!(!is_shader("// @compute\nfn f() -> f32 { return 1.0; }"));
        assert!(!is_shader("/* /* */ @compute */ fn f() -> f32 { return 1.0; }"));
        assert!(!is_shader("compute @computed"));
        assert!(!is_shader("/* @compute"));
    }

    #[test]
    fn an_expression_has_names() {
        let names = |text: &str| {
            let body = Body { text: text.to_owned(), path: None };
            assert!(body.is_expression(), "{text}");
            body.names().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(names("sqrt(x*x + y * y)"), ["x", "y"]);
        assert_eq!(names("select(a, 1.5e3, b < 0x1f) + f32(2u) + vec2<f32>(a, c) . x - .5"), ["a", "b", "c"]);
        assert_eq!(names("sin (x) * true"), ["x"]);
        assert_eq!(names("1 + 2"), [] as [&str; 0]);
        assert!(!Body { text: "fn f() -> f32 { return 1.0; }".into(), path: None }.is_expression());
    }

    #[test]
    fn hints_are_options() {
        assert_eq!(in_options("choose: ShaderOptions::new().entry(\"a\")!"), "choose: --entry a!");
        assert_eq!(in_options("it, ShaderOptions::new().constant(\"n\", 1), or"), "it, --const n=1, or");
        assert_eq!(in_options("ShaderOptions::new().other()"), "ShaderOptions::new().other()");
    }
}
