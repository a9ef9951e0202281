//! `forall check`: one function or shader on every backend and the reference interpreter, over made data.

use std::ffi::OsString;
use std::fmt::Write;
use std::time::Duration;

use clap::Args as ClapArgs;
use forall::{
    Arg, Args, Binding, BindingKind, Dispatcher, Grid, Layout, Outcome, OutputArg, OutputArgs, Policy,
    Scalar, Takes, Verification,
};
use serde_json::{Value as Json, json};

use crate::bind::{self, Data};
use crate::body::Body;
use crate::npy::{Buffer, Number};
use crate::run::{Launch, grid};
use crate::value::{self, Bound, Input, Value};
use crate::{Failure, interrupt, layout, progress};

/// Compare every backend and every CPU level with the reference interpreter, on random and edge values.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = HELP)]
pub(crate) struct Options {
    /// A .wgsl file or inline WGSL: a function of one element, or a compute shader; or an expression of f32, such as 'a*x + y'
    body: OsString,

    /// Elements of the arrays that no option gives [default: 4096, or as many as the grid has invocations]
    #[arg(long, value_name = "N", value_parser = size)]
    size: Option<usize>,

    /// Other random values
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,

    /// Stop a backend after so long
    #[arg(long, value_name = "SECONDS", value_parser = crate::run::seconds, default_value = "10")]
    time_limit: Duration,

    /// simd and threads leave the GPU out
    #[arg(long, value_name = "auto|gpu|simd|threads", value_parser = crate::run::policy)]
    backend: Option<Policy>,

    /// Convert .npy files, as forall run does
    #[arg(long)]
    cast: bool,

    /// Print one JSON object, on stdout, an error too
    #[arg(long)]
    json: bool,

    /// Which function to check; without it the last one that no other function calls
    #[arg(long, value_name = "NAME", help_heading = "A function")]
    function: Option<String>,

    /// The value of an input, as in forall run; without it the input has made values
    #[arg(long = "in", value_name = "NAME=VALUE", help_heading = "A function")]
    inputs: Vec<OsString>,

    #[command(flatten)]
    launch: Launch,
}

const HELP: &str = "\
WHAT IS COMPARED
  The reference runs the program one invocation after the other. The CPU backends must give its bits, at every level of
  vector instructions. A GPU may differ by 4096 ULP or 2^-11 of the output's largest number (what WGSL allows sin and cos), in
  any way where one of the two is not finite, and not at all in whole numbers.

MADE VALUES
  floats                    random ones between -4 and 4, random bits, and 0, -0, infinities, NaN, subnormals, the extremes
  whole numbers             of a function: small ones and the extremes. Of a shader, where they may be indices: below --size
  atomics                   0
  whole numbers of a uniform   the square root of --size: the width of a square image
  A function runs over 1, 17, 1023 and --size elements. A shader without --grid runs over a line or a square of --size invocations.
  A shader that wants other data than this needs --bind; one whose result depends on the order of its invocations differs,
  where --grid is large enough that several threads get to run it.

EXAMPLES
  forall check 'fn cube(x: f32) -> f32 { return x*x*x; }'
  forall check shaders/black_scholes.wgsl --size 1e4 --seed 7
  forall check shaders/mandelbrot.wgsl --in max_iter=50 --in width=64 --in height=64 --in view=-2,-1,1,1
  forall check shaders/prefix_scan.wgsl --bind state=zeros:2 --grid 2

EXIT CODES
  0    all backends that are there agree
  1    one differs or fails; a file; the time limit
  2    bad usage
  130  Ctrl-C";

/// Every array is made anew for every backend and level: this many elements already take gigabytes.
const MOST: usize = 1 << 28;

fn size(text: &str) -> Result<usize, String> {
    match value::count(text)? {
        n if n > MOST => Err(format!("{n} elements, a check takes at most {MOST}")),
        n => Ok(n),
    }
}

/// Does it all; gives the text for stdout.
pub(crate) fn run(options: &Options) -> Result<String, Failure> {
    let body = Body::open(&options.body)?;
    let mut dispatcher =
        options.backend.map_or_else(Dispatcher::new, |policy| Dispatcher::new().with_policy(policy));
    dispatcher = dispatcher.with_time_limit(options.time_limit).with_cancel(&interrupt::cancel()?);
    let (verified, place, data) = if body.is_shader() {
        if options.function.is_some() || !options.inputs.is_empty() {
            return Err(Failure::Usage(
                "--function and --in are for functions; BODY is a compute shader, which takes --entry and --bind".into(),
            ));
        }
        shader(options, &body, &dispatcher)
    } else {
        if let Some(name) = options.launch.given() {
            return Err(Failure::Usage(format!(
                "{name} is for compute shaders; BODY has no @compute entry point, so it takes --in and --function"
            )));
        }
        function(options, &body, &dispatcher)
    }
    .map_err(|failure| {
        failure.map(|message| {
            if message.contains("stopped after the time limit") {
                let option = if body.is_shader() { "--bind" } else { "--in" };
                format!("{message}\nMade data may send a loop round for ever: give real data by {option}")
            } else {
                message
            }
        })
    })?;
    let text = if options.json {
        format!("{}\n", verified_json(&verified, options, &data))
    } else {
        let mut text = format!("{verified}\n");
        for line in &data {
            let _ = writeln!(text, "  {line}");
        }
        let _ = writeln!(text, "  {place}; seed {}", options.seed);
        text
    };
    if verified.agrees() { Ok(text) } else { Err(Failure::Differs(text)) }
}

/// What was compared, how much of it there was, and the data where the first difference is.
type Checked = (Verification, String, Vec<String>);

fn function(options: &Options, body: &Body, dispatcher: &Dispatcher) -> Result<Checked, Failure> {
    let kernel = body.function(options.function.as_deref())?;
    let signature = kernel.signature();
    let mut given = Vec::new();
    for (seed, option) in options.inputs.iter().enumerate() {
        let usage = |message: String| Failure::Usage(format!("--in {}: {message}", option.to_string_lossy()));
        let (name, value) = value::split(option).ok_or_else(|| usage("expected NAME=VALUE".into()))?;
        if !signature.params.iter().any(|param| param.field.name == name) {
            return Err(usage(format!("{} has no such parameter", signature.name)));
        }
        if given.iter().any(|input: &Input| input.name == name) {
            return Err(usage(format!("`{name}` already has a value")));
        }
        given.push(Input::open(name.to_owned(), Value::parse(value, seed as u64).map_err(usage)?)?);
    }
    let bind = |param: &forall::Param| {
        let input = given.iter().find(|input| input.name == param.field.name);
        input.map(|input| input.bind(param.field.ty, options.cast)).transpose()
    };
    let bound = signature.params.iter().map(bind).collect::<Result<Vec<Option<Bound<'_>>>, _>>()?;
    // Arrays that are given tell how long the loop is.
    let mut lengths = (bound.iter().zip(&signature.params))
        .filter(|(_, param)| param.takes != Takes::Whole)
        .filter_map(|(bound, _)| Some(bound.as_ref()?.elements.as_ref()?.n));
    let size = options.size.unwrap_or(4096);
    let sizes = match lengths.next() {
        Some(n) => vec![n],
        None => vec![1, 17, 1023, size],
    };
    let mut last = None;
    for &n in &sizes {
        let mut made = Vec::new();
        for (at, (param, bound)) in signature.params.iter().zip(&bound).enumerate() {
            let numbers = n.max(1) * usize::from(param.field.ty.width);
            made.push(if bound.is_some() {
                Vec::new()
            } else {
                function_values(param.field.ty.scalar, numbers, options.seed, at)
            });
        }
        let args = (signature.params.iter().zip(&bound).zip(&made)).fold(
            Args::new(),
            |args, ((param, bound), made)| {
                args.push(match (bound, param.takes) {
                    (Some(bound), _) => bound.arg(),
                    (None, Takes::Uniform) => {
                        Arg::uniform(&bytemuck::cast_slice(made)[..param.field.ty.size()], param.field.ty)
                    }
                    (None, _) => {
                        Arg::array(&bytemuck::cast_slice(made)[..n * param.field.ty.size()], param.field.ty)
                    }
                })
            },
        );
        let mut outputs = Vec::new();
        for field in &signature.outputs {
            outputs.push(Buffer::new(n * field.ty.size())?);
        }
        let outputs = (signature.outputs.iter().zip(&mut outputs))
            .fold(OutputArgs::new(), |all, (field, buffer)| {
                all.push(OutputArg::array(buffer.bytes_mut(), field.ty))
            });
        let what = format!("checking {} with {n} elements", kernel.name());
        let verified = progress::watch(&what, || dispatcher.verify(&kernel, args, outputs))?;
        let agrees = verified.agrees();
        let place = if agrees {
            format!("over {} elements", sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        } else {
            format!("over {n} elements")
        };
        let mut data = Vec::new();
        if let Some((output, number)) = first_difference(&verified) {
            let width = signature.outputs.iter().find(|field| field.name == output).map_or(1, |f| f.ty.width);
            let element = number / usize::from(width);
            let mut line = format!("element {element} of {output} has");
            for ((param, bound), made) in signature.params.iter().zip(&bound).zip(&made) {
                let width = usize::from(param.field.ty.width);
                let at = if param.takes == Takes::Uniform { 0 } else { element * width };
                if bound.is_none() && param.takes != Takes::Whole {
                    let _ = write!(
                        line,
                        " {} = {}",
                        param.field.name,
                        show(param.field.ty.scalar, &made[at..at + width])
                    );
                }
            }
            if line.ends_with(" has") {
                line.truncate(line.len() - 4);
                line.push_str(" has the inputs that were given");
            }
            data.push(line);
        }
        last = Some((verified, place, data));
        if !agrees {
            break;
        }
    }
    last.ok_or_else(|| Failure::Run("nothing to check".into()))
}

fn shader(options: &Options, body: &Body, dispatcher: &Dispatcher) -> Result<Checked, Failure> {
    let given = bind::parse(&options.launch.bind)?;
    let kernel = body.shader(&options.launch)?;
    let has_grid = options.launch.grid.is_some() || options.launch.invocations.is_some();
    let workgroup = kernel.workgroup_size().unwrap_or([1; 3]);
    let asked = |unit: [u32; 3], size: [u32; 3]| {
        (0..3).map(|axis| u64::from(unit[axis]) * u64::from(size[axis])).product::<u64>()
    };
    let invocations = match (options.launch.grid, options.launch.invocations) {
        (Some(grid), _) => Some(asked(workgroup, grid.0)),
        (None, Some(grid)) => Some(asked([1; 3], grid.0)),
        (None, None) => None,
    };
    let size =
        options.size.unwrap_or_else(|| invocations.map_or(4096, |n| n.clamp(1, 1 << 16) as usize)).max(1);
    let side = size.isqrt() as u32;
    let grid = if has_grid {
        grid(&kernel, &options.launch)?
    } else if workgroup[1] > 1 {
        Grid::threads([side, side, 1])
    } else {
        Grid::threads([u32::try_from(size).unwrap_or(u32::MAX), 1, 1])
    };
    let (data, others) = bind::resolve(&kernel, &given, options.cast)?;
    let mut made = Vec::new();
    let mut all = Vec::new();
    for (at, (binding, data)) in kernel.bindings().iter().zip(data).enumerate() {
        made.push(data.is_none());
        all.push(match data {
            Some(data) => data,
            None => shader_values(binding, size, options.seed, at)?,
        });
    }
    let what = format!("checking {}", kernel.name());
    let verified = progress::watch(&what, || {
        dispatcher.verify_launch(&kernel, grid, bind::bindings(&kernel, &mut all, &others))
    })?;
    let mut data = Vec::new();
    if let Some((_, number)) = first_difference(&verified) {
        let plain = |layout: &Layout| {
            let number = layout::plain(layout, 1).and_then(|(number, _)| number.scalar());
            number.filter(|_| layout::is_packed(layout))
        };
        for ((binding, content), made) in kernel.bindings().iter().zip(&all).zip(made) {
            let Some(scalar) = binding.layout().and_then(plain) else { continue };
            let numbers: Vec<u32> = bytemuck::pod_collect_to_vec(content.bytes());
            let (at, place) = if numbers.len() <= 4 {
                (0..numbers.len(), String::new())
            } else {
                (number..number + 1, format!(", number {number}"))
            };
            if let Some(values) = numbers.get(at) {
                let made = if made { "made" } else { "given" };
                data.push(format!("{}{place} was {} before ({made})", binding.name, show(scalar, values)));
            }
        }
    }
    Ok((verified, format!("{grid}; data made of {size} elements where none was given"), data))
}

/// The output and the number where the first backend that differs does so first.
fn first_difference(verified: &Verification) -> Option<(String, usize)> {
    verified.runs.iter().find_map(|run| match &run.outcome {
        Outcome::Compared(outputs) => {
            outputs.iter().find_map(|output| Some((output.output.clone(), output.first.as_ref()?.number)))
        }
        _ => None,
    })
}

fn show(scalar: Scalar, words: &[u32]) -> String {
    let one = |&word: &u32| match scalar {
        Scalar::F32 => format!("{:?}", f32::from_bits(word)),
        Scalar::I32 => word.cast_signed().to_string(),
        _ => word.to_string(),
    };
    match words {
        [word] => one(word),
        words => format!("({})", words.iter().map(one).collect::<Vec<_>>().join(", ")),
    }
}

/// The i-th random number of a stream.
fn random(seed: u64, stream: usize, i: usize) -> u64 {
    let start = value::mix(value::mix(seed.wrapping_add(1)).wrapping_add(stream as u64));
    value::mix(start.wrapping_add(i as u64 + 1))
}

/// A third each: between -4 and 4, any bits, and the edges.
fn float(random: u64) -> f32 {
    const EDGES: [f32; 18] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -2.0,
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        1e-45,
        -1e-40,
        f32::EPSILON,
        16_777_217.0,
        2_147_483_648.0,
        -4_294_967_296.0,
    ];
    let bits = (random >> 32) as u32;
    match random % 3 {
        0 => (bits >> 8) as f32 * 2.0_f32.powi(-21) - 4.0,
        1 => f32::from_bits(bits),
        _ => EDGES[bits as usize % EDGES.len()],
    }
}

/// Numbers for a parameter of a function.
fn function_values(scalar: Scalar, n: usize, seed: u64, stream: usize) -> Vec<u32> {
    const EDGES: [u32; 10] = [0, 1, 2, 31, 32, 33, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, u32::MAX];
    let value = |i: usize| {
        let random = random(seed, stream, i);
        let bits = (random >> 32) as u32;
        match (scalar, random % 4) {
            (Scalar::F32, _) => float(random).to_bits(),
            (Scalar::I32, 0 | 1) => (bits % 201).wrapping_sub(100),
            (_, 0 | 1) => bits % 201,
            (_, 2) => bits,
            _ => EDGES[bits as usize % EDGES.len()],
        }
    };
    (0..n).map(value).collect()
}

/// Data for a variable of a shader.
fn shader_values(binding: &Binding, size: usize, seed: u64, stream: usize) -> Result<Data, Failure> {
    let too_large = || Failure::Run(format!("`{}`: {size} elements do not fit in memory", binding.name));
    let side = size.isqrt().max(1) as u32;
    let layout = match &binding.kind {
        BindingKind::Texture(texture) => {
            let mut extent = [1; 3];
            extent[..usize::from(texture.axes)].fill(if texture.axes == 1 {
                size.min(8192) as u32
            } else {
                side
            });
            if texture.axes == 3 {
                extent[2] = 2;
            }
            let texels = extent.iter().map(|&n| n as usize).product::<usize>();
            let mut bytes = vec![0; texels * texture.texel_bytes() as usize];
            let number = Number::named(texture.number).unwrap_or(Number::U8);
            let count = bytes.len() / number.size();
            fill(&mut bytes, 0, number, count, &|i| random(seed, stream, i), u64::from(u32::MAX));
            return Data::made(&bytes, Some(extent));
        }
        _ => binding.layout().ok_or_else(too_large)?,
    };
    let mut bytes = vec![0; layout::bytes(layout, size).ok_or_else(too_large)?];
    // Counters and flags start at zero.
    if layout.ty.contains("atomic") || layout.to_string().contains("atomic<") {
        return Data::made(&bytes, None);
    }
    let uniform = matches!(binding.kind, BindingKind::Uniform(_));
    let mut i = 0;
    layout::runs(layout, size, 0, &mut |start, number, count| {
        let next = |k: usize| random(seed, stream, i + k);
        if uniform && !matches!(number, Number::F32 | Number::F16) {
            fill(&mut bytes, start, number, count, &|_| u64::from(side) << 32, u64::MAX);
        } else {
            fill(&mut bytes, start, number, count, &next, size as u64);
        }
        i += count;
    });
    Data::made(&bytes, None)
}

/// Numbers made of random ones; whole numbers below `limit`.
fn fill(
    bytes: &mut [u8],
    start: usize,
    number: Number,
    count: usize,
    random: &dyn Fn(usize) -> u64,
    limit: u64,
) {
    for (i, to) in bytes[start..].chunks_exact_mut(number.size()).take(count).enumerate() {
        let random = random(i);
        let whole = (random >> 32) % limit.max(1);
        match number {
            Number::F32 => to.copy_from_slice(&float(random).to_ne_bytes()),
            Number::F16 => to.copy_from_slice(&bind::half(float(random))[..2]),
            Number::U16 | Number::I16 => to.copy_from_slice(&(whole as u16).to_ne_bytes()),
            Number::U8 | Number::I8 => to.copy_from_slice(&(whole as u8).to_ne_bytes()),
            _ => to.copy_from_slice(&(whole as u32).to_ne_bytes()),
        }
    }
}

fn verified_json(verified: &Verification, options: &Options, data: &[String]) -> Json {
    let runs: Vec<Json> = (verified.runs.iter())
        .map(|run| {
            let mut object =
                json!({ "backend": run.backend, "level": run.level.map(forall::CpuLevel::name) });
            match &run.outcome {
                Outcome::Compared(outputs) => {
                    let outputs = outputs.iter().map(|output| {
                        let first = output.first.as_ref().map(|first| {
                            json!({ "number": first.number, "expected": first.expected, "got": first.got })
                        });
                        json!({
                            "name": output.output, "numbers": output.numbers, "max_ulp": output.max_ulp, "open": output.open,
                            "differing": output.differing, "first": first,
                        })
                    });
                    object["outputs"] = outputs.collect();
                }
                Outcome::Absent(reason) => object["absent"] = json!(reason),
                Outcome::Failed(error) => object["failed"] = json!(error.to_string()),
                _ => {}
            }
            object
        })
        .collect();
    json!({
        "kernel": verified.kernel, "agrees": verified.agrees(), "seed": options.seed, "runs": runs,
        "hint": verified.hint, "data": data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_values_hold_every_edge_and_depend_on_the_seed() {
        let values = function_values(Scalar::F32, 4096, 0, 0);
        let has = |f: fn(f32) -> bool| values.iter().any(|&bits| f(f32::from_bits(bits)));
        assert!(
            has(f32::is_nan)
                && has(|x| x == f32::INFINITY)
                && has(f32::is_subnormal)
                && has(|x| x == f32::MAX)
        );
        assert!(values.contains(&0) && values.contains(&0x8000_0000));
        assert_eq!(values, function_values(Scalar::F32, 4096, 0, 0));
        assert_ne!(values, function_values(Scalar::F32, 4096, 1, 0));
        assert_ne!(values, function_values(Scalar::F32, 4096, 0, 1));
        let whole = function_values(Scalar::U32, 4096, 0, 0);
        assert!(whole.contains(&u32::MAX) && whole.contains(&0x8000_0000) && whole.contains(&0));
    }
}
