//! Random WGSL: every executor gives the oracle's bits, at every CPU level, before and after the passes, on one to three threads.
//!
//! `FORALL_FUZZ_SEEDS=N` tries seeds `0..N`, `A..B` those; without it a few. What it found stands in `corpus/`.

use super::generate::{Dialect, Shader, bytes, seeds};
use super::lowered;
use crate::cpu::CpuLevel;
use crate::spmd::block::Code;
use crate::spmd::grid::Grid;
use crate::spmd::ir::Program;
use crate::spmd::math::tests::fusion;
use crate::spmd::memory::BufferData;
use crate::spmd::oracle::run_grid;
use crate::spmd::passes;
use crate::spmd::testing::{lockstep_grid, on_threads};

/// Statements of one invocation; a shader that needs more is left out.
const STEPS: u64 = 1 << 18;

/// All words that a run of the program leaves behind.
fn outcome(shader: &Shader, program: &Program, run: impl FnOnce(&mut [BufferData<'_>])) -> Vec<Vec<u32>> {
    let mut all = shader.buffers();
    let mut slots: Vec<_> = all.iter_mut().map(|(words, writable)| Some((words, *writable))).collect();
    let mut buffers: Vec<BufferData<'_>> = program
        .buffers
        .iter()
        .map(|buffer| match slots[buffer.binding.1 as usize].take().expect("each is bound once") {
            (words, true) if buffer.writable => BufferData::Write(words),
            (words, _) => BufferData::Read(words),
        })
        .collect();
    run(&mut buffers);
    drop(buffers);
    all.into_iter().filter(|(_, writable)| *writable).map(|(words, _)| words).collect()
}

/// What is wrong with the results of a shader; `None` where it needs too many steps.
fn check(shader: &Shader) -> Option<Result<(), String>> {
    let lowered = match lowered(&shader.text) {
        Ok(program) => program,
        Err(what) => return Some(Err(what)),
    };
    let mut optimised = lowered.clone();
    passes::optimise(&mut optimised);
    let grid = Grid::whole(shader.workgroups, shader.size).expect("a small grid");
    for level in CpuLevel::available() {
        let mut ended = true;
        let expected = outcome(shader, &lowered, |buffers| {
            ended = run_grid(&lowered, buffers, &grid, fusion(level), STEPS).is_ok();
        });
        if !ended {
            return None;
        }
        let compare = |got: &[Vec<u32>], what: &str| {
            for (buffer, (got, expected)) in
                ["state", "out", "tally", "board"].iter().zip(got.iter().zip(&expected))
            {
                if let Some(at) = (0..got.len()).find(|&at| got[at] != expected[at]) {
                    return Err(format!("{what}: {buffer}[{at}] is {:#x}, not {:#x}", got[at], expected[at]));
                }
            }
            Ok(())
        };
        for (passes, program) in [("as lowered", &lowered), ("optimised", &optimised)] {
            if level.has_fma() && passes == "optimised" {
                let got = outcome(shader, program, |buffers| lockstep_grid(program, buffers, &grid));
                if let Err(difference) = compare(&got, "in step, optimised") {
                    return Some(Err(difference));
                }
            }
            let code = Code::compile(program, level);
            for threads in 1..=code.pieces(&grid).min(3) as usize {
                let got = outcome(shader, program, |buffers| on_threads(&code, buffers, &grid, threads));
                if let Err(difference) = compare(&got, &format!("{passes}, {level}, {threads} threads")) {
                    return Some(Err(difference));
                }
            }
        }
    }
    Some(Ok(()))
}

/// What goes wrong with a shader, a panic included.
fn failure(bytes: &[u8], dialect: Dialect) -> Option<String> {
    let shader = Shader::new(bytes, dialect);
    let result = std::panic::catch_unwind(|| check(&shader));
    match result {
        Ok(result) => result?.err(),
        Err(panic) => Some(match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(_) => "a panic".to_owned(),
        }),
    }
}

/// Fewer bytes that fail too.
fn reduced(mut bytes: Vec<u8>, dialect: Dialect) -> Vec<u8> {
    let mut size = bytes.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at + size <= bytes.len() {
            let mut fewer = bytes.clone();
            fewer.drain(at..at + size);
            if failure(&fewer, dialect).is_some() {
                bytes = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    bytes
}

fn fuzz(dialect: Dialect, few: u64) {
    for seed in seeds(few) {
        let bytes = bytes(seed);
        if failure(&bytes, dialect).is_some() {
            let bytes = reduced(bytes, dialect);
            let what = failure(&bytes, dialect).expect("reduced to what fails");
            let shader = Shader::new(&bytes, dialect);
            let what: String = what.lines().take(6).collect::<Vec<_>>().join("\n");
            panic!("seed {seed}, {dialect:?}, workgroups {:?}: {what}\n{}", shader.workgroups, shader.text);
        }
    }
}

#[test]
fn portable_shaders_give_the_oracle_s_bits() {
    fuzz(Dialect::Portable, 25);
}

#[test]
fn wild_shaders_give_the_oracle_s_bits() {
    fuzz(Dialect::Wild, 25);
}

/// What was found, and reduced by hand: WGSL with some of the buffers of a random shader, its workgroups in the first line.
const CORPUS: [(&str, &str); 1] = [("array_of_one_struct", include_str!("corpus/array_of_one_struct.wgsl"))];

#[test]
fn what_was_found_once_stays_right() {
    for (name, text) in CORPUS {
        let numbers = |text: &str| {
            let list = text.split_once('(').and_then(|(_, rest)| rest.split_once(')')).expect("a list").0;
            let mut numbers = list.split(',').map(|number| number.trim().parse().expect("a number"));
            [0; 3].map(|_| numbers.next().unwrap_or(1))
        };
        let (_, size) = text.split_once("@workgroup_size").expect("a compute shader");
        let shader = Shader {
            text: text.to_owned(),
            size: numbers(size),
            workgroups: numbers(text),
            elements: [0, 0],
        };
        assert_eq!(check(&shader), Some(Ok(())), "{name}");
    }
}

/// The generator makes what it is for, and hardly anything that is left out.
#[test]
fn shaders_are_long_enough_to_be_worth_it() {
    for dialect in [Dialect::Portable, Dialect::Wild] {
        let shaders: Vec<Shader> = (0..40).map(|seed| Shader::new(&bytes(seed), dialect)).collect();
        let left_out = shaders.iter().filter(|shader| check(shader).is_none()).count();
        assert!(left_out <= 2, "{left_out} of 40 need too many steps");
        let all: String = shaders.iter().map(|shader| &*shader.text).collect();
        for what in [
            "workgroupBarrier",
            "storageBarrier",
            "workgroupUniformLoad",
            "loop {",
            "switch",
            "while",
            "for (",
            "(*p",
            "&v",
            "atomicAdd",
            "fun1(",
            "return",
            "continue;",
        ] {
            assert!(
                all.matches(what).count() > 3,
                "{dialect:?}: {what} is rare: {}",
                all.matches(what).count()
            );
        }
    }
}
