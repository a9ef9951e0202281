//! Functions of one element as workloads: arrays in the host's memory, one of them per parameter.

use super::{Call, Data, Output, Random, Side, Work, Workload};
use crate::backend::Backend;
use crate::dispatch::Dispatcher;
use crate::element::{ElementType, Scalar};
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Takes};
use crate::launch::{self, Arg, Args, OutputArg, OutputArgs};

/// A shipped function.
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    element: &'static str,
    integer: bool,
    text: &'static str,
    /// The length of the arrays for a size, and the size of arrays of that length.
    length: fn(usize) -> usize,
    size: fn(usize) -> usize,
    inputs: fn(usize, u64) -> Vec<Input>,
    /// Operations, for arrays of that length.
    flops: fn(usize, &[Output]) -> f64,
}

/// What is bound to a parameter.
enum Input {
    /// One value, by its words.
    Value(Vec<u32>),
    Array(Vec<u32>),
    Index,
}

/// What a user binds to a parameter of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// One value for all elements: as many words as the parameter's type has, in native order.
    Value(Vec<u32>),
    /// The element's index.
    Index,
}

impl Input {
    fn floats(values: Vec<f32>) -> Self {
        Self::Array(bytemuck::cast_vec(values))
    }

    fn float(value: f32) -> Self {
        Self::Value(vec![value.to_bits()])
    }
}

const MAX_ITERATIONS: u32 = 100;
const STEPS: u32 = 100;

pub(super) const SPECS: [Spec; 6] = [
    Spec {
        name: "saxpy",
        what: "a * x + y: nothing but memory",
        element: "element",
        integer: false,
        text: include_str!("../../../shaders/saxpy.wgsl"),
        length: |n| n,
        size: |n| n,
        inputs: |n, seed| {
            let array = |stream| Input::floats(Random::new(seed, stream).floats(n, -1.0, 1.0));
            vec![Input::float(2.5), array(1), array(2)]
        },
        flops: |n, _| 2.0 * n as f64,
    },
    Spec {
        name: "black_scholes",
        what: "prices of European options, call and put: arithmetic and exponentials",
        element: "option",
        integer: false,
        text: include_str!("../../../shaders/black_scholes.wgsl"),
        length: |n| n,
        size: |n| n,
        inputs: |n, seed| {
            let array = |stream, low, high| Input::floats(Random::new(seed, stream).floats(n, low, high));
            let prices = [array(1, 50.0, 150.0), array(2, 50.0, 150.0), array(3, 0.25, 2.0)];
            prices.into_iter().chain([Input::float(0.02), Input::float(0.3)]).collect()
        },
        // 22 outside the two distribution functions of 18 each; a root, exponential or logarithm counted as one.
        flops: |n, _| 58.0 * n as f64,
    },
    Spec {
        name: "mandelbrot",
        what: "escape times, at most 100: neighbours leave the loop at different times",
        element: "pixel",
        integer: false,
        text: include_str!("../../../shaders/mandelbrot.wgsl"),
        length: |n| n,
        size: |n| n,
        inputs: |n, _| {
            let width = n.isqrt().max(1);
            let number = |value: usize| Input::Value(vec![value as u32]);
            let view = [-2.2_f32, -1.2, 1.0, 1.2].map(f32::to_bits).to_vec();
            vec![
                Input::Index,
                number(width),
                number(n.div_ceil(width)),
                number(MAX_ITERATIONS as usize),
                Input::Value(view),
            ]
        },
        // Of each round; the few before it are left out.
        flops: |_, output| 8.0 * sum(output, |_| true),
    },
    Spec {
        name: "nbody",
        what: "gravity, all pairs of the square root of n bodies: one loop that all elements run alike",
        element: "pair",
        integer: false,
        text: include_str!("../../../shaders/nbody.wgsl"),
        length: |n| n.isqrt().max(1),
        size: |bodies| bodies * bodies,
        inputs: |n, seed| {
            let bodies: Vec<u32> = bytemuck::cast_vec(Random::new(seed, 1).floats(4 * n, 0.0, 1.0));
            vec![Input::Array(bodies.clone()), Input::float(0.05), Input::Array(bodies)]
        },
        flops: |bodies, _| 19.0 * (bodies as f64).powi(2),
    },
    Spec {
        name: "collatz",
        what: "steps of n / 2 or 3n + 1 until 1: whole numbers, and neighbours that take very different times",
        element: "start",
        integer: true,
        text: include_str!("../../../shaders/collatz.wgsl"),
        length: |n| n,
        size: |n| n,
        inputs: |_, _| vec![Input::Index],
        // Ways that leave u32 are few, and their length is not told.
        flops: |_, output| 8.0 * sum(output, |steps| steps != u32::MAX),
    },
    Spec {
        name: "logistic_map",
        what: "100 steps of r x (1 - x): one chain of dependent operations, no memory",
        element: "start",
        integer: false,
        text: include_str!("../../../shaders/logistic_map.wgsl"),
        length: |n| n,
        size: |n| n,
        inputs: |n, seed| {
            let array = |stream, low, high| Input::floats(Random::new(seed, stream).floats(n, low, high));
            vec![array(1, 0.1, 0.9), array(2, 2.8, 4.0), Input::Value(vec![STEPS])]
        },
        flops: |n, _| 3.0 * f64::from(STEPS) * n as f64,
    },
];

fn sum(output: &[Output], counts: fn(u32) -> bool) -> f64 {
    match output {
        [Output::U32(numbers)] => numbers.iter().filter(|n| counts(**n)).map(|n| f64::from(*n)).sum(),
        _ => 0.0,
    }
}

pub(super) fn shipped(spec: &'static Spec) -> Result<Workload> {
    let kernels = sides(Kernel::map(spec.text)?);
    let fit = |n: usize| (spec.size)((spec.length)(n.max(1)));
    let make = move |data: Data| -> Result<Box<dyn Call>> {
        let n = (spec.length)(data.n);
        let inputs = (spec.inputs)(n, data.seed);
        Ok(Box::new(Function::new(
            &kernels,
            inputs,
            n,
            Flops::Told(Box::new(move |output| (spec.flops)(n, output))),
        )))
    };
    let element = spec.element.to_owned();
    let workload = Workload::new(spec.name, spec.what, fit, make);
    Ok(Workload { element, integer: spec.integer, stays: false, ..workload })
}

/// One for each [`Side`].
fn sides(kernel: Kernel) -> [Kernel; 2] {
    let twin = kernel.twin();
    [kernel, twin]
}

/// See [`Workload::function`].
pub(super) fn custom(what: String, kernel: Kernel, given: Vec<(String, Given)>) -> Result<Workload> {
    let name = kernel.name().to_owned();
    let signature = kernel.signature();
    let known = |name: &str| signature.params.iter().any(|param| param.field.name == name);
    if let Some((unknown, _)) = given.iter().find(|(name, _)| !known(name)) {
        let names: Vec<_> = signature.params.iter().map(|p| &*p.field.name).collect();
        return Err(Error::UnknownParameter { kernel: name, name: unknown.clone(), names: names.join(", ") });
    }
    let fields = signature.params.iter().map(|param| &param.field).chain(&signature.outputs);
    if let Some(field) = fields.into_iter().find(|field| field.ty.size() != 4 * usize::from(field.ty.width)) {
        return Err(Error::Unsupported {
            kernel: name.clone(),
            construct: field.ty.to_string(),
            line: 0,
            message: format!(
                "{name}: `{}` is a {}; a workload is made of numbers of 32 bits: write a Workload::new around the call",
                field.name, field.ty
            ),
        });
    }
    let kernels = sides(kernel);
    let make = move |data: Data| -> Result<Box<dyn Call>> {
        let params = &kernels[0].signature().params;
        let inputs = params.iter().zip(1..).map(|(param, stream)| {
            match given.iter().find(|(name, _)| *name == param.field.name) {
                Some((_, Given::Value(words))) => Input::Value(words.clone()),
                Some((_, Given::Index)) => Input::Index,
                None => {
                    let elements = if param.takes == Takes::Uniform { 1 } else { data.n };
                    let numbers = elements * usize::from(param.field.ty.width);
                    let words = random(Random::new(data.seed, stream), numbers, param.field.ty.scalar);
                    if param.takes == Takes::Uniform { Input::Value(words) } else { Input::Array(words) }
                }
            }
        });
        Ok(Box::new(Function::new(&kernels, inputs.collect(), data.n, Flops::Counted(data.n))))
    };
    Ok(Workload { stays: false, ..Workload::new(name, what, |n| n.max(1), make) })
}

fn random(mut random: Random, n: usize, scalar: Scalar) -> Vec<u32> {
    match scalar {
        Scalar::F32 => bytemuck::cast_vec(random.floats(n, 0.0, 1.0)),
        _ => (0..n).map(|_| random.below(1000) as u32).collect(),
    }
}

/// Operations, from the outputs of a run.
type FromOutputs = dyn Fn(&[Output]) -> f64;

/// The operations of a roofline that a call takes.
enum Flops {
    Told(Box<FromOutputs>),
    /// Of so many elements, as far as they can be read off the body, and without those of transcendental functions.
    Counted(usize),
}

/// One function with its arrays.
struct Function {
    kernels: [Kernel; 2],
    inputs: Vec<Input>,
    outputs: Vec<(Vec<u32>, ElementType)>,
    flops: Flops,
}

impl Function {
    fn new(kernels: &[Kernel; 2], inputs: Vec<Input>, n: usize, flops: Flops) -> Self {
        let outputs = kernels[0].signature().outputs.iter();
        let outputs =
            outputs.map(|field| (vec![u32::MAX; n * usize::from(field.ty.width)], field.ty)).collect();
        Self { kernels: kernels.clone(), inputs, outputs, flops }
    }

    /// What a call binds.
    fn bound<'a>(
        kernel: &Kernel,
        inputs: &'a [Input],
        outputs: &'a mut [(Vec<u32>, ElementType)],
    ) -> (Args<'a>, OutputArgs<'a>) {
        let params = inputs.iter().zip(&kernel.signature().params);
        let args = params.fold(Args::new(), |args, (input, param)| {
            args.push(match input {
                Input::Value(words) => Arg::uniform(bytemuck::cast_slice(words), param.field.ty),
                Input::Array(words) => Arg::array(bytemuck::cast_slice(words), param.field.ty),
                Input::Index => Arg::index(),
            })
        });
        let outputs = outputs.iter_mut().fold(OutputArgs::new(), |outputs, (words, ty)| {
            outputs.push(OutputArg::array(bytemuck::cast_slice_mut(words), *ty))
        });
        (args, outputs)
    }

    /// See [`Flops::Counted`]. It needs the compiled body, so it is asked for after a call.
    fn counted(&self, n: usize) -> Result<f64> {
        let kernel = &self.kernels[0];
        let mut outputs = self.outputs.clone();
        let (args, outputs) = Self::bound(kernel, &self.inputs, &mut outputs);
        let operations = kernel.operations(&launch::check(kernel.signature(), args, outputs)?)?;
        Ok(if operations.known { operations.counts.flops * n as f64 } else { 0.0 })
    }
}

impl Call for Function {
    fn run(&mut self, forall: &Dispatcher, side: Side) -> Result<Backend> {
        let kernel = &self.kernels[side.index()];
        let (args, outputs) = Self::bound(kernel, &self.inputs, &mut self.outputs);
        Ok(forall.run(kernel, args, outputs)?.backend())
    }

    fn output(&self) -> Result<Vec<Output>> {
        let numbers = |(words, ty): &(Vec<u32>, ElementType)| match ty.scalar {
            Scalar::F32 => Output::F32(bytemuck::cast_vec(words.clone())),
            _ => Output::U32(words.clone()),
        };
        Ok(self.outputs.iter().map(numbers).collect())
    }

    fn work(&self, output: &[Output]) -> Work {
        let words = |input: &Input| if let Input::Array(words) = input { words.len() } else { 0 };
        let read: usize = self.inputs.iter().map(words).sum();
        let written: usize = self.outputs.iter().map(|(words, _)| words.len()).sum();
        let flops = match &self.flops {
            Flops::Told(flops) => flops(output),
            // It has run: it has been compiled, and its arguments fit.
            Flops::Counted(n) => self.counted(*n).unwrap_or(0.0),
        };
        Work { bytes: 4.0 * (read + written) as f64, flops }
    }
}
