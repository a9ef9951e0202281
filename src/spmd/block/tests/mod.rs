//! The block interpreter against the oracle, on every level of this CPU.

mod control;
mod effects;
mod fuse;
mod launch;
mod memory;
mod ops;
mod places;
mod random;
mod shaders;
mod stop;

use crate::cpu::CpuLevel;
use crate::spmd::ir::{
    Binary, Block, Buffer, BufferDecl, Builtin, Memory, Op, Order, Program, Role, Stmt, Ternary, Ty, Unary,
    Value, Var,
};
use crate::spmd::memory::BufferData;
use crate::spmd::oracle::{self, Fusion};

use super::Code;

/// Lengths on both sides of a lane, a chunk, a block, and several blocks.
const LENGTHS: [u32; 14] = [0, 1, 15, 16, 17, 255, 256, 257, 511, 513, 1023, 1024, 1025, 4099];
const POISON: u32 = 0xdead_beef;
/// Words on each side of an output that nobody may write.
const CANARIES: usize = 64;
/// Words of a cache line.
const LINE: usize = 16;

fn fusion(level: CpuLevel) -> Fusion {
    if level.has_fma() { Fusion::Fused } else { Fusion::Split }
}

/// A program by hand. Buffers with these names; upper case ones are writable.
fn program(buffers: &[&str]) -> Program {
    let decl = |(at, name): (usize, &&str)| BufferDecl {
        name: (*name).into(),
        binding: (0, at as u32),
        writable: name.starts_with(char::is_uppercase),
        role: Role::Data,
    };
    Program {
        name: "main".into(),
        workgroup_size: [64, 1, 1],
        buffers: buffers.iter().enumerate().map(decl).collect(),
        order: Order::Rows,
        shared: Vec::new(),
        tables: Vec::new(),
        locals: vec![],
        vars: vec![],
        values: vec![],
        body: vec![],
        labels: 0,
    }
}

/// Appends `let` and gives the value.
fn def(p: &mut Program, block: &mut Block, ty: Ty, op: Op) -> Value {
    let value = p.new_value(ty);
    block.push(Stmt::Let(value, op));
    value
}

fn int(p: &mut Program, block: &mut Block, bits: u32) -> Value {
    def(p, block, Ty::U32, Op::Const(bits))
}

fn id(p: &mut Program, block: &mut Block) -> Value {
    def(p, block, Ty::U32, Op::Builtin(Builtin::GlobalId(0)))
}

fn binary(p: &mut Program, block: &mut Block, ty: Ty, op: Binary, a: Value, b: Value) -> Value {
    def(p, block, ty, Op::Binary(op, a, b))
}

fn buffer(at: u32) -> Memory {
    Memory::Buffer(Buffer(at))
}

fn load(p: &mut Program, block: &mut Block, ty: Ty, memory: Memory, index: Value) -> Value {
    def(p, block, ty, Op::Load { memory, index })
}

fn store(block: &mut Block, memory: Memory, index: Value, value: Value) {
    block.push(Stmt::Store { memory, index, value });
}

fn set(block: &mut Block, var: Var, value: Value) {
    block.push(Stmt::Set { var, value, masked: true });
}

/// Runs on every level, as it is, classified and optimised, with outputs to the caches and past them, and compares all buffers with the oracle's, canaries too.
///
/// `inputs` are the read-only buffers in order; every writable one gets `words` poisoned words.
fn check(program: &Program, inputs: &[&[u32]], words: usize, invocations: u32) {
    check_shifted(program, inputs, words, invocations, &[4]);
}

/// The same, with outputs past the caches that start so many words behind the start of a cache line.
fn check_shifted(program: &Program, inputs: &[&[u32]], words: usize, invocations: u32, shifts: &[usize]) {
    program.verify().unwrap_or_else(|rule| panic!("{rule}"));
    let mut classified = program.clone();
    crate::spmd::passes::classify(&mut classified);
    let mut optimised = program.clone();
    crate::spmd::passes::optimise(&mut optimised);
    for level in CpuLevel::available() {
        let outputs = |shift: usize, run: &dyn Fn(&mut [BufferData<'_>])| {
            let mut memory: Vec<Vec<u32>> = Vec::new();
            let mut starts = Vec::new();
            for _ in program.buffers.iter().filter(|buffer| buffer.writable) {
                let output = vec![POISON; words + 2 * CANARIES + LINE];
                starts.push(CANARIES + output[CANARIES..].as_ptr().align_offset(4 * LINE) + shift);
                memory.push(output);
            }
            let mut inputs = inputs.iter();
            let mut outputs = memory.iter_mut().zip(&starts);
            let mut buffers: Vec<BufferData<'_>> = program
                .buffers
                .iter()
                .map(|buffer| match buffer.writable {
                    true => {
                        let (output, start) = outputs.next().unwrap();
                        BufferData::Write(&mut output[*start..start + words])
                    }
                    false => BufferData::Read(inputs.next().unwrap()),
                })
                .collect();
            run(&mut buffers);
            drop(buffers);
            // From one canary before the first word to one behind the last.
            let cut = |(output, start): (Vec<u32>, usize)| {
                assert!(
                    output[..start - 1]
                        .iter()
                        .chain(&output[start + words + 1..])
                        .all(|word| *word == POISON)
                );
                output[start - 1..=start + words].to_vec()
            };
            memory.into_iter().zip(starts).map(cut).collect::<Vec<_>>()
        };
        let expected = outputs(0, &|buffers| {
            oracle::run_limited(program, buffers, invocations, fusion(level), u64::MAX).unwrap();
        });
        let compare = |got: Vec<Vec<u32>>, how: &str, program: &Program| {
            for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
                if let Some(word) = (0..got.len()).find(|&word| got[word] != expected[word]) {
                    panic!(
                        "{level}{how}, {invocations} invocations, output {at}, word {}: got {:#x}, expected {:#x}\n{program}",
                        word as i64 - 1,
                        got[word],
                        expected[word]
                    );
                }
            }
        };
        for program in [program, &classified, &optimised] {
            let code = Code::compile(program, level);
            compare(outputs(1, &|buffers| code.run(buffers, invocations)), "", program);
            for &shift in shifts {
                let got = outputs(shift, &|buffers| code.run_streaming(buffers, invocations));
                compare(got, &format!(" streaming, {shift} words into a line"), program);
            }
        }
    }
}
