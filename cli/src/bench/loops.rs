//! What `forall bench` measures: the shipped loops, and the functions of a user's files.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;

use forall::Kernel;
use forall::bench::{Given, Results, Workload};

use crate::Failure;
use crate::body::Body;
use crate::value::{self, Value};

/// What a machine is shown by: memory, arithmetic, divergence, workgroups.
const FEW: [&str; 4] = ["saxpy", "black_scholes", "mandelbrot", "matmul_tiled"];

/// The loops that the command line names.
pub(super) fn open(
    names: &[OsString],
    inputs: &[OsString],
    resident: bool,
) -> Result<Vec<Workload>, Failure> {
    let mut loops: Vec<Workload> = Vec::new();
    let mut files = 0;
    let few: Vec<OsString> = FEW.into_iter().map(OsString::from).collect();
    for name in if names.is_empty() { &few } else { names } {
        if name == "all" {
            for (name, _) in Workload::shipped() {
                loops.extend(Workload::named(name)?);
            }
        } else if let Some(shipped) = name.to_str().map(Workload::named).transpose()?.flatten() {
            loops.push(shipped);
        } else {
            loops.push(file(name, inputs)?);
            files += 1;
        }
    }
    if files == 0 && !inputs.is_empty() {
        return Err(Failure::Usage(
            "--in is for a FILE.wgsl; the shipped loops have inputs of their own".into(),
        ));
    }
    for (at, one) in loops.iter().enumerate() {
        if loops[..at].iter().any(|other| other.name() == one.name()) {
            return Err(Failure::Usage(format!("`{}` is named twice, and can be measured once", one.name())));
        }
    }
    if resident && let Some(function) = loops.iter().find(|one| !one.stays()) {
        return Err(Failure::Usage(format!(
            "--resident: `{}` is a function, whose arrays are in the host's memory at every call; name shaders: {}",
            function.name(),
            shaders()
        )));
    }
    Ok(loops)
}

fn shaders() -> String {
    let names = Workload::shipped().map(|(name, _)| name);
    let stays = |name: &&str| Workload::named(name).ok().flatten().is_some_and(|one| one.stays());
    names.filter(stays).collect::<Vec<_>>().join(" ")
}

/// A function of a user's own.
fn file(name: &OsStr, inputs: &[OsString]) -> Result<Workload, Failure> {
    let body = Body::open(name)?;
    if body.path.is_none() && !body.text.contains("fn ") {
        return Err(Failure::Usage(format!(
            "`{}` is neither a shipped loop nor a .wgsl file; the loops are {}",
            body.text,
            Workload::shipped().map(|(name, _)| name).collect::<Vec<_>>().join(" ")
        )));
    }
    if body.is_shader() {
        return Err(Failure::Usage(format!(
            "{}: a compute shader, of which nobody knows what a size is; bench takes functions of one element. `forall run` \
             times one launch, and a program can measure it by `forall::bench::Workload::new`",
            name.to_string_lossy()
        )));
    }
    let kernel = body.function(None)?;
    let mut given = Vec::new();
    for input in inputs {
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
    let what = body.path.as_ref().map_or_else(String::new, |path| path.display().to_string());
    Ok(Workload::function(what, || Kernel::map(&body.text), given)?)
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
    format!("other loops: {}; or `all`, or a FILE.wgsl of your own", others.join(" "))
}
