//! `forall run` of a function or an expression: one loop over real arrays.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use forall::{
    Args, Dispatcher, ElementType, Kernel, OutputArg, OutputArgs, Progress, Report, Scalar, Signature, Takes,
};
use serde_json::json;

use super::{Options, report_json};
use crate::body::Body;
use crate::npy::{Buffer, Dtype, Shape, Target};
use crate::summary::Summary;
use crate::value::{self, Bound, Input, Value};
use crate::{Failure, interrupt, progress};

/// Does it all; gives the text for stdout.
pub(super) fn run(options: &Options, body: &Body) -> Result<String, Failure> {
    let started = Instant::now();
    let inputs = open(&options.inputs)?;
    let kernel = kernel(options, body, &inputs)?;
    let signature = kernel.signature();
    let bound = bind(signature, &inputs, options.cast)?;
    let shape = output_shape(signature, &bound, options.n.as_ref().map(|axes| &*axes.0))?;
    let n: usize = shape.iter().product();
    let targets = targets(signature, &options.out, body.path.as_deref())?;

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
        dispatch(&kernel, &bound, &mut buffers, &options.dispatcher(&done))
    })?;
    let ran = Instant::now();

    let shown = |ty: ElementType| -> Vec<usize> {
        shape.iter().copied().chain((ty.width > 1).then_some(ty.width.into())).collect()
    };
    // A loop over elements ends soon after it is killed; a file must not be left half written.
    interrupt::cancel()?;
    let save = || -> Result<(), Failure> {
        for ((target, field), buffer) in targets.iter().zip(&signature.outputs).zip(&buffers) {
            if let Some(target) = target {
                let dtype = Dtype::Number(field.ty.scalar.into());
                target.write(&dtype, &shown(field.ty), buffer.bytes())?;
            }
        }
        Ok(())
    };
    progress::watch("writing", save)?;
    let written = Instant::now();

    let outputs = || signature.outputs.iter().zip(&targets).zip(&buffers);
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

fn open(inputs: &[OsString]) -> Result<Vec<Input>, Failure> {
    let mut names = HashSet::new();
    let mut parsed = Vec::new();
    // First what is wrong with the command, then what is wrong with the files.
    for (seed, input) in inputs.iter().enumerate() {
        let usage = |message: String| Failure::Usage(format!("--in {}: {message}", input.to_string_lossy()));
        let (name, value) = value::split(input).ok_or_else(|| usage("expected NAME=VALUE".into()))?;
        if !names.insert(name) {
            return Err(usage(format!("`{name}` already has a value")));
        }
        parsed.push((name, Value::parse(value, seed as u64).map_err(usage)?));
    }
    parsed.into_iter().map(|(name, value)| Input::open(name.to_owned(), value)).collect()
}

/// BODY as a kernel.
fn kernel(options: &Options, body: &Body, inputs: &[Input]) -> Result<Kernel, Failure> {
    let text = &*body.text;
    let words = || text.split(|c: char| !c.is_alphanumeric() && c != '_');
    if !body.is_expression() || options.function.is_some() {
        return body.function(options.function.as_deref());
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
fn targets(
    signature: &Signature,
    outs: &[OsString],
    body: Option<&Path>,
) -> Result<Vec<Option<Target>>, Failure> {
    let names = || signature.outputs.iter().map(|field| &*field.name).collect::<Vec<_>>().join(", ");
    let mut files: Vec<Option<&Path>> = vec![None; signature.outputs.len()];
    for out in outs {
        let (at, file) = match value::split(out).filter(|(name, _)| is_name(name)) {
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
    Target::all("--out", &files, body)
}

fn dispatch(
    kernel: &Kernel,
    bound: &[Bound<'_>],
    outputs: &mut [Buffer],
    dispatcher: &Dispatcher,
) -> Result<Report, Failure> {
    let signature = kernel.signature();
    let args = bound.iter().fold(Args::new(), |args, bound| args.push(bound.arg()));
    let outputs = (signature.outputs.iter().zip(outputs)).fold(OutputArgs::new(), |all, (field, buffer)| {
        all.push(OutputArg::array(buffer.bytes_mut(), field.ty))
    });
    Ok(dispatcher.run(kernel, args, outputs)?)
}
