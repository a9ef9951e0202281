//! `forall run`: one loop over real arrays.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Instant;

use clap::Args as ClapArgs;
use forall::{
    Args, Backend, Dispatcher, ElementType, Kernel, OutputArg, OutputArgs, Policy, Progress, Report, Scalar,
    Signature, Takes, Verdict,
};
use serde_json::json;

use crate::npy::{Buffer, Shape, Target};
use crate::summary::Summary;
use crate::value::{self, Bound, Input, Value};
use crate::{Failure, progress};

/// Run a loop body over arrays and numbers.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = HELP)]
pub(crate) struct Options {
    /// A .wgsl file holding a function, an inline WGSL function, or an expression such as 'a*x + y'
    ///
    /// The function is called once per element. Names of an expression become its inputs. Write -- before an expression that
    /// begins with a minus sign.
    body: OsString,

    /// Which function of BODY to run; without it the last one that no other function calls
    #[arg(long, value_name = "NAME")]
    function: Option<String>,

    /// The value of an input: a number, FILE.npy, index, uniform:N[:SEED], linspace:LO:HI:N
    #[arg(long = "in", value_name = "NAME=VALUE")]
    inputs: Vec<OsString>,

    /// The number of elements, where no input array tells; N,M for an output of two axes, and so on
    #[arg(long, value_name = "N[,M…]", value_parser = axes)]
    n: Option<Axes>,

    /// Where to save an output; NAME=FILE.npy for a body with several. Without it the output is summarised
    ///
    /// Write a file with = in its name as ./a=b.npy.
    #[arg(long, value_name = "[NAME=]FILE.npy")]
    out: Vec<OsString>,

    /// What runs the loop; auto predicts the fastest. A backend that cannot run it is an error, never replaced
    ///
    /// Where it is not given the variable FORALL_BACKEND counts, and where that is not set, auto.
    #[arg(long, value_name = "auto|gpu|simd|threads", value_parser = policy)]
    backend: Option<Policy>,

    /// Convert .npy files to the 32-bit type of their parameter: floats round to nearest, whole numbers must fit
    #[arg(long)]
    cast: bool,

    /// Show what was predicted for every backend, and why each one was not chosen
    #[arg(long)]
    explain: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
VALUES
  2  0.5  1e-3  inf  0x1f   a number, the same for every element, of the parameter's type
  -2,-1.25,0.5,1.25         two to four numbers: a vector
  FILE.npy                  one element each; float32, int32, uint32 in C order and native byte order. Any number of axes: the
                            output has the same. A vector parameter takes the last axis. Mapped, not read: leave the
                            file alone meanwhile. Other types: --cast. An array of no axes is a number
  index                     0, 1, 2, …, a u32; --n tells how many
  uniform:N[:SEED]          N random f32 in [0, 1), multiples of 2^-24, by SplitMix64; the seed of the k-th --in is k, from 0
  linspace:LO:HI:N          N f32 from LO to HI, both included

  In an expression a file has its own type, index is u32, uniform and linspace are f32; a number is f32 if it has a point or an
  exponent, otherwise it takes the one type of the other inputs, or f32 if they have none or several. 2f, 2i, 2u name a type.

DIFFERS FROM NUMPY
  1/2*x                     divides whole numbers first and is 0: write 0.5*x, x/2 or 1.0/2.0*x
  index, i32, u32           do not become floats: f32(i)*0.5. i/2 drops the rest; index is u32, 0u - 1u is 4294967295
  x % y                     has the sign of x, as numpy.fmod
  x*x, pow(x, y)            for x**2, x**y;  && || !  for  and or not;  select(b, a, c)  for  where(c, a, b)
  max, min, sign            of NaN: max and min may give the other side, sign may give 0

EXAMPLES
  forall run 'sqrt(x*x + y*y)' --in x=X.npy --in y=Y.npy --out Z.npy
  forall run 'a*x + y' --in a=2 --in x=uniform:1e7 --in y=uniform:1e7 --explain
  forall run 'fn cube(x: f32) -> f32 { return x*x*x; }' --in x=linspace:-1:1:9
  forall run shaders/collatz.wgsl --in start=index --n 1e6
  forall run shaders/black_scholes.wgsl --in spot=S.npy --in strike=K.npy --in years=T.npy \\
      --in rate=0.02 --in volatility=0.3 --out call=CALL.npy --out put=PUT.npy

EXIT CODES
  0  done
  1  the loop failed: a file, lengths that differ, a backend that cannot run it
  2  bad usage: options, values, names, a body that is no kernel
  A file named by --out holds the whole result or is as it was before.";

fn policy(text: &str) -> Result<Policy, String> {
    if text == "auto" {
        return Ok(Policy::Auto);
    }
    text.parse::<Backend>().map(Policy::Only).map_err(|_| "expected auto, gpu, simd or threads".into())
}

/// The axes of `--n`: their product is a `usize`.
#[derive(Clone, Debug)]
struct Axes(Vec<usize>);

fn axes(text: &str) -> Result<Axes, String> {
    let shape = text.split(',').map(value::count).collect::<Result<Vec<_>, _>>()?;
    let fits = shape.iter().try_fold(1_usize, |n, &axis| n.checked_mul(axis)).is_some();
    fits.then_some(Axes(shape)).ok_or_else(|| "more elements than memory has addresses".into())
}

/// Does it all; gives the text for stdout.
pub(crate) fn run(options: &Options) -> Result<String, Failure> {
    let started = Instant::now();
    let inputs = open(&options.inputs)?;
    let kernel = kernel(options, &inputs)?;
    let signature = kernel.signature();
    let bound = bind(signature, &inputs, options.cast)?;
    let shape = output_shape(signature, &bound, options.n.as_ref().map(|axes| &*axes.0))?;
    let n: usize = shape.iter().product();
    let targets = targets(signature, &options.out)?;

    let mut buffers = Vec::new();
    for field in &signature.outputs {
        let len = n.checked_mul(field.ty.size());
        buffers.push(Buffer::new(
            len.ok_or_else(|| Failure::Run(format!("{n} elements do not fit in memory")))?,
        )?);
    }
    let opened = Instant::now();

    let done = Progress::new();
    let report = progress::count(&signature.name, n, &done, || {
        dispatch(&kernel, &bound, &mut buffers, options.backend, done.clone())
    })?;
    let ran = Instant::now();

    let save = || -> Result<(), Failure> {
        for ((target, field), buffer) in targets.iter().zip(&signature.outputs).zip(&buffers) {
            if let Some(target) = target {
                target.write(field.ty, &shape, buffer.bytes())?;
            }
        }
        Ok(())
    };
    progress::watch("writing", save)?;
    let written = Instant::now();

    let outputs = || signature.outputs.iter().zip(&targets).zip(&buffers);
    let shown = |ty: ElementType| -> Vec<usize> {
        shape.iter().copied().chain((ty.width > 1).then_some(ty.width.into())).collect()
    };
    if options.json {
        let outputs: Vec<_> = outputs()
            .map(|((field, target), buffer)| {
                let mut out = Summary::of(buffer.bytes(), field.ty).json();
                out.insert("name".into(), json!(field.name));
                out.insert("type".into(), json!(field.ty.to_string()));
                out.insert("shape".into(), json!(shown(field.ty)));
                out.insert("file".into(), json!(target.as_ref().map(|t| t.shown.to_string_lossy())));
                out
            })
            .collect();
        let seconds = json!({
            "open": (opened - started).as_secs_f64(),
            "run": (ran - opened).as_secs_f64(),
            "write": (written - ran).as_secs_f64(),
        });
        let object = json!({
            "kernel": signature.name, "n": n, "report": report_json(&report), "outputs": outputs, "seconds": seconds,
        });
        return Ok(format!("{object}\n"));
    }
    let mut text = String::new();
    let line = if options.explain { report.explain() } else { report.to_string() };
    let _ = writeln!(text, "{}", line.trim_end());
    for ((field, target), buffer) in outputs() {
        let _ = write!(text, "{}: {} {}", field.name, field.ty.scalar.name(), Shape(&shown(field.ty)));
        match target {
            Some(target) => {
                let _ = writeln!(text, " in {}", target.shown.display());
            }
            None => {
                let _ = write!(text, "\n{}", Summary::of(buffer.bytes(), field.ty));
            }
        }
    }
    Ok(text)
}

/// Splits `NAME=REST` at the first `=`. Values may be paths that are not UTF-8; names are.
fn split(text: &OsStr) -> Option<(&str, &OsStr)> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let bytes = text.as_bytes();
        let at = bytes.iter().position(|&byte| byte == b'=')?;
        Some((std::str::from_utf8(&bytes[..at]).ok()?, OsStr::from_bytes(&bytes[at + 1..])))
    }
    #[cfg(not(unix))]
    {
        let (name, rest) = text.to_str()?.split_once('=')?;
        Some((name, rest.as_ref()))
    }
}

fn open(inputs: &[OsString]) -> Result<Vec<Input>, Failure> {
    let mut names = HashSet::new();
    let mut parsed = Vec::new();
    // First what is wrong with the command, then what is wrong with the files.
    for (seed, input) in inputs.iter().enumerate() {
        let usage = |message: String| Failure::Usage(format!("--in {}: {message}", input.to_string_lossy()));
        let (name, value) = split(input).ok_or_else(|| usage("expected NAME=VALUE".into()))?;
        if !names.insert(name) {
            return Err(usage(format!("`{name}` already has a value")));
        }
        parsed.push((name, Value::parse(value, seed as u64).map_err(usage)?));
    }
    parsed.into_iter().map(|(name, value)| Input::open(name.to_owned(), value)).collect()
}

/// BODY as a kernel.
fn kernel(options: &Options, inputs: &[Input]) -> Result<Kernel, Failure> {
    let read = |source: &str| match &options.function {
        Some(function) => Kernel::map_named(source, function),
        None => Kernel::map(source),
    };
    let path = Path::new(&options.body);
    if path.extension().is_some_and(|extension| extension == "wgsl") {
        let source =
            fs::read_to_string(path).map_err(|e| Failure::Run(format!("{}: {e}", path.display())))?;
        return read(&source).map_err(|error| match error.into() {
            Failure::Usage(message) => Failure::Usage(format!("{}: {message}", path.display())),
            Failure::Run(message) => Failure::Run(format!("{}: {message}", path.display())),
        });
    }
    let text = options.body.to_str().ok_or_else(|| Failure::Usage("BODY is not UTF-8".into()))?;
    let words = || text.split(|c: char| !c.is_alphanumeric() && c != '_');
    if options.function.is_some() || words().any(|word| word == "fn") {
        return Ok(read(text)?);
    }
    // Whole numbers without a type take the one that all typed inputs share.
    let own = inputs.iter().map(|input| input.own_type(options.cast)).collect::<Result<Vec<_>, _>>()?;
    let mut scalars = own.iter().flatten().map(|ty| ty.scalar);
    let shared = scalars.next().filter(|first| scalars.all(|scalar| scalar == *first)).unwrap_or(Scalar::F32);
    let types: Vec<(&str, ElementType)> = (inputs.iter().zip(own))
        .map(|(input, ty)| (&*input.name, ty.unwrap_or(ElementType { scalar: shared, width: input.width() })))
        .collect();
    let kernel = Kernel::expression(text, &types).map_err(|error| match error.into() {
        Failure::Usage(message) if message.contains("no definition in scope") => {
            Failure::Usage(format!("{message}\nevery name of an expression needs a value: --in NAME=VALUE"))
        }
        other => other,
    })?;
    for input in inputs {
        if !words().any(|word| word == input.name) {
            return Err(Failure::Usage(format!(
                "--in {}: the expression `{text}` does not use it",
                input.name
            )));
        }
    }
    Ok(kernel)
}

/// The inputs in the order of the kernel's parameters.
fn bind<'a>(signature: &Signature, inputs: &'a [Input], cast: bool) -> Result<Vec<Bound<'a>>, Failure> {
    let names = || {
        signature
            .params
            .iter()
            .map(|p| format!("{} ({})", p.field.name, p.field.ty))
            .collect::<Vec<_>>()
            .join(", ")
    };
    for input in inputs {
        if !signature.params.iter().any(|param| param.field.name == input.name) {
            let known = if signature.params.is_empty() { "none".into() } else { names() };
            return Err(Failure::Usage(format!(
                "--in {}: {} has no such parameter; it has {known}",
                input.name, signature.name
            )));
        }
    }
    let bind = |param: &forall::Param| {
        let name = &param.field.name;
        let input = inputs.iter().find(|input| input.name == *name).ok_or_else(|| {
            Failure::Usage(format!(
                "parameter `{name}` ({}) of {} has no value; add --in {name}=VALUE",
                param.field.ty, signature.name
            ))
        })?;
        input.bind(param.field.ty, cast)
    };
    signature.params.iter().map(bind).collect()
}

/// The shape of every output, without the components of vectors: that of the inputs, or --n.
fn output_shape(
    signature: &Signature,
    bound: &[Bound<'_>],
    n: Option<&[usize]>,
) -> Result<Vec<usize>, Failure> {
    let params = || signature.params.iter().zip(bound).filter(|(param, _)| param.takes != Takes::Whole);
    let arrays = || params().filter_map(|(param, bound)| Some((&param.field.name, bound.elements.as_ref()?)));
    let asked = n.map(|n| n.iter().product::<usize>());
    let Some((first_name, first)) = arrays().next() else {
        let index = params().find(|(_, bound)| bound.is_index()).map(|(param, _)| &param.field.name);
        return match (n, index) {
            (Some(shape), _) => Ok(shape.to_vec()),
            (None, Some(name)) => Err(Failure::Usage(format!(
                "`{name}` is index, and no array tells how many elements; add --n N"
            ))),
            // Only numbers: one result.
            (None, None) => Ok(vec![1]),
        };
    };
    if let Some((name, other)) = arrays().find(|(_, other)| other.n != first.n) {
        return Err(Failure::Run(format!(
            "`{name}` has {} elements, expected {}, as `{first_name}`; every array of one loop has the same length",
            other.n, first.n
        )));
    }
    if let Some(asked) = asked.filter(|asked| *asked != first.n) {
        return Err(Failure::Usage(format!(
            "--n asks for {asked} elements, but `{first_name}` has {}; leave --n out",
            first.n
        )));
    }
    let mut shapes = arrays().filter_map(|(name, elements)| Some((name, elements.shape.as_ref()?)));
    let Some((shaped, shape)) = shapes.next() else {
        return Ok(n.map_or_else(|| vec![first.n], <[usize]>::to_vec));
    };
    if let Some(asked) = n.filter(|asked| asked.len() > 1 && asked != shape) {
        return Err(Failure::Usage(format!(
            "--n asks for the shape {}, but `{shaped}` has {}; leave --n out",
            Shape(asked),
            Shape(shape)
        )));
    }
    if let Some((name, other)) = shapes.find(|(_, other)| *other != shape) {
        return Err(Failure::Run(format!(
            "`{name}` has the shape {}, expected {}, as `{shaped}`; arrays are not broadcast",
            Shape(other),
            Shape(shape)
        )));
    }
    Ok(shape.clone())
}

/// Whether the text before a `=` is a name. A file is no name where it has a point or a slash: `./a=b.npy`.
fn is_name(text: &str) -> bool {
    text.chars().all(|c| c == '_' || c.is_alphanumeric()) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// Where each output of the kernel goes.
fn targets(signature: &Signature, outs: &[OsString]) -> Result<Vec<Option<Target>>, Failure> {
    let names = || signature.outputs.iter().map(|field| &*field.name).collect::<Vec<_>>().join(", ");
    let mut files: Vec<Option<&Path>> = vec![None; signature.outputs.len()];
    for out in outs {
        let (at, file) = match split(out).filter(|(name, _)| is_name(name)) {
            Some((name, file)) => {
                let at = signature.outputs.iter().position(|field| field.name == name);
                let at = at.ok_or_else(|| {
                    Failure::Usage(format!("--out {name}=…: no output `{name}`; it has {}", names()))
                })?;
                (at, Path::new(file))
            }
            None if signature.outputs.len() == 1 => (0, Path::new(out)),
            None => {
                return Err(Failure::Usage(format!(
                    "--out {}: {} has {} outputs ({}); write --out NAME=FILE.npy for each one to keep",
                    out.to_string_lossy(),
                    signature.name,
                    signature.outputs.len(),
                    names()
                )));
            }
        };
        if files[at].replace(file).is_some() {
            let name = &signature.outputs[at].name;
            return Err(Failure::Usage(format!(
                "--out {}: `{name}` already has a file",
                out.to_string_lossy()
            )));
        }
    }
    let same = |(at, file): (usize, &Option<&Path>)| file.is_some() && files[..at].contains(file);
    if files.iter().enumerate().any(same) {
        return Err(Failure::Usage("--out: two outputs have the same file".into()));
    }
    files.into_iter().map(|file| file.map(Target::new).transpose()).collect()
}

fn dispatch(
    kernel: &Kernel,
    bound: &[Bound<'_>],
    outputs: &mut [Buffer],
    policy: Option<Policy>,
    progress: Progress,
) -> Result<Report, Failure> {
    let signature = kernel.signature();
    let args = bound.iter().fold(Args::new(), |args, bound| args.push(bound.arg()));
    let outputs = (signature.outputs.iter().zip(outputs)).fold(OutputArgs::new(), |all, (field, buffer)| {
        all.push(OutputArg::array(buffer.bytes_mut(), field.ty))
    });
    let dispatcher = policy.map_or_else(Dispatcher::new, |policy| Dispatcher::new().with_policy(policy));
    Ok(dispatcher.with_progress(progress).run(kernel, args, outputs)?)
}

fn report_json(report: &Report) -> serde_json::Value {
    let backends: Vec<_> = (report.plan().entries.iter())
        .map(|entry| {
            let (verdict, reason) = match entry.verdict {
                Verdict::Chosen | Verdict::ChosenUnknown => ("chosen", None),
                Verdict::Slower => ("slower", None),
                Verdict::Unopened => ("unopened", None),
                Verdict::Excluded(why) => ("excluded", Some(why.to_string())),
                _ => ("other", None),
            };
            json!({
                "backend": entry.backend,
                "predicted": entry.predicted.map(|time| time.as_secs_f64()),
                "verdict": verdict,
                "reason": reason,
            })
        })
        .collect();
    let times = report.times();
    json!({
        "backend": report.backend(),
        "compile": times.compile.as_secs_f64(),
        "upload": times.upload.as_secs_f64(),
        "run": times.run.as_secs_f64(),
        "download": times.download.as_secs_f64(),
        "rescued": report.rescued(),
        "backends": backends,
    })
}
