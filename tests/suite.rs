//! The one suite: every loop here on every backend, at lengths on both sides of every edge, into poisoned outputs with room
//! behind them, against a line of Rust. The numbers are chosen so that every operation is exact: then a GPU, which may fuse
//! and reorder, owes the same bits as the CPU, and no tolerance is needed.

use std::process::Command;

use forall::{Args, Backend, Dispatcher, Error, Field, Index, Kernel, OutputArg, OutputArgs, Policy};

/// Both sides of a vector (16), a step of the thread pool (64), a workgroup and a run of a closure (256), a block (1024);
/// and one that threads share.
const LENGTHS: [usize; 21] =
    [0, 1, 2, 15, 16, 17, 31, 33, 63, 64, 65, 255, 256, 257, 511, 513, 1023, 1024, 1025, 4097, 100_003];

/// What outputs hold before a run, and must hold behind its end after it: a NaN, and no result of any loop here.
const POISON: u32 = 0xFFA5_A5A5;

/// Elements behind the end of every output.
const BEHIND: usize = 64;

/// The arrays that loops read.
struct Data {
    x: Vec<f32>,
    k: Vec<u32>,
    /// Every extreme among others.
    i: Vec<i32>,
    /// Words of which a quarter are 0, that is false, and none is 1.
    on: Vec<u32>,
    p: Vec<[i32; 2]>,
    v: Vec<[f32; 3]>,
    q: Vec<[u32; 4]>,
}

impl Data {
    fn new(n: usize) -> Self {
        let x: Vec<f32> = (0..n).map(|i| (i % 131_071) as f32 * 0.25 - 9000.0).collect();
        let k: Vec<u32> = (0..n as u32).map(|i| i.wrapping_mul(2_654_435_761) ^ i << 7).collect();
        let i = k.iter().map(|k| [*k as i32, i32::MIN, -1, 0, i32::MAX, 3][(*k >> 8) as usize % 6]).collect();
        let on = k.iter().map(|k| (k % 4) << 30).collect();
        let p = k.iter().map(|k| [*k as i32, -7]).collect();
        let v = x.iter().map(|x| [*x, 0.5 - x, 8.0]).collect();
        let q = k.iter().map(|k| [*k, 1, !*k, 0]).collect();
        Self { x, k, i, on, p, v, q }
    }
}

/// One loop: its bodies, and what each element must be.
struct Loop {
    bodies: Vec<Kernel>,
    /// The inputs of a call.
    args: for<'a> fn(&'a Data) -> Args<'a>,
    /// The words of element `i`, those of the first output first.
    expected: fn(usize, &Data) -> Vec<u32>,
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
            args: |data| Args::new().push(2.0_f32).push(&data.x).push(&data.x),
            expected: |i, data| vec![(2.0 * data.x[i] + data.x[i]).to_bits()],
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
            args: |data| Args::new().push(Index).push(&data.k),
            expected: |i, data| {
                let k = data.k[i];
                vec![(k ^ (k >> 15)).wrapping_mul(2_246_822_519).wrapping_add(i as u32)]
            },
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
            args: |_| Args::new().push(Index),
            expected: |i, _| vec![collatz(i as u32 + 1)],
        },
        Loop {
            bodies: vec![
                wgsl(
                    "var<storage, read> table: array<u32>;
                     fn gather(k: u32) -> u32 { return table[k % arrayLength(&table)]; }",
                ),
                Kernel::scalar("gather scalar", |k: u32, table: &[u32]| table[k as usize % table.len()]),
            ],
            args: |data| Args::new().push(&data.k).push(&TABLE),
            expected: |i, data| vec![TABLE[data.k[i] as usize % TABLE.len()]],
        },
        // Every element reads all of an array, whose vec3 have the stride of vec4.
        Loop {
            bodies: vec![
                wgsl(
                    "var<storage, read> rows: array<vec3<i32>>;
                     fn sum(i: u32, scale: i32) -> vec3<i32> {
                         var s = vec3<i32>(0, 0, i32(i));
                         for (var j = 0u; j < arrayLength(&rows); j++) { s += scale * rows[j]; }
                         return s;
                     }",
                ),
                Kernel::scalar("sum scalar", |i: u32, scale: i32, rows: &[[i32; 4]]| {
                    let sum = |c: usize| rows.iter().map(|row| scale * row[c]).sum::<i32>();
                    [sum(0), sum(1), sum(2) + i as i32]
                }),
            ],
            args: |_| Args::new().push(Index).push(-3_i32).push(&ROWS),
            expected: |i, _| [-3 * 111, -3 * -6, -3 * 15 + i as i32].map(|s: i32| s as u32).to_vec(),
        },
        // Several outputs.
        Loop {
            bodies: vec![
                wgsl(
                    "struct Both { half: f32, mask: u32 }
                     fn both(x: f32, k: u32) -> Both { return Both(x * 0.5, k & 255u); }",
                ),
                Kernel::scalar("both scalar", |x: f32, k: u32| (x * 0.5, k & 255)),
                Kernel::lanes("both lanes", |x: wide::f32x8, k: wide::u32x8| {
                    (x * 0.5, k & wide::u32x8::splat(255))
                }),
                Kernel::chunk("both chunk")
                    .input::<f32>("x")
                    .input::<u32>("k")
                    .output::<f32>("half")
                    .output::<u32>("mask")
                    .body(|chunk| {
                        let (x, k) = (chunk.input::<f32>("x"), chunk.input::<u32>("k"));
                        let (half, mask) = (chunk.output::<f32>("half"), chunk.output::<u32>("mask"));
                        half.iter_mut().zip(x).for_each(|(half, x)| *half = x * 0.5);
                        mask.iter_mut().zip(k).for_each(|(mask, k)| *mask = k & 255);
                    }),
            ],
            args: |data| Args::new().push(&data.x).push(&data.k),
            expected: |i, data| vec![(data.x[i] * 0.5).to_bits(), data.k[i] & 255],
        },
        // Vectors as elements, packed, and as numbers.
        Loop {
            bodies: vec![
                wgsl("fn shift(p: vec3<f32>, v: vec3<f32>, t: f32) -> vec3<f32> { return p.zxy + t * v; }"),
                Kernel::scalar("shift scalar", |p: [f32; 3], v: [f32; 3], t: f32| {
                    [p[2] + t * v[0], p[0] + t * v[1], p[1] + t * v[2]]
                }),
            ],
            args: |data| Args::new().push(&data.v).push([0.5_f32, 1.0, -2.0]).push(&data.x),
            expected: |i, data| {
                let ([x, y, z], t) = (data.v[i], data.x[i]);
                [z + t * 0.5, x + t, y - 2.0 * t].map(f32::to_bits).to_vec()
            },
        },
        Loop {
            bodies: vec![
                wgsl(
                    "struct Turned { p: vec2<i32>, q: vec4<u32> }
                     fn turn(p: vec2<i32>, q: vec4<u32>, flip: vec4<u32>) -> Turned {
                         return Turned(vec2<i32>(p.y, ~p.x), q.wzyx ^ flip);
                     }",
                ),
                Kernel::scalar("turn scalar", |p: [i32; 2], q: [u32; 4], flip: [u32; 4]| {
                    ([p[1], !p[0]], [q[3] ^ flip[0], q[2] ^ flip[1], q[1] ^ flip[2], q[0] ^ flip[3]])
                }),
            ],
            args: |data| Args::new().push(&data.p).push(&data.q).push([9_u32, 0, 1, u32::MAX]),
            expected: |i, data| {
                let ([x, y], [a, b, c, d]) = (data.p[i], data.q[i]);
                vec![y as u32, !x as u32, d ^ 9, c, b ^ 1, !a]
            },
        },
        // A bool is a word: any but 0 is true, and a result is 0 or 1.
        Loop {
            bodies: vec![
                wgsl(
                    "struct Chosen { k: u32, odd: bool }
                     fn choose(on: bool, k: u32, all: bool) -> Chosen {
                         return Chosen(select(7u, k, on), (k % 2u == 1u) == (on && all));
                     }",
                ),
                Kernel::scalar("choose scalar", |on: u32, k: u32, all: u32| {
                    (if on != 0 { k } else { 7 }, u32::from((k % 2 == 1) == (on != 0 && all != 0)))
                }),
            ],
            args: |data| Args::new().push(&data.on).push(&data.k).push(true),
            expected: |i, data| {
                let (on, k) = (data.on[i] != 0, data.k[i]);
                vec![if on { k } else { 7 }, u32::from((k % 2 == 1) == on)]
            },
        },
        // Integers at their edges, as WGSL defines them: x / 0 is x, x % 0 is 0, and MIN / -1 is MIN.
        Loop {
            bodies: vec![
                wgsl(
                    "struct Parts { quotient: i32, rest: i32, bits: u32 }
                     fn divide(a: i32, k: u32) -> Parts {
                         let b = i32(k % 4u) - 2;
                         return Parts(a / b, a % b, firstLeadingBit(k) + countOneBits(k));
                     }",
                ),
                Kernel::scalar("divide scalar", |a: i32, k: u32| {
                    let b = (k % 4) as i32 - 2;
                    let (quotient, rest) =
                        if b == 0 { (a, 0) } else { (a.wrapping_div(b), a.wrapping_rem(b)) };
                    (quotient, rest, 31_u32.wrapping_sub(k.leading_zeros()).wrapping_add(k.count_ones()))
                }),
            ],
            args: |data| Args::new().push(&data.i).push(&data.k),
            expected: |i, data| {
                let (a, k) = (data.i[i], data.k[i]);
                let b = (k % 4) as i32 - 2;
                let first = if k == 0 { u32::MAX } else { k.ilog2() };
                vec![
                    a.checked_div(b).unwrap_or(a) as u32,
                    a.checked_rem(b).unwrap_or(0) as u32,
                    first.wrapping_add(k.count_ones()),
                ]
            },
        },
    ]
}

static TABLE: [u32; 7] = [3, 1, 4, 1, 5, 9, 2];

/// The fourth column is padding, and of no effect.
static ROWS: [[i32; 4]; 3] = [[100, -1, 4, 77], [10, -2, 5, 78], [1, -3, 6, 79]];

fn collatz(mut k: u32) -> u32 {
    let mut n = 0;
    while k != 1 {
        k = if k.is_multiple_of(2) { k / 2 } else { 3 * k + 1 };
        n += 1;
    }
    n
}

/// Words of one element.
fn words(field: &Field) -> usize {
    field.ty.size() / 4
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
                let data = Data::new(n);
                let outputs = &kernel.signature().outputs;
                let mut arrays: Vec<Vec<u32>> =
                    outputs.iter().map(|field| vec![POISON; n * words(field) + BEHIND]).collect();
                let given =
                    arrays.iter_mut().zip(outputs).fold(OutputArgs::new(), |given, (array, field)| {
                        let now = &mut array[..n * words(field)];
                        given.push(OutputArg::array(bytemuck::cast_slice_mut(now), field.ty))
                    });
                forall.run(kernel, args(&data), given)?;
                let name = kernel.name();
                for (array, field) in arrays.iter().zip(outputs) {
                    let behind = &array[n * words(field)..];
                    assert!(
                        behind.iter().all(|o| *o == POISON),
                        "{name} on {backend}: wrote behind element {n}"
                    );
                }
                for i in 0..n {
                    let got: Vec<u32> = (arrays.iter().zip(outputs))
                        .flat_map(|(array, field)| &array[i * words(field)..(i + 1) * words(field)])
                        .copied()
                        .collect();
                    assert_eq!(got, expected(i, &data), "{name} on {backend}: element {i} of {n}");
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
