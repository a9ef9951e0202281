//! `forall run`: one loop over real arrays, or one compute shader over real buffers.

mod function;
mod shader;

use std::ffi::OsString;
use std::time::Duration;

use clap::Args as ClapArgs;
use forall::{Backend, Dispatcher, Policy, Progress, Report, Verdict};
use serde_json::json;

use crate::body::Body;
use crate::{Failure, value};

pub(crate) use shader::grid;

/// Run a loop body, or a whole compute shader, over arrays and numbers.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = HELP)]
pub(crate) struct Options {
    /// A .wgsl file, inline WGSL, or an expression such as 'a*x + y'
    ///
    /// A text with a @compute entry point is a shader: it runs over a grid, with data for its variables. Of any other WGSL a
    /// function is called once per element. Names of an expression become its inputs. Write -- before an expression that begins
    /// with a minus sign.
    body: OsString,

    /// What runs it; auto predicts the fastest. A backend that cannot is an error, never replaced
    ///
    /// Where it is not given the variable FORALL_BACKEND counts, and where that is not set, auto.
    #[arg(long, value_name = "auto|gpu|simd|threads", value_parser = policy)]
    backend: Option<Policy>,

    /// Convert .npy files to the 32-bit type they are bound to: floats round to nearest, whole numbers must fit
    #[arg(long)]
    cast: bool,

    /// Show what was predicted for every backend, and why each one was not chosen
    #[arg(long)]
    explain: bool,

    /// Print one JSON object, on stdout, an error too: {"error": {"exit": 2, "message": "…"}}
    #[arg(long)]
    json: bool,

    /// Stop after so long, and leave every file as it was
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    time_limit: Option<Duration>,

    /// Which function to run; without it the last one that no other function calls
    #[arg(long, value_name = "NAME", help_heading = "A function or expression")]
    function: Option<String>,

    /// The value of an input: a number, FILE.npy, index, uniform:N[:SEED], linspace:LO:HI:N
    #[arg(long = "in", value_name = "NAME=VALUE", help_heading = "A function or expression")]
    inputs: Vec<OsString>,

    /// The number of elements, where no input array tells; N,M for an output of two axes, and so on
    #[arg(long, value_name = "N[,M…]", value_parser = axes, help_heading = "A function or expression")]
    n: Option<Axes>,

    /// Where to save an output; NAME=FILE.npy for a body with several. Without it the output is summarised
    ///
    /// Write a file with = in its name as ./a=b.npy.
    #[arg(long, value_name = "[NAME=]FILE.npy", help_heading = "A function or expression")]
    out: Vec<OsString>,

    #[command(flatten)]
    launch: Launch,

    /// Where to save a variable that the shader writes. Without it the variable is summarised
    #[arg(long, value_name = "NAME=FILE.npy", help_heading = "A compute shader")]
    save: Vec<OsString>,
}

impl Options {
    /// The dispatcher that they ask for.
    fn dispatcher(&self, progress: &Progress) -> Dispatcher {
        let mut dispatcher = Dispatcher::new().with_progress(progress.clone());
        if let Some(policy) = self.backend {
            dispatcher = dispatcher.with_policy(policy);
        }
        if let Some(limit) = self.time_limit {
            dispatcher = dispatcher.with_time_limit(limit);
        }
        dispatcher
    }
}

/// What a launch of a shader is made of.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "A compute shader")]
pub(crate) struct Launch {
    /// The data of a variable: FILE.npy, zeros:TYPE:N, numbers. NAME is its name, or GROUP,BINDING
    #[arg(long, value_name = "NAME=VALUE")]
    pub bind: Vec<OsString>,

    /// How many workgroups run
    #[arg(long, value_name = "X[,Y[,Z]]", value_parser = extent, conflicts_with = "invocations")]
    pub grid: Option<Extent>,

    /// How many invocations run at least: as many whole workgroups as they take
    #[arg(long, value_name = "X[,Y[,Z]]", value_parser = extent)]
    pub invocations: Option<Extent>,

    /// Which @compute entry point to run, where the text has several
    #[arg(long, value_name = "NAME")]
    pub entry: Option<String>,

    /// The value of an override constant: a number, true or false
    #[arg(long = "const", value_name = "NAME=VALUE", value_parser = constant)]
    pub constants: Vec<Constant>,
}

impl Launch {
    /// The first of its options that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let Self { bind, grid, invocations, entry, constants } = self;
        [
            ("--bind", !bind.is_empty()),
            ("--grid", grid.is_some()),
            ("--invocations", invocations.is_some()),
            ("--entry", entry.is_some()),
            ("--const", !constants.is_empty()),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }
}

const HELP: &str = "\
VALUES of --in
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

VALUES of --bind
  FILE.npy                  the elements of an array, any axes; vectors take the last axis, as (n, 3) for array<vec3<f32>>. Structs of
                            several members: a structured array with WGSL's padding, the bytes as uint8, or plain numbers, where they
                            are of one kind and without padding. Textures: (height, width, channels)
  zeros:N  zeros:f32:N      N zeros; the type is checked where it is given. zeros alone for a type of fixed size
  zeros:X,Y                 a black texture of that width and height
  3  0.5,1,2                the numbers of a uniform, struct or array, in the order they have in memory
  index:N                   0, 1, 2, …, N - 1
  uniform:N[:SEED]  linspace:LO:HI:N   as above

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
  forall run shaders/reduce_tree.wgsl --bind input=uniform:1e6 --bind sums=zeros:f32:245 --grid 245
  forall run shaders/game_of_life.wgsl --bind size=640,480 --bind old=OLD.npy --bind next=zeros:307200 \\
      --invocations 640,480 --save next=NEXT.npy

EXIT CODES
  0    done
  1    it failed: a file, lengths that differ, a backend that cannot run it, the time limit
  2    bad usage: options, values, names, a body that is no kernel
  130  Ctrl-C
  A file named by --out or --save holds the whole result or is as it was before.";

pub(crate) fn policy(text: &str) -> Result<Policy, String> {
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

/// The size of a grid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent(pub [u32; 3]);

pub(crate) fn extent(text: &str) -> Result<Extent, String> {
    let sizes = text.split(',').map(value::count).collect::<Result<Vec<_>, _>>()?;
    if sizes.len() > 3 {
        return Err(format!("{} axes, a grid has at most three", sizes.len()));
    }
    let mut extent = [1; 3];
    for (to, from) in extent.iter_mut().zip(sizes) {
        *to = u32::try_from(from).map_err(|_| format!("{from}: expected less than 2^32"))?;
    }
    Ok(Extent(extent))
}

/// The value of an override constant.
#[derive(Clone, Debug)]
pub(crate) struct Constant {
    pub name: String,
    pub value: f64,
}

fn constant(text: &str) -> Result<Constant, String> {
    let (name, number) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let literal = number.strip_suffix(['u', 'i', 'f']).filter(|_| !number.contains("inf")).unwrap_or(number);
    let value = match number {
        "true" => Some(1.0),
        "false" => Some(0.0),
        // Every whole number of WGSL is an f64.
        _ => value::integer(literal)
            .map(|whole| whole as f64)
            .or_else(|| literal.replace('_', "").parse().ok()),
    };
    let value = value.ok_or_else(|| format!("`{number}`: expected a number, true or false"))?;
    Ok(Constant { name: name.to_owned(), value })
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    seconds
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected a number of seconds above 0".into())
}

/// Does it all; gives the text for stdout.
pub(crate) fn run(options: &Options) -> Result<String, Failure> {
    let body = Body::open(&options.body)?;
    let Options { function, inputs, n, out, launch, save, .. } = options;
    if body.is_shader() {
        let others = [
            ("--function", function.is_some(), "--entry"),
            ("--in", !inputs.is_empty(), "--bind"),
            ("--n", n.is_some(), "--grid or --invocations"),
            ("--out", !out.is_empty(), "--save"),
        ];
        if let Some((name, _, instead)) = others.into_iter().find(|(_, given, _)| *given) {
            return Err(Failure::Usage(format!(
                "{name} is for functions and expressions; BODY is a compute shader, which takes {instead}"
            )));
        }
        return shader::run(options, &body);
    }
    if let Some(name) = launch.given().or((!save.is_empty()).then_some("--save")) {
        return Err(Failure::Usage(format!(
            "{name} is for compute shaders; BODY has no @compute entry point, so it takes --in, --n, --out and --function"
        )));
    }
    function::run(options, &body)
}

fn report_json(report: &Report) -> serde_json::Value {
    let backends: Vec<_> = (report.plan().entries.iter())
        .map(|entry| {
            let (verdict, reason) = match entry.verdict {
                Verdict::Chosen | Verdict::ChosenUnknown | Verdict::Explored => ("chosen", None),
                Verdict::WithinMargin | Verdict::PassedOver => ("passed over", None),
                Verdict::Unknown => ("unknown", None),
                Verdict::Slower => ("slower", None),
                Verdict::Unshared => ("unshared", None),
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
