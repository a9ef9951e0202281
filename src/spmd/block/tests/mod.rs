//! The block interpreter against the oracle, on every level of this CPU.

mod control;
mod memory;
mod ops;
mod random;

use crate::cpu::CpuLevel;
use crate::spmd::ir::{
    Binary, Block, Buffer, BufferDecl, Builtin, Memory, Op, Program, Stmt, Ternary, Ty, Unary, Value, Var,
};
use crate::spmd::memory::BufferData;
use crate::spmd::oracle::{self, Fusion};

use super::Code;

/// Lengths on both sides of a lane, a chunk, a block, and several blocks.
const LENGTHS: [u32; 14] = [0, 1, 15, 16, 17, 255, 256, 257, 511, 513, 1023, 1024, 1025, 4099];
const POISON: u32 = 0xdead_beef;
/// Words on each side of an output that nobody may write.
const CANARIES: usize = 64;

fn fusion(level: CpuLevel) -> Fusion {
    if level.has_fma() { Fusion::Fused } else { Fusion::Split }
}

/// A program by hand. Buffers with these names; upper case ones are writable.
fn program(buffers: &[&str]) -> Program {
    let decl = |(at, name): (usize, &&str)| BufferDecl {
        name: (*name).into(),
        binding: (0, at as u32),
        writable: name.starts_with(char::is_uppercase),
    };
    Program {
        name: "main".into(),
        workgroup_size: [64, 1, 1],
        buffers: buffers.iter().enumerate().map(decl).collect(),
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

/// Runs on every level, as it is, classified and optimised, and compares all buffers with the oracle's, canaries too.
///
/// `inputs` are the read-only buffers in order; every writable one gets `words` poisoned words.
fn check(program: &Program, inputs: &[&[u32]], words: usize, invocations: u32) {
    program.verify().unwrap_or_else(|rule| panic!("{rule}"));
    let mut classified = program.clone();
    crate::spmd::passes::classify(&mut classified);
    let mut optimised = program.clone();
    crate::spmd::passes::optimise(&mut optimised);
    for level in CpuLevel::available() {
        let outputs = |run: &dyn Fn(&mut [BufferData<'_>])| {
            let writable = program.buffers.iter().filter(|buffer| buffer.writable).count();
            let mut memory = vec![vec![POISON; words + 2 * CANARIES]; writable];
            let (mut inputs, mut outputs) = (inputs.iter(), memory.iter_mut());
            let mut buffers: Vec<BufferData<'_>> = program
                .buffers
                .iter()
                .map(|buffer| match buffer.writable {
                    true => BufferData::Write(&mut outputs.next().unwrap()[CANARIES..CANARIES + words]),
                    false => BufferData::Read(inputs.next().unwrap()),
                })
                .collect();
            run(&mut buffers);
            drop(buffers);
            memory
        };
        let expected = outputs(&|buffers| {
            oracle::run_limited(program, buffers, invocations, fusion(level), u64::MAX).unwrap();
        });
        for program in [program, &classified, &optimised] {
            let code = Code::compile(program, level);
            let got = outputs(&|buffers| code.run(buffers, invocations));
            for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
                if let Some(word) = (0..got.len()).find(|&word| got[word] != expected[word]) {
                    panic!(
                        "{level}, {invocations} invocations, output {at}, word {}: got {:#x}, expected {:#x}\n{program}",
                        word as i64 - CANARIES as i64,
                        got[word],
                        expected[word]
                    );
                }
            }
        }
    }
}
