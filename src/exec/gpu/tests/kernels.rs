//! Kernels from their WGSL to the result on the GPU: every way of binding, every element type, and how exact the answers are.

use super::*;
use crate::element::Scalar;
use crate::kernel::tests::{slicing, words};
use crate::launch::{IntoArgs, IntoOutputs, check};
use crate::part::Index;

/// Runs a kernel on the GPU as a dispatcher would.
fn call<'i: 'o, 'o>(
    gpu: &Gpu,
    kernel: &Kernel,
    args: impl IntoArgs<'i>,
    outputs: impl IntoOutputs<'o>,
) -> Result<Times> {
    let mut part = check(kernel.signature(), args.into_args(), outputs.into_outputs())?;
    gpu.run(kernel, None, &mut part)
}

fn kernel(wgsl: &str) -> Kernel {
    Kernel::map(wgsl).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_parameter_is_bound_to_a_number_an_array_or_the_index() {
    let Some(gpu) = shared() else { return };
    let kernel = kernel("fn f(a: u32, b: u32) -> u32 { return 1000000u * a + b; }");
    let n = 513;
    let x: Vec<u32> = (0..n as u32).map(|i| i.wrapping_mul(7) % 512).collect();
    let expect = |out: &[u32], f: &dyn Fn(u32) -> (u32, u32)| {
        for (i, &got) in (0..).zip(out) {
            let (a, b) = f(i);
            assert_eq!(got, 1_000_000 * a + b, "element {i}");
        }
    };
    let mut out = vec![POISON_WORD; n];
    call(gpu, &kernel, (&x, 9_u32), &mut out).expect("array, number");
    expect(&out, &|i| (x[i as usize], 9));
    out.fill(POISON_WORD);
    call(gpu, &kernel, (3_u32, &x), &mut out).expect("number, array");
    expect(&out, &|i| (3, x[i as usize]));
    out.fill(POISON_WORD);
    call(gpu, &kernel, (Index, &x), &mut out).expect("index, array");
    expect(&out, &|i| (i, x[i as usize]));
    out.fill(POISON_WORD);
    call(gpu, &kernel, (4_u32, 5_u32), &mut out).expect("numbers only");
    expect(&out, &|_| (4, 5));
    out.fill(POISON_WORD);
    call(gpu, &kernel, (Index, Index), &mut out).expect("index only");
    expect(&out, &|i| (i, i));
}

#[test]
fn vectors_bools_integers_and_several_outputs() {
    let Some(gpu) = shared() else { return };
    let kernel = kernel(
        "struct Out { sum: vec3<f32>, swapped: vec2<i32>, up: bool, four: vec4<u32> }
         fn f(v: vec3<f32>, k: vec3<f32>, p: vec2<i32>, flip: bool, up: bool) -> Out {
             return Out(v + k, select(p, p.yx, flip), up != flip, vec4<u32>(u32(p.x), 2u, 3u, 4u));
         }",
    );
    for n in [1, 2, 255, 257, 1000] {
        let v: Vec<[f32; 3]> = exact(3 * n, 5).chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect();
        let p: Vec<[i32; 2]> = (0..n as i32).map(|i| [i, -i - 1]).collect();
        let up: Vec<u32> = (0..n as u32).map(|i| i % 2).collect();
        let mut sum = vec![[POISON; 3]; n];
        let mut swapped = vec![[7; 2]; n];
        let mut is_up = vec![POISON_WORD; n];
        let mut four = vec![[POISON_WORD; 4]; n];
        let outputs = (&mut sum, &mut swapped, &mut is_up, &mut four);
        call(gpu, &kernel, (&v, [1.0_f32, 2.0, 3.0], &p, true, &up), outputs).expect("runs");
        for i in 0..n {
            assert_eq!(sum[i], [v[i][0] + 1.0, v[i][1] + 2.0, v[i][2] + 3.0]);
            assert_eq!((swapped[i], is_up[i]), ([p[i][1], p[i][0]], 1 - up[i]));
            assert_eq!(four[i], [i as u32, 2, 3, 4]);
        }
    }
}

#[test]
fn a_whole_array_is_read_by_every_element_of_every_slice() {
    let options = GpuOptions { max_elements_per_dispatch: Some(100), ..GpuOptions::default() };
    let Some(gpu) = gpu(options) else { return };
    let kernel = kernel(
        "var<storage, read> table: array<vec2<u32>>;
         fn f(i: u32) -> u32 { let e = table[i % arrayLength(&table)]; return e.x + e.y; }",
    );
    let table: Vec<[u32; 2]> = (0..37).map(|i| [i, 1000 * i]).collect();
    let mut out = vec![POISON_WORD; 1001];
    call(&gpu, &kernel, (Index, &table), &mut out).expect("runs");
    assert!(out.iter().enumerate().all(|(i, &o)| o == (i as u32 % 37) * 1001));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn sliced_equals_unsliced(n in 1_usize..3000, whole in 1_usize..40, choices: u32, elements in 1_usize..1500, binding in 640_u64..20_000) {
        static DEVICE: Mutex<Option<Gpu>> = Mutex::new(None);
        let mut slot = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = gpu(GpuOptions::default());
        }
        let Some(gpu) = &mut *slot else { return Ok(()) };
        let (kernel, noise) = (slicing::wgsl(), slicing::noise(n.max(whole)));
        let [one, many] = [None, Some((elements.max(n / 40), binding.max(n as u64 / 2)))].map(|limits| {
            gpu.options = GpuOptions {
                max_elements_per_dispatch: limits.map(|(elements, _)| elements),
                max_binding_bytes: limits.map(|(_, bytes)| bytes),
                ..GpuOptions::default()
            };
            let args = slicing::bind(kernel.signature(), choices, &noise, n, whole);
            words(&kernel, args, n, |mut part| _ = gpu.run(&kernel, None, &mut part).expect("runs"))
        });
        prop_assert!(one == many);
    }
}

#[test]
fn the_loops_of_the_shaders_folder_compile_and_run() {
    let Some(gpu) = shared() else { return };
    let collatz = kernel(include_str!("../../../../shaders/collatz.wgsl"));
    let mut steps = vec![POISON_WORD; 5000];
    call(gpu, &collatz, (Index,), &mut steps).expect("collatz");
    assert_eq!(&steps[..8], [u32::MAX, 0, 1, 7, 2, 5, 8, 16]);
    let exact = |start: u64| {
        (0..)
            .scan(start, |n, k| {
                let now = (*n != 1).then_some(k + 1);
                *n = if *n % 2 == 0 { *n / 2 } else { 3 * *n + 1 };
                now
            })
            .last()
            .unwrap_or(0)
    };
    assert!((1..5000).all(|i| steps[i] == exact(i as u64)));

    let saxpy = kernel(include_str!("../../../../shaders/saxpy.wgsl"));
    let (x, y) = (super::exact(1000, 1), super::exact(1000, 2));
    let mut out = vec![POISON; 1000];
    call(gpu, &saxpy, (2.0_f32, &x, &y), &mut out).expect("saxpy");
    assert!((0..1000).all(|i| out[i] == 2.0 * x[i] + y[i]));
}

/// How far `got` is from `exact`, in units of the last place of `exact` as an f32.
fn ulps(got: f32, exact: f64) -> f64 {
    let near = (exact as f32).abs().max(f32::MIN_POSITIVE);
    let unit = f64::from(f32::from_bits(near.to_bits() + 1)) - f64::from(near);
    (f64::from(got) - exact).abs() / unit
}

/// The bounds are those of the accuracy table of WGSL ("Concrete Floating Point Accuracy"); half a unit is added where an
/// exact result must be rounded to f32 at all. No bound holds for subnormals, which a GPU may flush.
#[test]
fn answers_are_as_exact_as_wgsl_promises() {
    let Some(gpu) = shared() else { return };
    let n = 20_000;
    let unit = |i: usize| (i as f32 + 0.5) / n as f32;
    let wide: Vec<f32> = (0..n).map(|i| (unit(i) * 60.0 - 30.0).exp2()).collect();
    let shuffled: Vec<f32> = (0..n).map(|i| wide[i * 7919 % n]).collect();
    let signed: Vec<f32> = (0..n).map(|i| unit(i) * 40.0 - 20.0).collect();
    type Case<'a> = (&'a str, &'a [f32], &'a [f32], fn(f64, f64) -> f64, fn(f64, f64) -> f64);
    let cases: [Case<'_>; 7] = [
        // "Correctly rounded": either neighbour of the exact value, so up to one unit.
        ("x + y", &wide, &shuffled, |x, y| x + y, |_, _| 1.0),
        ("x * y", &wide, &shuffled, |x, y| x * y, |_, _| 1.0),
        // "2.5 ULP for |y| in [2^-126, 2^126]".
        ("x / y", &wide, &shuffled, |x, y| x / y, |_, _| 3.0),
        // "Inherited from 1.0 / inverseSqrt(x)": 2 ULP of the divisor and 2.5 of the division; a unit of the divisor is worth
        // up to two of the quotient.
        ("sqrt(x) + 0.0 * y", &wide, &shuffled, |x, _| x.sqrt(), |_, _| 7.0),
        // "3 + 2 * |x| ULP".
        ("exp(x) + 0.0 * y", &signed, &shuffled, |x, _| x.exp(), |x, _| 3.5 + 2.0 * x.abs()),
        // "Absolute error at most 2^-21 when x is in [0.5, 2.0], 3 ULP outside": the first is stated in units below.
        (
            "log(x) + 0.0 * y",
            &wide,
            &shuffled,
            |x, _| x.ln(),
            |x, _| {
                if (0.5..=2.0).contains(&x) {
                    let result = (x.ln().abs() as f32).max(f32::MIN_POSITIVE);
                    let unit = f64::from(f32::from_bits(result.to_bits() + 1)) - f64::from(result);
                    2.0_f64.powi(-21) / unit + 0.5
                } else {
                    3.5
                }
            },
        ),
        // Whether `x * y + x` is fused is up to the GPU. Fused it has one rounding, not fused two: that of the product is half
        // a unit of the product, which is no more than the sum, because all terms are positive.
        ("x * y + x", &wide, &shuffled, |x, y| x * y + x, |_, _| 2.0),
    ];
    for (expression, x, y, exact, bound) in cases {
        let kernel = kernel(&format!("fn f(x: f32, y: f32) -> f32 {{ return {expression}; }}"));
        let mut out = vec![POISON; n];
        call(gpu, &kernel, (x, y), &mut out).expect("runs");
        let mut worst = 0.0_f64;
        for i in 0..n {
            let (a, b) = (f64::from(x[i]), f64::from(y[i]));
            let error = ulps(out[i], exact(a, b));
            worst = worst.max(error / bound(a, b));
            assert!(error <= bound(a, b), "{expression} at {a}, {b}: {} is {error} units off", out[i]);
        }
        println!("{expression}: at most {worst:.2} of its bound");
    }
}

#[test]
fn a_kernel_without_wgsl_is_refused_with_the_reason() {
    let gpu = Gpu::new(GpuOptions::default());
    let double = Kernel::scalar("double", |x: f64| 2.0 * x);
    assert_eq!(double.signature().outputs[0].ty.scalar, Scalar::F64);
    let x = [1.0_f64, 2.0];
    let mut out = [f64::NAN; 2];
    let error = call(&gpu, &double, (&x,), &mut out).expect_err("a closure");
    assert!(
        matches!(&error, Error::Unavailable { backend: Backend::Gpu, reason, .. } if reason.contains("no WGSL body")),
        "{error}"
    );
    assert!(out.iter().all(|o| o.is_nan()));
    assert!(gpu.lock().device.is_none() && gpu.lock().closed.is_none(), "no device was asked");
}

#[test]
fn a_whole_array_too_large_for_the_device_is_named() {
    let Some(gpu) = gpu(GpuOptions { max_binding_bytes: Some(1 << 10), ..GpuOptions::default() }) else {
        return;
    };
    let kernel = kernel(
        "var<storage, read> weights: array<f32>;
         fn f(i: u32) -> f32 { return weights[i]; }",
    );
    let weights = exact(1000, 8);
    let mut out = vec![POISON; 1000];
    let error = call(&gpu, &kernel, (Index, &weights), &mut out).expect_err("4000 bytes");
    assert!(error.to_string().contains("`weights` takes 4000 bytes"), "{error}");
    assert!(out.iter().all(|&o| o == POISON));
}

#[test]
fn an_empty_whole_array_is_refused_by_name() {
    let Some(gpu) = shared() else { return };
    let kernel = kernel(
        "var<storage, read> table: array<f32>;
         fn f(i: u32) -> u32 { return i + arrayLength(&table); }",
    );
    let mut out = [POISON_WORD; 4];
    let error =
        call(gpu, &kernel, (Index, &[0.0_f32; 0]), &mut out).expect_err("no GPU binds an empty array");
    assert!(error.to_string().contains("`table` is empty"), "{error}");
    assert_eq!(out, [POISON_WORD; 4]);
    call(gpu, &kernel, (Index, &[0.0_f32; 3]), &mut out).expect("three elements");
    assert_eq!(out, [3, 4, 5, 6]);
}
