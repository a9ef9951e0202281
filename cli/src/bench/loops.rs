//! What `forall bench` measures: the shipped loops, and the functions and shaders of a user's files.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;

use clap::Args as ClapArgs;
use forall::bench::{Given, Launch as Data, Results, Workload};

use crate::Failure;
use crate::bind;
use crate::body::Body;
use crate::run::{self, Launch};
use crate::value::{self, Value};

/// What a machine is shown by: memory, arithmetic, divergence, workgroups.
const FEW: [&str; 4] = ["saxpy", "black_scholes", "mandelbrot", "matmul_tiled"];

/// What a user's own file runs over.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "A FILE.wgsl")]
pub(super) struct Own {
    /// A parameter of a function that is a number or index; the others are arrays of random numbers
    #[arg(long = "in", value_name = "NAME=VALUE")]
    inputs: Vec<OsString>,

    /// The data of a shader's variable, as `forall run` takes it. N is the size; N/4 and N*4 are of it, the former rounded up
    #[arg(long, value_name = "NAME=VALUE")]
    bind: Vec<OsString>,

    /// How many workgroups run, such as N/256
    #[arg(long, value_name = "X[,Y[,Z]]", conflicts_with = "invocations")]
    grid: Option<String>,

    /// How many invocations run at least, such as N
    #[arg(long, value_name = "X[,Y[,Z]]")]
    invocations: Option<String>,

    /// Which @compute entry point to run, where the text has several
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
}

/// The loops that the command line names, each with the argument that names it alone.
pub(super) fn open(
    names: &[OsString],
    own: &Own,
    resident: bool,
) -> Result<Vec<(OsString, Workload)>, Failure> {
    let mut loops: Vec<(OsString, Workload)> = Vec::new();
    let mut files = 0;
    let few: Vec<OsString> = FEW.into_iter().map(OsString::from).collect();
    for name in if names.is_empty() { &few } else { names } {
        if name == "all" {
            for (name, _) in Workload::shipped() {
                loops.extend(Workload::named(name)?.map(|shipped| (name.into(), shipped)));
            }
        } else if let Some(shipped) = shipped(name)? {
            loops.push((name.clone(), shipped));
        } else {
            loops.push((name.clone(), file(name, own, Trust::Nothing)?));
            files += 1;
        }
    }
    let given = [("--in", !own.inputs.is_empty())].into_iter().chain(own.of_shaders());
    if let Some((option, _)) = given.into_iter().find(|(_, given)| files == 0 && *given) {
        return Err(Failure::Usage(format!(
            "{option} is for a FILE.wgsl; the shipped loops have data of their own"
        )));
    }
    for (at, (_, one)) in loops.iter().enumerate() {
        if loops[..at].iter().any(|(_, other)| other.name() == one.name()) {
            return Err(Failure::Usage(format!("`{}` is named twice, and can be measured once", one.name())));
        }
    }
    if resident && let Some(function) = loops.iter().map(|(_, one)| one).find(|one| !one.stays()) {
        return Err(Failure::Usage(format!(
            "--resident: `{}` is a function, whose arrays are in the host's memory at every call; name shaders: {}",
            function.name(),
            shaders()
        )));
    }
    Ok(loops)
}

/// The loop of a process that makes one call: opened as `open` has opened it before, and nothing done that the call does not need.
pub(super) fn one(names: &[OsString], own: &Own) -> Result<Workload, Failure> {
    let [name] = names else { return Err(Failure::Usage("a first call is of one loop".into())) };
    shipped(name)?.map_or_else(|| file(name, own, Trust::Data), Ok)
}

fn shipped(name: &OsStr) -> Result<Option<Workload>, Failure> {
    Ok(name.to_str().map(Workload::named).transpose()?.flatten())
}

/// What is known of the options for a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Nothing,
    /// That they give the data for any size.
    Data,
}

fn shaders() -> String {
    let names = Workload::shipped().map(|(name, _)| name);
    let stays = |name: &&str| Workload::named(name).ok().flatten().is_some_and(|one| one.stays());
    names.filter(stays).collect::<Vec<_>>().join(" ")
}

impl Own {
    /// The options for shaders, and whether they are given.
    fn of_shaders(&self) -> [(&'static str, bool); 4] {
        [
            ("--bind", !self.bind.is_empty()),
            ("--grid", self.grid.is_some()),
            ("--invocations", self.invocations.is_some()),
            ("--entry", self.entry.is_some()),
        ]
    }

    /// The same options for another process.
    pub(super) fn args(&self) -> Vec<OsString> {
        let of = |option: &'static str| move |value: &OsString| [OsString::from(option), value.clone()];
        let text = |option: &'static str, text: &Option<String>| {
            text.iter().flat_map(|text| [option.into(), text.into()]).collect::<Vec<OsString>>()
        };
        let mut args: Vec<OsString> = self.inputs.iter().flat_map(of("--in")).collect();
        args.extend(self.bind.iter().flat_map(of("--bind")));
        args.extend(text("--grid", &self.grid));
        args.extend(text("--invocations", &self.invocations));
        args.extend(text("--entry", &self.entry));
        args
    }

    /// What they mean for a size, as `forall run` takes it.
    fn at(&self, n: usize) -> Result<Launch, Failure> {
        let bind = self.bind.iter().map(|option| {
            let (name, value) = value::split(option)
                .and_then(|(name, value)| Some((name, value.to_str()?)))
                .ok_or_else(|| Failure::Usage(format!("--bind {}: expected NAME=VALUE", option.display())))?;
            Ok(OsString::from(format!("{name}={}", sized(value, n))))
        });
        let extent = |option: &str, text: &Option<String>| {
            let extent = text.as_ref().map(|text| run::extent(&sized(text, n))).transpose();
            extent.map_err(|message| Failure::Usage(format!("{option}: {message}")))
        };
        Ok(Launch {
            bind: bind.collect::<Result<_, Failure>>()?,
            grid: extent("--grid", &self.grid)?,
            invocations: extent("--invocations", &self.invocations)?,
            entry: self.entry.clone(),
            constants: Vec::new(),
        })
    }
}

/// The text with a size for N, N/4 and N*4 where they stand between other words.
fn sized(text: &str, n: usize) -> String {
    let size = |word: &str| {
        let rest = word.strip_prefix('N')?;
        let number = |digits: &str| digits.parse::<usize>().ok().filter(|number| *number > 0);
        match (rest.strip_prefix('/'), rest.strip_prefix('*')) {
            (Some(by), _) => number(by).map(|by| n.div_ceil(by)),
            (_, Some(by)) => number(by).and_then(|by| n.checked_mul(by)),
            _ => rest.is_empty().then_some(n),
        }
    };
    let words = text.split_inclusive([':', ',']).map(|word| {
        let (word, end) = word.split_at(word.trim_end_matches([':', ',']).len());
        size(word).map_or_else(|| word.to_owned(), |n| n.to_string()) + end
    });
    words.collect()
}

/// A shader of a user's own.
fn shader(body: &Body, what: String, own: &Own, trust: Trust) -> Result<Workload, Failure> {
    let kernel = body.shader(&own.at(1)?)?;
    let own = own.clone();
    let name = kernel.name().to_owned();
    let of = kernel.clone();
    let data = move |n: usize| -> Result<Data, Failure> {
        let options = own.at(n)?;
        let grid = run::grid(&of, &options)?;
        let given = bind::parse(&options.bind)?;
        let (data, others) = bind::resolve(&of, &given, false)?;
        let data = bind::complete(&of, data, &others)?;
        if let Some(texture) = of.bindings().iter().find(|binding| binding.layout().is_none()) {
            return Err(Failure::Usage(format!(
                "`{}` is a texture, which bench does not measure",
                texture.name
            )));
        }
        Ok(Data { grid, data: data.iter().map(|data| data.bytes().to_vec()).collect() })
    };
    if trust == Trust::Nothing {
        // What makes no sense at one size makes none at any; it is found here, and told as bad usage.
        data(64)?;
    }
    let at = move |n| {
        data(n)
            .map_err(|failure| forall::Error::Internal { kernel: name.clone(), message: failure.to_string() })
    };
    Ok(Workload::shader(what, kernel, at))
}

/// A file of a user's own.
fn file(name: &OsStr, own: &Own, trust: Trust) -> Result<Workload, Failure> {
    let body = Body::open(name)?;
    if body.is_expression() && !body.text.contains(['(', '*', '+', ' ']) {
        let meant = Workload::closest(&body.text).map(|name| format!("; did you mean {name}?"));
        return Err(Failure::Usage(format!(
            "`{}` is neither a shipped loop nor a .wgsl file{} The loops are {}",
            body.text,
            meant.as_deref().unwrap_or("."),
            Workload::shipped().map(|(name, _)| name).collect::<Vec<_>>().join(" ")
        )));
    }
    let what = match &body.path {
        Some(path) => path.display().to_string(),
        None if body.is_expression() => format!("of f32: {}", body.names().join(", ")),
        None => "of the command line".to_owned(),
    };
    if body.is_shader() {
        if !own.inputs.is_empty() {
            return Err(Failure::Usage("--in is for functions; a compute shader takes --bind".into()));
        }
        return shader(&body, what, own, trust);
    }
    if let Some((option, _)) = own.of_shaders().into_iter().find(|(_, given)| *given) {
        return Err(Failure::Usage(format!(
            "{option} is for compute shaders; {} has no @compute entry point, and takes --in",
            name.to_string_lossy()
        )));
    }
    let kernel = body.function(None)?;
    let mut given = Vec::new();
    for input in &own.inputs {
        let usage = |message: String| Failure::Usage(format!("--in {}: {message}", input.to_string_lossy()));
        let (name, value) = value::split(input).ok_or_else(|| usage("expected NAME=VALUE".into()))?;
        let param = kernel.signature().params.iter().find(|param| param.field.name == name);
        let param = param.ok_or_else(|| usage(format!("{} has no such parameter", kernel.name())))?;
        let value = match Value::parse(value, 0).map_err(usage)? {
            Value::Index => Given::Index,
            Value::Number(literals) if literals.len() == usize::from(param.field.ty.width) => {
                let words = literals.iter().map(|literal| {
                    literal.bytes(param.field.ty.scalar).map(u32::from_ne_bytes).map_err(usage)
                });
                Given::Value(words.collect::<Result<_, _>>()?)
            }
            Value::Number(_) => return Err(usage(format!("the parameter is a {}", param.field.ty))),
            _ => return Err(usage("expected a number or index: an array has to have every size".into())),
        };
        given.push((name.to_owned(), value));
    }
    Ok(Workload::function(what, kernel, given)?)
}

/// `--list`.
pub(super) fn list() -> String {
    let mut text = String::new();
    for (name, what) in Workload::shipped() {
        let _ = writeln!(text, "{name:<14} {what}");
    }
    text
}

/// The shipped loops that were not measured.
pub(super) fn others(results: &Results) -> String {
    let measured = |name: &str| results.loops.iter().any(|one| one.name == name);
    let others: Vec<&str> =
        Workload::shipped().map(|(name, _)| name).filter(|name| !measured(name)).collect();
    format!("other loops: {}; or `all`, a FILE.wgsl of your own, or an expression", others.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_stand_for_n_between_words() {
        for (text, at) in [
            ("N", "1000"),
            ("zeros:f32:N", "zeros:f32:1000"),
            ("uniform:N:7", "uniform:1000:7"),
            ("N/256,1", "4,1"),
            ("N,N*2", "1000,2000"),
            ("N.npy", "N.npy"),
            ("aN:N/0:N/x:NN", "aN:N/0:N/x:NN"),
            ("", ""),
        ] {
            assert_eq!(sized(text, 1000), at);
        }
    }
}
