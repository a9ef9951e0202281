//! Arrays that stay on the device: what moves and when, sequences, and what becomes of them when a launch or the device fails.

use super::launches::{ADD, SPIN, job, on_cpu, on_gpu, shader};
use super::*;
use crate::array::{Array, Handle};
use crate::cancel::Cancel;
use crate::launch::job::Job;
use crate::launch::{Grid, Texture};

/// `out = 3 x + 1`, wrapping.
const STEP: &str = "
    @group(0) @binding(0) var<storage, read> x: array<u32>;
    @group(0) @binding(1) var<storage, read_write> out: array<u32>;
    @compute @workgroup_size(64) fn step(@builtin(global_invocation_id) id: vec3u) {
        if (id.x < arrayLength(&x)) { out[id.x] = 3 * x[id.x] + 1; }
    }";

fn steps(x: u32, n: usize) -> u32 {
    (0..n).fold(x, |x, _| x.wrapping_mul(3).wrapping_add(1))
}

fn run(gpu: &Gpu, jobs: &mut [Job<'_>]) -> Result<Ran> {
    gpu.launch(jobs, &Watch::NEVER)
}

#[test]
fn an_array_moves_once_and_comes_back_when_it_is_read() {
    let Some(gpu) = shared() else { return };
    let (add, n) = (shader(ADD), Grid::threads(1000));
    let x = Array::from(vec![5_u32; 1000]);
    let bind = || (("x", &x),);
    assert_eq!(on_gpu(gpu, &add, n, bind()).expect("runs").moved, 4000);
    for _ in 0..5 {
        assert_eq!(on_gpu(gpu, &add, n, bind()).expect("runs").moved, 0);
    }
    assert!(x.shared().is_stale() && x.shared().on_device());
    let before = x.read().expect("reads");
    assert!(before.iter().all(|&x| x == 11));
    // Both sides are current: nothing moves, and what was read stays.
    assert_eq!(on_gpu(gpu, &add, n, bind()).expect("runs").moved, 0);
    assert!(before.iter().all(|&x| x == 11) && x.read().expect("reads").iter().all(|&x| x == 12));
    // Written on the host, it moves again.
    x.write(|x| x[999] = 100).expect("writes");
    assert_eq!(on_gpu(gpu, &add, n, bind()).expect("runs").moved, 4000);
    on_cpu(&add, n, bind());
    assert_eq!(x.to_vec().expect("reads")[998..], [14, 102]);
    assert!(!x.shared().on_device());
    // Zeros take no copy. Other memory lay idle before.
    for _ in 0..2 {
        let zeros = Array::<u32>::zeros(1000);
        assert_eq!(on_gpu(gpu, &add, n, (("x", &zeros),)).expect("runs").moved, 0);
        assert!(zeros.read().expect("reads").iter().all(|&x| x == 1));
    }
}

#[test]
fn arrays_of_odd_sizes_and_other_types() {
    let Some(gpu) = shared() else { return };
    let step = shader(STEP);
    for n in [1_usize, 2, 3, 63, 64, 65, 255, 257, 1000] {
        let (x, out): (Array<u8>, Array<u8>) = (Array::from(vec![1_u8; 4 * n]), Array::zeros(4 * n));
        on_gpu(gpu, &step, Grid::threads(n as u32), (("x", &x), ("out", &out))).expect("runs");
        assert_eq!(out.to_vec().expect("reads"), [4, 3, 3, 3].repeat(n));
        assert!(!x.shared().is_stale(), "only read");
    }
}

#[test]
fn a_hundred_launches_are_one_submission_and_each_sees_the_one_before() {
    let Some(gpu) = shared() else { return };
    let step = shader(STEP);
    let n = 777;
    let (mut x, mut out) = (Array::from_iter(0..n), Array::zeros(n as usize));
    let mut jobs = Vec::new();
    for _ in 0..100 {
        jobs.push(job(&step, Grid::threads(n), (("x", &x), ("out", &out))));
        std::mem::swap(&mut x, &mut out);
    }
    let ran = run(gpu, &mut jobs).expect("runs");
    // One array went up; the other one was zeros.
    assert_eq!(ran.moved, 4 * u64::from(n));
    assert!(x.read().expect("reads").iter().zip(0..).all(|(&x, i)| x == steps(i, 100)));
    assert!(out.read().expect("reads").iter().zip(0..).all(|(&x, i)| x == steps(i, 99)));
    // Again: from where the first hundred have left it.
    assert_eq!(run(gpu, &mut jobs).expect("runs").moved, 0);
    assert!(x.read().expect("reads").iter().zip(0..).all(|(&x, i)| x == steps(i, 200)));
}

#[test]
fn reading_in_the_middle_of_many_launches() {
    let Some(gpu) = shared() else { return };
    let add = shader(ADD);
    let x = Array::from(vec![0_u32; 100]);
    for round in 1..50 {
        let ran = on_gpu(gpu, &add, Grid::threads(100), (("x", &x),)).expect("runs");
        assert_eq!(ran.moved, if round == 1 { 400 } else { 0 });
        if round % 7 == 0 {
            assert!(x.read().expect("reads").iter().all(|&x| x == round));
        }
    }
}

#[test]
fn sequences_with_values_slices_textures_and_empty_grids() {
    let Some(gpu) = shared() else { return };
    let fill = shader(
        "@group(0) @binding(0) var<uniform> k: vec2<u32>;
         @group(0) @binding(1) var<storage, read_write> x: array<u32>;
         @compute @workgroup_size(16) fn fill(@builtin(global_invocation_id) id: vec3u) {
             if (id.x < arrayLength(&x)) { x[id.x] = x[id.x] * k.x + k.y; }
         }",
    );
    let image = shader(
        "@group(0) @binding(0) var image: texture_storage_2d<r32uint, read_write>;
         @group(0) @binding(1) var other: texture_storage_2d<r32uint, read>;
         @compute @workgroup_size(4, 4) fn add_turned(@builtin(global_invocation_id) id: vec3u) {
             if (any(id.xy >= textureDimensions(image))) { return; }
             textureStore(image, id.xy, textureLoad(image, id.xy) + textureLoad(other, id.yx));
         }",
    );
    // 7 x 7: rows of 28 bytes, which are copied one by one.
    let run_on = |on: &dyn Fn(&mut [Job<'_>])| {
        let (x, y) = (Array::from_iter(0..49_u32), Array::<u32>::zeros(49));
        let mut slice = vec![1_u32; 49];
        let size = [7, 7];
        let mut jobs = vec![
            job(&fill, Grid::threads(49), (("k", [3_u32, 1]), ("x", &y))),
            job(
                &image,
                Grid::threads([7, 7]),
                (("image", Texture::new(&x, size)), ("other", Texture::new(&y, size))),
            ),
            job(
                &image,
                Grid::threads([7, 7]),
                (("image", Texture::new(&y, size)), ("other", Texture::new(&x, size))),
            ),
            job(&fill, Grid::workgroups(0), (("k", [0_u32, 0]), ("x", &x))),
            job(&fill, Grid::threads(49), (("k", [2_u32, 5]), ("x", &x))),
            job(
                &image,
                Grid::threads([7, 7]),
                (("image", Texture::new(&y, size)), ("other", Texture::new(&x, size))),
            ),
            job(&fill, Grid::threads(49), (("k", [7_u32, 2]), ("x", &mut slice))),
        ];
        on(&mut jobs);
        drop(jobs);
        (x.to_vec().expect("reads"), y.to_vec().expect("reads"), slice)
    };
    let got = run_on(&|jobs| assert!(run(gpu, jobs).is_ok()));
    let expected = run_on(&|jobs| {
        for job in jobs {
            let level = crate::cpu::CpuLevel::detected();
            crate::exec::shader::run(job, level, None, &Watch::NEVER, None).expect("runs");
        }
    });
    assert_eq!(got, expected);
    assert_eq!(got.2, [9; 49]);
}

#[test]
fn memory_comes_back_when_arrays_are_dropped() {
    let Some(gpu) = gpu(GpuOptions::default()) else { return };
    let (add, grid) = (shader(ADD), Grid::threads(1 << 18));
    let device = gpu.device().expect("open");
    for round in 0..20_u32 {
        let x = Array::from(vec![round; 1 << 18]);
        on_gpu(&gpu, &add, grid, (("x", &x),)).expect("runs");
        assert!(x.read().expect("reads").iter().all(|&x| x == round + 1));
    }
    // One of each kind: for the array, up, and down.
    assert_eq!(device.pool.created(), 3);
    let kept = Array::from(vec![1_u32; 1 << 18]);
    on_gpu(&gpu, &add, grid, (("x", &kept),)).expect("runs");
    let idle = device.pool.idle_bytes();
    drop(kept);
    assert_eq!(device.pool.idle_bytes(), idle + (1 << 20));
}

#[test]
fn an_array_dropped_by_its_owner_lives_as_long_as_its_launch() {
    let Some(gpu) = shared() else { return };
    let spin = shader(SPIN);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let x = Array::from(vec![1_u32; 4096]);
            let mut launch = [job(&spin, Grid::threads(4096), (("x", &x),))];
            let other = x.clone();
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(2));
                drop(other);
            });
            drop(x);
            run(gpu, &mut launch).expect("runs");
        }
    });
}

#[test]
fn threads_launch_over_the_same_arrays() {
    let Some(gpu) = shared() else { return };
    let (add, step) = (shader(ADD), shader(STEP));
    let (x, y) = (Array::from(vec![0_u32; 500]), Array::<u32>::zeros(500));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (x, y, add, step) = (&x, &y, &add, &step);
            scope.spawn(move || {
                for _ in 0..20 {
                    let grid = Grid::threads(500);
                    match thread {
                        // Two that lock both, in either role.
                        0 => assert!(on_gpu(gpu, step, grid, (("x", x), ("out", y))).is_ok()),
                        1 => on_cpu(step, grid, (("x", x), ("out", y))),
                        2 => assert!(on_gpu(gpu, add, grid, (("x", x),)).is_ok()),
                        _ => on_cpu(add, grid, (("x", x),)),
                    }
                }
            });
        }
    });
    assert!(x.read().expect("reads").iter().all(|&x| x == 40));
    let first = y.read().expect("reads")[0];
    assert!(first % 3 == 1 && first <= 121 && y.read().expect("reads").iter().all(|&y| y == first));
}

#[test]
fn a_stopped_launch_leaves_arrays_even_those_that_only_the_device_has() {
    let Some(gpu) = gpu(GpuOptions { grace: Duration::from_secs(60), ..GpuOptions::default() }) else {
        return;
    };
    let (spin, add) = (shader(SPIN), shader(ADD));
    let grid = Grid::threads(1 << 15);
    let x = Array::from(vec![6_u32; 1 << 15]);
    on_gpu(&gpu, &add, grid, (("x", &x),)).expect("runs");
    on_gpu(&gpu, &spin, Grid::threads(64), (("x", &mut [0_u32; 64]),)).expect("compiled");
    assert!(x.shared().is_stale());
    let late = Watch { cancel: None, deadline: Some(Instant::now() + Duration::from_millis(20)) };
    let ended = gpu.launch(&mut [job(&spin, grid, (("x", &x),))], &late);
    assert!(matches!(ended, Err(Error::TimeLimit { .. })), "{ended:?}");
    assert!(x.read().expect("reads").iter().all(|&x| x == 7));
    // One that could be stopped and was not: its copy is the array's.
    let calm = Watch { cancel: Some(Cancel::new()), deadline: None };
    let ran = gpu.launch(&mut [job(&add, grid, (("x", &x),))], &calm);
    assert_eq!(ran.expect("not stopped").moved, 0);
    assert!(x.read().expect("reads").iter().all(|&x| x == 8));
}

#[test]
fn a_lost_device_takes_along_only_what_it_alone_had() {
    let Some(mut gpu) = gpu(GpuOptions::default()) else { return };
    let (add, grid) = (shader(ADD), Grid::threads(100));
    let [host, both, alone] = [1_u32, 2, 3].map(|k| Array::from(vec![k; 100]));
    for x in [&both, &alone] {
        on_gpu(&gpu, &add, grid, (("x", x),)).expect("runs");
    }
    both.read().expect("reads");
    gpu.options.lose_after = Some(1);
    // Both are written when the device dies: by the launch itself, and in a sequence.
    for x in [&host, &both] {
        let error = on_gpu(&gpu, &add, grid, (("x", x),)).expect_err("lost");
        assert!(matches!(&error, Error::Gpu { lost: true, .. }), "{error:?}");
    }
    gpu.options.lose_after = None;
    assert!(host.read().expect("reads").iter().all(|&x| x == 1));
    assert!(both.read().expect("reads").iter().all(|&x| x == 3));
    // On the CPU, and on the next device.
    on_cpu(&add, grid, (("x", &host),));
    on_gpu(&gpu, &add, grid, (("x", &both),)).expect("another device");
    assert!(host.read().expect("reads").iter().all(|&x| x == 2));
    assert!(both.read().expect("reads").iter().all(|&x| x == 4));
    for error in
        [alone.read().expect_err("gone"), on_gpu(&gpu, &add, grid, (("x", &alone),)).expect_err("gone")]
    {
        assert!(matches!(&error, Error::Gpu { lost: true, .. }), "{error:?}");
        assert!(error.to_string().contains("only on the GPU"), "{error}");
    }
}

#[test]
fn an_array_of_one_device_moves_to_another() {
    let (Some(one), Some(other)) = (gpu(GpuOptions::default()), shared()) else { return };
    let (add, grid) = (shader(ADD), Grid::threads(100));
    let x = Array::from(vec![1_u32; 100]);
    on_gpu(&one, &add, grid, (("x", &x),)).expect("runs");
    on_gpu(other, &add, grid, (("x", &x),)).expect("runs");
    on_gpu(&one, &add, grid, (("x", &x),)).expect("runs");
    drop(one);
    assert!(x.read().expect("reads").iter().all(|&x| x == 4));
}
