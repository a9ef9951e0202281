//! The one suite: every loop here on every backend, at lengths on both sides of every edge, into poisoned outputs with room
//! behind them, against one line of Rust. The numbers are chosen so that every operation is exact: then a GPU, which may fuse
//! and reorder, owes the same bits as the CPU, and no tolerance is needed.

use std::process::Command;

use forall::{Args, Backend, Dispatcher, Error, Index, Kernel, Policy};

/// Both sides of a vector (16), a step of the thread pool (64), a workgroup and a run of a closure (256), a block (1024);
/// and one that threads share.
const LENGTHS: [usize; 21] =
    [0, 1, 2, 15, 16, 17, 31, 33, 63, 64, 65, 255, 256, 257, 511, 513, 1023, 1024, 1025, 4097, 100_003];

/// What outputs hold before a run, and must hold behind its end after it: a NaN, and no result of any loop here.
const POISON: u32 = 0xFFA5_A5A5;

/// Elements behind the end of every output.
const BEHIND: usize = 64;

/// One loop: its bodies, and what each element must be, as bits.
struct Loop {
    bodies: Vec<Kernel>,
    /// The inputs of a call; the loop's numbers are `x`.
    args: for<'a> fn(&'a [f32], &'a [u32]) -> Args<'a>,
    expected: fn(usize, &[f32], &[u32]) -> u32,
}

fn loops() -> Vec<Loop> {
    let wgsl = |text: &str| Kernel::map(text).unwrap_or_else(|error| panic!("{error}"));
    vec![
        // Multiples of 1/4 below 2¹⁵, a power of two, and a sum below 2¹⁷: exact with or without fusing.
        Loop {
            bodies: vec![
                wgsl("fn saxpy(a: f32, x: f32, y: f32) -> f32 { return a * x + y; }"),
                Kernel::scalar("saxpy scalar", |a: f32, x: f32, y: f32| a * x + y),
                Kernel::lanes("saxpy lanes", |a: f32, x: wide::f32x8, y: wide::f32x8| a * x + y),
            ],
            args: |x, _| Args::new().push(2.0_f32).push(x).push(x),
            expected: |i, x, _| (2.0 * x[i] + x[i]).to_bits(),
        },
        Loop {
            bodies: vec![
                wgsl("fn mix(i: u32, k: u32) -> u32 { return (k ^ (k >> 15u)) * 2246822519u + i; }"),
                Kernel::scalar("mix scalar", |i: u32, k: u32| {
                    (k ^ (k >> 15)).wrapping_mul(2_246_822_519).wrapping_add(i)
                }),
                Kernel::lanes("mix lanes", |i: wide::u32x16, k: wide::u32x16| {
                    (k ^ (k >> 15_u32)) * wide::u32x16::splat(2_246_822_519) + i
                }),
            ],
            args: |_, k| Args::new().push(Index).push(k),
            expected: |i, _, k| (k[i] ^ (k[i] >> 15)).wrapping_mul(2_246_822_519).wrapping_add(i as u32),
        },
        // Divergent: neighbours take between 0 and some hundred steps.
        Loop {
            bodies: vec![
                wgsl(
                    "fn steps(i: u32) -> u32 {
                         var k = i + 1u;
                         var n = 0u;
                         while k != 1u {
                             if k % 2u == 0u { k = k / 2u; } else { k = 3u * k + 1u; }
                             n += 1u;
                         }
                         return n;
                     }",
                ),
                Kernel::scalar("steps scalar", |i: u32| collatz(i + 1)),
            ],
            args: |_, _| Args::new().push(Index),
            expected: |i, _, _| collatz(i as u32 + 1),
        },
        Loop {
            bodies: vec![
                wgsl(
                    "var<storage, read> table: array<u32>;
                     fn gather(k: u32) -> u32 { return table[k % arrayLength(&table)]; }",
                ),
                Kernel::scalar("gather scalar", |k: u32, table: &[u32]| table[k as usize % table.len()]),
            ],
            args: |_, k| Args::new().push(k).push(&TABLE),
            expected: |i, _, k| TABLE[k[i] as usize % TABLE.len()],
        },
    ]
}

static TABLE: [u32; 7] = [3, 1, 4, 1, 5, 9, 2];

fn collatz(mut k: u32) -> u32 {
    let mut n = 0;
    while k != 1 {
        k = if k.is_multiple_of(2) { k / 2 } else { 3 * k + 1 };
        n += 1;
    }
    n
}

/// Runs every loop on `backend`; says why not where it cannot.
fn run_all(backend: Backend) -> Result<(), Error> {
    let forall = Dispatcher::new().with_policy(Policy::Only(backend));
    for Loop { bodies, args, expected } in loops() {
        for kernel in &bodies {
            // A closure is the CPU's business alone.
            if backend == Backend::Gpu && kernel.name().contains(' ') {
                continue;
            }
            for n in LENGTHS {
                let x: Vec<f32> = (0..n).map(|i| (i % 131_071) as f32 * 0.25 - 9000.0).collect();
                let k: Vec<u32> = (0..n as u32).map(|i| i.wrapping_mul(2_654_435_761) ^ i << 7).collect();
                let mut out = vec![POISON; n + BEHIND];
                let (now, behind) = out.split_at_mut(n);
                if kernel.signature().outputs[0].ty.to_string() == "f32" {
                    forall.run(kernel, args(&x, &k), bytemuck::cast_slice_mut::<u32, f32>(now))?;
                } else {
                    forall.run(kernel, args(&x, &k), &mut *now)?;
                }
                assert!(
                    behind.iter().all(|o| *o == POISON),
                    "{} on {backend}: wrote behind element {n}",
                    kernel.name()
                );
                for (i, got) in now.iter().enumerate() {
                    assert_eq!(
                        *got,
                        expected(i, &x, &k),
                        "{} on {backend}: element {i} of {n}",
                        kernel.name()
                    );
                }
            }
        }
    }
    Ok(())
}

#[test]
fn simd() {
    run_all(Backend::Simd).unwrap();
}

#[test]
fn threads() {
    run_all(Backend::Threads).unwrap();
}

/// The pool's size is the process's: one process for each.
#[test]
fn threads_at_1_2_and_7() {
    for count in ["1", "2", "7"] {
        let this = std::env::current_exe().expect("the test has a path");
        let run =
            Command::new(this).args(["--exact", "threads"]).env("FORALL_THREADS", count).output().unwrap();
        let text = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && text.contains("1 passed"), "{count} threads: {text}");
    }
}

#[test]
fn gpu() {
    match run_all(Backend::Gpu) {
        Ok(()) => {}
        Err(error @ Error::Unavailable { .. })
            if std::env::var("FORALL_REQUIRE_GPU").as_deref() != Ok("1") =>
        {
            eprintln!("gpu: skipped: {error}");
        }
        Err(error) => panic!("{error}"),
    }
}
