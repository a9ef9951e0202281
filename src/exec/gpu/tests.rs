//! What only the GPU executor can get wrong: slicing, errors that leave the outputs alone, lost devices, reuse of buffers.
//!
//! The shaders are written out by hand in the form that `kernel/map` generates, so that these tests stand on their own.

mod kernels;
mod launches;
mod residents;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::buffers::Kind;
use super::slices::{Layout, workgroups};
use super::*;
use crate::element::Element;
use crate::kernel::shader::{Binding, ENTRY, GPU_PRELUDE};
use crate::kernel::{Field, Param, Takes};
use crate::part::{Input, Output};

/// A GPU, or `None` with the reason printed. Where `FORALL_REQUIRE_GPU=1`, none is a failure.
fn gpu(options: GpuOptions) -> Option<Gpu> {
    let gpu = Gpu::new(options);
    match gpu.open() {
        Ok(_) => Some(gpu),
        Err(reason) => {
            assert!(
                std::env::var("FORALL_REQUIRE_GPU").as_deref() != Ok("1"),
                "a GPU is required: {}",
                reason.reason
            );
            println!("skipped: {}", reason.reason);
            None
        }
    }
}

/// The process-wide GPU: most tests share one device, as programs do.
fn shared() -> Option<&'static Gpu> {
    static GPU: LazyLock<Option<Gpu>> = LazyLock::new(|| gpu(GpuOptions::default()));
    GPU.as_ref()
}

fn shader(declarations: &str, body: &str, bindings: &[Binding]) -> Shader {
    let text = format!(
        "{declarations}
@compute @workgroup_size(256)
fn {ENTRY}(@builtin(global_invocation_id) forall_id: vec3<u32>) {{
{GPU_PRELUDE}{body}
}}"
    );
    Shader { text: text.into(), entry: ENTRY.to_owned(), bindings: bindings.to_vec() }
}

/// `out[i] = a * x[i] + y[i]`, and the index in a second output.
fn saxpy() -> Shader {
    shader(
        "struct Words { base: u32, n: u32, a: f32 }
@group(0) @binding(0) var<uniform> forall_words: Words;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> index: array<u32>;",
        "out[forall_i] = forall_words.a * x[forall_i] + y[forall_i]; index[forall_i] = forall_words.base + forall_i;",
        &[Binding::Words, Binding::Array(1), Binding::Array(2), Binding::Output(0), Binding::Output(1)],
    )
}

/// `out[i] = i`: as many elements as possible in as few bytes.
fn iota() -> Shader {
    shader(
        "struct Words { base: u32, n: u32 }
@group(0) @binding(0) var<uniform> forall_words: Words;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;",
        "out[forall_i] = forall_words.base + forall_i;",
        &[Binding::Words, Binding::Output(0)],
    )
}

fn uniform<T: Element>(value: T) -> Input<'static> {
    let mut bytes = [0; 32];
    bytes[..T::TYPE.size()].copy_from_slice(bytemuck::bytes_of(&value));
    Input::Uniform { bytes, ty: T::TYPE }
}

fn array<T: Element>(data: &[T]) -> Input<'_> {
    Input::Array { data: bytemuck::cast_slice(data), ty: T::TYPE }
}

fn whole<T: Element>(data: &[T]) -> Input<'_> {
    Input::Whole { data: bytemuck::cast_slice(data), ty: T::TYPE }
}

fn output<T: Element>(data: &mut [T]) -> Output<'_> {
    Output { data: bytemuck::cast_slice_mut(data), ty: T::TYPE }
}

fn part<'a, const I: usize, const O: usize>(
    start: usize,
    n: usize,
    inputs: [Input<'a>; I],
    outputs: [Output<'a>; O],
) -> Part<'a> {
    let (inputs, outputs) = (inputs.into_iter().collect(), outputs.into_iter().collect());
    Part { start, n, inputs, outputs, progress: None, watch: crate::cancel::Watch::NEVER }
}

/// Runs a part and lets go of the arrays.
fn launch(
    gpu: &Gpu,
    name: &str,
    shader: &Shader,
    operations: Option<f64>,
    mut part: Part<'_>,
) -> Result<Times> {
    let field = || Field { name: "table".to_owned(), ty: f32::TYPE };
    let params = part.inputs.iter().map(|_| Param { field: field(), takes: Takes::Element }).collect();
    let signature = Signature { name: name.to_owned(), params, outputs: Vec::new() };
    gpu.run_shader(&signature, shader, operations, &mut part)
}

/// Values whose products and sums with one another are exact in f32, so that a result has one right value whether or not
/// the GPU contracts `a * x + y`: integers below 2^11.
fn exact(n: usize, seed: u32) -> Vec<f32> {
    (0..n as u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 21) as f32).collect()
}

const POISON: f32 = -1e30;
const POISON_WORD: u32 = 0xDEAD_BEEF;

/// Runs [`saxpy`] on `n` elements and holds it to the plain loop.
fn check_saxpy(gpu: &Gpu, start: usize, n: usize) {
    let (x, y) = (exact(n, 1), exact(n, 2));
    let mut out = vec![POISON; n];
    let mut index = vec![POISON_WORD; n];
    let inputs = [uniform(3.0_f32), array(&x), array(&y)];
    let part = part(start, n, inputs, [output(&mut out), output(&mut index)]);
    launch(gpu, "saxpy", &saxpy(), None, part).unwrap_or_else(|error| panic!("n = {n}: {error}"));
    for i in 0..n {
        assert_eq!(
            (out[i], index[i]),
            (3.0 * x[i] + y[i], (start + i) as u32),
            "element {i} of {n} from {start}"
        );
    }
}

#[test]
fn lengths_on_both_sides_of_every_edge() {
    let Some(gpu) = shared() else { return };
    for n in [0, 1, 2, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 1_000_003] {
        check_saxpy(gpu, 0, n);
    }
    check_saxpy(gpu, 4_000_000_000, 1000);
}

#[test]
fn more_than_65535_workgroups_are_folded() {
    let Some(gpu) = shared() else { return };
    // 65,535 workgroups of 256, then two rows exactly, then one element more: the last in a slice of its own.
    for n in [65_535 * 256 + 1, 1 << 24, (1 << 24) + 1] {
        let mut out = vec![POISON_WORD; n];
        let part = part(0, n, [], [output(&mut out)]);
        // An estimate of one operation an element: the slice is as large as memory allows, two rows.
        launch(gpu, "iota", &iota(), Some(1.0), part).expect("runs");
        assert!(out.iter().enumerate().all(|(i, &o)| o == i as u32), "{n}");
    }
    assert_eq!(workgroups(1 << 24), (32_768, 2));
}

#[test]
fn long_loops_are_sliced_by_the_measured_pace() {
    // A target of a microsecond makes every slice the smallest there is, one workgroup, once the pace is known.
    let options = GpuOptions { dispatch_target: Duration::from_micros(1), ..GpuOptions::default() };
    let Some(gpu) = gpu(options) else { return };
    check_saxpy(&gpu, 7, 70_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn sliced_equals_unsliced(n in 1_usize..3000, elements in 1_usize..1500, binding in 64_u64..20_000, start in 0_usize..1 << 31) {
        let options = GpuOptions {
            max_elements_per_dispatch: Some(elements.max(n / 40)),
            max_binding_bytes: Some(binding.max(n as u64 / 10)),
            ..GpuOptions::default()
        };
        static DEVICE: Mutex<Option<Gpu>> = Mutex::new(None);
        let mut slot = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = gpu(options.clone());
        }
        if let Some(gpu) = &mut *slot {
            gpu.options = options;
            check_saxpy(gpu, start, n);
        }
    }
}

#[test]
fn vectors_are_packed_and_whole_arrays_laid_out_as_wgsl_does() {
    let Some(gpu) = shared() else { return };
    let shader = shader(
        "struct Words { base: u32, n: u32, k: i32 }
@group(0) @binding(0) var<uniform> forall_words: Words;
@group(0) @binding(1) var<storage, read> p: array<f32>;
@group(0) @binding(2) var<storage, read> bodies: array<vec3<f32>>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<storage, read_write> inside: array<u32>;",
        "var sum = vec3(p[3u * forall_i], p[3u * forall_i + 1u], p[3u * forall_i + 2u]);
let length = arrayLength(&bodies);
for (var j = 0u; j < length; j++) { sum += weights[j] * bodies[j]; }
out[3u * forall_i] = sum.x; out[3u * forall_i + 1u] = sum.y; out[3u * forall_i + 2u] = sum.z;
inside[forall_i] = select(0u, 1u, sum.x > f32(forall_words.k));",
        &[
            Binding::Words,
            Binding::Array(0),
            Binding::Whole(1),
            Binding::Whole(2),
            Binding::Output(0),
            Binding::Output(1),
        ],
    );
    let n = 1000;
    let p: Vec<[f32; 3]> = exact(3 * n, 3).chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect();
    for length in [1, 5] {
        let bodies: Vec<[f32; 4]> = (0..length).map(|j| [j as f32, 2.0, -1.0, f32::NAN]).collect();
        let weights = vec![2.0_f32; length];
        let mut out = vec![[POISON; 3]; n];
        let mut inside = vec![POISON_WORD; n];
        let inputs = [array(&p), whole(&bodies), whole(&weights), uniform(1000_i32)];
        let part = part(0, n, inputs, [output(&mut out), output(&mut inside)]);
        launch(gpu, "pull", &shader, None, part).expect("runs");
        for i in 0..n {
            let mut sum = p[i];
            for body in &bodies {
                (0..3).for_each(|c| sum[c] += 2.0 * body[c]);
            }
            assert_eq!(
                (out[i], inside[i]),
                (sum, u32::from(sum[0] > 1000.0)),
                "element {i}, {length} bodies"
            );
        }
    }
}

#[test]
fn a_whole_array_beyond_the_binding_limit_is_refused_and_nothing_written() {
    let options = GpuOptions { max_binding_bytes: Some(64), ..GpuOptions::default() };
    let Some(gpu) = gpu(options) else { return };
    let shader = shader(
        "struct Words { base: u32, n: u32 }
@group(0) @binding(0) var<uniform> forall_words: Words;
@group(0) @binding(1) var<storage, read> table: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;",
        "out[forall_i] = table[arrayLength(&table) - 1u];",
        &[Binding::Words, Binding::Whole(0), Binding::Output(0)],
    );
    let table = exact(17, 4);
    let mut out = [POISON; 100];
    let refused = part(0, 100, [whole(&table)], [output(&mut out)]);
    let error = launch(&gpu, "look", &shader, None, refused).expect_err("68 bytes do not fit 64");
    assert!(
        matches!(&error, Error::Unavailable { reason, .. } if reason.contains("`table` takes 68 bytes")),
        "{error}"
    );
    assert_eq!(out, [POISON; 100]);
    let runs = part(0, 100, [whole(&table[..16])], [output(&mut out)]);
    launch(&gpu, "look", &shader, None, runs).expect("64 bytes fit");
    assert_eq!(out, [table[15]; 100]);
}

#[test]
fn a_large_whole_array_goes_up_in_pieces() {
    let Some(gpu) = shared() else { return };
    let shader = shader(
        "struct Words { base: u32, n: u32 }
@group(0) @binding(0) var<uniform> forall_words: Words;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;",
        "let length = arrayLength(&table); out[forall_i] = table[forall_i * (length / forall_words.n)] + table[length - 1u];",
        &[Binding::Words, Binding::Whole(0), Binding::Output(0)],
    );
    // 64 MiB a piece: one piece and three elements.
    let table: Vec<u32> = (0..(16 << 20) + 3).collect();
    let mut out = [POISON_WORD; 1000];
    let part = part(0, 1000, [whole(&table)], [output(&mut out)]);
    launch(gpu, "look", &shader, None, part).expect("runs");
    let step = table.len() as u32 / 1000;
    assert!(out.iter().enumerate().all(|(i, &o)| o == i as u32 * step + (16 << 20) + 2));
}

#[test]
fn a_bad_shader_is_an_error_leaves_the_outputs_and_harms_no_later_call() {
    let Some(gpu) = shared() else { return };
    let n = 1000;
    check_saxpy(gpu, 0, n);
    let good = saxpy();
    let broken: [(&str, Shader); 4] = [
        ("does not parse", Shader { text: format!("{} }}", good.text).into(), ..good.clone() }),
        (
            "wrong type",
            Shader { text: good.text.replace("forall_words.a *", "true *").into(), ..good.clone() },
        ),
        ("no entry point", Shader { text: good.text.replace(ENTRY, "other").into(), ..good.clone() }),
        (
            "bindings that disagree with the text",
            Shader {
                entry: ENTRY.to_owned(),
                text: format!("{}// other text, so not found in the cache", good.text).into(),
                bindings: vec![
                    Binding::Words,
                    Binding::Output(0),
                    Binding::Array(1),
                    Binding::Array(2),
                    Binding::Output(1),
                ],
            },
        ),
    ];
    for (what, shader) in broken {
        // Twice: a failure must not be cached as a pipeline.
        for _ in 0..2 {
            let (x, y) = (exact(n, 1), exact(n, 2));
            let (mut out, mut index) = (vec![POISON; n], vec![POISON_WORD; n]);
            let inputs = [uniform(3.0_f32), array(&x), array(&y)];
            let part = part(0, n, inputs, [output(&mut out), output(&mut index)]);
            let error = launch(gpu, "broken", &shader, None, part).expect_err(what);
            assert!(matches!(&error, Error::Gpu { what: "pipeline", lost: false, .. }), "{what}: {error:?}");
            assert!(out.iter().all(|&o| o == POISON) && index.iter().all(|&o| o == POISON_WORD), "{what}");
        }
    }
    check_saxpy(gpu, 0, n);
}

#[test]
fn a_device_lost_between_or_during_calls_is_an_error_and_the_next_call_opens_another() {
    let Some(gpu) = gpu(GpuOptions { max_elements_per_dispatch: Some(1000), ..GpuOptions::default() }) else {
        return;
    };
    check_saxpy(&gpu, 0, 3000);
    gpu.device().expect("open").destroy();
    let n = 3000;
    let (x, y) = (exact(n, 1), exact(n, 2));
    let (mut out, mut index) = (vec![POISON; n], vec![POISON_WORD; n]);
    let inputs = [uniform(3.0_f32), array(&x), array(&y)];
    let lost = part(0, n, inputs, [output(&mut out), output(&mut index)]);
    let error = launch(&gpu, "saxpy", &saxpy(), None, lost).expect_err("the device is gone");
    assert!(matches!(&error, Error::Gpu { lost: true, .. }), "{error:?}");
    assert!(out.iter().all(|&o| o == POISON) && index.iter().all(|&o| o == POISON_WORD));
    check_saxpy(&gpu, 0, n);

    // Another thread destroys it while calls run: each one either is right or fails as a whole.
    let (mut right, mut failed) = (0, 0);
    for round in 0..6 {
        let device = gpu.device().expect("opens again");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_micros(400 * round));
                device.destroy();
            });
            for _ in 0..4 {
                let (mut out, mut index) = (vec![POISON; n], vec![POISON_WORD; n]);
                let inputs = [uniform(3.0_f32), array(&x), array(&y)];
                let part = part(0, n, inputs, [output(&mut out), output(&mut index)]);
                match launch(&gpu, "saxpy", &saxpy(), None, part) {
                    Ok(_) => {
                        right += 1;
                        assert!((0..n).all(|i| out[i] == 3.0 * x[i] + y[i] && index[i] == i as u32));
                    }
                    Err(error) => {
                        failed += 1;
                        assert!(matches!(&error, Error::Gpu { lost: true, .. }), "{error:?}");
                        assert!(out.iter().all(|&o| o == POISON) && index.iter().all(|&o| o == POISON_WORD));
                    }
                }
            }
        });
        check_saxpy_or_lost(&gpu);
    }
    println!("{right} calls were right, {failed} failed as a whole");
    assert!(failed > 0, "no call met the loss");
    check_saxpy(&gpu, 0, n);
}

#[test]
fn a_device_lost_after_some_slices_leaves_even_their_outputs() {
    let n = 5000;
    let (x, y) = (exact(n, 1), exact(n, 2));
    for after in [1, 2, 4, 5] {
        let options = GpuOptions {
            max_elements_per_dispatch: Some(1000),
            lose_after: Some(after),
            ..GpuOptions::default()
        };
        let Some(gpu) = gpu(options) else { return };
        let (mut out, mut index) = (vec![POISON; n], vec![POISON_WORD; n]);
        let inputs = [uniform(3.0_f32), array(&x), array(&y)];
        let part = part(0, n, inputs, [output(&mut out), output(&mut index)]);
        let error = launch(&gpu, "saxpy", &saxpy(), Some(1.0), part).expect_err("lost on the way");
        assert!(matches!(&error, Error::Gpu { lost: true, .. }), "after {after}: {error:?}");
        assert!(out.iter().all(|&o| o == POISON) && index.iter().all(|&o| o == POISON_WORD), "after {after}");
    }
}

#[test]
fn the_times_of_a_call_add_up() {
    let Some(gpu) = shared() else { return };
    let n = 1 << 20;
    let (x, y) = (exact(n, 1), exact(n, 2));
    for _ in 0..3 {
        let (mut out, mut index) = (vec![POISON; n], vec![POISON_WORD; n]);
        let inputs = [uniform(3.0_f32), array(&x), array(&y)];
        let part = part(0, n, inputs, [output(&mut out), output(&mut index)]);
        let clock = Instant::now();
        let times = launch(gpu, "saxpy", &saxpy(), Some(2.0), part).expect("runs");
        let all = clock.elapsed();
        println!("{times:?} of {all:?}");
        assert!(times.total() <= all && times.total() * 10 > all, "{times:?} of {all:?}");
        assert!(
            times.run > Duration::ZERO && times.upload > Duration::ZERO && times.download > Duration::ZERO
        );
    }
}

/// The destruction may have come after the last call of the round; then this one meets it.
fn check_saxpy_or_lost(gpu: &Gpu) {
    let (x, y) = ([1.0_f32], [2.0_f32]);
    let (mut out, mut index) = ([POISON], [POISON_WORD]);
    let part = part(0, 1, [uniform(3.0_f32), array(&x), array(&y)], [output(&mut out), output(&mut index)]);
    match launch(gpu, "saxpy", &saxpy(), None, part) {
        Ok(_) => assert_eq!((out, index), ([5.0], [0])),
        Err(error) => assert!(matches!(error, Error::Gpu { lost: true, .. }), "{error:?}"),
    }
}

#[test]
fn a_dispatch_that_takes_too_long_gives_the_device_up() {
    let Some(gpu) = gpu(GpuOptions { timeout: Duration::from_millis(1), ..GpuOptions::default() }) else {
        return;
    };
    let shader = shader(
        "struct Words { base: u32, n: u32, rounds: u32 }
@group(0) @binding(0) var<uniform> forall_words: Words;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;",
        "var s = forall_i; for (var k = 0u; k < forall_words.rounds; k++) { s = s * 1664525u + 1013904223u; } out[forall_i] = s;",
        &[Binding::Words, Binding::Output(0)],
    );
    let n = 1 << 14;
    let mut out = vec![POISON_WORD; n];
    let long = part(0, n, [uniform(200_000_u32)], [output(&mut out)]);
    let error = launch(&gpu, "spin", &shader, None, long).expect_err("takes more than a millisecond");
    assert!(matches!(&error, Error::Gpu { lost: true, what: "run", .. }), "{error:?}");
    assert!(out.iter().all(|&o| o == POISON_WORD));
    let patient = Gpu { options: GpuOptions::default(), state: Mutex::default() };
    check_saxpy(&patient, 0, 1000);
}

#[test]
fn out_of_memory_is_an_error_and_the_device_lives() {
    let Some(gpu) = shared() else { return };
    let device = gpu.device().expect("open");
    let most = device.limits.max_buffer_size;
    let failure = device.buffers(&[(Kind::Output, most + 4)]).expect_err("beyond the limit");
    assert!(!failure.lost && failure.what == "allocation", "{failure:?}");
    // More than most machines have. A software adapter commits memory on first touch and grants even that.
    let wanted = [(Kind::Output, most & !3); 64];
    if let Err(failure) = device.buffers(&wanted) {
        assert!(failure.out_of_memory && failure.message.contains("bytes were asked for"), "{failure:?}");
    }
    check_saxpy(gpu, 0, 1000);
}

#[test]
fn threads_share_the_device() {
    let Some(gpu) = shared() else { return };
    std::thread::scope(|scope| {
        for thread in 0..3 {
            scope.spawn(move || {
                for round in 0..20 {
                    check_saxpy(gpu, thread * 1000, 1000 * (thread + 1) + round);
                }
            });
        }
    });
}

#[test]
fn buffers_are_used_again_and_the_idle_ones_bounded() {
    // No slicing by the clock: a first call that waits for the driver's compiler would make two slices of the second.
    let patient = Duration::from_secs(3600);
    let options = GpuOptions { max_idle_bytes: 100_000, dispatch_target: patient, ..GpuOptions::default() };
    let Some(gpu) = gpu(options) else { return };
    let device = gpu.device().expect("open");
    check_saxpy(&gpu, 0, 1000);
    let idle = device.pool.idle_bytes();
    assert!(idle > 0, "buffers are kept");
    let created = device.pool.created();
    for _ in 0..200 {
        check_saxpy(&gpu, 0, 1000);
    }
    assert_eq!(device.pool.idle_bytes(), idle);
    assert_eq!(device.pool.created(), created, "every call found the buffers of the one before");
    for n in (1..40).map(|k| k * 700) {
        check_saxpy(&gpu, 0, n);
        assert!(device.pool.idle_bytes() <= 100_000);
    }
    let mut layout = Layout::default();
    layout.place(4000);
    assert!(idle >= 2 * layout.bytes(), "upload and input at least");
}

#[test]
fn an_empty_part_touches_no_device() {
    let gpu = Gpu::new(GpuOptions::default());
    let part = part(0, 0, [], [output::<u32>(&mut [])]);
    assert_eq!(launch(&gpu, "iota", &iota(), None, part), Ok(Times::default()));
    assert!(gpu.lock().device.is_none() && gpu.lock().closed.is_none());
}

#[test]
fn a_device_that_cannot_be_opened_is_tried_again_later_and_not_on_every_call() {
    let gpu = Gpu::new(GpuOptions::default());
    let soon = Instant::now() + Duration::from_secs(3600);
    let none = NoGpu { reason: "no driver yet".to_owned(), software: false };
    gpu.lock().closed = Some(Closed { reason: none.clone(), next_try: soon, pause: FIRST_RETRY });
    assert_eq!(gpu.open(), Err(none.clone()));
    gpu.lock().closed = Some(Closed { reason: none.clone(), next_try: Instant::now(), pause: FIRST_RETRY });
    match gpu.open() {
        Ok(_) => assert!(gpu.lock().closed.is_none()),
        Err(reason) => {
            assert_ne!(reason, none);
            assert_eq!(gpu.lock().closed.as_ref().map(|closed| closed.pause), Some(FIRST_RETRY * 4));
        }
    }
}

#[test]
fn a_type_of_part_that_the_text_names_once_is_compiled_once() {
    let Some(gpu) = shared() else { return };
    let shader = Shader { text: format!("{}// compiled in this test", saxpy().text).into(), ..saxpy() };
    let again = Shader { text: Arc::from(shader.text.to_string()), ..shader.clone() };
    let (x, y) = (exact(10, 1), exact(10, 2));
    let run = |shader: &Shader| {
        let (mut out, mut index) = ([POISON; 10], [POISON_WORD; 10]);
        let inputs = [uniform(3.0_f32), array(&x), array(&y)];
        let part = part(0, 10, inputs, [output(&mut out), output(&mut index)]);
        launch(gpu, "saxpy", shader, None, part).expect("runs").compile
    };
    let first = run(&shader);
    let second = run(&again);
    assert!(second * 5 < first, "compiled in {first:?}, found in {second:?}");
}
