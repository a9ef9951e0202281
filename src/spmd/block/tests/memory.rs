//! Loads and stores: every kind of index, in and out of bounds, with canaries around what may be written.

use super::*;
use crate::spmd::ir::{Local, LocalDecl};

fn words(n: u32) -> Vec<u32> {
    (0..n).map(|i| i.wrapping_mul(0x9e37_79b9) ^ 0x5555).collect()
}

/// `out[i * stride + offset] = in[i * stride + offset] + in[i]`: aimed, copied, strided, past the end, before the start.
#[test]
fn rows() {
    for stride in [1, 2, 3, 4, 5, 0, u32::MAX] {
        for offset in [0_u32, 1, 7, u32::MAX, 0_u32.wrapping_sub(16), 0_u32.wrapping_sub(1000)] {
            let mut p = program(&["a", "Out"]);
            let mut body = vec![];
            let i = id(&mut p, &mut body);
            let (by, plus) = (int(&mut p, &mut body, stride), int(&mut p, &mut body, offset));
            let scaled = binary(&mut p, &mut body, Ty::U32, Binary::MulI, i, by);
            let index = binary(&mut p, &mut body, Ty::U32, Binary::AddI, scaled, plus);
            let x = load(&mut p, &mut body, Ty::U32, buffer(0), index);
            let y = load(&mut p, &mut body, Ty::U32, buffer(0), i);
            let sum = binary(&mut p, &mut body, Ty::U32, Binary::AddI, x, y);
            store(&mut body, buffer(1), index, sum);
            p.body = body;
            for n in [1, 16, 17, 1040, 1500] {
                for length in [n / 2, n, n + 3, 5 * n + 9] {
                    check(&p, &[&words(length)], length as usize, n);
                }
            }
        }
    }
}

/// `out[g[i]] = in[g[i]] ^ i` with indices that repeat (the highest invocation wins) and that lie anywhere.
#[test]
fn gather_and_scatter() {
    let mut p = program(&["g", "a", "Out"]);
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let index = load(&mut p, &mut body, Ty::U32, buffer(0), i);
    let x = load(&mut p, &mut body, Ty::U32, buffer(1), index);
    let value = binary(&mut p, &mut body, Ty::U32, Binary::XorI, x, i);
    store(&mut body, buffer(2), index, value);
    p.body = body;
    let anywhere = |i: u32| match i % 7 {
        0 => u32::MAX - i,
        1 => 50,
        2 => 49,
        3 => 0x8000_0000,
        _ => i * 13 % 60,
    };
    for n in [1, 16, 40, 1100] {
        let g: Vec<u32> = (0..n).map(anywhere).collect();
        for length in [0, 1, 50] {
            check(&p, &[&g, &words(length)], length as usize, n);
        }
    }
}

/// Checks `if active[i] { out[g[i]] = in[g[i]] ^ i }` with buffers of these lengths.
fn check_indices(g: &[u32], active: &[u32], lengths: impl IntoIterator<Item = usize>) {
    let mut p = program(&["g", "active", "a", "Out"]);
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let zero = int(&mut p, &mut body, 0);
    let active_words = load(&mut p, &mut body, Ty::U32, buffer(1), i);
    let some = binary(&mut p, &mut body, Ty::Bool, Binary::NeI, active_words, zero);
    let index = load(&mut p, &mut body, Ty::U32, buffer(0), i);
    let mut then = vec![];
    let x = load(&mut p, &mut then, Ty::U32, buffer(2), index);
    let value = binary(&mut p, &mut then, Ty::U32, Binary::XorI, x, i);
    store(&mut then, buffer(3), index, value);
    body.push(Stmt::If { cond: some, then, otherwise: vec![] });
    p.body = body;
    for length in lengths {
        check(&p, &[g, active, &words(length as u32)], length, g.len() as u32);
    }
}

/// Where the words of a chunk lie, by lane.
const PATTERNS: [fn(u32) -> u32; 9] = [
    |lane| lane,
    |lane| lane ^ 15,
    |lane| 2 * lane,
    |lane| lane / 8 * 16 + lane % 8,
    |lane| lane * 7 % 16,
    |_| 5,
    // Several lanes to a word.
    |lane| lane * lane % 11 + 20,
    // As far apart as a window is wide, and one further.
    |lane| if lane == 3 { 31 } else { lane / 2 },
    |lane| if lane == 3 { 32 } else { lane / 2 },
];

/// Indices that lie close together: up to the last word and beyond it, all lanes and some, alike from chunk to chunk or not.
#[test]
fn indices_close_together() {
    // Chunks 32 words apart, in runs of three that are alike.
    let chunks = |shift: usize| {
        move |i: u32| {
            let (chunk, lane) = (i / 16, i % 16);
            32 * chunk + PATTERNS[(chunk as usize / 3 + shift) % PATTERNS.len()](lane)
        }
    };
    for shift in 0..PATTERNS.len() {
        for n in [16, 45, 300] {
            let g: Vec<u32> = (0..n).map(chunks(shift)).collect();
            let last = g.iter().max().map_or(0, |last| *last as usize);
            for kept in [u32::MAX, 0b1101, 1 << 7] {
                let active: Vec<u32> = (0..n).map(|i| kept >> (i % 16) & 1).collect();
                let lengths = [last + 1, last, last.saturating_sub(5), last + 40];
                check_indices(&g, &active, lengths);
                if kept == u32::MAX {
                    continue;
                }
                // Who is not active aims anywhere.
                let wild =
                    |i: usize| if active[i] == 0 { (i as u32).wrapping_mul(0x9e37_79b9) } else { g[i] };
                let g: Vec<u32> = (0..g.len()).map(wild).collect();
                check_indices(&g, &active, lengths);
            }
        }
    }
}

/// One lane elsewhere than its chunk, in each place: outside, far off, and where a signed or a wrapping comparison sees it inside.
#[test]
fn one_index_elsewhere() {
    let n = 80_u32;
    let active = vec![1; n as usize];
    for pattern in PATTERNS {
        for odd in 16..64 {
            let elsewhere =
                [u32::MAX, 0x8000_0000, 0x7fff_ffff, 200, 199, 0, u32::MAX - odd][odd as usize % 7];
            let g: Vec<u32> =
                (0..n).map(|i| if i == odd { elsewhere } else { 32 * (i / 16) + pattern(i % 16) }).collect();
            check_indices(&g, &active, [200]);
        }
    }
}

/// Rows and windows that begin near the last number that an index can be, some of them going on at zero.
#[test]
fn indices_wrap() {
    for pattern in PATTERNS {
        for back in [1, 4, 15, 16, 17, 31, 32, 40] {
            let g: Vec<u32> = (0..64).map(|i| pattern(i % 16).wrapping_sub(back)).collect();
            for kept in [u32::MAX, 0xff00] {
                let active: Vec<u32> = (0..64).map(|i| kept >> (i % 16) & 1).collect();
                check_indices(&g, &active, [0, 1, 15, 40]);
            }
        }
    }
}

/// A uniform index: one word, which the last active invocation writes.
#[test]
fn one_word_for_all() {
    let mut p = program(&["a", "Out"]);
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let (at, limit) = (int(&mut p, &mut body, 3), int(&mut p, &mut body, 37));
    let early = binary(&mut p, &mut body, Ty::Bool, Binary::LtU, i, limit);
    let x = load(&mut p, &mut body, Ty::U32, buffer(0), at);
    let value = binary(&mut p, &mut body, Ty::U32, Binary::AddI, x, i);
    let mut then = vec![];
    store(&mut then, buffer(1), at, value);
    body.push(Stmt::If { cond: early, then, otherwise: vec![] });
    p.body = body;
    for n in [1, 36, 38, 1100] {
        check(&p, &[&words(5)], 5, n);
        check(&p, &[&words(2)], 2, n);
    }
}

/// Stores under a mask, through every kind of index: what is not active is not touched.
#[test]
fn masked_stores() {
    for stride in [1, 3] {
        let mut p = program(&["a", "Out"]);
        let mut body = vec![];
        let i = id(&mut p, &mut body);
        let x = load(&mut p, &mut body, Ty::U32, buffer(0), i);
        let (three, zero) = (int(&mut p, &mut body, 3), int(&mut p, &mut body, 0));
        let low = binary(&mut p, &mut body, Ty::U32, Binary::AndI, x, three);
        let some = binary(&mut p, &mut body, Ty::Bool, Binary::EqI, low, zero);
        let by = int(&mut p, &mut body, stride);
        let index = binary(&mut p, &mut body, Ty::U32, Binary::MulI, i, by);
        let mut then = vec![];
        let value = binary(&mut p, &mut then, Ty::U32, Binary::AddI, x, i);
        store(&mut then, buffer(1), index, value);
        body.push(Stmt::If { cond: some, then, otherwise: vec![] });
        p.body = body;
        for n in [5, 16, 50, 1041] {
            check(&p, &[&words(n)], (n * stride) as usize, n);
        }
    }
}

/// Outputs past the caches: any alignment, two of them, stored in another order than computed, one longer than the run, and
/// one that is too short for all invocations.
#[test]
fn streamed() {
    let mut p = program(&["a", "One", "Two"]);
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let x = load(&mut p, &mut body, Ty::U32, buffer(0), i);
    let one = binary(&mut p, &mut body, Ty::U32, Binary::MulI, x, i);
    let twice = binary(&mut p, &mut body, Ty::U32, Binary::AddI, x, x);
    let two = binary(&mut p, &mut body, Ty::U32, Binary::XorI, twice, i);
    store(&mut body, buffer(2), i, two);
    store(&mut body, buffer(1), i, one);
    p.body = body;
    let shifts: Vec<usize> = (0..LINE).collect();
    for n in LENGTHS.into_iter().chain([127, 128, 129, 2048, 2064]) {
        for length in [n, n + 7, n - n / 3] {
            check_shifted(&p, &[&words(n)], length as usize, n, &shifts);
        }
    }
}

/// What is streamed is seen by the same thread, and by another that it hands the words to.
#[test]
fn streamed_words_are_there() {
    let mut p = program(&["a", "Out"]);
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let x = load(&mut p, &mut body, Ty::U32, buffer(0), i);
    let y = binary(&mut p, &mut body, Ty::U32, Binary::MulI, x, i);
    store(&mut body, buffer(1), i, y);
    p.body = body;
    let code = Code::compile(&p, CpuLevel::detected());
    let input = words(4096);
    for _ in 0..200 {
        let mut out = vec![POISON; 4096];
        code.run_streaming(&mut [BufferData::Read(&input), BufferData::Write(&mut out)], 4096);
        let right =
            |out: &[u32]| (0..4096_u32).all(|at| out[at as usize] == input[at as usize].wrapping_mul(at));
        std::thread::scope(|scope| scope.spawn(|| assert!(right(&out))).join().unwrap());
        assert!(right(&out));
    }
}

/// In place: reads and writes of one buffer keep their order.
#[test]
fn in_place() {
    let mut p = program(&["Out"]);
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let one = int(&mut p, &mut body, 1);
    store(&mut body, buffer(0), i, i);
    let old = load(&mut p, &mut body, Ty::U32, buffer(0), i);
    let new = binary(&mut p, &mut body, Ty::U32, Binary::AddI, old, one);
    store(&mut body, buffer(0), i, new);
    let again = load(&mut p, &mut body, Ty::U32, buffer(0), i);
    let sum = binary(&mut p, &mut body, Ty::U32, Binary::MulI, again, old);
    store(&mut body, buffer(0), i, sum);
    p.body = body;
    for n in LENGTHS {
        check(&p, &[], n as usize, n);
        check(&p, &[], n as usize / 2, n);
    }
}

/// Per-invocation arrays start as zero in every block, and an index past their end gives 0 and does nothing.
#[test]
fn arrays() {
    let mut p = program(&["g", "Out"]);
    for words in [1, 5] {
        p.locals.push(LocalDecl { name: "array".into(), words });
    }
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let index = load(&mut p, &mut body, Ty::U32, buffer(0), i);
    let (two, five) = (int(&mut p, &mut body, 2), int(&mut p, &mut body, 5));
    let (small, large) = (Memory::Local(Local(0)), Memory::Local(Local(1)));
    let before = load(&mut p, &mut body, Ty::U32, large, two);
    store(&mut body, large, index, i);
    store(&mut body, large, two, index);
    store(&mut body, large, five, index);
    store(&mut body, small, index, i);
    let a = load(&mut p, &mut body, Ty::U32, large, index);
    let zero = int(&mut p, &mut body, 0);
    let b = load(&mut p, &mut body, Ty::U32, small, zero);
    let c = load(&mut p, &mut body, Ty::U32, large, i);
    let mut sum = before;
    for x in [a, b, c] {
        sum = binary(&mut p, &mut body, Ty::U32, Binary::AddI, sum, x);
    }
    store(&mut body, buffer(1), i, sum);
    p.body = body;
    for n in [1, 17, 900, 2100] {
        let g: Vec<u32> = (0..n).map(|i| if i % 5 == 0 { u32::MAX } else { i % 8 }).collect();
        check(&p, &[&g], n as usize, n);
    }
}

/// Some lanes store to an array, at one element or several, known or not: the others keep theirs.
#[test]
fn masked_arrays() {
    let mut p = program(&["g", "Out"]);
    p.locals.push(LocalDecl { name: "array".into(), words: 4 });
    let array = Memory::Local(Local(0));
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let index = load(&mut p, &mut body, Ty::U32, buffer(0), i);
    store(&mut body, array, index, index);
    let (three, zero) = (int(&mut p, &mut body, 3), int(&mut p, &mut body, 0));
    let low = binary(&mut p, &mut body, Ty::U32, Binary::AndI, i, three);
    let some = binary(&mut p, &mut body, Ty::Bool, Binary::EqI, low, zero);
    let (one, four) = (int(&mut p, &mut body, 1), int(&mut p, &mut body, 4));
    store(&mut body, array, one, three);
    let mut then = vec![];
    store(&mut then, array, index, i);
    store(&mut then, array, one, i);
    store(&mut then, array, four, i);
    body.push(Stmt::If { cond: some, then, otherwise: vec![] });
    let mut sum = zero;
    for (at, weight) in [(index, one), (one, three), (four, four)] {
        let x = load(&mut p, &mut body, Ty::U32, array, at);
        let weighted = binary(&mut p, &mut body, Ty::U32, Binary::MulI, x, weight);
        sum = binary(&mut p, &mut body, Ty::U32, Binary::AddI, sum, weighted);
    }
    store(&mut body, buffer(1), i, sum);
    p.body = body;
    for n in [16, 60] {
        for g in [|_| 3, |_| 4, |i| i % 5, |i: u32| if i == 21 { 1 } else { 2 }] {
            check(&p, &[&(0..n).map(g).collect::<Vec<u32>>()], n as usize, n);
        }
    }
}

/// What an invocation can ask about its place, and the length of a buffer.
#[test]
fn places() {
    let mut p = program(&["a", "Out"]);
    p.workgroup_size = [24, 1, 1];
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let three = int(&mut p, &mut body, 3);
    let mut sum = i;
    let builtins = [
        Op::Builtin(Builtin::LocalId(0)),
        Op::Builtin(Builtin::LocalIndex),
        Op::Builtin(Builtin::WorkgroupId(0)),
        Op::Builtin(Builtin::NumWorkgroups(0)),
        Op::Builtin(Builtin::NumWorkgroups(1)),
        Op::Builtin(Builtin::GlobalId(1)),
        Op::Length { buffer: Buffer(0), offset: 2, stride: 3 },
        Op::Length { buffer: Buffer(0), offset: 1000, stride: 1 },
    ];
    for op in builtins {
        let x = def(&mut p, &mut body, Ty::U32, op);
        let scaled = binary(&mut p, &mut body, Ty::U32, Binary::MulI, sum, three);
        sum = binary(&mut p, &mut body, Ty::U32, Binary::AddI, scaled, x);
    }
    store(&mut body, buffer(1), i, sum);
    p.body = body;
    for n in [1, 24, 25, 1100] {
        check(&p, &[&words(11)], n as usize, n);
    }
}

#[test]
#[should_panic(expected = "stored to, and was given for reading")]
fn a_store_needs_a_writable_buffer() {
    let mut p = program(&["Out"]);
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    store(&mut body, buffer(0), i, i);
    p.body = body;
    Code::compile(&p, CpuLevel::detected()).run(&mut [BufferData::Read(&[0; 16])], 16);
}

#[test]
#[should_panic(expected = "breaks the rules of the IR")]
fn a_malformed_program_is_not_compiled() {
    let mut p = program(&["Out"]);
    p.body = vec![Stmt::Store { memory: buffer(7), index: Value(3), value: Value(4) }];
    Code::compile(&p, CpuLevel::detected());
}

/// Several threads share one program, each with memory of its own.
#[test]
fn shared_by_threads() {
    let mut p = program(&["a", "Out"]);
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let x = load(&mut p, &mut body, Ty::U32, buffer(0), i);
    let y = binary(&mut p, &mut body, Ty::U32, Binary::MulI, x, i);
    store(&mut body, buffer(1), i, y);
    p.body = body;
    let code = Code::compile(&p, CpuLevel::detected());
    let input = words(3000);
    std::thread::scope(|scope| {
        for n in [100_u32, 1000, 2999] {
            let (code, input) = (&code, &input);
            scope.spawn(move || {
                for _ in 0..50 {
                    let mut out = vec![POISON; 3000];
                    code.run(&mut [BufferData::Read(input), BufferData::Write(&mut out)], n);
                    for at in 0..3000_u32 {
                        let expected = if at < n { input[at as usize].wrapping_mul(at) } else { POISON };
                        assert_eq!(out[at as usize], expected);
                    }
                }
            });
        }
    });
}
