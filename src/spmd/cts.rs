//! The WebGPU conformance suite's expected values (tests/data/cts), through lowering and every executor.
//!
//! Each list becomes a compute shader with one storage buffer of packed words per parameter and one for the result; its
//! cases are the invocations.

use std::fmt::Write as _;

use super::block::Code;
use super::ir::Program;
use super::lower::lower;
use super::memory::BufferData;
use super::oracle::{self, Fusion};
use super::passes;
use crate::cpu::CpuLevel;

/// A WGSL type of 32-bit components; a bool is a u32 in memory.
#[derive(Clone, Debug)]
struct Shape {
    wgsl: String,
    scalar: &'static str,
    columns: usize,
    rows: usize,
}

impl Shape {
    fn new(name: &str) -> Self {
        let scalar = ["f32", "i32", "u32"].into_iter().find(|s| name.contains(s)).unwrap_or("u32");
        let digit = |at: usize| name[at..=at].parse().expect("a digit in the name of a vector or matrix");
        let (columns, rows) = match name {
            _ if name.starts_with("vec") => (1, digit(3)),
            _ if name.starts_with("mat") => (digit(3), digit(5)),
            _ => (1, 1),
        };
        Self { wgsl: name.replace("bool", "u32"), scalar, columns, rows }
    }

    fn words(&self) -> usize {
        self.columns * self.rows
    }

    /// An expression that reads element i of the buffer.
    fn load(&self, buffer: &str) -> String {
        let words = self.words();
        let components =
            (0..words).map(|c| format!("bitcast<{}>({buffer}[i * {words}u + {c}u])", self.scalar));
        format!("{}({})", self.wgsl, components.collect::<Vec<_>>().join(", "))
    }

    /// Statements that write `r` to element i of the buffer.
    fn store(&self, buffer: &str) -> String {
        let words = self.words();
        let mut text = String::new();
        for word in 0..words {
            let component = match (self.columns, self.rows) {
                (1, 1) => "r".to_owned(),
                (1, _) => format!("r[{word}]"),
                (_, rows) => format!("r[{}][{}]", word / rows, word % rows),
            };
            writeln!(text, "{buffer}[i * {words}u + {word}u] = bitcast<u32>({component});")
                .expect("a String grows");
        }
        text
    }
}

/// What one component of a result may be.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Bits(u32),
    Range(f32, f32),
    Nan,
    Everything,
}

impl Expected {
    fn accepts(self, got: u32, is_float: bool) -> bool {
        let float = f32::from_bits(got);
        match self {
            Self::Bits(bits) => got == bits || (is_float && float == f32::from_bits(bits)),
            Self::Range(low, high) => low <= float && float <= high,
            Self::Nan => float.is_nan(),
            Self::Everything => true,
        }
    }
}

struct List {
    name: &'static str,
    statement: &'static str,
    params: Vec<Shape>,
    result: Shape,
    /// Per parameter, the words of all cases.
    inputs: Vec<Vec<u32>>,
    /// Per case, its alternatives.
    accept: Vec<Vec<Vec<Expected>>>,
}

impl List {
    fn all() -> Vec<Self> {
        let mut data = Reader(include_bytes!("../../tests/data/cts/cases.bin"));
        let table: Vec<u32> = (0..data.u32()).map(|_| data.u32()).collect();
        let lists = include_str!("../../tests/data/cts/lists.tsv")
            .lines()
            .map(|line| {
                let mut fields = line.split('\t');
                let mut field = || fields.next().expect("five fields");
                let (name, cases, params, result, statement) = (field(), field(), field(), field(), field());
                let params: Vec<Shape> = params.split(' ').map(Shape::new).collect();
                let mut list = Self {
                    name,
                    statement,
                    inputs: vec![vec![]; params.len()],
                    params,
                    result: Shape::new(result),
                    accept: vec![],
                };
                for _ in 0..cases.parse().expect("a count") {
                    list.read_case(&mut data, &table);
                }
                list
            })
            .collect();
        assert!(data.0.is_empty(), "{} bytes are left over", data.0.len());
        lists
    }

    fn read_case(&mut self, data: &mut Reader, table: &[u32]) {
        for (param, inputs) in self.params.iter().zip(&mut self.inputs) {
            inputs.extend((0..param.words()).map(|_| table[data.u16()]));
        }
        let alternatives = data.u8();
        let mut expected = || match data.u8() {
            0 => Expected::Bits(table[data.u16()]),
            1 => Expected::Range(f32::from_bits(table[data.u16()]), f32::from_bits(table[data.u16()])),
            2 => Expected::Nan,
            3 => Expected::Everything,
            tag => panic!("{}: no such tag as {tag}", self.name),
        };
        let words = self.result.words();
        self.accept.push((0..alternatives).map(|_| (0..words).map(|_| expected()).collect()).collect());
    }

    fn wgsl(&self) -> String {
        let mut text = String::new();
        let mut lets = String::new();
        for (i, param) in self.params.iter().enumerate() {
            writeln!(text, "@group(0) @binding({i}) var<storage, read> q{i}: array<u32>;")
                .expect("a String grows");
            writeln!(lets, "let p{i} = {};", param.load(&format!("q{i}"))).expect("a String grows");
        }
        let (binding, statement) = (self.params.len(), self.statement);
        format!(
            "{text}@group(0) @binding({binding}) var<storage, read_write> out: array<u32>;
            @compute @workgroup_size(64)
            fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
                let i = id.x;
                {lets}
                var r: {};
                {statement}
                {}
            }}",
            self.result.wgsl,
            self.result.store("out"),
        )
    }

    fn program(&self) -> Program {
        let text = self.wgsl();
        let module = naga::front::wgsl::parse_str(&text)
            .unwrap_or_else(|e| panic!("{}: {}", self.name, e.emit_to_string(&text)));
        let info = naga::valid::Validator::new(
            naga::valid::ValidationFlags::all(),
            naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32,
        )
        .validate(&module)
        .unwrap_or_else(|e| panic!("{}: {}", self.name, e.emit_to_string(&text)));
        let program =
            lower(&module, &info, "main").unwrap_or_else(|e| panic!("{}: {e:?}\n{text}", self.name));
        program.verify().unwrap_or_else(|e| panic!("{}: {e}\n{program}", self.name));
        program
    }

    /// The results of all cases, by any executor.
    fn results(&self, program: &Program, run: impl FnOnce(&mut [BufferData<'_>], u32)) -> Vec<u32> {
        let cases = self.accept.len();
        let mut out = vec![0xdead_beef; cases * self.result.words()];
        let mut buffers: Vec<BufferData<'_>> = program
            .buffers
            .iter()
            .map(|buffer| match self.inputs.get(buffer.binding.1 as usize) {
                Some(words) => BufferData::Read(words),
                None => BufferData::Write(&mut []),
            })
            .collect();
        let position = program.buffers.iter().position(|b| b.writable).expect("an output");
        buffers[position] = BufferData::Write(&mut out);
        run(&mut buffers, u32::try_from(cases).expect("few cases"));
        out
    }

    /// One line for each case that `results` gets wrong.
    fn failures(&self, results: &[u32], executor: &str) -> Vec<String> {
        let is_float = self.result.scalar == "f32";
        let show =
            |bits: u32| if is_float { format!("{:e}", f32::from_bits(bits)) } else { bits.to_string() };
        let mut failures = vec![];
        for (case, (alternatives, got)) in
            self.accept.iter().zip(results.chunks(self.result.words())).enumerate()
        {
            let matches = |alternative: &Vec<Expected>| {
                alternative.iter().zip(got).all(|(expected, &got)| expected.accepts(got, is_float))
            };
            if alternatives.is_empty() || alternatives.iter().any(matches) {
                continue;
            }
            let mut line = format!("{} [{executor}] {}", self.name, self.statement);
            for (i, (param, inputs)) in self.params.iter().zip(&self.inputs).enumerate() {
                let words = &inputs[case * param.words()..][..param.words()];
                let floats: Vec<f32> = words.iter().map(|&word| f32::from_bits(word)).collect();
                match param.scalar {
                    "f32" => write!(line, " p{i} = {floats:?}"),
                    _ => write!(line, " p{i} = {words:?}"),
                }
                .expect("a String grows");
            }
            let got: Vec<String> = got.iter().map(|&bits| show(bits)).collect();
            failures.push(format!("{line}: r = {got:?}, expected one of {alternatives:?}"));
        }
        failures
    }
}

/// Little-endian numbers from the front of a slice.
struct Reader(&'static [u8]);

impl Reader {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, tail) = self.0.split_first_chunk().expect("the data goes on");
        self.0 = tail;
        *head
    }

    fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.take())
    }

    fn u16(&mut self) -> usize {
        u16::from_le_bytes(self.take()).into()
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }
}

fn assert_none(failures: &[String]) {
    let shown = failures.iter().take(40).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} cases fail:\n{shown}", failures.len());
}

#[test]
fn the_data_is_complete() {
    let lists = List::all();
    assert_eq!((lists.len(), lists.iter().map(|l| l.accept.len()).sum::<usize>()), (280, 41_579));
    // Not vacuous: nearly every case can be failed.
    let all = lists.iter().flat_map(|list| &list.accept);
    let strict = all.filter(|case| case.iter().flatten().any(|e| !matches!(e, Expected::Everything)));
    assert!(strict.count() > 30_000);
}

#[test]
fn oracle_passes_every_case() {
    let mut failures = vec![];
    for list in List::all() {
        let program = list.program();
        for fusion in [Fusion::Fused, Fusion::Split] {
            let results = list.results(&program, |buffers, n| {
                oracle::run_limited(&program, buffers, n, fusion, u64::MAX).expect("no loops");
            });
            failures.extend(list.failures(&results, &format!("oracle, {fusion:?}")));
        }
    }
    assert_none(&failures);
}

#[test]
fn block_interpreter_passes_every_case_on_every_level() {
    let mut failures = vec![];
    for list in List::all() {
        let lowered = list.program();
        let mut optimised = lowered.clone();
        passes::optimise(&mut optimised);
        for (passes, program) in [("as lowered", &lowered), ("optimised", &optimised)] {
            for level in CpuLevel::available() {
                let code = Code::compile(program, level);
                let results = list.results(program, |buffers, n| code.run(buffers, n));
                failures.extend(list.failures(&results, &format!("block on {level}, {passes}")));
            }
        }
    }
    assert_none(&failures);
}
