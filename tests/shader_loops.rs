//! The whole compute shaders of `shaders/` on every backend, against the plain loops of their examples: at sizes on both sides of
//! every tile, and with the same bits on every CPU backend and at any number of threads.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::duplicate_mod,
    reason = "the modules are examples, of which a test uses the loop and not `main`"
)]

#[path = "../examples/bitonic_sort.rs"]
mod bitonic_sort;
#[path = "../examples/common/mod.rs"]
mod common;
#[path = "../examples/fft_stockham.rs"]
mod fft_stockham;
#[path = "../examples/game_of_life.rs"]
mod game_of_life;
#[path = "../examples/histogram.rs"]
mod histogram;
#[path = "../examples/jacobi.rs"]
mod jacobi;
#[path = "../examples/matmul_tiled.rs"]
mod matmul_tiled;
#[path = "../examples/prefix_scan.rs"]
mod prefix_scan;
#[path = "../examples/reduce_tree.rs"]
mod reduce_tree;

use std::process::Command;

use forall::{Array, Backend, Dispatcher, Error, Policy, Result};

/// A NaN that no loop computes, and no cell, sum or key of one.
const POISON: u32 = 0xFFA5_A5A5;

/// Runs one loop at all of its sizes; the words of every result.
type Loop = fn(&Dispatcher, Backend) -> Result<Vec<Vec<u32>>>;

const LOOPS: [(&str, Loop); 8] = [
    ("reduce_tree", reduce_tree),
    ("prefix_scan", prefix_scan),
    ("histogram", histogram),
    ("matmul_tiled", matmul_tiled),
    ("jacobi", jacobi),
    ("game_of_life", game_of_life),
    ("bitonic_sort", bitonic_sort),
    ("fft_stockham", fft_stockham),
];

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// Asserts that numbers are those of the plain loop: the same bits on a CPU, within `bound` on a GPU.
fn assert_near(what: &str, backend: Backend, got: &[f32], expected: &[f32], bound: f64) {
    assert_eq!(got.len(), expected.len(), "{what} on {backend}");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let near = if backend == Backend::Gpu {
            (f64::from(*g) - f64::from(*e)).abs() <= bound
        } else {
            g.to_bits() == e.to_bits()
        };
        assert!(near, "{what} on {backend}: element {i} is {g}, expected {e}");
    }
}

fn reduce_tree(forall: &Dispatcher, backend: Backend) -> Result<Vec<Vec<u32>>> {
    let mut results = Vec::new();
    // What the shader has by default, and tiles so small that a sum takes many passes.
    for (width, items, additions, sizes) in [
        (256, 16, 2 * 24, &[0, 1, 2, 15, 16, 17, 255, 256, 257, 4095, 4096, 4097, 100_003][..]),
        (2, 1, 13, &[2, 3, 4, 5, 8191, 8192]),
        (64, 3, 3 * 9, &[191, 192, 193, 36_865]),
        (1024, 1, 2 * 11, &[1023, 1024, 1025, 50_000]),
    ] {
        let reduce = reduce_tree::ReduceTree::with(width, items)?;
        for &n in sizes {
            let numbers = common::uniform(n as u64, n, -1.0, 1.0);
            let got = reduce.run(forall, &Array::from(&numbers[..]))?;
            let (expected, bound) = (reduce_tree::plain(&numbers), reduce_tree::bound(&numbers, additions));
            assert!(
                (f64::from(got) - expected).abs() <= bound,
                "sum of {n} in tiles of {width} × {items} on {backend}: {got}, expected {expected}"
            );
            results.push(vec![got.to_bits()]);
        }
    }
    Ok(results)
}

fn prefix_scan(forall: &Dispatcher, backend: Backend) -> Result<Vec<Vec<u32>>> {
    let scan = prefix_scan::PrefixScan::new()?;
    let mut results = Vec::new();
    for n in [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 17, 2047, 2048, 2049, 6143, 100_003] {
        // Sums pass 2³² again and again.
        let numbers = common::words(n as u64, n);
        let sums = Array::from(vec![POISON; n]);
        scan.run(forall, &Array::from(&numbers[..]), &sums)?;
        let sums = sums.to_vec()?;
        assert!(sums == prefix_scan::plain(&numbers), "prefix_scan of {n} on {backend}");
        results.push(sums);
    }
    Ok(results)
}

fn histogram(forall: &Dispatcher, backend: Backend) -> Result<Vec<Vec<u32>>> {
    let histogram = histogram::Histogram::new()?;
    let mut results = Vec::new();
    for n in [0, 1, 255, 256, 257, 8191, 8192, 8193, 100_003] {
        // The last one: every key in the same bin.
        for (shift, mask) in [(0, u32::MAX), (8, 0xff3f), (24, u32::MAX), (16, 0)] {
            let keys: Vec<u32> = common::words(n as u64, n).into_iter().map(|key| key & mask).collect();
            let counts = histogram.run(forall, &Array::from(&keys[..]), shift)?.to_vec()?;
            let expected = histogram::plain(&keys, shift);
            assert_eq!(counts, expected, "histogram of {n} from bit {shift} on {backend}");
            results.push(counts);
        }
    }
    Ok(results)
}

fn matmul_tiled(forall: &Dispatcher, backend: Backend) -> Result<Vec<Vec<u32>>> {
    let matmul = matmul_tiled::Matmul::new()?;
    let mut results = Vec::new();
    for [rows, columns, inner] in [
        [1, 1, 1],
        [2, 3, 5],
        [64, 64, 16],
        [63, 65, 17],
        [65, 63, 15],
        [1, 130, 33],
        [130, 1, 1],
        [128, 192, 64],
        [100, 200, 150],
    ] {
        let size = matmul_tiled::Size { rows, columns, inner };
        let a = common::uniform(rows as u64, rows * inner, -1.0, 1.0);
        let b = common::uniform(columns as u64, inner * columns, -1.0, 1.0);
        // Room behind the end, where nothing is written.
        let c = Array::from(vec![f32::from_bits(POISON); rows * columns + 100]);
        matmul.run(forall, size, &Array::from(&a[..]), &Array::from(&b[..]), &c)?;
        let c = c.to_vec()?;
        let (c, behind) = c.split_at(rows * columns);
        assert!(behind.iter().all(|c| c.to_bits() == POISON), "{size:?} on {backend}: wrote behind the end");
        let (expected, bound) = (matmul_tiled::plain(size, &a, &b), matmul_tiled::bound(size));
        assert_near(&format!("matmul_tiled {size:?}"), backend, c, &expected, bound);
        results.push(bits(c));
    }
    Ok(results)
}

/// On both sides of a workgroup of 64 × 4, and so thin that a cell is its own neighbour.
const PLANES: [[u32; 2]; 11] =
    [[1, 1], [2, 1], [1, 2], [2, 2], [3, 3], [1, 7], [7, 1], [63, 5], [64, 4], [65, 3], [130, 33]];

fn jacobi(forall: &Dispatcher, backend: Backend) -> Result<Vec<Vec<u32>>> {
    let jacobi = jacobi::Jacobi::new()?;
    let mut results = Vec::new();
    for size in PLANES {
        for steps in [0, 1, 100] {
            let plate = jacobi::plate(size);
            let got = jacobi.run(forall, size, &Array::from(&plate[..]), steps)?.to_vec()?;
            let (expected, bound) = (jacobi::plain(size, &plate, steps), jacobi::bound(steps));
            assert_near(&format!("jacobi {size:?}, {steps} steps"), backend, &got, &expected, bound);
            results.push(bits(&got));
        }
    }
    Ok(results)
}

fn game_of_life(forall: &Dispatcher, backend: Backend) -> Result<Vec<Vec<u32>>> {
    let life = game_of_life::Life::new()?;
    let mut results = Vec::new();
    for size in PLANES {
        for generations in [1, 2, 21] {
            let world = game_of_life::world(size);
            let got = life.run(forall, size, &Array::from(&world[..]), generations)?.to_vec()?;
            let expected = game_of_life::plain(size, &world, generations);
            assert!(got == expected, "{generations} generations of {size:?} on {backend}");
            results.push(got);
        }
    }
    Ok(results)
}

fn bitonic_sort(forall: &Dispatcher, backend: Backend) -> Result<Vec<Vec<u32>>> {
    let sort = bitonic_sort::BitonicSort::new()?;
    let mut results = Vec::new();
    for n in [0, 1, 2, 3, 5, 1023, 1024, 1025, 2047, 2049, 3000, 4097, 10_007] {
        let keys = common::words(n as u64, n);
        let kinds: [(&str, Vec<u32>); 4] = [
            ("random", keys.clone()),
            ("few", keys.iter().map(|key| key % 5).collect()),
            ("descending", (0..n as u32).rev().collect()),
            // As large as what stands for keys that are not there.
            ("largest", vec![u32::MAX; n]),
        ];
        for (kind, keys) in kinds {
            let array = Array::from(&keys[..]);
            sort.run(forall, &array)?;
            let got = array.to_vec()?;
            assert!(got == bitonic_sort::plain(&keys), "{n} {kind} keys on {backend}");
            results.push(got);
        }
    }
    Ok(results)
}

fn fft_stockham(forall: &Dispatcher, backend: Backend) -> Result<Vec<Vec<u32>>> {
    let fft = fft_stockham::Fft::new()?;
    let mut results = Vec::new();
    for log in 0..=13 {
        let n = 1 << log;
        let numbers = common::uniform(log, 2 * n, -1.0, 1.0);
        let x: Vec<[f32; 2]> = numbers.chunks_exact(2).map(|x| [x[0], x[1]]).collect();
        let [array, roots] =
            [&x, &fft_stockham::roots(n)].map(|numbers| Array::from(fft_stockham::planar(numbers)));
        let got = fft.run(forall, &array, &roots)?.to_vec()?;
        let error = fft_stockham::error(&fft_stockham::complex(&got), &fft_stockham::plain(&x));
        assert!(error <= fft_stockham::bound(n), "fft of {n} on {backend}: {error:e}");
        results.push(bits(&got));
    }
    Ok(results)
}

/// Every loop on `backend`; says why not where it cannot run.
fn run_all(backend: Backend) -> Result<Vec<Vec<Vec<u32>>>> {
    let forall = Dispatcher::new().with_policy(Policy::Only(backend));
    LOOPS.iter().map(|(_, run)| run(&forall, backend)).collect()
}

#[test]
fn simd_and_threads_give_the_same_bits() {
    let (simd, threads) = (run_all(Backend::Simd).unwrap(), run_all(Backend::Threads).unwrap());
    for ((name, _), (simd, threads)) in LOOPS.iter().zip(simd.iter().zip(&threads)) {
        assert!(simd == threads, "{name}: simd and threads differ");
    }
}

/// The pool's size is the process's: one process for each.
#[test]
fn at_1_2_and_7_threads() {
    for count in ["1", "2", "7"] {
        let this = std::env::current_exe().expect("the test has a path");
        let test = "simd_and_threads_give_the_same_bits";
        let run = Command::new(this).args(["--exact", test]).env("FORALL_THREADS", count).output().unwrap();
        let text = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && text.contains("1 passed"), "{count} threads: {text}");
    }
}

#[test]
fn gpu() {
    match run_all(Backend::Gpu) {
        Ok(_) => {}
        Err(error @ Error::Unavailable { .. })
            if std::env::var("FORALL_REQUIRE_GPU").as_deref() != Ok("1") =>
        {
            eprintln!("gpu: skipped: {error}");
        }
        Err(error) => panic!("{error}"),
    }
}

/// The plain loops themselves, by what is known without a computer.
#[test]
fn plain_loops_are_right() {
    // A glider goes one cell down and to the right in four generations: around an 8 × 8 torus in 32.
    let mut world = vec![0; 64];
    for cell in [1, 10, 16, 17, 18] {
        world[cell] = 1;
    }
    let moved: Vec<u32> = (0..64).map(|i| world[(i / 8 + 7) % 8 * 8 + (i + 7) % 8]).collect();
    assert_eq!(game_of_life::plain([8, 8], &world, 4), moved);
    assert_eq!(game_of_life::plain([8, 8], &world, 32), world);

    // A linear slope is at rest.
    let slope: Vec<f32> = (0..30).map(|i| (i % 6) as f32).collect();
    assert_eq!(jacobi::plain([6, 5], &slope, 50), slope);

    for n in [1, 2, 8, 64] {
        let numbers = common::uniform(3, 2 * n, -1.0, 1.0);
        let x: Vec<[f32; 2]> = numbers.chunks_exact(2).map(|x| [x[0], x[1]]).collect();
        let (fast, slow) = (fft_stockham::plain(&x), fft_stockham::definition(&x));
        for (fast, slow) in fast.as_flattened().iter().zip(slow.as_flattened()) {
            assert!((fast - slow).abs() < 1e-12 * n as f64);
        }
    }
    let size = matmul_tiled::Size { rows: 2, columns: 1, inner: 3 };
    assert_eq!(matmul_tiled::plain(size, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1.0, 0.0, -1.0]), [-2.0, -2.0]);
    assert_eq!(prefix_scan::plain(&[3, u32::MAX, 5]), [3, 2, 7]);
    assert_eq!(histogram::plain(&[0x0103, 0x01ff, 0x0203], 8)[..4], [0, 2, 1, 0]);
}
