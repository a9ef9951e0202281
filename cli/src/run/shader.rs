//! `forall run` of a compute shader: one launch over real buffers.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use forall::{Binding, BindingKind, Grid, Kernel, Progress};
use serde_json::{Value, json};

use super::{Launch, Options, report_json};
use crate::bind::{self, Data};
use crate::body::Body;
use crate::npy::{Dtype, Number, Shape, Target};
use crate::summary::Summary;
use crate::{Failure, interrupt, layout, progress, value};

/// Does it all; gives the text for stdout.
pub(super) fn run(options: &Options, body: &Body) -> Result<String, Failure> {
    let started = Instant::now();
    let given = bind::parse(&options.launch.bind)?;
    let kernel = body.shader(&options.launch)?;
    let grid = grid(&kernel, &options.launch)?;
    let targets = targets(&kernel, &options.save, body.path.as_deref())?;
    let (data, others) = bind::resolve(&kernel, &given, options.cast)?;
    let mut data = bind::complete(&kernel, data, &others)?;
    let opened = Instant::now();

    let done = Progress::new();
    let dispatcher = options.dispatcher(&done).with_cancel(&interrupt::cancel()?);
    let report = progress::watch(kernel.name(), || {
        dispatcher.launch(&kernel, grid, bind::bindings(&kernel, &mut data, &others))
    })?;
    let ran = Instant::now();

    let written = || kernel.bindings().iter().zip(&data).zip(&targets).filter(|((b, _), _)| b.is_writable());
    progress::watch("writing", || {
        for ((binding, data), target) in written() {
            if let Some(target) = target {
                let (dtype, shape, bytes) = to_file(binding, data);
                target.write(&dtype, &shape, &bytes)?;
            }
        }
        Ok::<(), Failure>(())
    })?;
    let saved = Instant::now();

    if options.json {
        let outputs: Vec<Value> = written()
            .flat_map(|((binding, data), target)| {
                let file = target.as_ref().map(|target| target.shown.to_string_lossy().into_owned());
                shown(binding, data).into_iter().map(move |shown| {
                    let mut out = shown.summary.json();
                    out.insert("name".into(), json!(shown.name));
                    out.insert("type".into(), json!(shown.ty));
                    out.insert("shape".into(), json!(shown.shape));
                    out.insert("file".into(), json!(file));
                    Value::Object(out)
                })
            })
            .collect();
        let seconds = json!({
            "open": (opened - started).as_secs_f64(),
            "run": (ran - opened).as_secs_f64(),
            "write": (saved - ran).as_secs_f64(),
        });
        let object = json!({
            "kernel": kernel.name(), "n": report.n(), "report": report_json(&report), "outputs": outputs,
            "seconds": seconds,
        });
        return Ok(format!("{object}\n"));
    }
    let mut text = String::new();
    let line = if options.explain { report.explain() } else { report.to_string() };
    let _ = writeln!(text, "{}", line.trim_end());
    for ((binding, data), target) in written() {
        if let Some(target) = target {
            let (dtype, shape, _) = to_file(binding, data);
            let what = match &dtype {
                Dtype::Number(number) => number.name(),
                Dtype::Record(_) => "records",
            };
            let _ =
                writeln!(text, "{}: {what} {} in {}", binding.name, Shape(&shape), target.shown.display());
        } else {
            for shown in shown(binding, data) {
                let _ =
                    write!(text, "{}: {} {}\n{}", shown.name, shown.ty, Shape(&shown.shape), shown.summary);
            }
        }
    }
    Ok(text)
}

/// The grid that the options ask for.
pub(crate) fn grid(kernel: &Kernel, launch: &Launch) -> Result<Grid, Failure> {
    match (launch.grid, launch.invocations) {
        (Some(size), _) => Ok(Grid::workgroups(size.0)),
        (None, Some(size)) => Ok(Grid::threads(size.0)),
        (None, None) => {
            let [x, y, z] = kernel.workgroup_size().unwrap_or([1; 3]);
            Err(Failure::Usage(format!(
                "{}: how much to run? Add --grid X[,Y[,Z]], in workgroups, which are {x} × {y} × {z} here, or --invocations \
                 X[,Y[,Z]]",
                kernel.name()
            )))
        }
    }
}

/// Where each variable of the shader is saved.
fn targets(kernel: &Kernel, saves: &[OsString], body: Option<&Path>) -> Result<Vec<Option<Target>>, Failure> {
    let bindings = kernel.bindings();
    let mut files: Vec<Option<&Path>> = vec![None; bindings.len()];
    for save in saves {
        let usage = |message: String| Failure::Usage(format!("--save {}: {message}", save.to_string_lossy()));
        let (name, file) = value::split(save).ok_or_else(|| usage("expected NAME=FILE.npy".into()))?;
        let written = || {
            let names = bindings.iter().filter(|b| b.is_writable()).map(|b| &*b.name).collect::<Vec<_>>();
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
        };
        let at = bind::position(bindings, name).ok_or_else(|| {
            usage(format!("{} has no variable `{name}`; it writes {}", kernel.name(), written()))
        })?;
        if !bindings[at].is_writable() {
            return Err(usage(format!("the shader only reads `{name}`; it writes {}", written())));
        }
        if file.is_empty() {
            return Err(usage("expected NAME=FILE.npy".into()));
        }
        let file = Path::new(file);
        if files[at].replace(file).is_some() {
            return Err(usage(format!("`{name}` already has a file")));
        }
    }
    Target::all("--save", &files, body)
}

/// What a variable's file holds.
fn to_file<'a>(binding: &Binding, data: &'a Data) -> (Dtype, Vec<usize>, std::borrow::Cow<'a, [u8]>) {
    match (&binding.kind, binding.layout(), data.extent) {
        (BindingKind::Texture(texture), _, Some(extent)) => {
            let number = Number::named(texture.number).unwrap_or(Number::U8);
            (Dtype::Number(number), layout::texture_shape(texture, extent), data.bytes().into())
        }
        (_, Some(layout), _) => layout::to_file(layout, data.bytes(), data.shape.as_deref()),
        _ => (Dtype::Number(Number::U8), vec![data.bytes().len()], data.bytes().into()),
    }
}

/// A variable, or a member of one, on the terminal.
struct Shown {
    name: String,
    ty: &'static str,
    shape: Vec<usize>,
    summary: Summary,
}

fn shown(binding: &Binding, data: &Data) -> Vec<Shown> {
    let one = |name: &str, number: Number, shape: Vec<usize>, width: usize, bytes: &[u8]| Shown {
        name: name.to_owned(),
        ty: number.name(),
        shape,
        summary: Summary::of_file(bytes, number, width),
    };
    match (to_file(binding, data), binding.layout()) {
        ((Dtype::Number(number), shape, bytes), layout) => {
            let width = match (&binding.kind, layout) {
                (BindingKind::Texture(texture), _) => texture.channels.into(),
                (_, Some(layout)) => layout::width(layout),
                _ => 1,
            };
            vec![one(&binding.name, number, shape, width, &bytes)]
        }
        (_, Some(layout)) => layout::fields(layout, &binding.name, data.bytes())
            .into_iter()
            .map(|field| {
                let n = field.bytes.len() / field.number.size() / field.width;
                let shape = if field.width > 1 { vec![n, field.width] } else { vec![n] };
                one(&field.name, field.number, shape, field.width, &field.bytes)
            })
            .collect(),
        _ => Vec::new(),
    }
}
