//! What the kinds of loop cost with the same body: a plain loop, `Pool::map`, futures, a closure kernel, WGSL. The numbers of
//! `docs/which-loop-is-mine.md`.
//!
//! With `--json` it measures on demand, so that `tasks.py` can take turns with Python's pools: a request is a line `NAME<tab>N` on the
//! standard input, the answer a line of JSON.

mod harness;

use std::collections::HashMap;
use std::hint::black_box;
use std::io::BufRead;
use std::time::{Duration, Instant};

use forall::tasks::{Pool, wait_all};
use forall::{Dispatcher, Index, Kernel};
use harness::{Table, sizes};
use wide::f32x8;

/// One request is answered by so much measuring, or one call if that takes longer.
const SAMPLE: Duration = Duration::from_micros(500);

fn square(i: u32) -> u32 {
    i.wrapping_mul(i)
}

/// 100 multiplications and additions on numbers, one after the other.
fn steps(mut x: f32) -> f32 {
    for _ in 0..50 {
        x = 3.7 * x * (1.0 - x);
    }
    x
}

type Run<'a> = Box<dyn FnMut() + 'a>;

struct Bench {
    pool: Pool,
    forall: Dispatcher,
    squares: [Kernel; 2],
    steps: [Kernel; 3],
}

impl Bench {
    fn new() -> Self {
        let wgsl = |text| Kernel::map(text).expect("valid WGSL");
        let lanes = |mut x: f32x8| {
            for _ in 0..50 {
                x = f32x8::splat(3.7) * x * (f32x8::splat(1.0) - x);
            }
            x
        };
        let steps_wgsl = "fn steps(x: f32) -> f32 {
            var y = x;
            for (var k = 0; k < 50; k++) { y = 3.7 * y * (1.0 - y); }
            return y;
        }";
        Self {
            pool: Pool::default(),
            forall: Dispatcher::new(),
            squares: [Kernel::scalar("square", square), wgsl("fn square(i: u32) -> u32 { return i * i; }")],
            steps: [Kernel::scalar("steps", steps), Kernel::lanes("steps", lanes), wgsl(steps_wgsl)],
        }
    }

    /// Every kind of loop over `i * i`, ready to run.
    fn squares(&self, n: u32) -> Vec<(&'static str, Run<'_>)> {
        let Self { pool, forall, squares: [scalar, wgsl], .. } = self;
        let check = move |out: &[u32]| assert!(out.len() == n as usize && out.last() == Some(&square(n - 1)));
        let kernel = |kernel| -> Run<'_> {
            let mut out = vec![0_u32; n as usize];
            Box::new(move || {
                forall.run(kernel, Index, &mut out).unwrap_or_else(|error| panic!("{error}"));
                check(&out);
            })
        };
        vec![
            ("plain loop", Box::new(move || check(&(0..black_box(n)).map(square).collect::<Vec<u32>>()))),
            (
                "Pool::map",
                Box::new(move || check(&pool.map(0..black_box(n), square).expect("no item fails"))),
            ),
            (
                "Pool::submit, wait_all",
                Box::new(move || {
                    let tasks = (0..n).map(|i| pool.submit(move || square(i)));
                    let out: Result<Vec<u32>, _> = wait_all(tasks).into_iter().collect();
                    check(&out.expect("no task fails"));
                }),
            ),
            ("closure kernel", kernel(scalar)),
            ("WGSL kernel", kernel(wgsl)),
        ]
    }

    /// The same for a body of numbers that costs something. Its first answer is that of the plain loop, bit for bit.
    fn steps(&self, table: &mut Table<'_>, n: usize) {
        let x = harness::random(n, 3, 0.1, 0.9);
        let expected: Vec<f32> = x.iter().map(|x| steps(*x)).collect();
        let (x, expected): (&'static [f32], &'static [f32]) = (x.leak(), expected.leak());
        let same = move |out: &[f32]| assert!(out == expected);
        table.row("plain loop", move || same(&black_box(x).iter().map(|x| steps(*x)).collect::<Vec<f32>>()));
        let pool = self.pool.clone();
        table.row("Pool::map", move || same(&pool.map(x, |x| steps(*x)).expect("no item fails")));
        let pool = self.pool.clone();
        table.row("Pool::map, blocks of 1024", move || {
            let block = |x: &[f32]| x.iter().map(|x| steps(*x)).collect::<Vec<f32>>();
            same(&pool.map(x.chunks(1024), block).expect("no item fails").concat());
        });
        for (name, kernel) in ["closure kernel, scalar", "closure kernel, lanes", "WGSL kernel"]
            .into_iter()
            .zip(self.steps.clone())
        {
            let (forall, mut out) = (self.forall.clone(), vec![f32::NAN; n]);
            table.row(name, move || {
                forall.run(&kernel, x, &mut out).unwrap_or_else(|error| panic!("{error}"));
                same(&out);
            });
        }
    }
}

/// Answers requests until there are no more.
fn answer(bench: &Bench) {
    let mut ready = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("requests are text");
        let (name, n) = line.split_once('\t').expect("a request is NAME<tab>N");
        let n: u32 = n.parse().ok().filter(|n| *n > 0).expect("N is a number of items");
        let (_, run) = ready
            .entry(n)
            .or_insert_with(|| bench.squares(n))
            .iter_mut()
            .find(|(other, _)| *other == name)
            .expect("a name of this bench");
        let (begun, mut calls) = (Instant::now(), 0_u32);
        while calls == 0 || begun.elapsed() < SAMPLE {
            run();
            calls += 1;
        }
        let ns = begun.elapsed().as_secs_f64() * 1e9 / f64::from(calls);
        println!(r#"{{"name":"{name}","n":{n},"calls":{calls},"ns":{ns:.1}}}"#);
    }
}

fn main() {
    let bench = Bench::new();
    if std::env::args().any(|argument| argument == "--json") {
        return answer(&bench);
    }
    for n in sizes(&[1, 1_000, 100_000, 1_000_000]).into_iter().filter(|n| *n > 0) {
        let mut table = Table::new("i * i", n, 4);
        for (name, run) in bench.squares(n as u32) {
            table.row(name, run);
        }
        table.print("Pool::map");
    }
    for n in sizes(&[1_000, 100_000]) {
        let mut table = Table::new("50 steps of the logistic map", n, 8);
        bench.steps(&mut table, n);
        table.print("Pool::map");
    }
}
